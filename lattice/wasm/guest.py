"""What the host sees of a guest, whatever kind it is, and how its kind is told."""

from __future__ import annotations

from typing import Protocol

from lattice.config import Limits
from lattice.invocation import Handler, Invocation


class GuestInstance(Protocol):
    """One live instance: serves one call at a time."""

    usable: bool
    """False after a failure or a cancelled call: the pool throws it away."""

    async def serve(self, invocation: Invocation, deadline: float) -> bytes:
        """Answers one call; `deadline` is a time of `time.monotonic()`. Raises `errors.CallError`."""
        ...

    def close(self) -> None: ...


class Guest(Protocol):
    """Loaded code, ready to make instances. `outbound` takes what they call."""

    async def instantiate(self, key: str, outbound: Handler, limits: Limits, deadline: float) -> GuestInstance:
        """A new instance for the actor `key`, its start functions run. Raises `errors.GuestError`."""
        ...

    def close(self) -> None:
        """Frees the code, after its instances."""
        ...
