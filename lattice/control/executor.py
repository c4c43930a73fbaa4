"""What one host can be told to do. The real one runs actors and providers (`control.local_executor`); the simulated one
of `lattice.testing` only remembers. Everything that decides is above this line and is the same for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from lattice.control.state import ActorSeen, ProviderSeen, Wanted
from lattice.links import Link


class Executor(Protocol):
    """A method called again with the same arguments changes nothing. Raises `errors.LatticeError`."""

    async def scale_actor(self, wanted: Wanted, count: int, annotations: dict[str, str]) -> None:
        """Runs `count` of the actor's replicas here. Starts it if it is not here; 0 drains and stops it."""

    async def update_actor(self, wanted: Wanted, annotations: dict[str, str]) -> None:
        """Puts what `wanted` says in the place of what runs under its key, without a call failing. If it cannot be
        started, what runs goes on and the reason is raised. Does nothing when it is not here."""

    async def start_provider(self, wanted: Wanted, annotations: dict[str, str]) -> None:
        """Starts it, or restarts it when its configuration is another. It gets the links that are its."""

    async def stop_provider(self, key: str) -> None:
        """Drains and stops it; does nothing when it is not here."""

    async def apply_links(self, links: Sequence[Link]) -> None:
        """Makes these the links of the lattice as this host knows them. One that a provider here refuses is in
        `refused` until it is taken away or changed."""

    @property
    def refused(self) -> dict[str, str]:
        """Links that a provider here did not take, as text, and why."""

    def actors(self) -> list[ActorSeen]: ...

    def providers(self) -> list[ProviderSeen]: ...

    def on_change(self, changed: Callable[[], None]) -> None:
        """`changed` is called after anything that `actors` or `providers` tell has changed."""
