"""What the host sees of a guest, whatever kind it is, and how its kind is told."""

from __future__ import annotations

import logging
from typing import Protocol

from lattice.config import Limits
from lattice.invocation import EntityId, Handler, Invocation


class ActorContext:
    """What every instance of an actor shares: who it is, where its calls go, what it may use, where it logs."""

    __slots__ = ("entity", "key", "limits", "log", "outbound")

    def __init__(self, key: str, outbound: Handler, limits: Limits) -> None:
        self.key = key
        self.entity = EntityId(key)
        self.outbound = outbound
        self.limits = limits
        self.log = logging.getLogger(f"lattice.actor.{key}")


class GuestInstance(Protocol):
    """One live instance: serves one call at a time."""

    usable: bool
    """False after a failure or a cancelled call: the pool throws it away."""

    async def serve(self, invocation: Invocation, deadline: float) -> bytes:
        """Answers one call; `deadline` is a time of `time.monotonic()`. Raises `errors.CallError`."""
        ...

    def close(self) -> None: ...


class Guest(Protocol):
    """One actor's loaded code, ready to make instances."""

    async def instantiate(self, deadline: float) -> GuestInstance:
        """A new instance, its start functions run. Raises `errors.GuestError`."""
        ...

    def close(self) -> None:
        """Frees the code, after its instances."""
        ...
