"""Settings and life of the SQLite provider, and its regular work."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pydantic
from lattice_keyvalue import KeyValueProvider

from lattice.errors import CallError
from lattice.provider import Link, Settings
from lattice_keyvalue_sqlite.bucket import SqliteBucket
from lattice_keyvalue_sqlite.store import Durability, Store

FLUSH_INTERVAL_S = 1.0
"""How much a loss of power may take with `durability: crash`. A flush costs the disk some milliseconds."""
LOG_BYTES_MAX = 16 * 1024 * 1024
"""The log is moved into the database file when it is longer; between two looks at it a busy provider may double it."""
SWEEP_COUNT = 500
"""Expired values removed at once, on the event loop: about 1 ms."""


class ProviderSettings(Settings):
    """For the provider as a whole; docs/providers/keyvalue-sqlite.md explains each."""

    path: Path = Path("keyvalue.db")
    durability: Durability = "crash"
    items_max: int = pydantic.Field(20_000, ge=1, le=10_000_000)
    sweep_interval_s: float = pydantic.Field(10.0, ge=0.05)


class LinkSettings(Settings):
    """For one link."""

    bucket: str = pydantic.Field("default", min_length=1, max_length=256)


class KeyValueSqlite(KeyValueProvider):
    """`builtin://keyvalue-sqlite`: all links share one file, each sees the keys of its bucket."""

    name = "keyvalue-sqlite"
    settings_type = ProviderSettings
    attach_settings_type = LinkSettings
    settings: ProviderSettings
    _store: Store | None = None
    _upkeep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        path = self.context.data / self.settings.path.expanduser()
        store = Store(path, self.settings.durability, self.settings.items_max, self.context.log)
        await store.open()
        self._store = store
        self._stopping = asyncio.Event()
        self._upkeep = self.context.spawn(self._keep_up(store), "upkeep")

    async def attach(self, link: Link, settings: LinkSettings) -> SqliteBucket:
        assert self._store is not None
        return SqliteBucket(self._store, settings.bucket)

    async def health(self) -> None:
        assert self._store is not None
        self._store.check()

    async def stop(self) -> None:
        store, self._store = self._store, None
        if store is None:
            return
        if self._upkeep is not None:
            # Not cancelled: its threads would go on, with connections that are about to be closed.
            self._stopping.set()
            await asyncio.wait([self._upkeep])
        await store.close()

    async def _keep_up(self, store: Store) -> None:
        """Flushes, trims the log and removes what has expired, until `stop`."""
        pause_s = min(FLUSH_INTERVAL_S, self.settings.sweep_interval_s)
        next_sweep = time.monotonic() + self.settings.sweep_interval_s
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
            except TimeoutError:
                pass
            await store.flush()
            await store.trim_log(LOG_BYTES_MAX)
            if time.monotonic() >= next_sweep:
                await self._sweep(store)
                next_sweep = time.monotonic() + self.settings.sweep_interval_s

    async def _sweep(self, store: Store) -> None:
        removed = SWEEP_COUNT
        try:
            # Each round is a batch of its own, so that writers come between them.
            while removed == SWEEP_COUNT and not self._stopping.is_set():
                removed = await store.write(store.tables.sweep, SWEEP_COUNT)
        except CallError as error:
            self.context.log.warning("expired values stay for now: %s", error)
