"""Bytes on their way through this process, in pieces: who gives them, who takes them, a pipe between the two.

Both sides look before they act and wait for readiness, so that one task can wait for many streams, and so that a side
that is slow stops the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from typing import Any, Protocol

Waiter = asyncio.Future[None]

PIPE_BYTES_MAX = 256 * 1024
"""Bytes a pipe holds: the side that writes waits then. Enough that both sides work in large pieces."""
SMALL_BYTES = 1024
"""Pieces below this are put together: an object for each byte that a guest writes would be forty times its size."""


class StreamClosed(Exception):
    """There is no more to read, or nobody takes what is written."""


class StreamFailed(Exception):
    """The operation before failed; the stream is closed from now on."""

    def __init__(self, error: Any) -> None:
        """`error` is what the other side said; what reads it knows what that is."""
        super().__init__(str(error))
        self.error = error


class Awaitable(Protocol):
    """Something that becomes ready. Who waits attaches a future, and looks again when it is done."""

    def ready(self) -> bool: ...

    def attach(self, waiter: Waiter) -> None:
        """`waiter` gets a result when `ready` may have changed."""
        ...

    def detach(self, waiter: Waiter) -> None: ...


class Signal:
    """Those who wait for a change of something."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: set[Waiter] = set()

    def attach(self, waiter: Waiter) -> None:
        self._waiting.add(waiter)

    def detach(self, waiter: Waiter) -> None:
        self._waiting.discard(waiter)

    def fire(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


async def wait_any(sources: Collection[Awaitable]) -> None:
    """Returns when one of them is ready. The deadline of the call that waits ends it from outside."""
    while not any(source.ready() for source in sources):
        waiter: Waiter = asyncio.get_running_loop().create_future()
        try:
            for source in sources:
                source.attach(waiter)
            await waiter
        finally:
            for source in sources:
                source.detach(waiter)


class Source(Awaitable, Protocol):
    """Where an input stream gets its bytes. Ready when `take` has bytes or raises."""

    def take(self, size: int) -> bytes:
        """What is there now, at most `size` bytes; b"" for nothing yet. Raises `StreamClosed`, `StreamFailed`."""
        ...

    def close(self) -> None: ...


class Sink(Awaitable, Protocol):
    """Where an output stream puts its bytes. Ready when there is room or `room` raises."""

    def room(self) -> int:
        """Bytes that `put` takes now. Raises `StreamClosed`, `StreamFailed`."""
        ...

    def put(self, data: bytes) -> None: ...

    def flush(self) -> None:
        """Asks that all put so far is passed on."""
        ...

    def flushed(self) -> bool: ...

    def close(self) -> None:
        """The guest writes no more."""
        ...


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
        self._failure: Any = None
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

    @property
    def ended(self) -> bool:
        """Nothing more is written into it."""
        return self._ended

    def end(self) -> None:
        self._ended = True
        self._changed.fire()

    def fail(self, error: Any) -> None:
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
    def gone(self) -> bool:
        """Nobody reads from it any more."""
        return self._gone

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
