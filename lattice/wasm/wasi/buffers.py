"""Sources and sinks in memory: bytes at hand, a sink that collects."""

from __future__ import annotations

from lattice.streams import SMALL_BYTES, StreamClosed, StreamFailed, Waiter
from lattice.wasm.wasi.streams import IoError

PIECE_BYTES = 64 * 1024
"""Room at the end of a collecting sink is offered in pieces of this size."""


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

    def allow(self, limit: int) -> None:
        """It may have so many bytes, if that is more."""
        self._limit = max(self._limit, limit)

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

    def give(self) -> bytes:
        """All of it, which is not kept any longer."""
        found = self.bytes()
        self._parts.clear()
        return found

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
