"""One run of a simulated lattice for a seed, and a search over seeds for one in which a promise is broken.

A run: hosts join, an application is deployed, and while it is called and changed, things go wrong; then all is made
whole, and 15 s later everything has to be as it was asked.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import msgspec

from lattice.control.manifest.records import Scaling, Spread
from lattice.control.records import unpack
from lattice.control.state import Wanted
from lattice.links import Link
from lattice.testing import clock
from lattice.testing.faults import Fault, schedule
from lattice.testing.load import EDGE, Load
from lattice.testing.network import now
from lattice.testing.promises import OneEpochOneHolder, copies_missing, differences
from lattice.testing.simulation import LATTICE, SITES, Simulation, deployed

APPLICATION = "simulated"
SETTLE_S = 20.0
"""From the start until things go wrong."""
WHOLE_S_MAX = 15.0
"""After everything was mended, until all is as it shall be."""
STAYS_S = 5.0
REPLACED_S_MAX = 3.0
RETURNED_S_MAX = 10.0
LOOK_EVERY_S = 0.1
CHANGE_EVERY_S = (1.0, 8.0)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    hosts: int = 6
    seconds: float = 60.0
    """How long things go wrong."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """`whole_s`: after the mending, until all was as it shall be. `replaced_s` and `returned_s` are of faults that came
    alone."""

    seed: int
    broken: tuple[str, ...]
    faults: tuple[str, ...]
    answered: int
    excused: int
    changes: int
    epochs: int
    whole_s: float
    replaced_s: tuple[float, ...]
    returned_s: tuple[float, ...]
    messages: int
    trace: str


def run(seed: int, settings: Settings | None = None, told: Callable[[str], None] | None = None) -> Result:
    """The same seed and settings give the same result, in processes with the same PYTHONHASHSEED."""
    return clock.run(lambda: _Run(seed, settings or Settings(), told).result())


class _Run:
    def __init__(self, seed: int, settings: Settings, told: Callable[[str], None] | None) -> None:
        self._seed = seed
        self._settings = settings
        self._chance = random.Random(seed ^ 0x5EED)  # noqa: S311 # a run can be had again
        self._simulation = Simulation(settings.hosts, seed)
        if told is not None:
            self._simulation.on_note(told)
        self._lease = OneEpochOneHolder()
        self._load = Load(self._simulation, self._keys)
        self._broken: list[str] = []
        self._acknowledged: list[str] = []
        self._edits = 0
        self._wanted: tuple[Wanted, ...] = ()
        self._replaced: list[float] = []
        self._returned: list[float] = []

    async def result(self) -> Result:
        simulation = self._simulation
        faults = schedule(self._chance, list(simulation.hosts), SITES, SETTLE_S, self._settings.seconds)
        watch = asyncio.create_task(self._watch(), name="watch")
        try:
            await simulation.start()
            while not await self._deploy():  # noqa: ASYNC110 # until somebody takes it
                await asyncio.sleep(0.5)
            load = asyncio.create_task(self._load.run(), name="load")
            changes = asyncio.create_task(self._change(), name="changes")
            await asyncio.gather(*(self._break(fault) for fault in faults))
            changes.cancel()
            whole_s = await self._whole()
            self._kept()
            load.cancel()
            await self._load.finish()
            watch.cancel()
            await asyncio.gather(load, changes, watch, return_exceptions=True)
        finally:
            await simulation.close()
        return Result(
            seed=self._seed,
            broken=(*self._broken, *self._load.calls.failed, *self._lease.broken),
            faults=tuple(map(str, faults)),
            answered=self._load.calls.answered,
            excused=self._load.calls.excused,
            changes=len(self._acknowledged),
            epochs=self._lease.epochs,
            whole_s=whole_s,
            replaced_s=tuple(self._replaced),
            returned_s=tuple(self._returned),
            messages=simulation.network.traffic.messages,
            trace=simulation.trace,
        )

    def _breaks(self, promise: str) -> None:
        self._simulation.note(f"broken: {promise}")
        self._broken.append(promise)

    async def _watch(self) -> None:
        while True:
            self._lease.look(self._simulation)
            await asyncio.sleep(LOOK_EVERY_S)

    # The application.

    def _keys(self) -> list[str]:
        return [one.key for one in self._wanted if one.kind == "actor"]

    def _draw(self) -> tuple[Wanted, ...]:
        """Components as the next version of the manifest has them."""
        chance, number = self._chance, self._edits
        both = (
            Spread(name="east", requirements={"cloud": "east"}),
            Spread(name="west", requirements={"cloud": "west"}),
        )
        spreads: tuple[tuple[Spread, ...], ...] = (
            (),
            both,
            (both[0],),
            (both[0], msgspec.structs.replace(both[1], fallback="none")),
        )

        def image(name: str) -> str:
            return f"file:///{name}-{number if chance.random() < 0.5 else 0}.wasm"

        common: dict[str, Any] = {"application": APPLICATION, "version": f"v{number}"}
        actors = tuple(
            Wanted(
                key=f"actor{place}",
                name=f"actor{place}",
                kind="actor",
                image=image("actor"),
                scaling=Scaling(replicas=chance.randint(2, 6), spread=both if place == 0 else chance.choice(spreads)),
                **common,
            )
            for place in range(3)
        )
        provider = Wanted(
            key=EDGE.key,
            name="provider",
            kind="provider",
            image=image("provider"),
            contract=EDGE.contract,
            scaling=Scaling(replicas=chance.randint(1, 3), on_every_host=chance.random() < 0.3),
            **common,
        )
        return (*actors, provider)

    async def _deploy(self) -> bool:
        """Puts another version up through some host; what was acknowledged is to be there in the end."""
        self._edits += 1
        wanted, step = self._draw(), f"edit{self._edits}"
        links = tuple(Link(source=one.key, target=EDGE.key, contract=EDGE.contract) for one in wanted[:-1])
        ready = list(self._simulation.ready())
        if not ready:
            return False
        through = self._chance.choice(ready)
        if not await self._simulation.change(APPLICATION, deployed(f"v{self._edits}", wanted, links, step), through):
            return False
        self._simulation.note(f"{step} was acknowledged by {through.name}")
        self._acknowledged.append(step)
        self._wanted = wanted
        return True

    async def _change(self) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(*CHANGE_EVERY_S))
            if not any(fault.alone for fault in self._simulation.active):
                await self._deploy()

    # What goes wrong.

    async def _break(self, fault: Fault) -> None:
        simulation = self._simulation
        await asyncio.sleep(max(0.0, fault.at - now()))
        measured = fault.alone and fault.kind == "kill host" and not self._missing() and not simulation.active
        simulation.begin(fault)
        if measured and fault.until - fault.at > REPLACED_S_MAX:
            what = f"after {fault} everything ran elsewhere"
            await self._measure(self._replaced, REPLACED_S_MAX, what, self._copies_missing)
        await asyncio.sleep(max(0.0, fault.until - now()))
        await simulation.end(fault)
        if measured:
            what = f"{fault.where[0]} came back and had its share"
            await self._measure(self._returned, RETURNED_S_MAX, what, self._missing)

    def _copies_missing(self) -> list[str]:
        ready = next((host for host in self._simulation.ready() if host.joined is not None), None)
        if ready is None or ready.joined is None:
            return ["no host is ready"]
        return copies_missing(self._simulation, ready.joined.store.desired)

    def _missing(self) -> list[str]:
        ready = self._simulation.ready()
        return self._copies_missing() + [
            f"{host.name} would act"
            for host in ready
            if host.joined is not None and host.joined.reconciler.planned().actions
        ]

    async def _measure(
        self, found: list[float], within_s: float, what: str, missing_now: Callable[[], list[str]]
    ) -> None:
        """Waits until all copies are there, for as long as nothing else is wrong."""
        began, calm = now(), len(self._simulation.active)
        while missing := missing_now():
            if len(self._simulation.active) > calm:
                return
            if now() - began > within_s:
                self._breaks(f"not within {within_s:g} s: {what}: {missing[:3]}")
                return
            await asyncio.sleep(LOOK_EVERY_S / 5)
        found.append(round(now() - began, 2))

    # The end.

    async def _whole(self) -> float:
        """Waits until all is as it shall be, and looks whether it stays so."""
        began = now()
        while left := differences(self._simulation):
            if now() - began > WHOLE_S_MAX:
                for difference in left[:5]:
                    self._breaks(f"{WHOLE_S_MAX:g} s after the mending: {difference}")
                break
            await asyncio.sleep(LOOK_EVERY_S)
        whole_s = round(now() - began, 2)
        await asyncio.sleep(STAYS_S)
        if not left:
            for difference in differences(self._simulation)[:5]:
                self._breaks(f"all was well and did not stay so: {difference}")
        return whole_s

    def _kept(self) -> None:
        """Looks for every change that was acknowledged."""
        entry = self._simulation.cluster.stream(f"KV_MANIFESTS_{LATTICE}").values.get(APPLICATION)
        assert entry is not None
        assert entry.value is not None
        steps = [step.action for step in unpack(entry.value).history]
        for step in self._acknowledged:
            if steps.count(step) != 1:
                self._breaks(f"{step} was acknowledged and is there {steps.count(step)} times")
        for step in set(steps) - set(self._acknowledged):
            if steps.count(step) != 1:
                self._breaks(f"{step} is there {steps.count(step)} times")
