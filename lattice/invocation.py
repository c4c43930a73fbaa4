"""The language of the system: one call, who makes it, and the one kind of thing that answers it."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from lattice.bodies import Bodies


class EntityId(msgspec.Struct, frozen=True, gc=False):
    """Who calls or is called. An actor has a key alone; a provider also has its contract and link name, and so has an
    actor that is called by a contract."""

    key: str
    contract: str = ""
    link_name: str = ""

    def __str__(self) -> str:
        return f"{self.key} ({self.contract} as {self.link_name})" if self.contract else self.key


class Invocation(msgspec.Struct, frozen=True, gc=False):
    """One call. Immutable: whoever changes something makes a new one.

    `contract` is what the caller named: a contract id ("wasmcloud:keyvalue"), also of an interface that another actor
    exports ("lattice:parcels/postage"), or for a call between actors the key or the alias of the other. `target` is set
    when the caller already knows it (a provider that calls an actor); without it the router finds it through the links.
    `deadline` is a time of `time.monotonic()`, in seconds. `depth` counts the calls that led to this one. `trace` is a
    W3C traceparent, or "". `host` is the key of the host that the call came from, "" for one that is made here.
    `bodies` has what travels beside the payload, in pieces; who does not know of it never sees it.
    """

    origin: EntityId
    contract: str
    operation: str
    payload: bytes
    id: str
    deadline: float
    link_name: str = "default"
    target: EntityId | None = None
    depth: int = 0
    trace: str = ""
    host: str = ""
    bodies: Bodies | None = None


Handler: TypeAlias = Callable[[Invocation], Awaitable[bytes]]
"""What answers a call: an actor, a provider, a remote peer, the router, the pipeline. Raises `errors.CallError`."""

_process = secrets.token_hex(6)
_counter = itertools.count(1)


def new_id() -> str:
    """A call id that no other process makes: random per process, counted within it (a UUID per call costs 2 us)."""
    return f"{_process}-{next(_counter):x}"
