"""The same bodies in process and across a lattice: the same answers, and there the limits of whole messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.bodies.served import CACHE, MIB, Served, application, serving, until
from tests.bodies.test_components import chunked, counted, get, pattern, post
from tests.support.lattices import joined_host, tool
from tests.support.lattices import until as until_within
from tests.support.servers import nats_server

LIMITS = {"payload": "4MiB"}


@asynccontextmanager
async def across(folder: Path) -> AsyncIterator[Served]:
    """The HTTP server on one host, what it calls on another."""
    manifest: Any = application({"timeout": "58", "body_bytes_max": str(64 * MIB)}, {}, LIMITS, {})
    for part in manifest["spec"]["components"]:
        place = "a" if part["name"] == "http" else "b"
        spread = [{"name": "there", "requirements": {"place": place}, "fallback": "none"}]
        placed = {"type": "spreadscaler", "properties": {"instances": 1, "spread": spread}}
        part["traits"] = [placed, *part.get("traits", [])]
    with nats_server(folder) as server:
        async with (
            tool(server.url) as client,
            joined_host(server.url, folder / "a", "a", place="a") as a,
            joined_host(server.url, folder / "b", "b", cache=CACHE, place="b"),
        ):
            assert (await client.model("put", manifest))["result"] == "created"
            assert (await client.model("deploy.bodies"))["result"] == "acknowledged"

            def urls() -> list[str]:
                return [url for provider in a.host.supervisor for url in provider.urls()]

            def is_up() -> bool:
                return len(urls()) == 3 and all(
                    a.parts.peers.copies(f"bodies-{name}") for name in ("stream", "command", "wapc")
                )

            await until_within(is_up, 60, "every guest")
            yield Served(a.host, int(urls()[0].split(":")[2].split("/")[0]))


@asynccontextmanager
async def in_process(folder: Path) -> AsyncIterator[Served]:
    async with serving(folder, limits=LIMITS) as served:
        yield served


@pytest.fixture(params=["in process", "across"])
async def served(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    async with (in_process if request.param == "in process" else across)(tmp_path) as served:
        yield served
        await until(served.at_rest)


async def test_bodies_are_the_same_wherever_the_guest_is(served: Served) -> None:
    data = pattern(2 * MIB)
    for path in ("/echo", "/command"):
        for request, body in (
            (post(path, f"content-length: {len(data)}"), data),
            (post(path, "transfer-encoding: chunked"), chunked(data)),
        ):
            answer = await served.ask(request, body)
            assert (answer.status, answer.body == data) == (200, True), path
    assert (await served.ask(post("/count", "transfer-encoding: chunked"), chunked(data))).body == counted(data)
    assert (await served.ask(get("/give/3000000"))).body == pattern(3_000_000)
    assert (await served.ask(get("/chunks/3000000"))).body == pattern(3_000_000)
    assert (await served.ask(get("/short/10"))).status == 502
    assert (await served.ask(get("/trap/10"))).status == 502


async def test_between_hosts_bodies_have_the_limits_of_messages(tmp_path: Path) -> None:
    async with across(tmp_path) as served:
        for path in ("/count", "/command", "/wapc"):
            answer = await served.ask(post(path, "transfer-encoding: chunked"), chunked(bytes(5 * MIB)))
            assert (answer.status, b"payload_too_large" in answer.body) == (413, True), path
        answer = await served.ask(get("/chunks/5000000"))
        assert (answer.status, b"payload_too_large" in answer.body) == (413, True)
        assert (await served.ask(get("/trap/3000000"))).status == 502
        async with served.connected() as client:
            await client.send(post("/echo", "te: trailers", "transfer-encoding: chunked"))
            await client.send(b"3\r\nabc\r\n0\r\nchecksum: 17\r\n\r\n")
            answer = await client.response()
            assert (answer.body, answer.trailers) == (b"abc", {})
