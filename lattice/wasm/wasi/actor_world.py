"""nanolattice:actor, the waPC protocol said in WIT: one import that calls anything, one export that answers anything.

`actors/sdk/wit/actor.wit` is the definition. Capabilities need no interface of their own here: what is called, with
whose authority and until when, is what it is for a waPC actor.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from lattice import errors, wire
from lattice.invocation import Invocation
from lattice.wasm import output
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.failures import failure
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.table import Interface

NAME_CHARS_MAX = 256
"""A link name, target or operation. Keys have 56 characters; names end up in tables and error texts."""
LOG_CHARS_MAX = 8 * 1024
"""A longer text of a guest is cut: it is copied and formatted on the loop."""

Handle = Callable[[str, bytes], Awaitable[Ok | Err]]
"""The guest's export `handle`."""


async def _call(instance: Instance, link: str, target: str, operation: str, payload: bytes) -> Ok | Err:
    try:
        if max(len(link), len(target), len(operation)) > NAME_CHARS_MAX:
            raise errors.MalformedMessage(f"a name in a host call is longer than {NAME_CHARS_MAX} characters")
        reply = await instance.pass_on(link or "default", target, operation, payload)
    except errors.CallError as error:
        instance.host_error = wire.error_text(error).encode()
        return Err((error.code, error.message))
    instance.host_error = b""
    return Ok(reply)


def _console_log(instance: Instance, warning: bool, text: str) -> None:
    line = text[:LOG_CHARS_MAX].encode() + b"\n"
    output.write(instance, output.STDERR if warning else output.STDOUT, line)


async def answer(
    instance: Instance, invocation: Invocation, deadline: float, handle: Handle
) -> bytes | errors.CallError:
    """Answers any call. Returns the failure that the guest tells, raises any other."""
    instance.begin(invocation, deadline)
    try:
        result = await handle(invocation.operation, invocation.payload)
    finally:
        instance.end()
    if isinstance(result, Err):
        code, message = result.value
        return failure(f"{code}: {message}".encode(), instance.host_error)
    reply: bytes = result.value
    if len(reply) > instance.actor.limits.payload_bytes_max:
        raise instance.too_large("a reply", len(reply))
    return reply


HOST = Interface("nanolattice:actor/host", functions={"call": _call, "console-log": _console_log})
TYPES = Interface("nanolattice:actor/types")
