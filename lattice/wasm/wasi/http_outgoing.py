"""wasi:http/outgoing-handler: requests of guests, made along their link to an HTTP client.

The contract has whole bodies: the request is made when the guest has finished its body, and the guest may wait for the
response meanwhile.
"""

from __future__ import annotations

import asyncio

from lattice import errors
from lattice.contracts import httpclient
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
from lattice.wasm.wasi.poll import wait_any
from lattice.wasm.wasi.table import Interface

REQUESTS_MAX = 64
"""Requests one instance has under way. Each may hold a whole body."""

_REQUEST = Outgoing(httpclient.CONTRACT, "HttpClient.Request")


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
    future = FutureIncomingResponse()
    future.request = instance.start(_make(instance, request, url, first_byte_ns, future))
    return Ok(instance.own(future))


async def _make(
    instance: Instance, request: OutgoingRequest, url: str, first_byte_ns: int | None, future: FutureIncomingResponse
) -> None:
    body = request.body
    if body is not None:
        await wait_any((body,))
        if not body.whole:
            future.settle(Err(body.failure))
            return
    message = httpclient.HttpRequest(
        method=method_name(request.method),
        url=url,
        headers=dict(request.headers.header()),
        body=None if body is None else body.sink.bytes(),
    )
    try:
        async with asyncio.timeout(None if first_byte_ns is None else first_byte_ns / 1e9):
            response: httpclient.HttpResponse = await instance.call(_REQUEST, message)
    except TimeoutError:
        future.settle(Err(("HTTP-response-timeout", None)))
    except errors.CallError as error:
        instance.actor.log.warning("a request to %s failed: %s: %s", url[:200], error.code, error.message)
        future.settle(Err(error_code(error)))
    else:
        future.settle(Ok(IncomingResponse(response)))


OUTGOING_HANDLER = Interface("wasi:http/outgoing-handler", functions={"handle": _handle})
