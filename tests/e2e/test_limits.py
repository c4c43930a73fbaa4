"""What an actor does wrong becomes the right answer over HTTP, and its neighbours do not notice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.e2e.guests import answering
from tests.e2e.running import Served, actor, manifest, routes, serving
from tests.providers.http_server_client import get
from tests.support.hosts import guest_wasm

TIME_LIMIT_S = 2.0
QUICK_S = 1.0
"""A tick of the engine is 2 ms; the rest is for a busy machine. The loop that is served beside takes two seconds."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("limits")
    path = manifest(
        folder,
        actor("hello"),
        actor("trap"),
        actor("spin", time=f"{TIME_LIMIT_S}s"),
        actor("busy", time=f"{TIME_LIMIT_S}s", instances="1", queue="1"),
        routes(hello={"path": "/hello"}, trap={"path": "/trap"}, spin={"path": "/spin"}, busy={"path": "/busy"}),
        images={
            "hello": answering("hello"),
            "trap": guest_wasm("trap"),
            "spin": guest_wasm("spin"),
            "busy": guest_wasm("spin"),
        },
    )
    with serving(path) as served:
        yield served


async def test_a_loop_without_end_is_504_at_its_limit_while_another_route_answers_quickly(served: Served) -> None:
    began = time.monotonic()
    looping = [asyncio.create_task(served.ask("/spin")) for _ in range(2)]
    took = []
    async with served.client() as client:
        while not all(task.done() for task in looping):
            asked = time.monotonic()
            assert (await client.ask(get("/hello"))).status == 200
            took.append(time.monotonic() - asked)
    for response in await asyncio.gather(*looping):
        assert (response.status, response.code) == (504, "deadline_exceeded")
    assert TIME_LIMIT_S <= time.monotonic() - began < TIME_LIMIT_S + 20
    assert len(took) > 10
    assert sorted(took)[len(took) * 9 // 10] < QUICK_S, "nine of ten"
    assert (await served.ask("/hello")).status == 200


async def test_a_trap_is_502_and_the_connection_goes_on(served: Served) -> None:
    async with served.client() as client:
        for _ in range(3):
            response = await client.ask(get("/trap"))
            assert (response.status, response.code) == (502, "guest_trapped")
            assert b"unreachable" in response.body
            assert (await client.ask(get("/hello"))).status == 200


async def test_one_call_more_than_runs_and_waits_is_503_with_retry_after(served: Served) -> None:
    began = time.monotonic()
    calls = [asyncio.create_task(served.ask("/busy")) for _ in range(5)]
    first = asyncio.as_completed(calls)
    refused = [await next(first) for _ in range(3)]
    assert time.monotonic() - began < QUICK_S
    assert {(response.status, response.code) for response in refused} == {(503, "overloaded")}
    assert {response.header("retry-after") for response in refused} == {"1"}
    answers = sorted(response.status for response in await asyncio.gather(*calls))
    assert answers == [503, 503, 503, 504, 504], "one ran, one waited, both to the end of their time"
