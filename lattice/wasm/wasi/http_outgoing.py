"""wasi:http/outgoing-handler: requests of guests, made along their link to an HTTP client.

Bodies go both ways in pieces, if the client here takes them so: the request is made while the guest still writes its
body, and the guest has the response when its headers are there.
"""

from __future__ import annotations

import asyncio

import msgspec

from lattice import errors, wire
from lattice.bodies import BodyPipe, BodyReader, BodyWriter
from lattice.contracts import httpclient
from lattice.contracts.message import Message
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.http_errors import error_code
from lattice.wasm.wasi.http_messages import (
    FutureIncomingResponse,
    IncomingResponse,
    OutgoingRequest,
    RequestOptions,
    method_name,
)
from lattice.wasm.wasi.instance import Instance, Outgoing
from lattice.wasm.wasi.table import Interface

REQUESTS_MAX = 64
"""Requests one instance has under way. Each may hold what two pipes hold."""

_REQUEST = Outgoing(httpclient.CONTRACT, "HttpClient.Request")
_encode = wire.encoder(httpclient.REQUEST.request)


class RequestBodies:
    """The bodies of one request of a guest."""

    __slots__ = ("_first_byte", "_future", "_message", "_response", "bytes_max", "request")

    def __init__(
        self,
        message: httpclient.HttpRequest,
        request: BodyReader | None,
        bytes_max: int,
        future: FutureIncomingResponse,
        first_byte: asyncio.Timeout,
    ) -> None:
        self.request = request
        self.bytes_max = bytes_max
        self._message = message
        self._future: FutureIncomingResponse | None = future
        self._first_byte: asyncio.Timeout | None = first_byte
        self._response: BodyPipe | None = None

    @property
    def begun(self) -> bool:
        return self._response is not None

    @property
    def untouched(self) -> bool:
        """Nobody makes calls of guests again."""
        return False

    def whole(self, body: bytes) -> bytes:
        return _encode(msgspec.structs.replace(self._message, body=body))

    def begin(self, reply: Message, length: int | None) -> BodyWriter:
        assert isinstance(reply, httpclient.HttpResponse), "what the operation answers"
        self._response = response = BodyPipe(length)
        assert self._first_byte is not None, "a reply begins within the call"
        assert self._future is not None
        self._first_byte.reschedule(None)
        self._future.settle(Ok(IncomingResponse(reply, BodyReader(response))))
        return BodyWriter(response)

    def close(self, error: errors.CallError) -> None:
        """The call is over: what has not ended yet broke off."""
        if self._response is not None and not self._response.ended:
            self._response.fail(error)
        # Both lead to the task, and how that ended back here, through records that are not traced.
        self._first_byte = self._future = None


def _handle(instance: Instance, request: OutgoingRequest, options: RequestOptions | None) -> Ok | Err:
    instance.moved(request)
    first_byte_ns = None
    if options is not None:
        first_byte_ns = instance.moved(options).first_byte
    url = request.url()
    if url is None:
        return Err(("HTTP-request-URI-invalid", None))
    if instance.working >= REQUESTS_MAX:
        return Err(("connection-limit-reached", None))
    if request.body is not None:
        request.body.sink.departing()
    future = FutureIncomingResponse()
    future.request = instance.start(_make(instance, request, url, first_byte_ns, future))
    return Ok(instance.own(future))


async def _make(
    instance: Instance, request: OutgoingRequest, url: str, first_byte_ns: int | None, future: FutureIncomingResponse
) -> None:
    message, source = _message(request, url)
    if message is None:
        assert request.body is not None, "only a body fails before the request is made"
        future.settle(Err(request.body.failure))
        return
    limit = instance.actor.limits.payload_bytes_max
    lost: errors.CallError = errors.AnswerLost("the request ended before its response did")
    bodies = None
    try:
        async with asyncio.timeout(None if first_byte_ns is None else first_byte_ns / 1e9) as first_byte:
            bodies = RequestBodies(message, source, limit, future, first_byte)
            response: httpclient.HttpResponse | None = await instance.call(_REQUEST, message, bodies=bodies)
        if response is not None:
            future.settle(Ok(IncomingResponse(response)))
    except TimeoutError:
        future.settle(Err(("HTTP-response-timeout", None)))
    except errors.CallError as error:
        lost = error
        instance.actor.log.warning("a request to %s failed: %s: %s", url[:200], error.code, error.message)
        if bodies is None or not bodies.begun:
            future.settle(Err(_failure(request, error)))
    finally:
        future.request = None  # or how this ended would lead to it, in a circle through records that are not traced
        if source is not None:
            source.close()
        if bodies is not None:
            bodies.close(lost)


def _failure(request: OutgoingRequest, error: errors.CallError) -> tuple[str, object]:
    """Of a request whose body the guest left unfinished, that is the reason."""
    body = request.body
    return error_code(error) if body is None or body.failure is None else body.failure


def _message(request: OutgoingRequest, url: str) -> tuple[httpclient.HttpRequest | None, BodyReader | None]:
    """The message, and the body that goes beside it. A body that is finished by now is in the message; the message of a
    body that broke is None."""
    body, source = request.body, None
    if body is not None and body.failure is not None:
        return None, None
    message = httpclient.HttpRequest(
        method=method_name(request.method),
        url=url,
        headers=dict(request.headers.header()),
        body=body.sink.collected() if body is not None and body.finished else None,
    )
    if body is not None and not body.finished:
        pipe = BodyPipe(request.headers.content_length())
        body.sink.connect(BodyWriter(pipe))
        source = BodyReader(pipe)
    return message, source


OUTGOING_HANDLER = Interface("wasi:http/outgoing-handler", functions={"handle": _handle})
