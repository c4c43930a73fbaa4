"""What the host sees of a guest, whatever kind it is, and how its kind is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

import msgspec

from lattice.config import Limits, Surroundings
from lattice.invocation import EntityId, Handler, Invocation
from lattice.wasm.nature import Nature

LOOKING_UP_MAX = 2
"""Names that one actor has looked up at a time: each keeps a thread of the host for as long as nobody answers."""

Along: TypeAlias = Callable[[Invocation], Mapping[str, str]]
"""The configuration, for its source, of the link along which a call came; empty where it came along none."""


def along_none(_invocation: Invocation) -> Mapping[str, str]:
    return {}


class ActorContext:
    """What every instance of an actor shares: who it is, where its calls go, what it may use, where it logs.

    `refusals` and `refusals_since` are for `wasm.audit`."""

    __slots__ = (
        "along",
        "entity",
        "key",
        "limits",
        "log",
        "looking_up",
        "nature",
        "outbound",
        "refusals",
        "refusals_since",
        "surroundings",
    )

    def __init__(
        self,
        key: str,
        outbound: Handler,
        limits: Limits,
        surroundings: Surroundings | None = None,
        along: Along = along_none,
        nature: Nature | None = None,
    ) -> None:
        self.key = key
        self.entity = EntityId(key)
        self.outbound = outbound
        self.limits = limits
        self.surroundings = surroundings or Surroundings()
        self.along = along
        self.nature = nature or Nature()
        self.log = logging.getLogger(f"lattice.actor.{key}")
        self.looking_up = asyncio.Semaphore(LOOKING_UP_MAX)
        self.refusals = 0
        self.refusals_since = float("-inf")


class Resting(msgspec.Struct, frozen=True):
    """How many instances wait for a next call at a time, and for how long."""

    instances_max: int
    s_max: float


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

    in_pieces: frozenset[str]
    """The operations whose bodies it takes in pieces, as `Invocation.bodies`."""

    resting: Resting | None
    """What bounds its idle instances beside `limits.instances`; None for nothing."""

    async def instantiate(self, deadline: float) -> GuestInstance:
        """A new instance, its start functions run. Raises `errors.GuestError`."""
        ...

    def close(self) -> None:
        """Frees the code, after its instances."""
        ...
