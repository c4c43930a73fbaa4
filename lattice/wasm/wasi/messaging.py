"""wasmcloud:messaging 0.2.0: `consumer` over the contract, and its `handler` as the contract's HandleMessage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from lattice import errors, wire
from lattice.contracts import messaging as api
from lattice.invocation import Invocation
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.instance import Instance, Outgoing
from lattice.wasm.wasi.table import Interface

_PUBLISH = Outgoing(api.CONTRACT, "Messaging.Publish")
_REQUEST = Outgoing(api.CONTRACT, "Messaging.Request")
_decode = wire.request_decoder(api.HANDLE_MESSAGE)

BrokerMessage = tuple[str, bytes, str | None]
"""The record `broker-message`: subject, body, reply-to."""

Handle = Callable[[BrokerMessage], Awaitable[Ok | Err]]
"""The guest's export `handle-message`."""


async def _publish(instance: Instance, message: BrokerMessage) -> Ok | Err:
    subject, body, reply_to = message
    try:
        await instance.call(_PUBLISH, api.PubMessage(subject=subject, reply_to=reply_to, body=body))
    except errors.CallError as error:
        return Err(wire.error_text(error))
    return Ok()


async def _request(instance: Instance, subject: str, body: bytes, timeout_ms: int) -> Ok | Err:
    try:
        reply: api.ReplyMessage = await instance.call(
            _REQUEST, api.RequestMessage(subject=subject, body=body, timeout_ms=timeout_ms)
        )
    except errors.CallError as error:
        return Err(wire.error_text(error))
    return Ok((reply.subject, reply.body, reply.reply_to))


async def handle_message(instance: Instance, invocation: Invocation, deadline: float, handle: Handle) -> bytes:
    """Answers one `MessageSubscriber.HandleMessage`. Raises `errors.CallError`."""
    message: api.SubMessage = _decode(invocation.payload)
    instance.begin(invocation, deadline)
    try:
        result = await handle((message.subject, message.body, message.reply_to))
    finally:
        instance.end()
    if isinstance(result, Err):
        raise errors.GuestError(f"the component did not take the message: {result.value}")
    return b""


CONSUMER = Interface("wasmcloud:messaging/consumer", functions={"publish": _publish, "request": _request})
TYPES = Interface("wasmcloud:messaging/types")
