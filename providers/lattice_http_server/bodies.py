"""Bodies in pieces: a request's as the socket brings it, a response's as the socket takes it.

Neither is held anywhere else. A request body that is not read stops the reading of the connection; a client that does
not read stops whoever writes the response.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from lattice import errors
from lattice.bodies import BodyPipe, Header
from lattice.contracts.httpserver import HttpResponse
from lattice.contracts.message import Message
from lattice.streams import PIPE_BYTES_MAX, Signal, StreamClosed, Waiter
from lattice_http_server.request import Request
from lattice_http_server.response import CLOSE, Framing

if TYPE_CHECKING:
    from lattice_http_server.connection import Connection
    from lattice_http_server.service import Service

WHOLE_BYTES_MAX = PIPE_BYTES_MAX
"""A request whose body is announced and no larger waits until the body is here: it would fit into a pipe."""
RESUME_BYTES = PIPE_BYTES_MAX // 4
"""With so few bytes left to read the connection is read again."""
UNREAD_BYTES_MAX = 256 * 1024
"""What is thrown away of a body that nobody read, for the connection to be used again. Closing costs a client less than
sending more than that for nothing."""
PENDING_BYTES_MAX = 128 * 1024
"""What is written within one turn of the loop; then the writer waits until it has gone out."""


class RequestBody(BodyPipe):
    """The body of a request that is being answered while it arrives: a `BodySource`.

    The reader of the connection calls `arrived`, and `end` or `fail`.
    """

    __slots__ = ("_connection", "_service", "continue_owed", "dropped_bytes", "started")

    def __init__(self, connection: Connection, service: Service, length: int | None, continue_owed: bool) -> None:
        super().__init__(length)
        self._connection = connection
        self._service = service
        self.continue_owed = continue_owed
        """The client waits for leave to send the body, which it gets when somebody wants to read it."""
        self.started = False
        """Something of it was taken, or nobody will take anything."""
        self.dropped_bytes = 0

    @property
    def is_full(self) -> bool:
        return self.dropped_bytes > UNREAD_BYTES_MAX if self.gone else self.size >= PIPE_BYTES_MAX

    def arrived(self, data: bytes) -> None:
        if self.gone:
            self.dropped_bytes += len(data)
        else:
            self._service.count(len(data))
            self.put(data)

    def take(self, size: int) -> bytes:
        self.started = True
        self._wanted()
        piece = super().take(size)
        if piece:
            self._service.count(-len(piece))
            if self.size <= RESUME_BYTES:
                self._connection.body_read()
        return piece

    def ready(self) -> bool:
        return self.readable

    def attach(self, waiter: Waiter) -> None:
        self._wanted()
        super().attach(waiter)

    def close(self) -> None:
        """Nobody reads any more of it."""
        if not self.gone:
            self.started, self.continue_owed = True, False
            self._service.count(-self.size)
            self.abandon()
            self._connection.body_read()

    def leave(self, request: Request, arrived_bytes: int) -> None:
        """The request is answered, and what is left of its body nobody reads. A little is thrown away when it comes;
        more of it ends the connection."""
        if not self.ended:
            left = UNREAD_BYTES_MAX + 1 if self.length is None else self.length - arrived_bytes
            if self.continue_owed or left > UNREAD_BYTES_MAX or self._service.draining:
                request.keep_alive, request.connection = False, CLOSE
        self.close()
        # What was dropped while the call went on is no reason to stop reading what is left: it would stop for good.
        self.dropped_bytes = 0
        self._connection.body_read()
        # The body may have the error with which it ended, and that where it was raised: a circle through the request,
        # which is not traced.
        request.body = None

    def refused(self) -> None:
        """The client has a refusal before it had leave to send, and keeps the body. Leave now would stand in the middle
        of the response."""
        self.continue_owed = False
        self.fail(errors.Cancelled("the request was refused before its body was sent"))

    def _wanted(self) -> None:
        if self.continue_owed:
            self.continue_owed = False
            self._connection.send_continue()


class ResponseBody:
    """The body of a response, as it is written: a `BodySink`. The framing is made here.

    Small writes leave together at the end of the loop's turn.
    """

    __slots__ = (
        *("_changed", "_connection", "_framing", "_head", "_left", "_pending", "_pending_bytes", "_soon", "_trailer"),
        *("broken", "ended", "status"),
    )

    def __init__(
        self, connection: Connection, status: int, head: bytes, framing: Framing, trailer: Callable[[Header], bytes]
    ) -> None:
        """`trailer` gives the lines after the last chunk."""
        self.status = status
        self._trailer = trailer
        self._connection = connection
        self._changed = Signal()
        self._framing = framing
        self._left = framing.length
        """Bytes that are still to come, if that was announced."""
        self._head = head
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._soon: asyncio.Handle | None = asyncio.get_running_loop().call_soon(self._send)
        self.ended = False
        self.broken = False

    def room(self) -> int:
        if self.broken or self.ended:
            raise StreamClosed
        if self._connection.is_blocked:
            return 0
        return max(0, PENDING_BYTES_MAX - self._pending_bytes)

    def put(self, data: bytes) -> None:
        """Takes all of it, also what there is no room for."""
        if self.broken or self.ended:
            raise StreamClosed
        if self._framing.bodiless or not data:
            return
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self.fail(errors.ProviderError("the body of a response is longer than its content-length"))
                raise StreamClosed
        self._pending.append(bytes(data))
        self._pending_bytes += len(data)
        self._schedule()

    def _schedule(self) -> None:
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._soon = None
        if self.broken:
            return
        head, pending, size = self._head, self._pending, self._pending_bytes
        self._head, self._pending, self._pending_bytes = b"", [], 0
        if size and self._framing.chunked:
            self._connection.send(b"".join((head, b"%x\r\n" % size, *pending, b"\r\n")))
        elif head or size:
            self._connection.send(b"".join((head, *pending)))
        self._changed.fire()

    def end(self, trailers: Header | None) -> None:
        if self.broken or self.ended:
            return
        if self._left and not self._framing.bodiless:
            self.fail(errors.ProviderError("the body of a response is shorter than its content-length"))
            return
        if self._soon is not None:
            self._soon.cancel()
        self._send()
        if self._framing.chunked:
            self._connection.send(b"0\r\n%s\r\n" % self._trailer(trailers or {}))
        self.ended = True
        self._changed.fire()

    def fail(self, error: errors.CallError) -> None:
        """The client gets to see that the response is not whole."""
        if not self.broken and not self.ended:
            self.broken = True
            self._changed.fire()
            self._connection.break_off(error)

    def unblocked(self) -> None:
        self._changed.fire()

    def flush(self) -> None:
        """What was put leaves within this turn of the loop."""

    def flushed(self) -> bool:
        return True

    def ready(self) -> bool:
        return self.broken or self.ended or self.room() > 0

    def attach(self, waiter: Waiter) -> None:
        self._changed.attach(waiter)

    def detach(self, waiter: Waiter) -> None:
        self._changed.detach(waiter)

    def close(self) -> None:
        """Whether the body is whole says `end`."""


class Exchange:
    """One request and its response: the `Bodies` of a call."""

    __slots__ = ("_connection", "_request", "_service")

    def __init__(self, connection: Connection, service: Service, request: Request) -> None:
        self._connection = connection
        self._service = service
        self._request = request

    @property
    def request(self) -> RequestBody | None:
        return self._request.body

    @property
    def bytes_max(self) -> int:
        assert self._request.route is not None, "only what is routed is called"
        return self._request.route.body_bytes_max

    @property
    def begun(self) -> bool:
        return self._connection.response is not None

    @property
    def untouched(self) -> bool:
        body = self._request.body
        return not self.begun and (body is None or not body.started)

    def whole(self, body: bytes) -> bytes:
        whole = self._request.whole
        assert whole is not None, "known of what has its body beside it"
        return whole(body)

    def begin(self, reply: Message, length: int | None) -> ResponseBody:
        """Raises `errors.CallError` for a reply that cannot be sent."""
        assert isinstance(reply, HttpResponse), "what the operation answers"
        service, connection, request, body = self._service, self._connection, self._request, self._request.body
        if service.draining:
            connection.part(request)
        if length is None and request.is_old:
            request.keep_alive, request.connection = False, CLOSE
        if body is not None and body.continue_owed and reply.status_code >= 400:
            request.keep_alive, request.connection = False, CLOSE
            body.refused()
        head, framing = service.writer.begin(
            reply, request.method == "HEAD", request.connection, length, not request.is_old
        )
        if body is not None and body.continue_owed:
            # A client that hears an answer first may keep its body, and whoever answers may still want it.
            body.continue_owed = False
            connection.send_continue()
        service.outbox.flush()
        trailer = service.writer.trailer if request.takes_trailers else _no_trailer
        connection.response = response = ResponseBody(connection, reply.status_code, head, framing, trailer)
        return response


def _no_trailer(_trailers: Header) -> bytes:
    """For a client that did not ask for trailers."""
    return b""
