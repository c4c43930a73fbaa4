"""Bodies of wasi:http, both ways: streams, how they end, and trailers.

An outgoing body is whole when the guest finishes it. One that it drops, or leaves when it returns, is broken, and so is
the message it belongs to.
"""

from __future__ import annotations

from typing import Literal

from lattice import errors
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.buffers import Collected
from lattice.wasm.wasi.http_errors import ErrorCode, internal
from lattice.wasm.wasi.http_fields import Fields
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.poll import Signal, Waiter
from lattice.wasm.wasi.streams import InputStream, IoError, OutputStream, Sink, Source, StreamFailed


class FutureTrailers:
    """The resource `future-trailers`."""

    __slots__ = ("_taken", "_trailers")

    def __init__(self, trailers: Fields | None) -> None:
        self._trailers = trailers
        self._taken = False

    def get(self, instance: Instance) -> Ok | Err:
        if self._taken:
            return Err()
        self._taken = True
        return Ok(Ok(None if self._trailers is None else instance.own(self._trailers)))

    def ready(self) -> bool:
        """The messages of contracts are whole, so their trailers are here, or there are none."""
        return True

    def attach(self, waiter: Waiter) -> None:
        """Nobody waits: it is always ready."""

    def detach(self, waiter: Waiter) -> None:
        """As `attach`."""

    def close(self) -> None:
        """Nothing to free."""


class IncomingBody:
    """The resource `incoming-body`."""

    __slots__ = ("_source", "_trailers")

    def __init__(self, source: Source, trailers: Fields | None = None) -> None:
        self._source: Source | None = source
        self._trailers = trailers

    def stream(self, instance: Instance) -> Ok | Err:
        """The stream, once."""
        source, self._source = self._source, None
        return Err() if source is None else Ok(instance.own(InputStream(source)))

    def finish(self, instance: Instance) -> FutureTrailers:
        self.close()
        return instance.own(FutureTrailers(self._trailers))

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None


Direction = Literal["request", "response"]


class _Counting:
    """The sink of a body whose length was announced: more than that fails at once."""

    __slots__ = (
        "_direction",
        "_expected",
        "_sink",
        "attach",
        "close",
        "detach",
        "flush",
        "flushed",
        "ready",
        "written",
    )

    def __init__(self, sink: Sink, expected: int | None, direction: Direction) -> None:
        self._sink = sink
        self._expected = expected
        self._direction = direction
        self.written = 0
        self.attach, self.detach, self.ready = sink.attach, sink.detach, sink.ready
        self.flush, self.flushed, self.close = sink.flush, sink.flushed, sink.close

    def room(self) -> int:
        return self._sink.room()

    def put(self, data: bytes) -> None:
        self.written += len(data)
        if self._expected is not None and self.written > self._expected:
            code = (f"HTTP-{self._direction}-body-size", self.written)
            self._sink.close()
            raise StreamFailed(IoError("the body is longer than its content-length", http_code=code))
        self._sink.put(data)


class OutgoingBody:
    """The resource `outgoing-body`, whose bytes go into `sink`."""

    __slots__ = (
        "_counting",
        "_direction",
        "_expected",
        "_stream",
        "changed",
        "failure",
        "finished",
        "sink",
    )

    def __init__(self, sink: Collected, expected: int | None, direction: Direction) -> None:
        self.sink = sink
        self._expected = expected
        self._direction = direction
        self._counting = _Counting(sink, expected, direction)
        self._stream: OutputStream | None = None
        self.changed = Signal()
        self.finished = False
        self.failure: ErrorCode | None = None

    @property
    def ended(self) -> bool:
        """No more comes of it: it is whole, or broken."""
        return self.finished or self.failure is not None

    @property
    def whole(self) -> bool:
        return self.finished and self.failure is None

    def write(self, instance: Instance) -> Ok | Err:
        """The stream, once."""
        if self._stream is not None:
            return Err()
        self._stream = OutputStream(self._counting)
        return Ok(instance.own(self._stream))

    def finish(self) -> Ok | Err:
        if self._stream is not None and not self._stream.dropped:
            raise errors.GuestProtocolError("the guest finishes a body before it drops the stream of it")
        written = self._counting.written
        if self.sink.overflowed or (self._expected is not None and written != self._expected):
            self._fail((f"HTTP-{self._direction}-body-size", written))
        else:
            self.finished = True
            self.changed.fire()
        return Ok() if self.failure is None else Err(self.failure)

    def _fail(self, code: ErrorCode) -> None:
        self.failure = code
        self.sink.close()
        self.changed.fire()

    def ready(self) -> bool:
        return self.ended

    def attach(self, waiter: Waiter) -> None:
        self.changed.attach(waiter)

    def detach(self, waiter: Waiter) -> None:
        self.changed.detach(waiter)

    def close(self) -> None:
        """The guest let go of it without finishing it."""
        if not self.ended:
            self._fail(internal("the guest dropped the body before it finished it"))


def collecting(instance: Instance, fields: Fields, direction: Direction) -> OutgoingBody:
    """A body that becomes part of a message of a contract, and so has the limit of a payload."""
    limit = instance.actor.limits.payload_bytes_max
    failure = IoError(
        f"the body is over limits.payload of the actor ({limit} bytes)",
        http_code=(f"HTTP-{direction}-body-size", None),
    )
    return OutgoingBody(Collected(limit, failure), fields.content_length(), direction)
