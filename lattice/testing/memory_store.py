"""Replicated buckets in memory: a leader for each, elections, replicas that lag, answers that are lost, no room.

A write counts when a majority of the sites' servers can be reached by the leader's. What was acknowledged stays; what
was not may be there all the same.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from lattice import errors
from lattice.testing.network import LOCAL_S, Network, now
from lattice.transport.transport import Entry, State

ELECTION_S = (0.5, 4.0)
"""How long a bucket has no leader after it lost the last one; elections that fail are begun anew."""
CATCH_UP_S = 0.3


class Client(Protocol):
    """The connection that a bucket is used through."""

    site: str

    @property
    def state(self) -> State: ...

    @property
    def isolated(self) -> bool: ...


class Stream:
    """The values of one bucket: one log that was agreed on, and how far the server of each site has it."""

    def __init__(self, network: Network, name: str) -> None:
        self.network = network
        self.name = name
        self.full = False
        self.values: dict[str, Entry] = {}
        self.revision = 0
        self._log: list[Entry] = []
        self._applied = dict.fromkeys(network.sites, 0)
        self._leader = network.chance.choice(network.sites)
        self._electing: asyncio.TimerHandle | None = None
        network.watch(self)
        self.network_changed()

    @property
    def leader(self) -> str:
        """The site whose server takes writes, "" while there is none."""
        return self._leader

    def network_changed(self) -> None:
        if self._leader and not self._has_majority(self._leader):
            self._leader = ""
        if not self._leader:
            self._elect_later()
        self._spread()

    def _has_majority(self, site: str) -> bool:
        sites = self.network.sites
        reached = sum(other == site or self.network.joined(site, other) for other in sites)
        return self.network.is_up(site) and 2 * reached > len(sites)

    def _elect_later(self) -> None:
        if self._electing is None:
            after_s = self.network.chance.uniform(*ELECTION_S)
            self._electing = asyncio.get_running_loop().call_later(after_s, self._elect)

    def _elect(self) -> None:
        """Only a server that has everything which was agreed on can win, and a majority always has one."""
        self._electing = None
        able = [site for site in self.network.sites if self._has_majority(site)]
        if able:
            self._leader = self.network.chance.choice(able)
            self._applied[self._leader] = len(self._log)
            self._spread()
        # Without a majority nothing can be elected until the network changes, which asks again.

    def _spread(self) -> None:
        """Sends what they lack to the replicas that the leader reaches."""
        for site in self.network.sites:
            if self._leader and self._applied[site] < len(self._log) and self.network.joined(self._leader, site):
                after_s = CATCH_UP_S if self._applied[site] < len(self._log) - 1 else self.network.weather.site_delay_s
                asyncio.get_running_loop().call_later(after_s, self._apply, site, len(self._log))

    def _apply(self, site: str, length: int) -> None:
        if self._leader and (site == self._leader or self.network.joined(self._leader, site)):
            self._applied[site] = max(self._applied[site], length)

    def append(self, key: str, value: bytes | None) -> Entry:
        self.revision += 1
        entry = Entry(key, value, self.revision)
        self.values[key] = entry
        self._log.append(entry)
        self._applied[self._leader] = len(self._log)
        self._spread()
        return entry

    def read(self, site: str, after: int) -> list[Entry]:
        """The newest entry of each key that the replica of a site knows."""
        newest: dict[str, Entry] = {}
        for entry in self._log[after : self._applied[site]]:
            newest.pop(entry.key, None)
            newest[entry.key] = entry
        return list(newest.values())


class Cluster:
    """All streams of a network."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._streams: dict[str, Stream] = {}
        self._full = False

    def stream(self, name: str) -> Stream:
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(self.network, name)
            stream.full = self._full
        return stream

    def fill(self, full: bool) -> None:
        """Takes writes no more, or again."""
        self._full = full
        for stream in self._streams.values():
            stream.full = full


class _Use:
    """One client's use of one stream."""

    def __init__(self, stream: Stream, client: Client) -> None:
        self._stream = stream
        self._client = client

    async def _reach_leader(self, timeout_s: float) -> None:
        """Raises `errors.StoreUnavailable` after as long as it takes to know."""
        await self._travel(self._stream.leader, timeout_s)
        if not self._stream.leader:
            raise errors.StoreUnavailable(f"{self._stream.name} has no leader")

    async def _travel(self, site: str, timeout_s: float) -> None:
        """To a site's server."""
        client, network = self._client, self._stream.network
        if client.state != "connected":
            raise errors.StoreUnavailable("not connected")
        silent = client.isolated or (site and client.site != site and not network.joined(client.site, site))
        if silent or network.chance.random() < network.weather.loss:
            await asyncio.sleep(timeout_s)
            raise errors.StoreUnavailable(f"no answer within {timeout_s:g} s")
        delay_s = LOCAL_S if site in ("", client.site) else LOCAL_S + network.weather.site_delay_s
        await asyncio.sleep(delay_s + network.chance.random() * network.weather.jitter_s)

    async def _write(self, key: str, value: bytes | None, revision: int | None, timeout_s: float) -> int:
        """`revision`: the one that must be the newest; None takes any."""
        began = now()
        await self._reach_leader(timeout_s)
        if self._stream.full and value is not None:
            raise errors.StoreUnavailable("no room", remedy="make room")
        known = self._stream.values.get(key)
        newest = known.revision if known is not None and known.value is not None else 0
        if revision is not None and revision != newest:
            raise errors.Conflict(f"somebody else changed {key}")
        written = self._stream.append(key, value).revision
        left_s = timeout_s - (now() - began)
        await self._travel(self._client.site, max(0.0, left_s))  # the way back, on which an answer can be lost too
        return written


class MemoryBucket(_Use):
    """A `Bucket`."""

    async def open(self) -> None:
        """Raises `errors.StoreUnavailable`."""
        await self._reach_leader(5.0)

    async def changes(self, after: int, timeout_s: float = 5.0) -> list[Entry]:
        await self._travel(self._client.site, timeout_s)
        return self._stream.read(self._client.site, after)

    async def get(self, key: str, timeout_s: float = 5.0) -> Entry | None:
        await self._reach_leader(timeout_s)
        entry = self._stream.values.get(key)
        return entry if entry is not None and entry.value is not None else None

    async def put(self, key: str, value: bytes, timeout_s: float = 5.0) -> int:
        return await self._write(key, value, None, timeout_s)

    async def update(self, key: str, value: bytes | None, revision: int, timeout_s: float = 5.0) -> int:
        return await self._write(key, value, revision, timeout_s)

    async def delete(self, key: str, timeout_s: float = 5.0) -> None:
        await self._write(key, None, None, timeout_s)


class MemoryObjects(_Use):
    """`Objects`."""

    async def put(self, name: str, data: bytes | memoryview, timeout_s: float = 30.0) -> None:
        await self._write(name, bytes(data), None, timeout_s)

    async def get(self, name: str, timeout_s: float = 30.0, size_max: int | None = None) -> bytes:
        await self._reach_leader(timeout_s)
        entry = self._stream.values.get(name)
        if entry is None or entry.value is None:
            raise errors.TargetUnknown(f"there is no object {name}")
        if size_max is not None and len(entry.value) > size_max:
            raise errors.MalformedMessage(f"object {name} has {len(entry.value)} bytes, more than {size_max}")
        return entry.value

    async def delete(self, name: str, timeout_s: float = 5.0) -> None:
        await self._write(name, None, None, timeout_s)
