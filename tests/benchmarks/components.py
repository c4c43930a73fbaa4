"""Figures of components, in one process: `components.py first|body`. Prints rows as JSON.

`first`: the counters' first answer after they were started from the compiled cache; beside it a second answer, which
has an instance of its own too, and how long the start took. `body`: a megabyte through a component that echoes it in
the pieces that WASI permits, and for how long nothing else could run meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from lattice import wire  # noqa: E402  # needs the path above
from lattice.actors import ActorSpec  # noqa: E402
from lattice.config import Limits  # noqa: E402
from lattice.contracts import httpserver, keyvalue  # noqa: E402
from lattice.contracts.httpserver import HttpRequest, HttpResponse  # noqa: E402
from lattice.invocation import Invocation  # noqa: E402
from scripts import build_large_actors  # noqa: E402
from scripts.build_actors import BuildFailed  # noqa: E402
from tests.support.components import wasm  # noqa: E402
from tests.support.hosts import GuestHost, guest_host  # noqa: E402

FIRST = (("counter-py", "Python", 15.0), ("counter-js", "JavaScript", 5.0), ("counter-component", "C", 1.0))
ROUNDS = 15
BODY = bytes(range(256)) * 4096
LIMITS = Limits(memory_bytes_max=256 * 1024 * 1024)

_decode = wire.decoder(HttpResponse, "the response")


async def ask(guests: GuestHost, key: str, method: str = "GET", body: bytes = b"") -> HttpResponse:
    request = wire.encode(HttpRequest(method=method, path="/x", query_string="", header={"host": ["bench"]}, body=body))
    reply = await guests.call(key, request, operation=httpserver.HANDLE_REQUEST.name)
    response: HttpResponse = _decode(reply)
    return response


async def counts(_: Invocation) -> bytes:
    """A store that takes no time."""
    return wire.encode(1)


async def first(name: str, language: str, at_most_ms: float, folder: Path) -> dict[str, Any]:
    what = f"first answer of a component in {language}, compiled before"
    try:
        large = name in build_large_actors.LARGE
        image = build_large_actors.build(name) if large else ROOT / "actors" / name / f"{name}.wasm"
    except BuildFailed as missing:
        return {"what": what, "skipped": str(missing)}
    load_ms, first_ms, second_ms = [], [], []
    folder.mkdir()
    async with guest_host(folder, cache=ROOT / ".cache" / "actors" / "compiled") as guests:
        guests.offer(counts, name, contract=keyvalue.CONTRACT.id)
        spec = ActorSpec(key=name, name=name, image=image, application="bench", limits=LIMITS)
        await guests.host.actors.start(spec)
        await guests.host.actors.stop(name)
        for _ in range(ROUNDS):
            times = [time.perf_counter()]
            actor = await guests.host.actors.start(spec)
            assert actor.revision.from_cache
            times.append(time.perf_counter())
            for _ in range(2):
                assert (await ask(guests, name)).status_code == 200
                times.append(time.perf_counter())
            for found, began, ended in zip((load_ms, first_ms, second_ms), times[:-1], times[1:], strict=True):
                found.append((ended - began) * 1e3)
            await guests.host.actors.stop(name)
    median = statistics.median(first_ms)
    return {
        "what": what,
        "value": f"{median:.1f} ms (second {statistics.median(second_ms):.1f}, start {statistics.median(load_ms):.0f})",
        "at most": f"{at_most_ms:g} ms",
        "held": median <= at_most_ms,
    }


async def longest_hold(stop: asyncio.Event) -> float:
    """How long, at most, this task had to wait for its turn."""
    worst = 0.0
    while not stop.is_set():
        began = time.perf_counter()
        await asyncio.sleep(0)
        worst = max(worst, time.perf_counter() - began)
    return worst


async def body(folder: Path) -> list[dict[str, Any]]:
    image = folder / "echo.wasm"
    image.write_bytes(wasm((ROOT / "tests" / "guests" / "components" / "http_echo.wat").read_text()))
    took_ms, held_ms = [], []
    async with guest_host(folder) as guests:
        await guests.host.actors.start(ActorSpec(key="echo", name="echo", image=image, limits=LIMITS))
        for round_ in range(ROUNDS + 1):
            stop = asyncio.Event()
            began = time.perf_counter()
            assert (await ask(guests, "echo", "POST", BODY)).body == BODY
            took = time.perf_counter() - began
            watching = asyncio.create_task(longest_hold(stop))
            await asyncio.sleep(0)
            await ask(guests, "echo", "POST", BODY)
            stop.set()
            held = await watching
            if round_:
                took_ms.append(took * 1e3)
                held_ms.append(held * 1e3)
    took, held = statistics.median(took_ms), statistics.median(held_ms)
    return [
        {"what": "1 MB echoed by a component", "value": f"{took:.1f} ms", "at most": "15 ms", "held": took <= 15},
        {
            "what": "the loop held by that, longest in one echo",
            "value": f"{held:.1f} ms (of {ROUNDS}, the worst {max(held_ms):.1f})",
            "at most": "5 ms",
            "held": max(held_ms) <= 5,
        },
    ]


async def measure(what: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as scratch:
        if what == "body":
            return await body(Path(scratch))
        return [await first(*row, Path(scratch) / row[0]) for row in FIRST]


if __name__ == "__main__":
    for row in asyncio.run(measure(sys.argv[1])):
        print(json.dumps(row))
