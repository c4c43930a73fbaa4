"""Bodies that travel beside a call, in pieces: as large as they like, and never more of them in memory than a window.

A call has its message in the payload, as ever. Who makes the call and can give or take a body in pieces puts `Bodies`
beside it. Who answers reads the request's body from there while it comes, and may begin its reply before it returns.
What does not know of this gets whole messages: `pipeline` makes them.

A body is written by one side and read by the other in the same process. The call goes on until the reply's body is
written, so its deadline bounds all of it, and whoever cancels the call ends the bodies too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, TypeAlias

from lattice import errors
from lattice.contracts.message import Message
from lattice.streams import PIPE_BYTES_MAX, Pipe, Reader, Sink, Source, StreamClosed, StreamFailed, Writer, wait_any

PIECE_BYTES = 64 * 1024
"""How much is taken at a time by who passes a body on."""

Header: TypeAlias = dict[str, list[str]]


class BodySource(Source, Protocol):
    """A body that is read. `StreamFailed` from it has an `errors.CallError`."""

    @property
    def length(self) -> int | None:
        """In bytes; None when it was not announced."""
        ...

    @property
    def trailers(self) -> Header | None:
        """What came after the body. Known at its end."""
        ...


class BodySink(Sink, Protocol):
    """A body that is written. It is whole when `end` was called; when the call ends without that, it broke off."""

    def end(self, trailers: Header | None) -> None:
        """All of it is written."""
        ...

    def fail(self, error: errors.CallError) -> None:
        """It breaks off here, for this reason."""
        ...


class Bodies(Protocol):
    """What a call has beside its payload."""

    @property
    def request(self) -> BodySource | None:
        """None when the body is in the payload."""
        ...

    @property
    def bytes_max(self) -> int:
        """How large a body may be that has to be made whole."""
        ...

    @property
    def begun(self) -> bool:
        """The reply has begun: what the call returns is not looked at any more, and only its failure counts."""
        ...

    @property
    def untouched(self) -> bool:
        """Nothing was taken or begun: the call may be made again with the same bodies."""
        ...

    def whole(self, body: bytes) -> bytes:
        """The call's payload with this body in it."""
        ...

    def begin(self, reply: Message, length: int | None) -> BodySink:
        """Begins the reply: `reply` is the operation's, without its body, which goes into the sink and has `length`
        bytes, if that is known. Once for each call.

        Raises `errors.CallError` for a message that cannot be sent.
        """
        ...


class BodyPipe(Pipe):
    """A body from one party of this process to another."""

    __slots__ = ("length", "trailers")

    def __init__(self, length: int | None = None, limit: int = PIPE_BYTES_MAX) -> None:
        super().__init__(limit)
        self.length = length
        self.trailers: Header | None = None


class BodyReader(Reader):
    """The end of it that is read: a `BodySource`."""

    __slots__ = ("_body",)

    def __init__(self, body: BodyPipe) -> None:
        super().__init__(body)
        self._body = body

    @property
    def length(self) -> int | None:
        return self._body.length

    @property
    def trailers(self) -> Header | None:
        return self._body.trailers


class BodyWriter(Writer):
    """The end of it that is written: a `BodySink`."""

    __slots__ = ("_body",)

    def __init__(self, body: BodyPipe) -> None:
        super().__init__(body)
        self._body = body

    def end(self, trailers: Header | None) -> None:
        self._body.trailers = trailers
        self._body.end()

    def fail(self, error: errors.CallError) -> None:
        self._body.fail(error)


async def pieces(source: BodySource, size: int = PIECE_BYTES) -> AsyncIterator[bytes]:
    """A body as it comes. Raises the `errors.CallError` with which it broke off."""
    while True:
        await wait_any((source,))
        try:
            piece = source.take(size)
        except StreamClosed:
            return
        except StreamFailed as failure:
            raise failure.error from None
        if piece:
            yield piece


async def write(sink: BodySink, data: bytes) -> None:
    """Writes all of it, as there is room. Raises `StreamClosed` when nobody reads any more."""
    view = memoryview(data)
    while view:
        await wait_any((sink,))
        room = sink.room()
        sink.put(view[:room].tobytes() if room < len(view) or len(view) < len(data) else data)
        view = view[room:]


async def gather(source: BodySource, bytes_max: int) -> bytes:
    """A whole body. Raises `errors.PayloadTooLarge`, and as `pieces`."""
    if source.length is not None and source.length > bytes_max:
        raise _too_large(bytes_max)
    found: list[bytes] = []
    size = 0
    async for piece in pieces(source, bytes_max + 1):
        found.append(piece)
        size += len(piece)
        if size > bytes_max:
            raise _too_large(bytes_max)
    return b"".join(found)


def _too_large(bytes_max: int) -> errors.PayloadTooLarge:
    return errors.PayloadTooLarge(
        f"a body is over the {bytes_max} bytes of a whole message, and what it is for takes no pieces",
        remedy="raise the limits on bodies, or call a component or a command, which take bodies in pieces",
    )
