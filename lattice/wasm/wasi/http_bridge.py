"""An HTTP request to a component: from the message of wasmcloud:httpserver to wasi:http/incoming-handler and back.

The contract's messages are whole. What the guest writes is kept until it is all there, within the limit of a payload.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from lattice import errors, wire
from lattice.contracts import httpserver
from lattice.invocation import Invocation
from lattice.wasm.wasi.http_errors import in_words
from lattice.wasm.wasi.http_messages import IncomingRequest, OutgoingResponse, ResponseOutparam
from lattice.wasm.wasi.instance import Instance

_decode = wire.request_decoder(httpserver.HANDLE_REQUEST)

Handle = Callable[[IncomingRequest, ResponseOutparam], Awaitable[Any]]
"""The guest's export `handle`, which gets both resources as its own."""


async def handle_request(instance: Instance, invocation: Invocation, deadline: float, handle: Handle) -> bytes:
    """Answers one `HttpServer.HandleRequest`. Raises `errors.CallError`.

    A guest that failed after it had given its whole response has answered: the response counts, the failure is logged.
    """
    request = IncomingRequest(_decode(invocation.payload))
    outparam = ResponseOutparam()
    instance.begin(invocation, deadline)
    try:
        await handle(instance.own(request), instance.own(outparam))
    except errors.CallError as error:
        if not outparam.complete:
            raise
        instance.actor.log.warning("the component failed after its response: %s", error.message)
    finally:
        instance.end()
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
    if body.failure is not None:
        raise errors.GuestProtocolError(f"the component's response has no whole body: {in_words(body.failure)}")
    if not body.finished:
        raise errors.GuestProtocolError("the component returned before it finished the body of its response")
    return body.sink.bytes()


def _too_large(instance: Instance, size: int) -> errors.PayloadTooLarge:
    return errors.PayloadTooLarge(
        f"a response of at least {size} bytes is over limits.payload of {instance.actor.key}"
        f" ({instance.actor.limits.payload_bytes_max} bytes)",
        remedy="raise limits.payload of the actor",
    )
