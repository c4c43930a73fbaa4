"""The examples of this repository, and what is asked of each for its transcript."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from lattice.testing import TestHost
from scripts import build_large_actors
from tests.kit.guests import ACTORS


class Example(NamedTuple):
    """`place` gives the module or manifest for a folder of the test; `ask` uses it. `subscriptions` are for a module
    without a manifest."""

    place: Callable[[Path], Path]
    ask: Callable[[TestHost], Awaitable[None]]
    subscriptions: str = ""


def committed(path: str) -> Callable[[Path], Path]:
    return lambda _folder: ACTORS / path


def _counters(manifest: str) -> Callable[[Path], Path]:
    """The application with every kind of counter, whose files are kept in the folder of the test."""

    def place(folder: Path) -> Path:
        text = (ACTORS / "counters" / manifest).read_text()
        for name in ("counter-py", "counter-js", "counter-go"):
            if f"../{name}/" in text:
                try:
                    built = build_large_actors.build(name)
                except build_large_actors.ToolMissing as why:
                    pytest.skip(str(why))
                text = text.replace(f"../{name}/{name}.wasm", str(built))
        copy = folder / manifest
        copy.write_text(text.replace("file://../", f"file://{ACTORS}/"))
        (folder / "counts").mkdir()
        return copy

    return place


async def _count(h: TestHost, *paths: str) -> None:
    for path in paths:
        for _ in range(2):
            await h.http("GET", f"{path}/hits?x=1")
        await h.http("GET", path or "/")
        await h.http("DELETE", f"{path}/hits")
    await h.http("GET", "/nowhere")


async def count_in_few(h: TestHost) -> None:
    await _count(h, "/c", "/as", "/component", "/wagi")


async def count_in_all(h: TestHost) -> None:
    await _count(h, "/c", "/as", "/component", "/wagi", "/py", "/js", "/go")


async def count_in_one(h: TestHost) -> None:
    await _count(h, "", "/other")


async def shorten(h: TestHost) -> None:
    await h.http("POST", "/links", json={"url": "https://example.org/a?b=1", "code": "mine"})
    drawn = await h.http("POST", "/links", json={"url": "https://example.org/drawn"})
    for code in ("mine", "mine", drawn.json()["code"], "unknown"):
        await h.http("GET", f"/{code}")
    await h.http("POST", "/links", json={"url": "https://example.org/", "code": "mine"})
    await h.http("POST", "/links", body="no json")
    await h.http("GET", "/links/mine")
    await h.clock.advance(5)
    await h.http("GET", "/report/links.csv")
    await h.http("DELETE", "/links/mine")
    await h.http("GET", "/mine")
    await h.clock.advance(10)
    await h.tick(actor="report")
    await h.http("GET", "/report")


async def count_clicks(h: TestHost) -> None:
    for body in ({"code": "a", "atMs": 1735689600000}, {"code": "a", "atMs": 1735780000000}, "no json"):
        await h.publish("links.clicked", body)


async def bounce(h: TestHost) -> None:
    for target in ("/?message=hello", "/bounce/3", "/bounce/20", "/bounce/x"):
        await h.http("GET", target)


async def greet(h: TestHost) -> None:
    await h.http("GET", "/")
    await h.http("POST", "/some/path?a=b&c", body="a body", headers={"content-type": "text/plain"})


async def keep(h: TestHost) -> None:
    await h.http("PUT", "/one", body="first")
    await h.http("GET", "/one")
    await h.http("GET", "/none")
    await h.publish("kept.it", "7")
    await h.http("GET", "/messages/7")


async def send(h: TestHost) -> None:
    for place in ("/c/FR/500", "/component/FR/500", "/c/FR/500/sx/50000", "/c/XX/500"):
        await h.http("GET", place)


async def pass_on(h: TestHost) -> None:
    h.web.answers("POST", "http://example.org/x", body="what comes back")
    await h.http("POST", "/echo", body="a body " * 20_000)
    await h.http("POST", "/to/example.org/x", body="a body that goes out")
    await h.http("GET", "/to/example.org/nothing")


EXAMPLES = {
    "clicks": Example(committed("clicks/clicks.wasm"), count_clicks, "links.clicked"),
    "counter": Example(committed("counter/app.yaml"), count_in_one),
    "counter-as": Example(committed("counter-as/counter-as.wasm"), count_in_one),
    "counter-component": Example(committed("counter-component/counter-component.wasm"), count_in_one),
    "counters": Example(_counters("app.yaml"), count_in_few),
    "counters-all": Example(_counters("all.yaml"), count_in_all),
    "demo": Example(committed("demo/app.yaml"), shorten),
    "echo": Example(committed("echo/app.yaml"), greet),
    "hello-component": Example(committed("hello-component/app.yaml"), greet),
    "hello-wagi": Example(committed("hello-wagi/app.yaml"), greet),
    "ledger": Example(committed("ledger/ledger.wasm"), keep, "kept.>"),
    "parcels": Example(committed("parcels/app.yaml"), send),
    "pinger": Example(committed("pinger/app.yaml"), bounce),
    "report": Example(committed("report/report.wasm"), greet),
    "stream-component": Example(committed("stream-component/stream-component.wasm"), pass_on),
}
