"""A key-value store whose background task can be made to fail, as providers of strangers may do."""

from __future__ import annotations

import asyncio

from lattice.contracts import keyvalue
from lattice.provider import Link, Provider, Settings

CRASH = "/crash"
"""The key whose increment ends the background task, and with it the provider."""


class AttachSettings(Settings):
    start: int = 0


class Crashing(Provider[dict[str, int], None]):
    """Counts in memory, from its link's `start`: a restart begins there again, so that it can be seen."""

    name = "crashing"
    contract = keyvalue.CONTRACT
    attach_settings_type = AttachSettings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._asked = asyncio.Event()

    async def start(self) -> None:
        self.context.spawn(self._fail_when_asked(), "background")

    async def attach(self, link: Link, settings: AttachSettings) -> dict[str, int]:
        return {"": settings.start}

    async def increment(self, counts: dict[str, int], message: keyvalue.IncrementRequest) -> int:
        if message.key == CRASH:
            self._asked.set()
        counts[message.key] = counts.get(message.key, counts[""]) + message.value
        return counts[message.key]

    async def _fail_when_asked(self) -> None:
        await self._asked.wait()
        raise RuntimeError("the background task broke")
