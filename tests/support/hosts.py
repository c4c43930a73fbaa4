"""A real host with the guests of tests/guests on it, for tests of what guests can and cannot do."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import wasmtime

from lattice.actors import Actor, ActorSpec
from lattice.config import EngineSettings, Limits
from lattice.host import Host, HostSettings
from lattice.invocation import EntityId, Handler, Invocation, new_id
from lattice.links import Link
from lattice.security.settings import LOCAL, SecuritySettings

GUESTS = Path(__file__).parent.parent / "guests"
CONTRACT = "test:host"
"""What the guests call; `offer` links it."""


@cache
def guest_wasm(name: str) -> bytes:
    return bytes(wasmtime.wat2wasm((GUESTS / f"{name}.wat").read_text()))


def u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


class GuestHost:
    """A host, and ways to put guests on it and call them."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self._folder = folder

    async def start(self, name: str, *, key: str = "", alias: str = "", app: str = "test", **limits: Any) -> Actor:
        """Starts a guest of tests/guests; its key is its name unless another is given."""
        path = self._folder / f"{name}.wasm"
        path.write_bytes(guest_wasm(name))
        spec = ActorSpec(key=key or name, name=name, image=path, application=app, alias=alias, limits=Limits(**limits))
        return await self.host.actors.start(spec)

    def offer(self, handler: Handler, *callers: str, contract: str = CONTRACT, name: str = "default") -> None:
        """Registers a provider of one handler, and links the callers to it."""
        self.host.router.unregister(f"provider-{contract}")
        self.host.router.register(f"provider-{contract}", handler, contract=contract)
        for caller in callers:
            self.host.router.put_link(Link(caller, f"provider-{contract}", contract, name))

    async def call(
        self, key: str, payload: bytes = b"", *, operation: str = "Test.Op", timeout_s: float = 10.0, depth: int = 0
    ) -> bytes:
        """Calls as the host's owner."""
        return await self.host.pipeline(
            Invocation(
                origin=EntityId(self.host.key),
                contract="",
                operation=operation,
                payload=payload,
                id=new_id(),
                deadline=time.monotonic() + timeout_s,
                target=EntityId(key),
                depth=depth,
            )
        )


@asynccontextmanager
async def guest_host(
    folder: Path, *, cache: Path | None = None, security: SecuritySettings = LOCAL, **engine: Any
) -> AsyncIterator[GuestHost]:
    settings = HostSettings(
        data=folder / "data", cache=cache, engine=EngineSettings(**engine), drain_s_max=5, security=security
    )
    async with Host(settings) as host:
        yield GuestHost(host, folder)


async def answer_with_payload(invocation: Invocation) -> bytes:
    """A provider that answers with what it is given."""
    return invocation.payload
