"""A host without actors and providers: everything that joins a lattice is the real thing, what it would run is only
remembered, and answers calls with the name of the host."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from lattice import errors
from lattice.control.desired import LinkIdentity, identity
from lattice.control.state import ActorSeen, ProviderSeen, Wanted
from lattice.edge import persist
from lattice.invocation import EntityId, Handler, Invocation, new_id
from lattice.joined import Identity, Joined, Parts
from lattice.links import Link, LinkTable
from lattice.pipeline import Pipeline
from lattice.router import Router
from lattice.security.claims import Claims
from lattice.security.keys import KeyPair
from lattice.security.settings import SecuritySettings
from lattice.telemetry.metrics import Metrics
from lattice.testing.memory_store import Cluster
from lattice.testing.memory_transport import MemoryTransport
from lattice.testing.network import Network, now

_log = logging.getLogger("lattice.testing")

START_S = (0.02, 0.4)
CALL_S = (0.0005, 0.02)
DRAIN_S = 5.0


class SimulatedExecutor:
    """A `LatticeExecutor` that takes its time."""

    def __init__(self, key: str, router: Router, chance: random.Random) -> None:
        self._key = key
        self._router = router
        self._chance = chance
        self._actors: dict[str, ActorSeen] = {}
        self._providers: dict[str, ProviderSeen] = {}
        self._links: dict[LinkIdentity, Link] = {}
        self._on_change: list[Callable[[], None]] = []
        self._running = 0
        self._idle = asyncio.Event()
        self._dead = False
        self.refused: dict[str, str] = {}

    def kill(self) -> None:
        """Nothing is answered any more."""
        self._dead = True

    def on_change(self, changed: Callable[[], None]) -> None:
        self._on_change.append(changed)

    def _changed(self) -> None:
        for changed in self._on_change:
            changed()

    async def scale_actor(self, wanted: Wanted, count: int, annotations: dict[str, str]) -> None:
        seen = self._actors.get(wanted.key)
        if count <= 0:
            if seen is not None:
                await self._stop(wanted.key)
                del self._actors[wanted.key]
                self._changed()
            return
        if seen is None:
            await self._start(wanted)
            seen = _actor(wanted, count, annotations)
        self._actors[wanted.key] = msgspec.structs.replace(seen, count=count)
        self._changed()

    async def update_actor(self, wanted: Wanted, annotations: dict[str, str]) -> None:
        seen = self._actors.get(wanted.key)
        if seen is None:
            return
        await self._prepare()
        self._actors[wanted.key] = _actor(wanted, seen.count, annotations)
        self._changed()

    async def start_provider(self, wanted: Wanted, annotations: dict[str, str]) -> None:
        seen = self._providers.get(wanted.key)
        if seen is not None:
            if seen.fingerprint == wanted.fingerprint:
                return
            await self.stop_provider(wanted.key)
        await self._start(wanted)
        self._providers[wanted.key] = ProviderSeen(
            key=wanted.key,
            name=wanted.name,
            image=wanted.image,
            contract=wanted.contract,
            application=wanted.application,
            fingerprint=wanted.fingerprint if wanted.application else "",
            annotations=annotations,
        )
        self._changed()

    async def stop_provider(self, key: str) -> None:
        if key in self._providers:
            await self._stop(key)
            del self._providers[key]
            self._changed()

    async def _prepare(self) -> None:
        await asyncio.sleep(self._chance.uniform(*START_S))

    async def _start(self, wanted: Wanted) -> None:
        await self._prepare()
        if not self._dead:
            self._router.register(
                wanted.key, self._answer, contract=wanted.contract, application=wanted.application, alias=wanted.alias
            )

    async def _stop(self, key: str) -> None:
        self._router.drain(key)
        await asyncio.sleep(self._chance.uniform(*CALL_S))
        self._router.unregister(key)

    async def _answer(self, _invocation: Invocation) -> bytes:
        self._running += 1
        try:
            await asyncio.sleep(self._chance.uniform(*CALL_S))
            if self._dead:
                await asyncio.Event().wait()  # the process is gone in the middle of the call
            return self._key.encode()
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def apply_links(self, links: Sequence[Link]) -> None:
        wanted = {identity(link): link for link in links}
        for known in [known for known in self._links if known not in wanted]:
            self._router.delete_link(self._links.pop(known))
        for known, link in wanted.items():
            if self._links.get(known) != link:
                self._links[known] = link
                self._router.put_link(link)

    async def retry_refused(self) -> None:
        return

    def actors(self) -> list[ActorSeen]:
        return list(self._actors.values())

    def providers(self) -> list[ProviderSeen]:
        return list(self._providers.values())

    @property
    def links(self) -> int:
        return len(self._links)

    async def drain(self, deadline: float) -> bool:
        for key in [*self._actors, *self._providers]:
            self._router.drain(key)
        if self._running and not self._dead:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._idle.wait()
        for key in [*self._actors, *self._providers]:
            self._router.unregister(key)
        return not self._running


def _actor(wanted: Wanted, count: int, annotations: dict[str, str]) -> ActorSeen:
    return ActorSeen(
        key=wanted.key,
        name=wanted.name,
        image=wanted.image,
        count=count,
        application=wanted.application,
        alias=wanted.alias,
        fingerprint=wanted.fingerprint if wanted.application else "",
        annotations=annotations,
    )


class SimulatedHost:
    """One host of a simulated lattice, whose processes come and go."""

    def __init__(
        self,
        network: Network,
        cluster: Cluster,
        name: str,
        site: str,
        lattice: str,
        labels: dict[str, str],
        security: SecuritySettings,
    ) -> None:
        self.name = name
        self._pair = KeyPair("host", hashlib.sha256(name.encode()).digest())
        self.key = self._pair.public
        self.security = security
        self.site = site
        self._network = network
        self._cluster = cluster
        self._lattice = lattice
        self._labels = {"cloud": site, **labels}
        self._runs = 0
        self._tasks: dict[asyncio.Task[None], None] = {}
        self.transport: MemoryTransport | None = None
        self.joined: Joined | None = None
        self.executor: SimulatedExecutor | None = None
        self._way_in: Handler | None = None
        self.ready = False
        """Whether it has joined and was not told to go."""

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.transport is not None

    def start(self) -> None:
        """Starts a process, which joins as soon as it can."""
        assert not self.alive, f"{self.name} runs already"
        self._runs += 1
        sites = (self.site, *(site for site in self._network.sites if site != self.site))
        self.transport = MemoryTransport(self._network, self._cluster, f"{self.name}-{self._runs}", sites)
        chance = random.Random(self._network.chance.getrandbits(64))  # noqa: S311 # a run can be had again
        links, metrics = LinkTable(), Metrics()
        router = Router(links, operator=self.key)
        self.executor = SimulatedExecutor(self.key, router, chance)
        self._way_in = Pipeline(router.resolve, metrics)
        parts = Parts(
            executor=self.executor,
            router=router,
            inbound=Pipeline(router.resolve_here, metrics),
            providers={},
            own_claims=list,
            claimed_key=_no_key,
            token_of=lambda _key: "",
            verify_token=_unverified,
        )
        me = Identity(key=self.key, name=self.name, lattice=self._lattice, version="0", labels=dict(self._labels))
        self.joined = Joined(
            self.transport, me, parts, self._pair, self.security, boot=f"run{self._runs}", chance=chance
        )
        self.joined.stop_requested = lambda _timeout_s: self.stop()
        self._spawn(self._join(self.transport, self.joined))

    async def _join(self, transport: MemoryTransport, joined: Joined) -> None:
        """As `lattice host` does: it waits for servers, and a process that could not join is started again."""
        while transport is self.transport:
            if transport.state == "connected":
                try:
                    await joined.start()
                    self.ready = transport is self.transport
                    return
                except (errors.StoreUnavailable, errors.Unreachable):
                    if transport is self.transport:
                        self.kill()
                        await asyncio.sleep(1)
                        if not self.alive:
                            self.start()
                    return
            await asyncio.sleep(0.1)

    def kill(self) -> None:
        """As kill -9: nobody hears a good-bye."""
        transport, joined, executor = self.transport, self.joined, self.executor
        if transport is None or joined is None or executor is None:
            return
        self._forget()
        executor.kill()
        transport.die()
        self._spawn(_end(joined, 0.0))

    def stop(self) -> None:
        """As SIGTERM: it drains, and is gone then."""
        transport, joined = self.transport, self.joined
        if transport is None or joined is None or not self.ready:
            return
        self.ready = False

        async def leave() -> None:
            await _end(joined, DRAIN_S)
            await transport.close()
            if self.transport is transport:
                self._forget()

        self._spawn(leave())

    def isolate(self) -> None:
        """Nothing passes to or from it, and nobody is told."""
        if self.transport is not None:
            self.transport.isolate()

    def restore(self) -> None:
        if self.transport is not None:
            self.transport.restore()

    def _forget(self) -> None:
        self.transport = self.joined = self.executor = self._way_in = None
        self.ready = False

    async def call(self, origin: EntityId, target: str, timeout_s: float) -> bytes:
        """What a provider of this host does with a request that may be repeated, for an actor it is linked with.
        Raises `errors.CallError`."""
        assert self._way_in is not None, f"{self.name} does not run"
        return await persist(self._way_in, self.invocation(origin, target, timeout_s), repeatable=True)

    def invocation(self, origin: EntityId, target: str, timeout_s: float) -> Invocation:
        return Invocation(
            origin=origin,
            contract=origin.contract,
            operation="Test.Call",
            payload=b"",
            id=new_id(),
            deadline=now() + timeout_s,
            target=EntityId(target),
        )

    async def close(self) -> None:
        """Ends whatever runs."""
        self.kill()
        while self._tasks:
            await asyncio.gather(*list(self._tasks), return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=self.name)
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: %s: %s", self.name, type(error).__name__, error, exc_info=error)


async def _end(joined: Joined, drain_s: float) -> None:
    with contextlib.suppress(errors.CallError, errors.LatticeError):
        await joined.stop(now() + drain_s)


def _unverified(_token: str) -> Claims:
    raise errors.NotAdmitted("actors of a simulation are not signed")


async def _no_key(_reference: str) -> str:
    return ""
