"""Sources and sinks in memory: bytes at hand, a pipe between guest and host, a sink that collects."""

from __future__ import annotations

from collections import deque

from lattice.wasm.wasi.poll import Signal, Waiter, wait_any
from lattice.wasm.wasi.streams import IoError, StreamClosed, StreamFailed

PIPE_BYTES_MAX = 256 * 1024
"""Bytes a pipe holds: the side that writes waits then. Enough that both sides work in large pieces."""
PIECE_BYTES = 64 * 1024
"""Room at the end of a collecting sink is offered in pieces of this size."""


SMALL_BYTES = 1024
"""Pieces below this are put together: an object for each byte that a guest writes would be forty times its size."""


class Memory:
    """A source of bytes that are all here."""

    __slots__ = ("_at", "_data", "_view")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._view = memoryview(data)
        self._at = 0

    def take(self, size: int) -> bytes:
        at, view = self._at, self._view
        if at >= len(view):
            raise StreamClosed
        self._at = at + size
        if at == 0 and size >= len(view):
            return self._data
        return view[at : at + size].tobytes()

    def ready(self) -> bool:
        return True

    def attach(self, waiter: Waiter) -> None:
        """Nobody waits: it is always ready."""

    def detach(self, waiter: Waiter) -> None:
        """As `attach`."""

    def close(self) -> None:
        self._view = memoryview(b"")
        self._data = b""


class Collected:
    """A sink that keeps all, up to a limit; past it the guest is told that the stream failed."""

    __slots__ = ("_failure", "_limit", "_parts", "_small", "ended", "size")

    def __init__(self, limit: int, failure: IoError) -> None:
        self._limit = limit
        self._failure = failure
        self._parts: list[bytes] = []
        self._small = bytearray()
        self.size = 0
        self.ended = False

    @property
    def overflowed(self) -> bool:
        return self.size > self._limit

    def room(self) -> int:
        if self.ended:
            raise StreamClosed
        return max(self._limit - self.size, PIECE_BYTES)

    def put(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._limit:
            self.ended = True
            self._parts.clear()
            self._small.clear()
            raise StreamFailed(self._failure)
        if len(data) < SMALL_BYTES:
            self._small += data
            return
        self._gather()
        self._parts.append(bytes(data))

    def _gather(self) -> None:
        if self._small:
            self._parts.append(bytes(self._small))
            self._small = bytearray()

    def flush(self) -> None:
        """All is where it stays."""

    def flushed(self) -> bool:
        return True

    def bytes(self) -> bytes:
        self._gather()
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def ready(self) -> bool:
        return True

    def attach(self, waiter: Waiter) -> None:
        """Nobody waits: it is always ready."""

    def detach(self, waiter: Waiter) -> None:
        """As `attach`."""

    def close(self) -> None:
        self.ended = True


class Pipe:
    """Bytes from one side to the other, at most `limit` of them under way. One side is a guest, the other the host.

    The side that reads ends with `abandon`, the one that writes with `end` or `fail`.
    """

    __slots__ = ("_at", "_changed", "_ended", "_failure", "_gone", "_limit", "_parts", "size")

    def __init__(self, limit: int = PIPE_BYTES_MAX) -> None:
        self._limit = limit
        self._parts: deque[bytes] = deque()
        self._at = 0
        """How much of the first part is read."""
        self._changed = Signal()
        self._ended = self._gone = False
        self._failure: IoError | None = None
        self.size = 0

    # The side that writes.

    def room(self) -> int:
        if self._gone or self._ended:
            raise StreamClosed
        return max(0, self._limit - self.size)

    def put(self, data: bytes) -> None:
        """Takes all of `data`, which is at most what `room` said."""
        if self._gone:
            raise StreamClosed
        if data:
            parts = self._parts
            if len(parts) > 1 and len(parts[-1]) + len(data) < SMALL_BYTES:
                parts[-1] += data
            else:
                parts.append(bytes(data))
            self.size += len(data)
            self._changed.fire()

    def flush(self) -> None:
        """What is in the pipe is as far as the writer can bring it."""

    def flushed(self) -> bool:
        return True

    async def write(self, data: bytes) -> None:
        """For the host: puts `data` piece by piece as there is room. Raises `StreamClosed` when the reader is gone."""
        view = memoryview(data)
        writer = Writer(self)
        while view:
            await wait_any((writer,))
            room = self.room()
            self.put(bytes(view[:room]))
            view = view[room:]

    def end(self) -> None:
        self._ended = True
        self._changed.fire()

    def fail(self, error: IoError) -> None:
        """The reader gets what is in the pipe, and then this error."""
        self._failure = self._failure or error
        self.end()

    def narrow(self, limit: int) -> None:
        """Another limit from now on, as when a reader has come."""
        self._limit = limit
        self._changed.fire()

    # The side that reads.

    def take(self, size: int) -> bytes:
        if not self._parts:
            if self._failure is not None:
                raise StreamFailed(self._failure)
            if self._ended or self._gone:
                raise StreamClosed
            return b""
        if not size:
            return b""
        first, at = self._parts[0], self._at
        piece = first[at : at + size]
        if at + len(piece) == len(first):
            self._parts.popleft()
            self._at = 0
        else:
            self._at = at + len(piece)
        self.size -= len(piece)
        self._changed.fire()
        return piece

    async def read(self, size: int) -> bytes:
        """For the host: the next bytes, b"" at the end. Raises `StreamFailed`."""
        reader = Reader(self)
        await wait_any((reader,))
        try:
            return self.take(size)
        except StreamClosed:
            return b""

    @property
    def readable(self) -> bool:
        return bool(self._parts) or self._ended or self._gone

    def abandon(self) -> None:
        """The reader is gone: who writes is told that the stream is closed."""
        self._gone = True
        self._parts.clear()
        self._at = self.size = 0
        self._changed.fire()

    @property
    def writable(self) -> bool:
        return self._gone or self._ended or self.size < self._limit

    def attach(self, waiter: Waiter) -> None:
        self._changed.attach(waiter)

    def detach(self, waiter: Waiter) -> None:
        self._changed.detach(waiter)


class Reader:
    """The end of a pipe that a guest or the host reads from."""

    __slots__ = ("_pipe", "attach", "detach", "take")

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self.take = pipe.take
        self.attach = pipe.attach
        self.detach = pipe.detach

    @property
    def held(self) -> int:
        """Bytes that wait to be read."""
        return self._pipe.size

    def ready(self) -> bool:
        return self._pipe.readable

    def close(self) -> None:
        self._pipe.abandon()


class Writer:
    """The end of a pipe that a guest writes to. Dropping it ends nothing: who owns the pipe says when it is whole."""

    __slots__ = ("_pipe", "attach", "detach", "flush", "flushed", "put", "room")

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self.put = pipe.put
        self.room = pipe.room
        self.flush = pipe.flush
        self.flushed = pipe.flushed
        self.attach = pipe.attach
        self.detach = pipe.detach

    def ready(self) -> bool:
        return self._pipe.writable

    def close(self) -> None:
        """See the class."""
