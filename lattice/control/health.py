"""Tells the lattice how the providers of this host are: an event for each change, and one now and then without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from lattice.control.state import ProviderSeen

LOOK_EVERY_S = 2.0
TELL_EVERY_S = 30.0
"""As often as upstream; a lattice of a thousand providers then sends some thirty events a second."""

_HEALTHY = {"running": True, "unhealthy": False, "failed": False}
"""By status; of others nothing is known yet."""


class Tell(Protocol):
    async def __call__(self, name: str, data: dict[str, Any]) -> None: ...


class Health:
    """`providers` are those that run here."""

    def __init__(self, host: str, providers: Callable[[], Iterable[ProviderSeen]], tell: Tell) -> None:
        self._host = host
        self._providers = providers
        self._tell = tell
        self._told: dict[str, tuple[bool, float]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look(asyncio.get_running_loop().time())
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self, now: float) -> None:
        """`health_check_passed` or `health_check_failed` for a change, `health_check_status` for what stayed."""
        there = {provider.key: provider for provider in self._providers()}
        for gone in self._told.keys() - there.keys():
            del self._told[gone]
        for key, provider in there.items():
            healthy = _HEALTHY.get(provider.status)
            if healthy is None:
                continue
            told = self._told.get(key)
            if told is not None and told[0] == healthy:
                if now - told[1] < TELL_EVERY_S:
                    continue
                name = "health_check_status"
            else:
                name = "health_check_passed" if healthy else "health_check_failed"
            self._told[key] = (healthy, now)
            data = {"host_id": self._host, "provider_id": key, "healthy": healthy, "message": provider.message}
            await self._tell(name, data)
