"""The provider: a bucket for each name."""

from __future__ import annotations

import time
from collections.abc import Callable

from lattice_keyvalue import KeyValueProvider
from pydantic import Field

from lattice.provider import Link, Settings
from lattice_keyvalue_memory.bucket import MemoryBucket

PLACES = ("bucket", "prefix")
"""The settings by which backends tell namespaces apart, so that this one can stand in for each of them."""


class LinkSettings(Settings):
    bucket: str = Field("default", min_length=1, max_length=256)


class KeyValueMemory(KeyValueProvider):
    """Holds everything until it is stopped."""

    name = "keyvalue-memory"
    attach_settings_type = LinkSettings

    def __init__(self, settings: Settings, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(settings)
        self._now = now
        self.buckets: dict[str, MemoryBucket] = {}

    def bucket(self, name: str) -> MemoryBucket:
        found = self.buckets.get(name)
        if found is None:
            found = self.buckets[name] = MemoryBucket(self._now)
        return found

    async def attach(self, link: Link, settings: Settings) -> MemoryBucket:
        named = (getattr(settings, place, "") for place in PLACES)
        return self.bucket(next((name for name in named if name), "default"))
