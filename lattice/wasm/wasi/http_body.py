"""Bodies of wasi:http, both ways: streams, how they end, and trailers.

An outgoing body is whole when the guest finishes it. One that it drops, or leaves when it returns, is broken, and so is
the message it belongs to. Its bytes are collected until the message is on its way, and from then on passed on as there
is room for them.
"""

from __future__ import annotations

from typing import Literal

from lattice import errors
from lattice.bodies import BodySink, BodySource, Header
from lattice.streams import PIPE_BYTES_MAX, Signal, Sink, Source, StreamClosed, StreamFailed, Waiter
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.buffers import Collected, Memory
from lattice.wasm.wasi.http_errors import ErrorCode, error_code, in_words, internal
from lattice.wasm.wasi.http_fields import Fields
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.streams import READ_BYTES_MAX, InputStream, IoError, OutputStream


class Reading:
    """The source of a stream over a body that comes in pieces. The stream may be dropped and the body go on: trailers
    come after it. Or the body is dropped and the stream goes on, which languages that collect garbage do."""

    __slots__ = ("_body", "attach", "closed", "detach", "ended", "ready", "remains")

    def __init__(self, body: BodySource) -> None:
        self._body = body
        self.closed = False
        self.remains = False
        """Nobody else will close the body."""
        self.ended = False
        """It was read to its end."""
        self.attach, self.detach, self.ready = body.attach, body.detach, body.ready

    def take(self, size: int) -> bytes:
        try:
            return self._body.take(size)
        except StreamClosed:
            self.ended = True
            raise
        except StreamFailed as failure:
            raise StreamFailed(_in_guest_terms(failure.error)) from None

    def close(self) -> None:
        self.closed = True
        if self.remains:
            self._body.close()


def _in_guest_terms(error: errors.CallError) -> IoError:
    return IoError(error.message, http_code=error_code(error))


class FutureTrailers:
    """The resource `future-trailers`. What is left of the body is dropped as it comes."""

    __slots__ = ("_body", "_failure", "_taken")

    def __init__(self, body: BodySource | None) -> None:
        """`body` None is one of a whole message, which has no trailers."""
        self._body = body
        self._taken = False
        self._failure: ErrorCode | None = None

    def get(self, instance: Instance) -> Ok | Err | None:
        """None while they have not come."""
        if self._taken:
            return Err()
        if not self.ready():
            return None
        self._taken = True
        if self._failure is not None:
            return Ok(Err(self._failure))
        trailers = None if self._body is None else self._body.trailers
        return Ok(Ok(None if trailers is None else instance.own(Fields.of(trailers))))

    def ready(self) -> bool:
        if self._body is None:
            return True
        try:
            while self._body.take(READ_BYTES_MAX):
                pass
        except StreamClosed:
            return True
        except StreamFailed as failure:
            self._failure = error_code(failure.error)
            return True
        return False

    def attach(self, waiter: Waiter) -> None:
        if self._body is not None:
            self._body.attach(waiter)

    def detach(self, waiter: Waiter) -> None:
        if self._body is not None:
            self._body.detach(waiter)

    def close(self) -> None:
        if self._body is not None:
            self._body.close()


class IncomingBody:
    """The resource `incoming-body`."""

    __slots__ = ("_body", "_reading", "_source")

    def __init__(self, source: bytes | BodySource) -> None:
        self._body = None if isinstance(source, bytes) else source
        self._reading = None if isinstance(source, bytes) else Reading(source)
        self._source: Source | None = Memory(source) if isinstance(source, bytes) else self._reading

    @property
    def drained(self) -> bool:
        """All of it was read, or it never was in pieces."""
        return self._reading is None or self._reading.ended

    def stream(self, instance: Instance) -> Ok | Err:
        """The stream, once."""
        source, self._source = self._source, None
        return Err() if source is None else Ok(instance.own(InputStream(source)))

    def finish(self, instance: Instance) -> FutureTrailers:
        return instance.own(FutureTrailers(self._body))

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
        if self._reading is not None and self._source is None and not self._reading.closed:
            self._reading.remains = True
        elif self._body is not None:
            self._body.close()
        self._source = None


Direction = Literal["request", "response"]


class Staged:
    """The sink of a body: bytes are collected until the message is on its way, and from then on passed on."""

    __slots__ = ("_changed", "_collected", "_open_ended", "_target")

    def __init__(self, collected: Collected) -> None:
        self._collected = collected
        self._target: BodySink | None = None
        self._changed = Signal()
        self._open_ended = True

    @property
    def overflowed(self) -> bool:
        return self._collected.overflowed

    @property
    def size(self) -> int:
        """Bytes that are collected."""
        return self._collected.size

    def collected(self) -> bytes:
        return self._collected.bytes()

    def departing(self) -> None:
        """The message is about to be on its way: as much is collected as a pipe would hold, no more and no less."""
        self._open_ended = False
        self._collected.allow(PIPE_BYTES_MAX)

    def connect(self, target: BodySink) -> None:
        """From now on bytes go into `target`, those that were collected first."""
        if self._collected.size:
            target.put(self._collected.give())
        self._collected.close()
        self._target = target
        self._changed.fire()

    def room(self) -> int:
        if self._target is not None:
            return self._target.room()
        room = self._collected.room()
        return room if self._open_ended else max(0, min(room, PIPE_BYTES_MAX - self._collected.size))

    def put(self, data: bytes) -> None:
        (self._target or self._collected).put(data)

    def flush(self) -> None:
        if self._target is not None:
            self._target.flush()

    def flushed(self) -> bool:
        return self._target is None or self._target.flushed()

    def ready(self) -> bool:
        if self._target is not None:
            return self._target.ready()
        return self._open_ended or self._collected.ended or self._collected.size < PIPE_BYTES_MAX

    def attach(self, waiter: Waiter) -> None:
        self._changed.attach(waiter)
        if self._target is not None:
            self._target.attach(waiter)

    def detach(self, waiter: Waiter) -> None:
        self._changed.detach(waiter)
        if self._target is not None:
            self._target.detach(waiter)

    def end(self, trailers: Header | None) -> None:
        """The guest finished the body."""
        if self._target is not None:
            self._target.end(trailers)

    def fail(self, code: ErrorCode) -> None:
        if self._target is not None:
            self._target.fail(errors.GuestError(f"the body broke off: {in_words(code)}"))
        self.close()

    def close(self) -> None:
        self._collected.close()
        if self._target is not None:
            self._target.close()
        self._changed.fire()


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

    def __init__(self, sink: Sink, expected: int, direction: Direction) -> None:
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
        if self.written > self._expected:
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
        "trailers",
    )

    def __init__(self, sink: Staged, expected: int | None, direction: Direction) -> None:
        self.sink = sink
        self._expected = expected
        self._direction = direction
        self._counting = None if expected is None else _Counting(sink, expected, direction)
        self._stream: OutputStream | None = None
        self.changed = Signal()
        self.finished = False
        self.failure: ErrorCode | None = None
        self.trailers: Header | None = None

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
        self._stream = OutputStream(self._counting or self.sink)
        return Ok(instance.own(self._stream))

    def finish(self, trailers: Fields | None) -> Ok | Err:
        if self._stream is not None and not self._stream.dropped:
            raise errors.GuestProtocolError("the guest finishes a body before it drops the stream of it")
        written = self.sink.size if self._counting is None else self._counting.written
        if self.sink.overflowed or (self._expected is not None and written != self._expected):
            self._fail((f"HTTP-{self._direction}-body-size", written))
        else:
            self.finished = True
            self.trailers = None if trailers is None else trailers.header()
            self.sink.end(self.trailers)
            self.changed.fire()
        return Ok() if self.failure is None else Err(self.failure)

    def _fail(self, code: ErrorCode) -> None:
        self.failure = code
        self.sink.fail(code)
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
    """A body that becomes part of a message of a contract, and so has the limit of a payload, unless the message goes
    before it."""
    limit = instance.actor.limits.payload_bytes_max
    failure = IoError(
        f"the body is over limits.payload of the actor ({limit} bytes)",
        http_code=(f"HTTP-{direction}-body-size", None),
    )
    return OutgoingBody(Staged(Collected(limit, failure)), fields.content_length(), direction)
