"""The actors that run here: read, admit, compile, prove, register; replace under load; stop.

The life of an image: file -> digest -> container -> claims -> compiled code (from the cache, or compiled in a thread)
-> guest -> pool -> the router. A replacement goes the same way beside the old revision and takes its place in one
assignment; the old one finishes what it has begun.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from lattice import errors
from lattice.artifacts.actor_image import ActorImage, in_file, read_image
from lattice.artifacts.cache import CompiledCache
from lattice.config import Limits, Surroundings
from lattice.contracts.known import CONTRACTS
from lattice.deadline import Deadlines
from lattice.guests import INLINE_READ_BYTES_MAX, Guests
from lattice.invocation import Handler, Invocation
from lattice.router import Router
from lattice.security import admission
from lattice.security.claims import Claims
from lattice.security.settings import ActorTrust
from lattice.wasm.engine import Engine
from lattice.wasm.guest import ActorContext
from lattice.wasm.nature import Nature
from lattice.wasm.pool import Pool

_log = logging.getLogger("lattice.actors")

START_S_MAX = 30.0
"""An actor's own start functions; interpreters take about a second."""
DRAIN_S_MAX = 60.0
"""How long a replaced revision may finish its calls."""
CUT_OFF_S_MAX = 5.0
"""How long calls that were cut off may take to end: what they wait for may have something to put away."""


OF_PROVIDERS: Mapping[str, str] = {
    operation.name: contract.id for contract in CONTRACTS.values() for operation in contract.actor_operations
}
"""What providers ask of actors, and by which contract."""


def require_fitting(invocation: Invocation) -> None:
    """Who reaches an actor along a link for one contract does not speak there as a provider of another one. Raises
    `errors.NotGranted`."""
    wanted = OF_PROVIDERS.get(invocation.operation)
    if wanted is None:
        return
    along = invocation.target.contract if invocation.target is not None else ""
    if not along and ":" in invocation.contract:
        along = invocation.contract
    if along not in ("", wanted):
        raise errors.NotGranted(
            f"{invocation.operation} is of {wanted}, and {invocation.origin.key} has a link for {along}",
            remedy=f"link them by {wanted}",
        )


class ActorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted. `key` is used by an unsigned module; a signed one has the key of its claims. An `alias` stands
    above that of the claims."""

    key: str
    name: str
    image: Path
    application: str = ""
    alias: str = ""
    limits: Limits = Limits()
    surroundings: Surroundings = Surroundings()
    reference: str = ""
    """The image as it was asked for, for policy; "" when the file is all there is."""


PermitStart: TypeAlias = Callable[[str, ActorSpec, Claims | None], Awaitable[None]]
"""Raises `errors.Denied` for an actor, by its key, that may not start here."""


async def permit_any(_key: str, _spec: ActorSpec, _claims: Claims | None) -> None:
    """The rule of a host without a policy."""


class Revision(msgspec.Struct, frozen=True):
    """One image of an actor, loaded. `claims` were verified, with the token that has them; None and b"" for a module
    that is not signed."""

    image: Path
    digest: str
    claims: Claims | None
    token: bytes
    from_cache: bool
    pool: Pool
    interfaces: frozenset[str] | None = None


class Actor:
    """One running actor: a `Handler` that keeps its limits, in front of its current revision."""

    def __init__(self, key: str, alias: str, spec: ActorSpec, revision: Revision, deadlines: Deadlines) -> None:
        self.key = key
        self.alias = alias
        self.spec = spec
        self.revision = revision
        self._within = deadlines.within
        self.replacing = asyncio.Lock()
        self.started_at = time.time()
        self.status: Literal["running", "draining"] = "running"

    def in_pieces(self, operation: str) -> bool:
        """See `router.InPieces`. Its next revision may be of another kind."""
        return self.revision.pool.in_pieces(operation)

    async def handle(self, invocation: Invocation) -> bytes:
        """Answers one call within the actor's limits. Raises `errors.CallError`."""
        limits = self.spec.limits
        if not invocation.origin.contract:
            require_fitting(invocation)
        if len(invocation.payload) > limits.payload_bytes_max:
            raise errors.PayloadTooLarge(
                f"a request of {len(invocation.payload)} bytes to {self.key} is over limits.payload"
                f" ({limits.payload_bytes_max} bytes)"
            )
        if invocation.depth > limits.depth_max:
            raise errors.CallDepthExceeded(f"{self.key} is called {invocation.depth} calls deep, over limits.depth")
        now = time.monotonic()
        deadline = now + limits.time_s_max
        # A caller's timer already covers a call that ends when the caller's does.
        covered = invocation.depth > 0 and invocation.deadline <= deadline
        deadline = min(deadline, invocation.deadline)
        if deadline <= now:
            raise errors.DeadlineExceeded(f"the call's deadline had passed before {self.key} got it")
        if self.status == "draining":
            raise errors.Draining(f"{self.key} is stopping")
        run = self.revision.pool.serve(invocation, deadline)
        return await (run if covered else self._within(run, deadline, self.key))


class Actors:
    """Every actor of this host. `trust` says which may run; another one counts from the next start or update on."""

    def __init__(
        self,
        engine: Engine,
        router: Router,
        outbound: Handler,
        cache: CompiledCache | None,
        trust: ActorTrust,
        permit: PermitStart = permit_any,
        nature: Callable[[str], Nature] = lambda _key: Nature(),
    ) -> None:
        """`nature` is what the guests of an actor, by its key, find."""
        self._nature = nature
        self.trust = trust
        self._permit = permit
        self._guests = Guests(engine, cache)
        self._router = router
        self._outbound = outbound
        self._deadlines = Deadlines()
        self._running: dict[str, Actor] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._starting: set[str] = set()
        self._on_revised: list[Callable[[], None]] = []

    def on_revised(self, revised: Callable[[], None]) -> None:
        """`revised` is called when a running actor has another image, and so may have other claims."""
        self._on_revised.append(revised)

    def __iter__(self) -> Iterator[Actor]:
        return iter(list(self._running.values()))

    def get(self, key: str) -> Actor | None:
        return self._running.get(key)

    def claims(self) -> list[tuple[str, Claims]]:
        """Those of the modules that carry a token, with the names of their components."""
        found = ((actor.spec.name, actor.revision.claims) for actor in self)
        return [(name, claims) for name, claims in found if claims is not None]

    async def start(self, spec: ActorSpec) -> Actor:
        """Admits an image, loads and registers it. Raises `errors.ArtifactError` (`errors.NotAdmitted` for one that may
        not run), `errors.GuestError`, `errors.ConfigError`, `errors.Denied`."""
        image = await self._read(spec.image)
        alias = spec.alias or (image.claims.alias if image.claims else "")
        try:
            key = admission.key_for(spec.key, image.claims)
            admission.require_alias(alias)
        except errors.NotAdmitted as error:
            raise in_file(spec.image, error) from error
        if key in self._running or key in self._starting:
            raise errors.ConfigError(
                f"{spec.name}: the actor {key} runs already",
                remedy="an actor is one component; use limits.instances for more concurrency",
            )
        self._starting.add(key)
        try:
            await self._permit(key, spec, image.claims)
            revision = await self._load(key, image, spec)
            actor = Actor(key, alias, spec, revision, self._deadlines)
            try:
                self._router.register(
                    key,
                    actor.handle,
                    application=spec.application,
                    alias=alias,
                    name=spec.name,
                    in_pieces=actor.in_pieces,
                )
            except errors.ConfigError:
                revision.pool.close()
                raise
            self._running[key] = actor
        finally:
            self._starting.discard(key)
        if image.claims is None:
            # What was fetched lies under its digest, which says nothing to anybody.
            file = image.path.name if image.path.suffix else spec.reference
            _log.warning("%s is not signed; anybody could have made it: lattice claims sign %s", spec.name, file)
        return actor

    async def replace(
        self,
        key: str,
        path: Path,
        limits: Limits | None = None,
        reference: str = "",
        surroundings: Surroundings | None = None,
    ) -> Revision:
        """Puts a new image in the place of a running one, without a call failing; the old one finishes what it has.
        `limits` and `surroundings` are new ones, None leaves them as they are; `reference` is what policy is told of
        the image.

        A new image that is not admitted, may not follow the running one (`admission.succession`), or does not compile
        or start changes nothing. Raises as `start`; and `errors.TargetUnknown`.
        """
        actor = self._get(key)
        async with actor.replacing:
            image = await self._read(path)
            self._succession(actor, image)
            spec = msgspec.structs.replace(
                actor.spec,
                image=path,
                limits=limits or actor.spec.limits,
                reference=reference,
                surroundings=surroundings or actor.spec.surroundings,
            )
            await self._permit(key, spec, image.claims)
            revision = await self._load(key, image, spec)
            if self._running.get(key) is not actor:
                revision.pool.close()
                raise errors.TargetUnknown(f"{key} was stopped while its new image was loaded")
            old, actor.revision, actor.spec = actor.revision, revision, spec
        for revised in self._on_revised:
            revised()
        task = asyncio.create_task(self._retire(key, old), name=f"retire:{key}")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        _log.info("%s now runs %s (%s)", key, path.name, revision.digest[:12])
        return revision

    async def succession(self, key: str, path: Path, *, back: bool) -> Literal["replace", "restart"]:
        """How an image may follow the running one; see `admission.succession`, also for `back`. Raises as `replace`,
        and changes nothing."""
        return self._succession(self._get(key), await self._read(path), back=back)

    def _succession(self, actor: Actor, image: ActorImage, back: bool = False) -> Literal["replace", "restart"]:
        claimed, running = image.claimed_key, actor.revision
        if claimed and claimed != actor.key:
            raise errors.ConfigError(f"{image.path} is another actor: its claims name {claimed}, not {actor.key}")
        same = image.digest == running.digest
        try:
            return admission.succession(running.claims, image.claims, self.trust, same=same, back=back)
        except errors.NotAdmitted as error:
            raise in_file(image.path, error) from error

    def _get(self, key: str) -> Actor:
        actor = self._running.get(key)
        if actor is None:
            raise errors.TargetUnknown(f"{key} is not running here")
        return actor

    def expire(self, key: str) -> None:
        """Ends the calls of an actor that wait, as if their deadline had come: for who has a time of its own."""
        self._deadlines.end(key)

    async def drain(self, key: str, deadline: float) -> bool:
        """Refuses new calls and waits for those that run; False when `deadline` came first."""
        actor = self._running[key]
        actor.status = "draining"
        self._router.drain(key)
        return await actor.revision.pool.drain(deadline)

    async def stop(self, key: str) -> None:
        """Takes an actor away, and cuts off the calls that still run; use `drain` before to wait for them."""
        actor = self._running.pop(key)
        actor.status = "draining"
        self._router.unregister(key)
        self._deadlines.end(key)
        await self._retire(key, actor.revision, CUT_OFF_S_MAX)

    async def close(self) -> None:
        for key in list(self._running):
            await self.stop(key)
        await asyncio.gather(*self._retiring)
        await self._guests.close()
        self._deadlines.close()

    async def _read(self, path: Path) -> ActorImage:
        """`read_image`, in a thread when the file is large: a small one is read faster than a thread is asked."""
        try:
            large = path.stat().st_size > INLINE_READ_BYTES_MAX  # noqa: ASYNC240  # a stat is not worth a thread
        except OSError:
            large = False
        if large:
            return await asyncio.to_thread(read_image, path, self.trust, time.time())
        return read_image(path, self.trust, time.time())

    async def _load(self, key: str, image: ActorImage, spec: ActorSpec) -> Revision:
        """Compiles and proves an image. What fails names the file."""
        try:
            return await self._proven(key, image, spec)
        except errors.LatticeError as error:
            raise in_file(image.path, error) from error

    async def _proven(self, key: str, image: ActorImage, spec: ActorSpec) -> Revision:
        def along(invocation: Invocation) -> Mapping[str, str]:
            link = self._router.link_of(invocation, key)
            return link.source_config if link is not None else {}

        context = ActorContext(key, self._outbound, spec.limits, spec.surroundings, along, self._nature(key))
        guest, from_cache = await self._guests.load(image, context)
        pool = Pool(guest, key, spec.limits)
        deadline = time.monotonic() + START_S_MAX
        try:
            await self._deadlines.within(pool.prove(deadline), deadline, f"the start of {key}")
        except BaseException:
            pool.close()
            raise
        return Revision(image.path, image.digest, image.claims, image.token, from_cache, pool, image.interfaces)

    async def _retire(self, key: str, revision: Revision, wait_s: float = DRAIN_S_MAX) -> None:
        if await revision.pool.drain(time.monotonic() + wait_s):
            revision.pool.close()
        else:
            # Its code cannot be freed under running calls; their own deadlines end them, and the process keeps it.
            _log.error("%s: a revision still has calls after %.0f s and is left behind", key, wait_s)
