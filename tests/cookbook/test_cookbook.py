"""docs/cookbook.md: its blocks are one actor, and each recipe does what it says."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from lattice import errors
from lattice.authoring import resources
from lattice.authoring.key_folder import VARIABLE
from lattice.authoring.project import Project
from lattice.authoring.toolchains import toolchain
from lattice.testing import TestHost, host
from tests.cookbook.page import PAGE, blocks, make
from tests.sdk.test_typescript import modules
from tests.support.authoring import require_toolchain

Recipe = Callable[[TestHost], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("keys")))
        yield


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, keys: None) -> Project:
    require_toolchain("python")
    return make(tmp_path_factory.mktemp("cookbook") / "shop", "app.py", "\n\n".join(blocks("python")), "python")


async def checked_json(h: TestHost) -> None:
    line = {"product": "pen", "quantity": 2}
    added = await h.http("POST", "/orders", json={"number": "7", "lines": [line], "extra": True})
    assert added.status == 201
    assert h.bucket("default").json("orders:7") == {"number": "7", "lines": [line], "note": None}
    wrong = await h.http("POST", "/orders", json={"number": "8", "lines": [{"product": "pen", "quantity": "2"}]})
    assert (wrong.status, wrong.json()) == (400, {"error": "lines[0].quantity is text, not a whole number"})
    empty = await h.http("POST", "/orders", json={"number": "8", "lines": []})
    assert (empty.status, empty.json()) == (400, {"error": "lines is empty"})


async def counter(h: TestHost) -> None:
    await asyncio.gather(*(h.http("POST", "/visits/home") for _ in range(5)))
    assert (await h.http("POST", "/visits/home")).json() == {"visits": 6}


async def sessions(h: TestHost) -> None:
    first = (await h.http("POST", "/sessions", json={"user": "ada"})).json()["token"]
    second = (await h.http("POST", "/sessions", json={"user": "bob"})).json()["token"]
    assert first != second
    await h.clock.advance(20 * 60)
    mine = {"authorization": f"Bearer {first}"}
    assert (await h.http("GET", "/me", headers=mine)).json() == {"user": "ada"}
    await h.clock.advance(20 * 60)
    assert (await h.http("GET", "/me", headers=mine)).status == 200
    assert (await h.http("GET", "/me", headers={"authorization": f"Bearer {second}"})).status == 401
    assert (await h.http("GET", "/me")).status == 401


async def work_for_later(h: TestHost) -> None:
    submitted = await h.http("POST", "/jobs", json={"text": "one two three"})
    assert submitted.status == 202
    job = submitted.json()["id"]
    assert [message.subject for message in h.published] == [f"jobs.{job}"]
    assert (await h.http("GET", f"/jobs/{job}")).json() == {"words": 3}
    assert h.bucket("default")["results"] == [job]
    assert (await h.http("GET", "/jobs/other")).status == 404


async def question_and_reply(h: TestHost) -> None:
    h.bucket("default")["stock:pen"] = "12"
    assert (await h.http("GET", "/stock/pen")).json() == {"level": 12}
    assert (await h.request("stock.level", "ink")) == b"0"
    h.expect("wasmcloud:messaging", "Request").fails(errors.DeadlineExceeded("nobody"))
    assert (await h.http("GET", "/stock/pen")).status == 503


async def cleaning_up(h: TestHost) -> None:
    h.sql.execute("CREATE TABLE carts (id TEXT, touched_ms INTEGER)")
    now_ms = round(h.clock.now * 1000)
    h.sql.execute("INSERT INTO carts VALUES ('old', ?), ('new', ?)", now_ms - 25 * 3600 * 1000, now_ms)
    await h.tick("cleanup")
    assert h.sql.query("SELECT id FROM carts") == [("new",)]
    assert "1 carts were left behind" in [line.text for line in h.logs]


async def another_service(h: TestHost) -> None:
    h.web.answers("GET", "https://rates.example.org/CHF", json={"rate": 1.05})
    h.web.answers("GET", "https://rates.example.org/XXX", status=404)
    h.web.answers("GET", "https://rates.example.org/YYY", status=500)
    h.web.answers("GET", "https://rates.example.org/ZZZ", json={"rate": "a lot"})
    h.web.fails("GET", "https://rates.example.org/AAA")
    assert (await h.http("GET", "/rates/CHF")).json() == {"rate": 1.05}
    found = {name: (await h.http("GET", f"/rates/{name}")).status for name in ("XXX", "YYY", "ZZZ", "AAA")}
    assert found == {"XXX": 404, "YYY": 503, "ZZZ": 503, "AAA": 503}


async def files(h: TestHost) -> None:
    put = await h.http("PUT", "/files/a/b.txt", body="hello", headers={"content-type": "text/plain"})
    assert put.status == 201
    assert h.blobs.text("files", "a/b.txt") == "hello"
    got = await h.http("GET", "/files/a/b.txt")
    assert (got.text, got.headers["content-type"]) == ("hello", "text/plain")
    assert (await h.http("GET", "/files/none")).status == 404
    assert (await h.http("GET", "/files?prefix=a/")).json() == ["a/b.txt"]


async def statements(h: TestHost) -> None:
    title = "Robert'); DROP TABLE books;--"
    assert (await h.http("POST", "/books", json={"title": title, "pages": 300})).status == 201
    assert (await h.http("POST", "/books", json={"title": title, "pages": 300})).status == 409
    assert (await h.http("POST", "/books", json={"title": "Thin", "pages": 20})).status == 201
    assert (await h.http("GET", "/books?longer_than=100")).json() == [{"title": title, "pages": 300}]


async def another_actor(h: TestHost) -> None:
    h.stand_in("catalogue", {"Catalogue.Price": b'{"product": "pen", "cents": 120}'})
    assert (await h.http("GET", "/prices/pen")).json() == {"product": "pen", "cents": 120}
    h.bucket("default")["price:ink"] = "300"
    assert json.loads(await h.call("Catalogue.Price", b'{"product": "ink"}')) == {"product": "ink", "cents": 300}
    with pytest.raises(errors.GuestError) as failed:
        await h.call("Catalogue.Price", b'{"product": "ash"}')
    h.expect("catalogue", "Catalogue.Price").fails(failed.value)
    assert (await h.http("GET", "/prices/ash")).status == 404


async def two_stores(h: TestHost) -> None:
    h.bucket("default")["profile:ada"] = "old"
    assert (await h.http("GET", "/profiles/ada")).json() == {"profile": "old"}
    assert h.bucket("cache")["ada"] == "old"
    h.bucket("default")["profile:ada"] = "new"
    assert (await h.http("GET", "/profiles/ada")).json() == {"profile": "old"}
    await h.clock.advance(61)
    assert (await h.http("GET", "/profiles/ada")).json() == {"profile": "new"}
    assert (await h.http("GET", "/profiles/bob")).status == 404


async def messages_twice(h: TestHost) -> None:
    for _ in range(2):
        await h.publish("payments.new", {"id": "p1", "cents": 500})
    assert h.sql.query("SELECT id, cents FROM payments") == [("p1", 500)]
    assert "payment p1 came again" in [line.text for line in h.logs]
    await h.publish("payments.new", "no JSON")
    assert [line.text for line in h.logs if line.level == "error"]
    assert len(h.sql.query("SELECT id FROM payments")) == 1


async def configuration(h: TestHost) -> None:
    assert (await h.http("GET", "/settings")).json() == {"currency": "CHF"}


RECIPES: dict[int, Recipe] = {
    1: checked_json,
    2: counter,
    3: sessions,
    4: work_for_later,
    5: question_and_reply,
    6: cleaning_up,
    7: another_service,
    8: files,
    9: statements,
    10: another_actor,
    11: two_stores,
    12: messages_twice,
    13: configuration,
}


@pytest.mark.parametrize("number", RECIPES)
def test_a_recipe_does_what_it_says(shop: Project, number: int) -> None:
    async def run() -> None:
        async with host(shop.folder) as h:
            await RECIPES[number](h)

    asyncio.run(run())


async def test_an_exception_is_told_as_the_page_on_debugging_has_it(shop: Project) -> None:
    async with host(shop.folder) as h:
        h.bucket("default")["stock:pen"] = "many"
        reply = await h.http("GET", "/stock/pen")
        told = [line.text.strip() for line in h.logs]
    page = (PAGE.parent / "guides" / "debugging.md").read_text()
    assert reply.status == 502
    assert f"    {reply.text}" in page
    assert "ValueError: invalid literal for int() with base 10: 'many'" in told
    place = next(line for line in told if re.fullmatch(r"app\.py:\d+ in stock", line))
    assert re.search(rf"    app\.py:\d+ in stock\n    {re.escape(told[told.index(place) + 1])}\n", page)


def test_every_recipe_of_the_page_is_tried() -> None:
    assert [int(number) for number in re.findall(r"^## (\d+)\. ", PAGE.read_text(), re.MULTILINE)] == list(RECIPES)


def test_what_the_page_has_in_c_is_an_actor_too(tmp_path: Path, keys: None) -> None:
    require_toolchain("c")
    (source,) = blocks("c")
    made = make(tmp_path / "shop", "app.c", source, "c")

    async def run() -> None:
        async with host(made.target) as h:  # the manifest of the page has what no waPC actor takes
            await counter(h)

    asyncio.run(run())


def test_what_the_page_has_in_typescript_has_types(tmp_path: Path) -> None:
    require_toolchain("typescript")
    node, packages = modules("typescript")
    (source,) = blocks("ts")
    folder = tmp_path / "app"
    shutil.copytree(resources.template("typescript", "http"), folder)
    (folder / "app.ts").write_text(source)
    made = Project(folder=folder, name="app", language="typescript", source="app.ts")
    assert toolchain("typescript").contracts(made) == {"wasmcloud:httpserver", "wasmcloud:keyvalue"}
    tsc = [node, str(packages / "typescript" / "bin" / "tsc"), "-p", "."]
    done = subprocess.run(tsc, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
