"""An HTTP request to a component: from the message of wasmcloud:httpserver to wasi:http/incoming-handler and back.

A request that brings its body in pieces may be answered so too: the response begins when the guest has set it and then
waits, or ends its turn, for anything. A response that is whole by then goes as one message, as do all where whole
messages are wanted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from lattice import errors, wire
from lattice.bodies import Bodies
from lattice.contracts import httpserver
from lattice.invocation import Invocation
from lattice.wasm.wasi.http_errors import in_words
from lattice.wasm.wasi.http_messages import IncomingRequest, OutgoingResponse, ResponseOutparam
from lattice.wasm.wasi.instance import Instance

_decode = wire.request_decoder(httpserver.HANDLE_REQUEST)

Handle = Callable[[IncomingRequest, ResponseOutparam], Awaitable[Any]]
"""The guest's export `handle`, which gets both resources as its own."""


class Departure:
    """A response that may go before the guest returns: made right before the guest is called."""

    __slots__ = ("_bodies", "_failure", "_response", "_soon")

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._failure: errors.CallError | None = None
        self._response: OutgoingResponse | None = None
        # Asked of the loop here, and not when the guest sets its response: that runs on the guest's stack, whose every
        # page that is touched costs more than all the rest of a small response.
        self._soon: asyncio.Handle | None = asyncio.get_running_loop().call_soon(self._turn_is_over)

    def prepare(self, response: OutgoingResponse) -> None:
        """The guest has set it: unless the call is over within this turn of the loop, it begins after it."""
        if response.body is not None:
            response.body.sink.departing()
        self._response = response
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self._turn_is_over)

    def _turn_is_over(self) -> None:
        self._soon = None
        if self._response is not None:
            self.begin(self._response)

    def begin(self, response: OutgoingResponse) -> None:
        body = response.body
        if body is not None and body.failure is not None:
            return  # there is no such response
        length = response.headers.content_length()
        if length is None and (body is None or (body.finished and body.trailers is None)):
            length = 0 if body is None else body.sink.size
        message = httpserver.HttpResponse(status_code=response.status, header=dict(response.headers.header()))
        try:
            sink = self._bodies.begin(message, length)
        except errors.CallError as error:
            self._failure = error
            if body is not None:
                body.sink.close()
            return
        if body is None:
            sink.end(None)
        else:
            body.sink.connect(sink)
            if body.finished:
                sink.end(body.trailers)

    def stay(self) -> None:
        """The guest is done: what has not begun does not begin by itself any more."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    def settle(self, response: OutgoingResponse | None, bytes_max: int) -> bool:
        """Whether the response has begun. Raises what kept it from that. One that is too large for a message, or has
        trailers, for which a message has no place, begins here."""
        body = None if response is None else response.body
        if response is None or body is None or not body.finished or self._bodies.begun:
            pass
        elif body.trailers or body.sink.size > bytes_max:
            self.begin(response)
        if self._failure is not None:
            raise self._failure
        return self._bodies.begun


async def handle_request(instance: Instance, invocation: Invocation, deadline: float, handle: Handle) -> bytes:
    """Answers one `HttpServer.HandleRequest`. Raises `errors.CallError`.

    A guest that failed after it had given its whole response has answered: the response counts, the failure is logged.
    """
    bodies = invocation.bodies
    request = IncomingRequest(_decode(invocation.payload), None if bodies is None else bodies.request)
    outparam = ResponseOutparam()
    departure = None
    if bodies is not None:
        departure = Departure(bodies)
        outparam.when_set = departure.prepare
    instance.begin(invocation, deadline)
    try:
        await handle(instance.own(request), instance.own(outparam))
    except errors.CallError as error:
        if not outparam.complete:
            raise
        instance.actor.log.warning("the component failed after its response: %s", error.message)
    finally:
        if departure is not None:
            outparam.when_set = None
            departure.stay()
        instance.end()
    if not request.incoming.drained:
        instance.spent = "it left a part of a request's body unread"
    if departure is not None and departure.settle(outparam.response, instance.actor.limits.payload_bytes_max):
        assert outparam.response is not None, "only a response begins"
        _require_whole(outparam.response)
        return b""
    return _reply(instance, outparam)


def _reply(instance: Instance, outparam: ResponseOutparam) -> bytes:
    if outparam.error is not None:
        raise errors.GuestError(f"the component answered with the error {in_words(outparam.error)}")
    response = outparam.response
    if response is None:
        raise errors.GuestProtocolError("the component returned without setting a response")
    message = httpserver.HttpResponse(
        status_code=response.status,
        header=dict(response.headers.header()),
        body=_body(instance, response),
    )
    reply = wire.encode(message)
    limit = instance.actor.limits.payload_bytes_max
    if len(reply) > limit:
        raise _too_large(instance, len(reply))
    return reply


def _body(instance: Instance, response: OutgoingResponse) -> bytes:
    body = response.body
    if body is None:
        return b""
    if body.sink.overflowed:
        raise _too_large(instance, body.sink.size)
    _require_whole(response)
    return body.sink.collected()


def _require_whole(response: OutgoingResponse) -> None:
    body = response.body
    if body is None:
        return
    if body.failure is not None:
        raise errors.GuestProtocolError(f"the component's response has no whole body: {in_words(body.failure)}")
    if not body.finished:
        raise errors.GuestProtocolError("the component returned before it finished the body of its response")


def _too_large(instance: Instance, size: int) -> errors.PayloadTooLarge:
    return errors.PayloadTooLarge(
        f"a response of at least {size} bytes is over limits.payload of {instance.actor.key}"
        f" ({instance.actor.limits.payload_bytes_max} bytes)",
        remedy="raise limits.payload of the actor",
    )
