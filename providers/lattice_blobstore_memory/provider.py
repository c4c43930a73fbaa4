"""The provider: one store for all its links."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from lattice_blobstore import BlobSettings, Blobstore

from lattice.provider import Settings
from lattice_blobstore_memory.store import MemoryStore


class BlobstoreMemory(Blobstore):
    """Holds everything until it is stopped."""

    name = "blobstore-memory"
    attach_settings_type: ClassVar[type[BlobSettings]] = BlobSettings

    def __init__(self, settings: Settings, now_ns: Callable[[], int] = time.time_ns) -> None:
        super().__init__(settings)
        self.store = MemoryStore(now_ns)

    async def open_store(self, settings: BlobSettings) -> MemoryStore:
        return self.store

    def store_key(self, settings: BlobSettings) -> object:
        """Whatever the links of the provider that it stands in for are told apart by."""
        return None
