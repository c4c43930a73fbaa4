"""Streams keep what they are given, permit what they can hold, and end as they should."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lattice import errors
from lattice.streams import Pipe, Reader, StreamClosed, StreamFailed, Writer
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.buffers import Collected, Memory
from lattice.wasm.wasi.stream_functions import TURN_BYTES
from lattice.wasm.wasi.streams import READ_BYTES_MAX, InputStream, IoError, OutputStream
from tests.support.wasi import CLOSED, WasiGuest, settle

STREAMS = "wasi:io/streams"
READ = "[method]input-stream.read"
BLOCKING_READ = "[method]input-stream.blocking-read"
CHECK = "[method]output-stream.check-write"
WRITE = "[method]output-stream.write"
WRITE_AND_FLUSH = "[method]output-stream.blocking-write-and-flush"


class PipeMachine(RuleBasedStateMachine):
    """A pipe against a plain byte string, with a guest at each end."""

    LIMIT = 50

    def __init__(self) -> None:
        super().__init__()
        self.pipe = Pipe(self.LIMIT)
        self.reader = InputStream(Reader(self.pipe))
        self.writer = OutputStream(Writer(self.pipe))
        self.content = b""
        self.permit = 0
        self.ended = self.failed = self.reader_ended = False

    @rule()
    def check_write(self) -> None:
        if self.ended or self.reader_ended:
            with pytest.raises(StreamClosed):
                self.writer.check_write()
            return
        self.permit = self.writer.check_write()
        assert self.permit == self.LIMIT - len(self.content)

    @rule(data=st.binary(max_size=60))
    def write(self, data: bytes) -> None:
        if len(data) > self.permit:
            with pytest.raises(errors.GuestProtocolError):
                self.writer.write(data)
            return
        self.permit -= len(data)
        if self.ended or self.reader_ended:
            with pytest.raises(StreamClosed):
                self.writer.write(data)
            return
        self.writer.write(data)
        self.content += data

    @rule(size=st.integers(0, 70))
    def read(self, size: int) -> None:
        if not self.content and self.failed and not self.reader_ended:
            with pytest.raises(StreamFailed):
                self.reader.read(size)
            self.reader_ended = True
            return
        if self.reader_ended or (not self.content and self.ended):
            with pytest.raises(StreamClosed):
                self.reader.read(size)
            return
        taken = self.reader.read(size)
        assert self.content.startswith(taken)
        assert len(taken) <= size
        assert taken or not size or not self.content
        self.content = self.content[len(taken) :]

    @precondition(lambda self: not self.ended)
    @rule(fails=st.booleans())
    def end(self, fails: bool) -> None:
        self.ended, self.failed = True, fails
        if fails:
            self.pipe.fail(IoError("broken"))
        else:
            self.pipe.end()

    @invariant()
    def a_pollable_says_what_the_operation_does(self) -> None:
        assert self.pipe.size == len(self.content)
        assert self.reader.ready() == (bool(self.content) or self.ended or self.reader_ended)
        full = len(self.content) >= self.LIMIT
        assert self.writer.ready() == (not full or self.ended or self.writer.closed)


TestPipe = PipeMachine.TestCase


@given(st.binary(max_size=5000), st.lists(st.integers(0, 700), max_size=50))
def test_bytes_at_hand_are_read_in_order_and_once(data: bytes, sizes: list[int]) -> None:
    stream = InputStream(Memory(data))
    left = data
    for size in sizes:
        if not left:
            with pytest.raises(StreamClosed):
                stream.read(size)
            break
        taken = stream.read(size)
        assert taken == left[:size]
        left = left[size:]


@given(st.lists(st.binary(max_size=3000), max_size=30), st.integers(0, 20_000))
def test_a_sink_collects_all_up_to_its_limit(pieces: list[bytes], limit: int) -> None:
    sink = Collected(limit, IoError("too much"))
    written = b""
    for piece in pieces:
        written += piece
        if len(written) > limit:
            with pytest.raises(StreamFailed):
                sink.put(piece)
            assert sink.overflowed
            with pytest.raises(StreamClosed):
                sink.room()
            return
        sink.put(piece)
    assert sink.bytes() == written
    assert sink.bytes() == written


def test_many_small_writes_do_not_become_many_objects() -> None:
    sink, pipe = Collected(10_000_000, IoError("")), Pipe(10_000_000)
    for _ in range(10_000):
        sink.put(b"ab")
        pipe.put(b"ab")
    assert len(sink._parts) <= 1
    assert len(pipe._parts) < 100
    assert sink.bytes() == b"ab" * 10_000


async def test_a_read_waits_for_bytes_and_then_for_the_end() -> None:
    guest = WasiGuest()
    pipe = Pipe()
    stream = guest.host.own(InputStream(Reader(pipe)))
    assert guest.now(STREAMS, READ, stream, 10) == Ok(b"")
    reading = asyncio.create_task(guest.call(STREAMS, BLOCKING_READ, stream, 10))
    await settle()
    assert not reading.done()
    pipe.put(b"hello")
    assert await reading == Ok(b"hello")
    skipping = asyncio.create_task(guest.call(STREAMS, "[method]input-stream.blocking-skip", stream, 10))
    await settle()
    pipe.end()
    assert await skipping == Err(CLOSED)
    assert guest.now(STREAMS, "[method]input-stream.skip", stream, 1) == Err(CLOSED)


async def test_a_failure_is_told_once_and_then_the_stream_is_closed() -> None:
    guest = WasiGuest()
    pipe = Pipe()
    stream = guest.host.own(InputStream(Reader(pipe)))
    pipe.put(b"first")
    pipe.fail(IoError("the disk is gone"))
    assert await guest.good(STREAMS, BLOCKING_READ, stream, 100) == b"first"
    case, error = await guest.bad(STREAMS, BLOCKING_READ, stream, 100)
    assert case == "last-operation-failed"
    assert guest.now("wasi:io/error", "[method]error.to-debug-string", error) == "the disk is gone"
    assert await guest.bad(STREAMS, BLOCKING_READ, stream, 100) == CLOSED


def test_one_read_is_bounded_however_much_is_asked_for() -> None:
    data = bytes(READ_BYTES_MAX + 1)
    stream = InputStream(Memory(data))
    assert len(stream.read(2**64 - 1)) == READ_BYTES_MAX
    assert len(stream.read(2**64 - 1)) == 1


async def test_a_write_without_a_permit_traps() -> None:
    guest = WasiGuest()
    stream = guest.host.own(OutputStream(Writer(Pipe(10))))
    with pytest.raises(errors.GuestProtocolError, match="permitted 0"):
        guest.now(STREAMS, WRITE, stream, b"x")
    assert guest.ok(STREAMS, CHECK, stream) == 10
    guest.ok(STREAMS, WRITE, stream, b"123456")
    with pytest.raises(errors.GuestProtocolError, match="writes 5 bytes where check-write permitted 4"):
        guest.now(STREAMS, WRITE, stream, b"12345")
    with pytest.raises(errors.GuestProtocolError, match=f"writes {2**40} bytes"):
        guest.now(STREAMS, "[method]output-stream.write-zeroes", stream, 2**40)
    guest.ok(STREAMS, "[method]output-stream.write-zeroes", stream, 4)
    for name, argument in (("write", bytes(4097)), ("write-zeroes", 4097)):
        with pytest.raises(errors.GuestProtocolError, match="4097"):
            await guest.call(STREAMS, f"[method]output-stream.blocking-{name}-and-flush", stream, argument)


async def test_a_blocking_write_waits_for_the_reader() -> None:
    guest = WasiGuest()
    pipe = Pipe(8)
    stream = guest.host.own(OutputStream(Writer(pipe)))
    writing = asyncio.create_task(guest.call(STREAMS, WRITE_AND_FLUSH, stream, b"0123456789abcdefgh"))
    await settle()
    assert not writing.done()
    assert pipe.size == 8
    taken = b""
    while len(taken) < 18:
        taken += await pipe.read(5)
    assert taken == b"0123456789abcdefgh"
    assert await writing == Ok()
    await guest.good(STREAMS, "[method]output-stream.blocking-write-zeroes-and-flush", stream, 3)
    assert await pipe.read(10) == bytes(3)


async def test_a_writer_learns_that_its_reader_has_gone() -> None:
    guest = WasiGuest()
    pipe = Pipe(8)
    stream = guest.host.own(OutputStream(Writer(pipe)))
    writing = asyncio.create_task(guest.call(STREAMS, WRITE_AND_FLUSH, stream, bytes(20)))
    await settle()
    pipe.abandon()
    assert await writing == Err(CLOSED)
    assert guest.now(STREAMS, CHECK, stream) == Err(CLOSED)
    assert guest.now(STREAMS, "[method]output-stream.flush", stream) == Err(CLOSED)


async def test_splice_moves_what_there_is_and_room_for() -> None:
    guest = WasiGuest()
    source, target = Pipe(100), Pipe(4)
    into = guest.host.own(OutputStream(Writer(target)))
    out_of = guest.host.own(InputStream(Reader(source)))
    splice, blocking = "[method]output-stream.splice", "[method]output-stream.blocking-splice"
    assert guest.ok(STREAMS, splice, into, out_of, 10) == 0
    moving = asyncio.create_task(guest.call(STREAMS, blocking, into, out_of, 10))
    await settle()
    assert not moving.done()
    source.put(b"abcdef")
    assert await moving == Ok(4)
    assert guest.ok(STREAMS, splice, into, out_of, 10) == 0
    assert await target.read(10) == b"abcd"
    source.end()
    assert await guest.good(STREAMS, blocking, into, out_of, 10) == 2
    assert guest.now(STREAMS, splice, into, out_of, 10) == Err(CLOSED)


async def test_the_host_writes_a_pipe_as_fast_as_it_is_read() -> None:
    pipe = Pipe(1000)
    data = bytes(range(256)) * 100
    writing = asyncio.create_task(pipe.write(data))
    taken = b""
    while len(taken) < len(data):
        taken += await pipe.read(333)
        assert pipe.size <= 1000
    assert taken == data
    await writing


async def test_a_guest_that_reads_much_and_never_waits_lets_others_have_turns() -> None:
    guest = WasiGuest()
    stream = InputStream(Memory(bytes(4 * TURN_BYTES)))
    turns = 0

    async def neighbour() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(neighbour())
    try:
        for _ in range(3):
            assert len(await guest.good(STREAMS, BLOCKING_READ, stream, TURN_BYTES)) == TURN_BYTES
        assert turns == 3
        for _ in range(3):
            assert len(await guest.good(STREAMS, BLOCKING_READ, stream, 1000)) == 1000
        assert turns == 3, "small reads are answered at once"
    finally:
        running.cancel()
