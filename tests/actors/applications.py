"""An application of this repository on a real host, on a free port, for tests that use it as its users do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from yarl import URL

from lattice.application import Deployment
from lattice.control import manifest
from lattice.host import Host, HostSettings
from lattice.invocation import EntityId, Invocation, new_id
from lattice.supervisor import Installed

ACTORS = Path(__file__).parents[2] / "actors"
ADDRESS = "127.0.0.1:8080"
"""Where the applications listen by their manifests."""


class RunningApplication:
    """`http` sends requests to the application's own address."""

    def __init__(self, host: Host, deployment: Deployment, http: aiohttp.ClientSession) -> None:
        self.http = http
        self._host = host
        self._deployment = deployment

    async def text(self, path: str) -> str:
        async with self.http.get(path) as response:
            assert response.status == 200, await response.text()
            return await response.text()

    async def call(self, component: str, operation: str, payload: bytes) -> bytes:
        """Calls an actor as the host's owner."""
        invocation = Invocation(
            origin=EntityId(self._host.key),
            contract="",
            operation=operation,
            payload=payload,
            id=new_id(),
            deadline=time.monotonic() + 10,
            target=EntityId(self._deployment.keys[component]),
        )
        return await self._host.pipeline(invocation)


@asynccontextmanager
async def application(
    path: Path, data: Path, *, cache: Path | None = None, **replaced: str
) -> AsyncIterator[RunningApplication]:
    """Deploys a manifest with another address, and with texts of it `replaced`, given as NAME="old -> new"."""
    text = path.read_text()
    for change in (f"{ADDRESS} -> 127.0.0.1:0", *replaced.values()):
        old, _, new = change.partition(" -> ")
        assert old in text, f"{path} has no {old!r} to replace"
        text = text.replace(old, new)
    wanted = manifest.parse(
        text, file=str(path), folder=path.parent, providers=Installed(), exists=lambda image: image.is_file()
    )
    async with Host(HostSettings(data=data, cache=cache, drain_s_max=5)) as host:
        deployment = await host.deploy(wanted)
        server = host.supervisor.get(deployment.keys["http"])
        assert server is not None
        async with aiohttp.ClientSession(URL(server.urls()[0]).origin()) as http:
            yield RunningApplication(host, deployment, http)


async def eventually(condition: Callable[[], Awaitable[bool]], timeout_s: float = 5.0) -> None:
    """Waits until a condition holds, and fails after `timeout_s`."""
    async with asyncio.timeout(timeout_s):
        while not await condition():
            await asyncio.sleep(0.02)
