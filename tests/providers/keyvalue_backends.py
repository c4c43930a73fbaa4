"""The key-value backends as the tests see them: real servers, and how to link an actor to a namespace of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lattice_keyvalue import KeyValueProvider
from lattice_keyvalue_memory import KeyValueMemory
from lattice_keyvalue_nats import KeyValueNats
from lattice_keyvalue_redis import KeyValueRedis
from lattice_keyvalue_sqlite import KeyValueSqlite

from lattice.testing import ProviderRig, provider_rig
from tests.support.servers import Server, nats_server, redis_server

NAMES = ("memory", "sqlite", "redis", "nats")


@dataclass
class Backend:
    """One backend; `server` is None when it is embedded."""

    name: str
    provider_type: type[KeyValueProvider]
    data: Path
    server: Server | None = None
    settings: dict[str, str] = field(default_factory=dict)

    def link(self) -> dict[str, str]:
        """Settings of a link to a namespace that nobody else has."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        return {"prefix": f"{name}:"} if self.name == "redis" else {"bucket": name}

    @asynccontextmanager
    async def rig(self, **settings: str) -> AsyncIterator[ProviderRig]:
        async with provider_rig(self.provider_type, self.data, **(self.settings | settings)) as rig:
            yield rig


def start_backend(name: str, folder: Path) -> Iterator[Backend]:
    """For a fixture of any scope. Skips when the server is not installed."""
    data = folder / "data"
    data.mkdir()
    embedded: dict[str, type[KeyValueProvider]] = {"memory": KeyValueMemory, "sqlite": KeyValueSqlite}
    if name in embedded:
        yield Backend(name, embedded[name], data)
        return
    provider_type, run = {"redis": (KeyValueRedis, redis_server), "nats": (KeyValueNats, nats_server)}[name]
    with run(folder) as server:
        yield Backend(name, provider_type, data, server, {"url": server.url})


def one_backend(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    yield from start_backend(name, tmp_path_factory.mktemp(f"keyvalue-{name}"))
