"""Instances of components that answer more than one call: how many, what ends them, what the next call finds."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice import errors, wire
from lattice.actors import ActorSpec
from lattice.bodies import BodyPipe
from lattice.config import EngineSettings, Limits
from lattice.contracts import httpserver
from lattice.invocation import EntityId, Invocation, new_id
from lattice.wasm import components
from lattice.wasm.component.guest import ComponentGuest
from lattice.wasm.component.host import Ok
from lattice.wasm.component.reuse import FAILED_AGAIN_MAX
from lattice.wasm.engine import Engine
from lattice.wasm.guest import ActorContext, Resting
from lattice.wasm.pool import Pool
from lattice.wasm.wasi import bridges
from scripts import build_large_actors
from tests.support.bodies import Beside
from tests.support.components import wasm
from tests.support.hosts import GuestHost, answer_with_payload, guest_host
from tests.support.wasi import WasiGuest, invocation

GUESTS = Path(__file__).parents[1] / "guests" / "components"
ACTORS = Path(__file__).parents[2] / "actors"
CACHE = Path(__file__).parents[2] / ".cache" / "actors" / "compiled"
MANY = 1_000_000
HTTP = "HttpServer.HandleRequest"


@asynccontextmanager
async def keeping(folder: Path, **limits: Any) -> AsyncIterator[GuestHost]:
    path = folder / "keeps.wasm"
    path.write_bytes(wasm((GUESTS / "keeps.wat").read_text()))
    async with guest_host(folder) as guests:
        await guests.host.actors.start(ActorSpec(key="one", name="one", image=path, limits=Limits(**limits)))
        yield guests


async def ask(guests: GuestHost, function: str, **how: Any) -> int:
    """How many calls the instance has had that answered."""
    reply = await guests.call("one", b"\x90", operation=f"test:guest/keeps.{function}", **how)
    found: int = msgspec.msgpack.decode(reply)
    return found


def pool_of(guests: GuestHost, key: str = "one") -> Pool:
    actor = guests.host.actors.get(key)
    assert actor is not None
    return actor.revision.pool


@pytest.mark.parametrize(
    ("limits", "found"),
    [
        ({}, [1, 1, 1, 1, 1]),
        ({"reuse_max": 1}, [1, 1, 1, 1, 1]),
        ({"reuse_max": 3}, [1, 2, 3, 1, 2]),
        ({"reuse_max": MANY}, [1, 2, 3, 4, 5]),
        ({"reuse_max": MANY, "isolation": "call"}, [1, 1, 1, 1, 1]),
    ],
)
async def test_an_instance_answers_as_many_calls_as_the_manifest_says(
    tmp_path: Path, limits: dict[str, Any], found: list[int]
) -> None:
    async with keeping(tmp_path, **limits) as guests:
        assert [await ask(guests, "count") for _ in found] == found


async def test_the_number_stands_above_what_the_kind_says(tmp_path: Path) -> None:
    path = tmp_path / "one.wasm"
    path.write_bytes(wasm((GUESTS / "passes_on.wat").read_text()))
    async with guest_host(tmp_path) as guests:
        await guests.host.actors.start(ActorSpec(key="one", name="one", image=path, limits=Limits(reuse_max=2)))
        assert [await guests.call("one", operation="Count") for _ in range(3)] == [b"\1", b"\2", b"\1"]


@pytest.mark.parametrize(
    ("function", "why"), [("keep-pollable", "it keeps 1 Pollable"), ("grow", "its memory has grown")]
)
async def test_what_is_left_of_a_call_ends_the_instance_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, function: str, why: str
) -> None:
    async with keeping(tmp_path, reuse_max=MANY) as guests:
        assert [await ask(guests, name) for name in ("count", function, "count", function, "count")] == [1, 2, 1, 2, 1]
    told = [record.getMessage() for record in caplog.records if "not used for another call" in record.getMessage()]
    assert len(told) == 1
    assert why in told[0]


async def test_what_is_of_the_actor_may_stay(tmp_path: Path) -> None:
    async with keeping(tmp_path, reuse_max=MANY) as guests:
        assert [await ask(guests, name) for name in ("count", "keep-stdout", "count")] == [1, 2, 3]


@pytest.mark.parametrize(("function", "error"), [("trap", errors.GuestTrapped), ("spin", errors.DeadlineExceeded)])
async def test_a_failure_ends_the_instance(tmp_path: Path, function: str, error: type[errors.CallError]) -> None:
    async with keeping(tmp_path, reuse_max=MANY) as guests:
        assert await ask(guests, "count") == 1
        with pytest.raises(error):
            await ask(guests, function, timeout_s=0.2)
        assert pool_of(guests).live == 0
        assert [await ask(guests, "count") for _ in range(2)] == [1, 2]
        assert guests.host.engine.live_instances == 1


@pytest.mark.parametrize("by", ["deadline", "cancellation"])
async def test_a_call_that_waits_and_is_cut_off_ends_the_instance(tmp_path: Path, by: str) -> None:
    async with keeping(tmp_path, reuse_max=MANY) as guests:
        assert await ask(guests, "count") == 1
        waits = asyncio.create_task(ask(guests, "wait-for-ever", timeout_s=0.2 if by == "deadline" else 20.0))
        if by == "deadline":
            with pytest.raises(errors.DeadlineExceeded):
                await waits
        else:
            while not pool_of(guests).active:
                await asyncio.sleep(0)
            waits.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waits
        assert (pool_of(guests).live, guests.host.engine.live_instances) == (0, 0)
        assert await ask(guests, "count") == 1


async def test_calls_at_once_have_an_instance_each(tmp_path: Path) -> None:
    async with keeping(tmp_path, reuse_max=MANY) as guests:
        assert await asyncio.gather(*(ask(guests, "wait") for _ in range(5))) == [1] * 5
        assert await asyncio.gather(*(ask(guests, "wait") for _ in range(5))) == [2] * 5
        assert pool_of(guests).idle == 5


async def test_an_update_leaves_none_of_the_old_ones(tmp_path: Path) -> None:
    async with keeping(tmp_path, reuse_max=MANY) as guests:
        assert [await ask(guests, "count") for _ in range(2)] == [1, 2]
        old = pool_of(guests)
        other = tmp_path / "other.wasm"
        other.write_bytes(wasm((GUESTS / "keeps.wat").read_text().replace("(memory (export", ";;\n(memory (export")))
        await guests.host.actors.replace("one", other)
        assert await ask(guests, "count") == 1
        async with asyncio.timeout(20):
            while old.live:
                await asyncio.sleep(0.01)
        assert guests.host.engine.live_instances == 1


async def test_a_component_that_cannot_answer_again_is_found_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with keeping(tmp_path, reuse_max=MANY) as guests:
        found: list[Any] = []
        for _ in range(10):
            try:
                found.append(await ask(guests, "once"))
            except errors.GuestTrapped:
                found.append(None)
        assert found == [1, None, 1, None, 1, None, 1, 1, 1, 1]
    assert sum("not made for limits.reuse" in record.getMessage() for record in caplog.records) == 1


async def test_one_that_has_answered_again_goes_on(tmp_path: Path) -> None:
    async with keeping(tmp_path, reuse_max=MANY) as guests:
        assert [await ask(guests, "count") for _ in range(2)] == [1, 2]
        for _ in range(5):
            with pytest.raises(errors.GuestTrapped):
                await ask(guests, "trap")
            assert [await ask(guests, "count") for _ in range(2)] == [1, 2]


FUNCTIONS = ("count", "keep-pollable", "keep-stdout", "grow", "trap")


@settings(max_examples=30, deadline=None)
@given(reuse=st.integers(1, 4), functions=st.lists(st.sampled_from(FUNCTIONS), max_size=20))
def test_whatever_is_called_in_whatever_order_nothing_of_a_broken_instance_is_seen(
    reuse: int, functions: list[str]
) -> None:
    async def run(pool: Pool) -> None:
        calls = broken = 0
        large = False
        for function in functions:
            call = msgspec.structs.replace(invocation(f"test:guest/keeps.{function}", b"\x90"), contract="")
            if function == "trap":
                with pytest.raises(errors.GuestTrapped):
                    await pool.serve(call, call.deadline)
                broken += calls > 0
                calls = 0
            else:
                calls += 1
                if calls > 1:
                    broken = -len(functions)  # it is seen to answer again, however often it breaks
                assert msgspec.msgpack.decode(await pool.serve(call, call.deadline)) == calls
                if calls == 1:
                    large = function == "grow"  # from then on: twice is more than the limit, so it grows no more
                spent = function == "keep-pollable" or (function == "grow" and not large)
                if spent or calls == reuse or broken >= FAILED_AGAIN_MAX:
                    calls = 0
            assert pool.live == (calls > 0)
        pool.close()

    engine = Engine(EngineSettings(instances_max=100))
    component, _ = components.load(engine, wasm((GUESTS / "keeps.wat").read_text()), None)
    actor = ActorContext("one", answer_with_payload, Limits(reuse_max=reuse))
    asyncio.run(run(Pool(components.guest(component, actor), "one", actor.limits)))
    assert engine.live_instances == 0
    engine.close()


# What the next call finds.


async def test_a_call_is_made_in_the_name_of_the_request_that_caused_it(tmp_path: Path) -> None:
    seen: list[Invocation] = []

    async def provider(call: Invocation) -> bytes:
        seen.append(call)
        return b""

    path = tmp_path / "one.wasm"
    path.write_bytes(wasm((GUESTS / "passes_on.wat").read_text()))
    async with guest_host(tmp_path) as guests:
        await guests.host.actors.start(ActorSpec(key="one", name="one", image=path, limits=Limits(reuse_max=MANY)))
        guests.offer(provider, "one")
        made = [
            Invocation(
                origin=EntityId(guests.host.key),
                contract="",
                operation="Test.Op",
                payload=b"",
                id=new_id(),
                deadline=time.monotonic() + timeout_s,
                target=EntityId("one"),
                depth=depth,
                trace=trace,
            )
            for timeout_s, depth, trace in ((9.0, 1, "00-a-b-01"), (5.0, 7, ""), (7.0, 0, "00-c-d-00"))
        ]
        for call in made:
            await guests.host.pipeline(call)
        assert await guests.call("one", operation="Count") == b"\4", "one instance answered all"
    assert [(call.id, call.depth, call.trace) for call in seen] == [(c.id, c.depth + 1, c.trace) for c in made]
    assert [call.deadline for call in seen] == [call.deadline for call in made]


async def test_outside_of_a_call_there_is_nobody_to_call_for() -> None:
    guest = WasiGuest()
    guest.host.end()
    assert guest.host.rest([]) == ""
    with pytest.raises(errors.GuestProtocolError, match="outside of a call"):
        await guest.host.pass_on("default", "test:contract", "Op", b"")


async def test_names_that_were_looked_up_mean_nothing_to_the_next_call() -> None:
    guest = WasiGuest()
    guest.now("wasi:sockets/tcp-create-socket", "create-tcp-socket", "ipv4")
    before = guest.host.reach
    assert before is not None
    guest.host.end()
    assert guest.host.rest([]) == ""
    assert guest.host.reach is None


async def test_half_a_line_is_not_continued_by_the_next_call(caplog: pytest.LogCaptureFixture) -> None:
    guest = WasiGuest()
    stream = guest.now("wasi:cli/stdout", "get-stdout")
    with caplog.at_level(logging.INFO):
        for text in (b"one", b"two\n"):
            guest.host.begin(invocation(), time.monotonic() + 10)
            await guest.good("wasi:io/streams", "[method]output-stream.blocking-write-and-flush", stream, text)
            guest.host.end()
            assert guest.host.rest([stream]) == ""
    assert [record.getMessage() for record in caplog.records] == ["one", "two"]


async def test_work_beside_a_call_ends_with_it_and_with_the_instance() -> None:
    guest = WasiGuest()
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("ended")

    task = guest.host.start(work())
    await asyncio.sleep(0)
    guest.host.end()
    assert guest.host.rest([]) == "something was still going on for it"
    await asyncio.gather(task, return_exceptions=True)
    assert ended == ["ended"]


async def test_a_resource_without_a_handle_and_a_handle_without_a_resource_are_both_left_over() -> None:
    guest = WasiGuest()
    fields = guest.now("wasi:http/types", "[constructor]fields")
    assert guest.host.rest([]) == "it keeps 1 Fields"
    assert guest.host.rest([fields, object()]) == "it keeps 1 Fields, 1 object"
    guest.drop(fields)
    assert guest.host.rest([]) == ""


@pytest.mark.parametrize("reads", [True, False])
async def test_a_body_that_was_left_unread_ends_the_instance(reads: bool) -> None:
    types, streams = "wasi:http/types", "wasi:io/streams"
    guest = WasiGuest()
    sent = BodyPipe()
    sent.put(b"body")
    sent.end()

    async def call(_interface: str, _function: str, request: Any, outparam: Any) -> None:
        body = guest.ok(types, "[method]incoming-request.consume", request)
        stream = guest.ok(types, "[method]incoming-body.stream", body)
        if reads:
            assert await guest.read_all(stream) == b"body"
        else:
            guest.ok(streams, "[method]input-stream.read", stream, 2)
        fields = guest.now(types, "[constructor]fields")
        response = guest.now(types, "[constructor]outgoing-response", fields)
        guest.now(types, "[static]response-outparam.set", outparam, Ok(response))
        guest.drop(stream, body, request)

    message = httpserver.HttpRequest(method="POST", path="/", query_string="", header={}, body=b"")
    made = msgspec.structs.replace(invocation(HTTP, wire.encode(message)), bodies=Beside(sent))
    await bridges.serve(guest.host, {bridges.HTTP[0]}, call, made, time.monotonic() + 10)
    assert guest.host.rest([]) == ("" if reads else "it left a part of a request's body unread")


async def test_a_program_runs_once(tmp_path: Path) -> None:
    guest = WasiGuest()

    async def call(*_: Any) -> Any:
        return Ok(None)

    await bridges.serve(guest.host, {bridges.JOB[0]}, call, invocation("Cron.HandleTick"), time.monotonic() + 10)
    assert guest.host.rest([]) == "a program runs once"


# Idle ones.


class Idle:
    """A guest whose instances do nothing; counts those that are there."""

    in_pieces: frozenset[str] = frozenset()

    def __init__(self, resting: Resting | None) -> None:
        self.resting = resting
        self.there = 0
        self.usable = True

    async def instantiate(self, deadline: float) -> Idle:
        self.there += 1
        return self

    async def serve(self, _invocation: Invocation, _deadline: float) -> bytes:
        await asyncio.sleep(0.01)
        return b""

    def close(self) -> None:
        self.there -= 1


@pytest.mark.parametrize("resting", [None, Resting(3, 3600.0)])
async def test_so_many_wait_idle_and_no_more(resting: Resting | None) -> None:
    guest = Idle(resting)
    pool = Pool(guest, "idle", Limits())
    until = time.monotonic() + 20
    await asyncio.gather(*(pool.serve(invocation(), until) for _ in range(8)))
    kept = 8 if resting is None else 3
    assert (pool.idle, pool.live, guest.there) == (kept, kept, kept)
    await asyncio.gather(*(pool.serve(invocation(), until) for _ in range(5)))
    pool.close()
    assert (pool.live, guest.there) == (0, -1), "the guest itself is closed too"


async def test_what_waits_too_long_goes_and_what_is_used_stays() -> None:
    guest = Idle(Resting(100, 0.4))
    pool = Pool(guest, "idle", Limits())
    until = time.monotonic() + 60
    await asyncio.gather(*(pool.serve(invocation(), until) for _ in range(8)))
    async with asyncio.timeout(20):
        while pool.idle != 1:
            await pool.serve(invocation(), until)
    assert (pool.live, guest.there) == (1, 1)
    async with asyncio.timeout(20):
        while pool.idle:
            await asyncio.sleep(0.01)
    assert (pool.live, guest.there) == (0, 0)
    pool.close()


def test_the_bounds_are_those_of_every_component() -> None:
    assert ComponentGuest.resting is not None
    assert ComponentGuest.resting.instances_max < Limits().instances_max


# Real ones.


async def hello(guests: GuestHost) -> bytes:
    request = httpserver.HttpRequest(method="GET", path="/x", query_string="", header={"host": ["test"]}, body=b"")
    reply = await guests.call("one", wire.encode(request), operation=HTTP)
    body: bytes = wire.decoder(httpserver.HttpResponse, "the reply")(reply).body
    return body


@asynccontextmanager
async def serving(folder: Path, image: Path, **limits: Any) -> AsyncIterator[GuestHost]:
    limits = {"memory_bytes_max": 128 << 20, "reuse_max": MANY, **limits}
    async with guest_host(folder, cache=CACHE) as guests:
        await guests.host.actors.start(ActorSpec(key="one", name="one", image=image, limits=Limits(**limits)))
        yield guests


async def test_thousands_of_requests_to_one_instance_leave_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, ACTORS / "hello-component" / "hello-component.wasm") as guests:
        for _ in range(500):
            assert await hello(guests) == b"hello\n"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(5000):
            assert await hello(guests) == b"hello\n"
        pool = pool_of(guests)
        (instance,) = pool._idle
        assert all(len(table.entries) < 10 for table in instance._instance.tables)  # type: ignore[attr-defined]
        assert instance._imports.held == 0  # type: ignore[attr-defined]
        assert (pool.live, guests.host.engine.live_instances) == (1, 1)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 8 * 1024, f"{grown} KiB more"


async def test_javascript_answers_again_by_an_exported_handler(tmp_path: Path) -> None:
    try:
        image = build_large_actors.build("hello-again-js")
    except build_large_actors.ToolMissing as missing:
        pytest.skip(str(missing))
    async with serving(tmp_path, image) as guests:
        for _ in range(50):
            assert await hello(guests) == b"hello\n"
        assert (pool_of(guests).live, pool_of(guests).idle) == (1, 1)
        assert guests.host.engine.live_instances >= 1
