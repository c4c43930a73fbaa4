"""Bodies beside calls: who takes whole messages gets them, who does not reads them, and nothing is sent twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.bodies import BodyPipe, BodyReader, BodyWriter, gather, pieces, write
from lattice.edge import persist
from lattice.invocation import EntityId, Invocation, new_id
from lattice.pipeline import Pipeline
from lattice.router import Route
from lattice.streams import StreamClosed
from lattice.telemetry.metrics import Metrics
from tests.support.bodies import Beside

Handler = Callable[[Invocation], Awaitable[bytes]]


def call(bodies: Any, timeout_s: float = 20.0) -> Invocation:
    deadline = time.monotonic() + timeout_s
    return Invocation(EntityId("caller"), "c", "Op", b"head", new_id(), deadline, bodies=bodies)


def pipeline(handler: Handler, in_pieces: bool) -> Pipeline:
    return Pipeline(lambda _call: Route(EntityId("target"), handler, lambda _operation: in_pieces), Metrics())


def filled(*parts: bytes, end: bool = True, failure: errors.CallError | None = None) -> BodyPipe:
    pipe = BodyPipe()
    for part in parts:
        pipe.put(part)
    if failure is not None:
        pipe.fail(failure)
    elif end:
        pipe.end()
    return pipe


async def test_who_takes_whole_messages_gets_one() -> None:
    async def answer(found: Invocation) -> bytes:
        assert found.bodies is None
        return found.payload

    bodies = Beside(filled(b"a", b"b"), lambda body: b"head+" + body)
    assert await pipeline(answer, False)(call(bodies)) == b"head+ab"
    assert await pipeline(answer, False)(call(Beside())) == b"head", "there is nothing to put into it"


async def test_who_takes_pieces_gets_them() -> None:
    async def answer(found: Invocation) -> bytes:
        assert found.bodies is not None
        assert found.bodies.request is not None
        assert found.payload == b"head"
        return await gather(found.bodies.request, 100)

    assert await pipeline(answer, True)(call(Beside(filled(b"a", b"b")))) == b"ab"


@pytest.mark.parametrize(
    ("bodies", "error"),
    [
        (Beside(filled(b"1234"), bytes_max=3), errors.PayloadTooLarge),
        (Beside(filled(b"1", failure=errors.Cancelled("gone"))), errors.Cancelled),
        (Beside(filled(b"1", end=False)), errors.DeadlineExceeded),
    ],
)
async def test_a_body_that_cannot_be_whole_is_an_error(bodies: Beside, error: type[errors.CallError]) -> None:
    async def answer(_found: Invocation) -> bytes:
        raise AssertionError("nothing is called")

    with pytest.raises(error):
        await pipeline(answer, False)(call(bodies, 0.2))


async def test_a_body_announced_as_too_large_is_not_waited_for() -> None:
    pipe = BodyPipe(length=11)
    with pytest.raises(errors.PayloadTooLarge):
        await gather(BodyReader(pipe), 10)


@pytest.mark.parametrize("error", [errors.Unreachable("no"), errors.Draining("no"), errors.AnswerLost("no")])
async def test_a_call_is_made_again_only_while_its_bodies_are_untouched(error: errors.CallError) -> None:
    made: list[Invocation] = []
    bodies = Beside(filled(b"x"))

    async def fail(found: Invocation) -> bytes:
        made.append(found)
        bodies.untouched = len(made) < 2
        raise error

    with pytest.raises(type(error)):
        await persist(fail, call(bodies), True)
    assert len(made) == 2
    assert made[1] == msgspec.structs.replace(made[0], id=made[1].id)


@given(st.lists(st.binary(max_size=400), max_size=8), st.integers(1, 300), st.integers(1, 200))
def test_what_is_written_is_read(parts: list[bytes], limit: int, size: int) -> None:
    async def main() -> bytes:
        pipe = BodyPipe(limit=limit)
        sink, found = BodyWriter(pipe), []

        async def send() -> None:
            for part in parts:
                await write(sink, part)
                assert pipe.size <= limit
            sink.end({"checksum": ["1"]})

        sending = asyncio.create_task(send())
        source = BodyReader(pipe)
        async for piece in pieces(source, size):
            assert 0 < len(piece) <= size
            found.append(piece)
        await sending
        assert source.trailers == {"checksum": ["1"]}
        return b"".join(found)

    assert asyncio.run(main()) == b"".join(parts)


async def test_who_writes_hears_that_nobody_reads_any_more() -> None:
    pipe = BodyPipe(limit=10)
    writing = asyncio.create_task(write(BodyWriter(pipe), bytes(100)))
    await asyncio.sleep(0)
    BodyReader(pipe).close()
    with pytest.raises(StreamClosed):
        await writing
