"""Calls that may be repeated, made at random hosts of a simulated lattice while things go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from lattice import errors
from lattice.invocation import EntityId
from lattice.testing.network import now
from lattice.testing.simulated_host import SimulatedHost
from lattice.testing.simulation import Simulation

CALL_EVERY_S = 0.05
CALL_S_MAX = 10.0
EDGE = EntityId("provider", "test:contract", "default")
"""Who calls: a provider that every actor is linked with."""
KNOWN_S = 5.0
"""How long a copy has to be in reach before a call, for the call to be owed an answer: news travel."""
LOOK_EVERY_S = 0.1


class Calls(msgspec.Struct):
    """`excused` failed while no copy was in reach all the time."""

    answered: int = 0
    excused: int = 0
    failed: list[str] = []


class Reach:
    """Since when each host's copies can be reached from each other host."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._ways: dict[tuple[str, str], float] = {}
        self._copies: dict[tuple[str, str], float] = {}

    def look(self) -> None:
        simulation, time = self._simulation, now()
        ready = list(simulation.ready())
        ways = {
            (one.name, other.name): time
            for one in ready
            for other in ready
            if one is other or _passes(simulation, one, other)
        }
        self._ways = {pair: self._ways.get(pair, time) for pair in ways}
        copies = {
            (host.name, actor.key): time
            for host in ready
            if host.executor is not None
            for actor in host.executor.actors()
        }
        self._copies = {pair: self._copies.get(pair, time) for pair in copies}

    def owed(self, entry: SimulatedHost, key: str, began: float) -> bool:
        """Whether a call from `entry` that began then had to be answered by now."""
        before = began - KNOWN_S
        return any(
            since <= before and self._ways.get((entry.name, host), began) <= before
            for (host, copy), since in self._copies.items()
            if copy == key
        )


def _passes(simulation: Simulation, one: SimulatedHost, other: SimulatedHost) -> bool:
    here, there = one.transport, other.transport
    if here is None or there is None or not (here.hears and there.hears):
        return False
    return here.site == there.site or simulation.network.joined(here.site, there.site)


class Load:
    """`keys` tells what can be called at the moment."""

    def __init__(self, simulation: Simulation, keys: Callable[[], list[str]]) -> None:
        self._simulation = simulation
        self._keys = keys
        self._reach = Reach(simulation)
        self._running: dict[asyncio.Task[None], None] = {}
        self.calls = Calls()

    async def run(self) -> None:
        """Until cancelled."""
        looked = float("-inf")
        while True:
            if now() - looked >= LOOK_EVERY_S:
                self._reach.look()
                looked = now()
            ready, keys = list(self._simulation.ready()), self._keys()
            if ready and keys:
                entry = self._simulation.chance.choice(ready)
                task = asyncio.create_task(self._call(entry, self._simulation.chance.choice(keys)))
                self._running[task] = None
                task.add_done_callback(self._running.pop)
            await asyncio.sleep(CALL_EVERY_S)

    async def finish(self) -> None:
        """Waits for the calls that run."""
        while self._running:
            await asyncio.gather(*list(self._running))

    async def _call(self, entry: SimulatedHost, key: str) -> None:
        began, process = now(), entry.transport
        try:
            async with asyncio.timeout(CALL_S_MAX + 1):
                await entry.call(EDGE, key, CALL_S_MAX)
        except (errors.CallError, TimeoutError) as error:
            self._reach.look()
            if entry.transport is process and entry.ready and self._reach.owed(entry, key, began):
                told = f"a call of {key} at {entry.name} from {began:.2f} to {now():.2f} s: {error}"
                self._simulation.note(told)
                self.calls.failed.append(told)
            else:
                self.calls.excused += 1
            return
        self.calls.answered += 1
