"""Calls to a component: which of its exports answers an operation, and how.

| operation | export |
|---|---|
| HttpServer.HandleRequest | wasi:http/incoming-handler, `handle` |
| MessageSubscriber.HandleMessage | wasmcloud:messaging/handler, `handle-message` |
| Cron.HandleTick | wasi:cli/run, `run` |
| any other, or one of these whose export is not there | nanolattice:actor/guest, `handle` |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any

from lattice import errors
from lattice.contracts import cron, httpserver, messaging
from lattice.invocation import Invocation
from lattice.wasm.wasi.actor_world import answer
from lattice.wasm.wasi.http_bridge import handle_request
from lattice.wasm.wasi.interfaces import InstanceInterfaces
from lattice.wasm.wasi.jobs import run_job
from lattice.wasm.wasi.messaging import handle_message

HTTP = ("wasi:http/incoming-handler", "handle")
MESSAGES = ("wasmcloud:messaging/handler", "handle-message")
JOB = ("wasi:cli/run", "run")
ANY = ("nanolattice:actor/guest", "handle")

_BRIDGES: dict[str, tuple[tuple[str, str], Callable[..., Awaitable[bytes]]]] = {
    httpserver.HANDLE_REQUEST.name: (HTTP, handle_request),
    messaging.HANDLE_MESSAGE.name: (MESSAGES, handle_message),
    cron.HANDLE_TICK.name: (JOB, run_job),
}

ANSWERING = frozenset((ANY[0], *(interface for (interface, _), _ in _BRIDGES.values())))
"""The interfaces of which a component exports at least one."""


def in_pieces(exports: Collection[str]) -> frozenset[str]:
    """The operations whose bodies come and go in pieces: `nanolattice:actor/guest` is given whole messages."""
    return frozenset({httpserver.HANDLE_REQUEST.name}) if HTTP[0] in exports else frozenset()


def calls_max(exports: Collection[str]) -> int:
    """Calls that one instance takes unless the manifest says how many; 0 for without end. What exports
    `nanolattice:actor/guest` says that it takes more than one. Programs and JavaScript's fetch events do not."""
    return 0 if ANY[0] in exports else 1


Call = Callable[..., Awaitable[Any]]
"""`call(interface, function, *arguments)`: an exported function of the guest, by its interface without a version."""


async def serve(
    instance: InstanceInterfaces, exports: Collection[str], call: Call, invocation: Invocation, deadline: float
) -> bytes | errors.CallError:
    """Answers one call by the export that is for its operation, as `lattice.wasm.component.guest.Bridge`.

    `exports` are the interfaces that the component exports, without versions.
    """
    found = _BRIDGES.get(invocation.operation)
    if ANY[0] in exports and (found is None or found[0][0] not in exports):
        return await answer(instance, invocation, deadline, partial(call, *ANY))
    if found is None:
        known = ", ".join(sorted(_BRIDGES))
        raise errors.OperationUnknown(
            f"{instance.actor.key} is a component and has no operation {invocation.operation[:100]!r}",
            remedy=f"components answer {known}, and functions that they export as in ns:pkg/iface.function",
        )
    (interface, function), bridge = found
    if interface not in exports:
        raise errors.OperationUnknown(
            f"{instance.actor.key} does not export {interface}, which answers {invocation.operation}"
        )
    reply: bytes = await bridge(instance, invocation, deadline, partial(call, interface, function))
    return reply
