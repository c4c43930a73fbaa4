"""A whole lattice in one process and in virtual time: hosts at several sites, what operators change, and things that go
wrong. `promises` says what has to hold.

Everything that decides is what real hosts run: membership, lease, plan, store, routing, retries. What is not: NATS
(`network`, `memory_store`), actors and providers (`simulated_host`), and time (`clock`).
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Iterator

import msgspec

from lattice import errors
from lattice.control.records import ApplicationRecord, Step, Version
from lattice.control.state import Wanted
from lattice.links import Link
from lattice.security.keys import KeyPair
from lattice.security.settings import ClusterTrust, ControlTrust, SecuritySettings
from lattice.testing.faults import Fault
from lattice.testing.memory_store import Cluster
from lattice.testing.network import Network, Weather, now
from lattice.testing.simulated_host import SimulatedHost

SITES = ("east", "west", "witness")
LATTICE = "simulated"
CHANGE_S_MAX = 8.0


class Simulation:
    """`hosts` take turns at the first two sites; the third has a server alone. With an odd seed they sign what they say
    to each other."""

    def __init__(self, hosts: int, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 # a run can be had again
        random.seed(seed)  # what the parts draw from the common generator
        self.network = Network(SITES, self.chance)
        self.cluster = Cluster(self.network)
        self._security = _signed() if seed % 2 else SecuritySettings()
        self.hosts = {
            host.name: host
            for number in range(hosts)
            for host in [self._host(f"{SITES[number % 2]}-{number // 2:04}", SITES[number % 2])]
        }
        self.active: list[Fault] = []
        self._trace = hashlib.sha256()
        self._on_note: list[Callable[[str], None]] = []

    def _host(self, name: str, site: str) -> SimulatedHost:
        return SimulatedHost(self.network, self.cluster, name, site, LATTICE, {}, self._security)

    def on_note(self, noted: Callable[[str], None]) -> None:
        self._on_note.append(noted)

    def note(self, text: str) -> None:
        """Something happened that a second run of the same seed has to repeat."""
        line = f"{now():.6f} {text}"
        self._trace.update(line.encode())
        for noted in self._on_note:
            noted(line)

    @property
    def trace(self) -> str:
        """Equal for two runs in which the same happened at the same time."""
        return self._trace.hexdigest()[:16]

    async def start(self, within_s: float = 30.0) -> None:
        """Starts every host and waits until all have joined. Raises `TimeoutError`."""
        for host in self.hosts.values():
            host.start()
        async with asyncio.timeout(within_s):
            while not all(host.ready for host in self.hosts.values()):  # noqa: ASYNC110 # the time is virtual
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        await asyncio.gather(*(host.close() for host in self.hosts.values()))

    def ready(self) -> Iterator[SimulatedHost]:
        return (host for host in self.hosts.values() if host.ready)

    # What operators do.

    async def change(
        self, name: str, edit: Callable[[ApplicationRecord | None], ApplicationRecord | None], through: SimulatedHost
    ) -> bool:
        """Changes an application's record through a host; False when that was not acknowledged."""
        if through.joined is None:
            return False
        try:
            async with asyncio.timeout(CHANGE_S_MAX):
                await through.joined.store.change(name, edit)
        except (errors.LatticeError, errors.CallError, TimeoutError):
            return False
        return True

    # What goes wrong.

    def begin(self, fault: Fault) -> None:
        self.note(f"begins: {fault}")
        self.active.append(fault)
        network, where = self.network, fault.where
        match fault.kind:
            case "kill host":
                self.hosts[where[0]].kill()
            case "stop host":
                self.hosts[where[0]].stop()
            case "isolate host":
                self.hosts[where[0]].isolate()
            case "kill server":
                network.kill_server(where[0])
            case "cut":
                network.cut(*where)
            case "cut off site":
                for other in SITES:
                    if other != where[0]:
                        network.cut(where[0], other)
            case "weather":
                network.weather = fault.weather
            case "full store":
                self.cluster.fill(True)

    async def end(self, fault: Fault) -> None:
        self.note(f"ends: {fault}")
        network, where = self.network, fault.where
        match fault.kind:
            case "kill host" | "stop host":
                while self.hosts[where[0]].alive:
                    if self.hosts[where[0]].ready:
                        break  # it was not ready when it was told to stop
                    await asyncio.sleep(0.1)
                else:
                    self.hosts[where[0]].start()
            case "isolate host":
                self.hosts[where[0]].restore()
            case "kill server":
                network.start_server(where[0])
            case "cut":
                network.mend(*where)
            case "cut off site":
                for other in SITES:
                    if other != where[0]:
                        network.mend(where[0], other)
            case "weather":
                network.weather = Weather()
            case "full store":
                self.cluster.fill(False)
        self.active.remove(fault)


def deployed(
    version: str, wanted: tuple[Wanted, ...], links: tuple[Link, ...], step: str
) -> Callable[..., ApplicationRecord]:
    """An edit that puts a version up and writes `step` into the history."""

    def edit(record: ApplicationRecord | None) -> ApplicationRecord:
        before = record or ApplicationRecord(name=wanted[0].application, since="2026-01-01T00:00:00Z")
        new = Version(version=version, created=f"{now():.3f}", manifest="", wanted=wanted, links=links)
        done = Step(at=f"{now():.3f}", action=step, version=version)
        return msgspec.structs.replace(before, versions=(new,), deployed=version, history=(*before.history, done))

    return edit


def _signed() -> SecuritySettings:
    """One cluster key for all, and nobody else who may give orders."""
    pair = KeyPair("cluster", bytes(32))
    cluster = ClusterTrust(signing=pair, trusted=frozenset({pair.public}))
    return SecuritySettings(cluster=cluster, control=ControlTrust(signers=frozenset()))
