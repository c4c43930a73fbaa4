"""wasi:io/streams and wasi:io/error: what guests read from and write to, over any source and sink of the host.

A guest asks with `check-write` how much it may write and then writes no more than that; more is a trap. `flush` makes
`check-write` answer 0 until all that was written is where the sink takes it.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from lattice import errors
from lattice.streams import Sink, Source, StreamClosed, StreamFailed, Waiter, wait_any
from lattice.wasm.wasi.instance import Instance

READ_BYTES_MAX = 256 * 1024
"""One read, however much the guest asks for: copied into its memory in well under a millisecond."""
WRITE_BYTES_MAX = 256 * 1024
"""The most `check-write` permits, for the same reason."""
BLOCKING_WRITE_BYTES_MAX = 4096
"""`blocking-write-and-flush` takes this much by its definition; more is a trap."""


class IoError:
    """The resource `error`. `http_code`, `file_code` and `network_code` say more where the stream is of a body, a file
    or a connection."""

    __slots__ = ("file_code", "http_code", "network_code", "text")

    def __init__(
        self,
        text: str,
        *,
        http_code: tuple[str, Any] | None = None,
        file_code: str | None = None,
        network_code: str | None = None,
    ) -> None:
        self.text = text
        self.http_code = http_code
        self.file_code = file_code
        self.network_code = network_code

    def __str__(self) -> str:
        return self.text

    def close(self) -> None:
        """Nothing to free."""


class InputStream:
    """The resource `input-stream`."""

    __slots__ = ("closed", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.closed = False

    def read(self, size: int) -> bytes:
        if self.closed:
            raise StreamClosed
        try:
            return self.source.take(min(size, READ_BYTES_MAX))
        except (StreamClosed, StreamFailed):
            self.closed = True
            raise

    async def blocking_read(self, size: int) -> bytes:
        if size and not self.closed:
            await wait_any((self,))
        return self.read(size)

    async def blocking_skip(self, size: int) -> int:
        return len(await self.blocking_read(size))

    def ready(self) -> bool:
        return self.closed or self.source.ready()

    def attach(self, waiter: Waiter) -> None:
        self.source.attach(waiter)

    def detach(self, waiter: Waiter) -> None:
        self.source.detach(waiter)

    def close(self) -> None:
        self.closed = True
        self.source.close()


class OutputStream:
    """The resource `output-stream`."""

    __slots__ = ("_flushing", "_permit", "closed", "dropped", "sink")

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.closed = False
        self.dropped = False
        self._permit = 0
        self._flushing = False

    def check_write(self) -> int:
        room = self._room()
        if self._flushing:
            if not self.sink.flushed():
                return 0
            self._flushing = False
        self._permit = min(room, WRITE_BYTES_MAX)
        return self._permit

    def permitted(self, size: int) -> int:
        """`size`, if `check-write` permitted that many bytes. Raises `errors.GuestProtocolError`, a trap."""
        if size > self._permit:
            raise errors.GuestProtocolError(f"the guest writes {size} bytes where check-write permitted {self._permit}")
        return size

    def write(self, data: bytes) -> None:
        self._permit -= self.permitted(len(data))
        self._room()
        try:
            self.sink.put(data)
        except (StreamClosed, StreamFailed):
            self.closed = True
            raise

    def flush(self) -> None:
        self._room()
        self._permit = 0
        self._flushing = True
        self.sink.flush()

    async def blocking_flush(self) -> None:
        self.flush()
        await self._flushed()

    def write_and_flush(self, data: bytes) -> Coroutine[Any, Any, None] | None:
        """None when all is written and flushed already; otherwise what does the rest."""
        _require_blocking(len(data))
        if not self.ready() or self.check_write() < len(data):
            return self.blocking_write_and_flush(data)
        self.write(data)
        self.flush()
        if not self.ready():
            return self._flushed()
        self.check_write()
        return None

    async def _flushed(self) -> None:
        await wait_any((self,))
        self.check_write()

    async def blocking_write_and_flush(self, data: bytes) -> None:
        _require_blocking(len(data))
        while data:
            await wait_any((self,))
            permitted = self.check_write()
            self.write(data[:permitted])
            data = data[permitted:]
        await self.blocking_flush()

    async def blocking_write_zeroes_and_flush(self, size: int) -> None:
        _require_blocking(size)
        await self.blocking_write_and_flush(bytes(size))

    def splice(self, source: InputStream, size: int) -> int:
        permitted = self.check_write()
        if not permitted:
            return 0
        data = source.read(min(size, permitted))
        self.write(data)
        return len(data)

    async def blocking_splice(self, source: InputStream, size: int) -> int:
        await wait_any((self,))
        if size:
            await wait_any((source,))
        return self.splice(source, size)

    def _room(self) -> int:
        if self.closed:
            raise StreamClosed
        try:
            return self.sink.room()
        except (StreamClosed, StreamFailed):
            self.closed = True
            raise

    def ready(self) -> bool:
        return self.closed or (self.sink.ready() and (not self._flushing or self.sink.flushed()))

    def attach(self, waiter: Waiter) -> None:
        self.sink.attach(waiter)

    def detach(self, waiter: Waiter) -> None:
        self.sink.detach(waiter)

    def close(self) -> None:
        self.closed = self.dropped = True
        self.sink.close()


def _require_blocking(size: int) -> None:
    if size > BLOCKING_WRITE_BYTES_MAX:
        raise errors.GuestProtocolError(
            f"a blocking write of {size} bytes; {BLOCKING_WRITE_BYTES_MAX} is the most by its definition"
        )


def failure(instance: Instance, error: StreamClosed | StreamFailed) -> tuple[str, IoError | None]:
    """The WIT variant `stream-error`."""
    if isinstance(error, StreamFailed):
        return ("last-operation-failed", instance.own(error.error))
    return ("closed", None)
