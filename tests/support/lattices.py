"""Hosts in this process that have joined a lattice over a real nats-server, and a tool that knows only the subjects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from lattice.host import Host, HostSettings
from lattice.security.keys import KeyPair
from lattice.security.settings import LOCAL, ActorTrust, ClusterTrust, ControlTrust, SecuritySettings
from lattice.transport.nats import NatsTransport, connect
from lattice.transport.settings import NatsSettings
from tests.support.hosts import guest_wasm

LATTICE = "test"


def cluster_key(number: int) -> KeyPair:
    return KeyPair("cluster", bytes([number]) * 32)


def signing(signing: KeyPair, *trusted: KeyPair, signers: frozenset[str] | None = None) -> SecuritySettings:
    """Settings of a host that runs what it is given and signs its calls."""
    return SecuritySettings(
        actors=ActorTrust(unsigned=True),
        cluster=ClusterTrust(signing=signing, trusted=frozenset(pair.public for pair in (signing, *trusted))),
        control=ControlTrust(signers=signers),
    )


class JoinedHost:
    """A host and the connection it joined by, which a test may cut."""

    def __init__(self, host: Host, transport: NatsTransport, folder: Path) -> None:
        self.host = host
        self.transport = transport
        self.folder = folder
        self.stop_asked: list[float | None] = []
        """What `host.stop` was asked with: these hosts are ended by their tests."""

    @property
    def key(self) -> str:
        return self.host.key

    @property
    def parts(self) -> Any:
        """Its membership: peers, store, lease, commands and so on."""
        assert self.host.joined is not None
        return self.host.joined

    def guest(self, name: str) -> str:
        """Writes a guest of tests/guests beside the host; returns its image reference."""
        path = self.folder / f"{name}.wasm"
        if not path.exists():
            path.write_bytes(guest_wasm(name))
        return f"file://{path}"


@asynccontextmanager
async def joined_host(
    url: str,
    folder: Path,
    name: str,
    *,
    lattice: str = LATTICE,
    drain_s_max: float = 5.0,
    security: SecuritySettings = LOCAL,
    cache: Path | None = None,
    **labels: str,
) -> AsyncIterator[JoinedHost]:
    """Starts a host and stops it at the end. Its `cache` is its own unless another is given."""
    folder.mkdir(parents=True, exist_ok=True)
    transport = await connect(NatsSettings(urls=(url,)))
    settings = HostSettings(
        data=folder / "data",
        cache=cache or folder / "cache",
        lattice=lattice,
        name=name,
        labels=labels,
        drain_s_max=drain_s_max,
        security=security,
    )
    host = Host(settings, transport)
    joined = JoinedHost(host, transport, folder)
    joined.parts.stop_requested = joined.stop_asked.append
    try:
        await host.start()
        yield joined
    finally:
        await host.stop()
        await transport.close()


class Tool:
    """A client as strangers write them: a NATS connection, JSON, and subjects spelled out."""

    def __init__(self, client: Client, lattice: str) -> None:
        self.client = client
        self._lattice = lattice
        self.events: list[dict[str, Any]] = []
        """Everything on `wasmbus.evt`, in the order of arrival; `subject` is added."""

    async def ctl(self, words: str, body: Any = None, *, timeout_s: float = 5.0) -> dict[str, Any]:
        """One request of the control interface, `body` as JSON (bytes as they are), and its first answer."""
        return await self.ask(f"wasmbus.ctl.v1.{self._lattice}.{words}", body, timeout_s=timeout_s)

    async def model(self, words: str, body: Any = None, *, timeout_s: float = 10.0) -> dict[str, Any]:
        """One request about applications."""
        return await self.ask(f"wadm.api.{self._lattice}.model.{words}", body, timeout_s=timeout_s)

    async def ask(self, subject: str, body: Any = None, *, timeout_s: float = 5.0) -> dict[str, Any]:
        answer = await self.client.request(subject, _bytes(body), timeout=timeout_s)
        found = json.loads(answer.data)
        assert isinstance(found, dict), found
        return found

    async def ctl_all(self, words: str, body: Any = None, *, wait_s: float = 0.3) -> list[dict[str, Any]]:
        """Every answer that comes in time."""
        found: list[dict[str, Any]] = []

        async def answered(message: Msg) -> None:
            if message.data:
                found.append(json.loads(message.data))

        inbox = self.client.new_inbox()
        subscription = await self.client.subscribe(inbox, cb=answered)
        await self.client.publish(f"wasmbus.ctl.v1.{self._lattice}.{words}", _bytes(body), reply=inbox)
        await asyncio.sleep(wait_s)
        await subscription.unsubscribe()
        return found

    async def event(self, name: str, within_s: float = 10.0, **data: Any) -> dict[str, Any]:
        """The first event of this name, since `events` was cleared, whose data has these fields."""

        def found() -> dict[str, Any] | None:
            for event in self.events:
                if event["type"] == f"com.wasmcloud.lattice.{name}" and data.items() <= event["data"].items():
                    return event
            return None

        await until(lambda: found() is not None, within_s, f"{name} {data}, heard {self.events}")
        event = found()
        assert event is not None
        return event


@asynccontextmanager
async def tool(url: str, lattice: str = LATTICE) -> AsyncIterator[Tool]:
    client = await nats.connect(url)
    found = Tool(client, lattice)

    async def heard(message: Msg) -> None:
        found.events.append({**json.loads(message.data), "subject": message.subject})

    try:
        await client.subscribe(f"wasmbus.evt.{lattice}.*", cb=heard)
        await client.flush()
        yield found
    finally:
        await client.close()


async def until(condition: Callable[[], Any], within_s: float = 10.0, what: str = "it") -> None:
    """Waits for a condition that changes by what runs in this process."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {what}") from None


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    return body if isinstance(body, bytes) else json.dumps(body).encode()
