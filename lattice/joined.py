"""What a host is when it has joined a lattice: the parts that talk to others, built, started and stopped in order."""

from __future__ import annotations

import asyncio
import logging
import platform
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from lattice import errors, grants, subjects
from lattice.authentic import Authentic, VerifyToken
from lattice.control.applications import Applications
from lattice.control.claims import KeptClaims
from lattice.control.commands import Commands
from lattice.control.executor import Executor
from lattice.control.gate import Gate, SharedSeen
from lattice.control.health import Health
from lattice.control.interface import ControlInterface
from lattice.control.known import Known
from lattice.control.lease import Lease
from lattice.control.peers import Peers
from lattice.control.presence import Presence
from lattice.control.reconciler import Reconciler
from lattice.control.shutdown import ProviderShutdown
from lattice.control.state import HostSeen
from lattice.control.status import status
from lattice.control.store import Store
from lattice.inbound import Inbound
from lattice.invocation import Handler
from lattice.payloads import OBJECT_KEEP_S, Payloads
from lattice.remote import Remote
from lattice.router import Router
from lattice.security.claims import Claims
from lattice.security.control_tokens import HEADER
from lattice.security.keys import KeyPair
from lattice.security.sessions import Callers
from lattice.security.settings import SecuritySettings
from lattice.tasks import end_all
from lattice.telemetry.audit import Refused
from lattice.transport.transport import Headers, Transport

_log = logging.getLogger("lattice.host")

RETRY_LINKS_S = 1.0
"""Until a link that a provider refused is offered again: its address may have been in use."""
LEAVE_S = 0.3
"""Between saying that this host drains and ending what it has: others hear it and go elsewhere."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who a host is. `labels` may change while it runs."""

    key: str
    name: str
    lattice: str
    version: str
    labels: dict[str, str]


class LatticeExecutor(Executor, Protocol):
    """What does what a lattice tells this host, until it leaves."""

    async def retry_refused(self) -> None:
        """Offers the links again that were refused."""

    async def drain(self, deadline: float) -> bool:
        """Ends everything; False when `deadline`, a time of the loop, cut something off."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a host has whether it has joined a lattice or not. `inbound` is the way in for calls of other hosts,
    `providers` the contracts of those that could be started here, by name. `own_claims` are those of its actors, and
    `claimed_key` reads the key that the claims of a stored image name, "" for none. `token_of` gives the token of an
    actor here, "" for none, and `verify_token` the claims of one that another host sends."""

    executor: LatticeExecutor
    router: Router
    inbound: Handler
    providers: Mapping[str, str]
    own_claims: Callable[[], list[tuple[str, Claims]]]
    claimed_key: Callable[[str], Awaitable[str]]
    token_of: Callable[[str], str]
    verify_token: VerifyToken
    held: grants.ClaimsOf = lambda _key, _host: None
    """What is known of an actor's claims."""
    forget: Callable[[], None] = lambda: None
    """What was permitted has to be found out again."""
    refused: Refused = lambda _who, _what, _error: None


class Joined:
    """A host's membership of its lattice."""

    def __init__(
        self,
        transport: Transport,
        me: Identity,
        parts: Parts,
        pair: KeyPair,
        security: SecuritySettings,
        *,
        boot: str = "",
        chance: random.Random | None = None,
    ) -> None:
        """`pair` is the host's key, `security` says who may call and command it. `boot` tells this run of the host from
        others, `chance` spreads attempts; a simulation gives both. Raises `errors.ConfigError`."""
        require_cluster_key(security)
        self._transport = transport
        self._me = me
        self._security = security
        self._router, self._forget = parts.router, parts.forget
        self._boot = boot or secrets.token_hex(6)
        self._began = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        key, lattice = me.key, me.lattice
        self.executor = parts.executor
        self.presence = Presence(transport, lattice, key, self._boot, self._inventory, lambda: self.store.digest)
        self.peers = Peers(transport, lattice, key, self._boot, lambda: self.presence.own)
        self.store = Store(transport, lattice)
        lease = subjects.lease_bucket(lattice)
        self.lease = Lease(lambda: transport.bucket(lease), key, self._boot, self.peers, chance)
        self.authentic = Authentic(pair, self._boot, security.cluster, parts.verify_token, time.time)
        self.callers = Callers(key, self._boot, security.cluster, time.time_ns)
        self.gate = Gate(
            security, self.authentic, SharedSeen(lambda: transport.bucket(lease)), time.time, parts.refused
        )
        self.reconciler = Reconciler(transport, lattice, self.peers, self.store, self.lease, self._signed)
        self.commands = Commands(
            key,
            self.executor,
            self.store,
            self.presence,
            self.peers.note_failure,
            self.peers.clear_failure,
            lambda: self.lease.restarted_epoch,
        )
        self.claims = KeptClaims(self.store, parts.own_claims, parts.token_of, self._running, parts.verify_token)
        self.known = Known(self.peers, self.claims)
        self.health = Health(key, self.executor.providers, self.presence.event)
        self.stop_requested: Callable[[float | None], None] = lambda _timeout_s: None
        self.interface = self._control(parts)
        self.shutdown = ProviderShutdown(transport, lattice, self.commands, self.gate)
        self.applications = Applications(
            transport, lattice, self.store, parts.providers, self._status, parts.claimed_key, self.gate
        )
        payloads = Payloads(transport, lattice)
        boot_of, token_of = self.peers.boot_of, parts.token_of
        self.remote = Remote(transport, lattice, key, self.peers, payloads, self.callers, boot_of, token_of)
        self.inbound = Inbound(
            transport, lattice, key, parts.router, parts.inbound, payloads, self.authentic, parts.refused
        )
        self._links_wanted = asyncio.Event()

    def _control(self, parts: Parts) -> ControlInterface:
        return ControlInterface(
            self._transport,
            self._me.lattice,
            self._me.key,
            commands=self.commands,
            store=self.store,
            presence=self.presence,
            labels=self._me.labels,
            claims=self.claims.all,
            stop_host=lambda timeout_s: self.stop_requested(timeout_s),
            relabelled=self.peers.own_changed,
            held=parts.held,
            gate=self.gate,
        )

    async def start(self) -> None:
        """Raises `errors.ConfigError`, `errors.StoreUnavailable`, `errors.Unreachable`."""
        if not self.callers.sign:
            _log.warning("calls between hosts are not signed: this host has no cluster key (docs/guides/trust.md)")
        self._began = asyncio.get_running_loop().time()
        self._router.join(self.peers, self.remote.handler)
        self.peers.expect(lambda key: self.store.desired.wanted.get(key))
        self.executor.on_change(self._changed)
        self.store.on_change(self._links_wanted.set)
        self.store.on_change(self._forget)
        self.peers.on_state_told(self.store.compare)
        await self.peers.start()
        await self.store.start()
        await self.executor.apply_links(self.store.desired.links)
        await self.inbound.start()
        await self.interface.start()
        await self.shutdown.start()
        await self.applications.start()
        await self._transport.flush()
        await self.presence.start(self.peers)
        self.peers.on_change(self.lease.hurry)
        self._tasks = [
            asyncio.create_task(self.lease.run(), name="lease"),
            asyncio.create_task(self.reconciler.run(), name="reconciler"),
            asyncio.create_task(self._follow_links(), name="links"),
            asyncio.create_task(self.claims.run(), name="claims"),
            asyncio.create_task(self.health.run(), name="health"),
        ]
        for task in self._tasks:
            task.add_done_callback(_told)
        self._tasks.append(asyncio.create_task(self._make_streams(), name="streams"))

    async def stop(self, deadline: float) -> bool:
        """Leaves without a call lost: says so, waits until others know, drains, and only then is gone.

        False when `deadline`, a time of the loop, cut something off.
        """
        self.commands.stopping = True
        await self.presence.announce_draining()
        await end_all(self._tasks)
        await self.lease.release()
        await self.applications.stop()
        await asyncio.sleep(LEAVE_S)
        drained = await self.executor.drain(deadline)
        drained &= await self.inbound.stop(deadline)
        await self.commands.close()
        await self.interface.stop()
        await self.shutdown.stop()
        await self.presence.stop()
        await self.peers.stop()
        await self.store.stop()
        return drained

    def apply(self, security: SecuritySettings) -> None:
        """From now on other keys count; calls that are under way end as they began. Raises `errors.ConfigError`, and
        then nothing is changed."""
        require_cluster_key(security)
        self._security = security
        self.authentic.apply(security.cluster)
        self.remote.apply(security.cluster)
        self.gate.apply(security)
        self.claims.forget()

    def _signed(self, host: str, subject: str, payload: bytes) -> Headers | None:
        """How this host proves a command to another one; not at all where it need not be."""
        if self._security.control.signers is None:
            return None
        boot = self.peers.boot_of(host)
        if not boot:
            raise errors.Unreachable(f"{host} has not said yet which run of it is there")
        session = self.callers.session(host, boot, asyncio.get_running_loop().time())
        return {HEADER: session.command(subject, payload)}

    def _changed(self) -> None:
        self.presence.changed()
        self.peers.own_changed()
        self.claims.changed()
        if self.executor.refused:
            self._links_wanted.set()  # a provider that just started may have refused one, and it is to be offered again

    async def _make_streams(self) -> None:
        """Made by hosts, since tools may not: whoever may make a stream can have it send on anything."""
        lattice = self._me.lattice
        try:
            await self._transport.bucket(subjects.secret_bucket(lattice))
            await self._transport.objects(subjects.image_objects(lattice))
            await self._transport.objects(subjects.payload_objects(lattice), keep_s=OBJECT_KEEP_S)
        except (errors.StoreUnavailable, errors.ConfigError) as error:
            _log.warning("what tools store has no place yet: %s", error)  # made when this host first needs it

    async def _follow_links(self) -> None:
        while True:
            try:
                async with asyncio.timeout(RETRY_LINKS_S if self.executor.refused else None):
                    await self._links_wanted.wait()
            except TimeoutError:
                await self.executor.retry_refused()
                continue
            self._links_wanted.clear()
            try:
                await self.executor.apply_links(self.store.desired.links)
            except Exception:
                _log.exception("the links of the lattice could not be applied; trying again")
                await asyncio.sleep(RETRY_LINKS_S)
                self._links_wanted.set()

    def _inventory(self) -> HostSeen:
        return HostSeen(
            key=self._me.key,
            name=self._me.name,
            labels=dict(self._me.labels),
            version=self._me.version,
            uptime_s=int(asyncio.get_running_loop().time() - self._began),
            actors={actor.key: actor for actor in self.executor.actors()},
            providers={provider.key: provider for provider in self.executor.providers()},
        )

    def _running(self) -> set[str]:
        return {key for host in self.peers.observed.hosts.values() for key in host.actors}

    def _status(self, record: Any) -> dict[str, Any]:
        planned = self.reconciler.planned()
        return status(record, self.store.desired, self.peers.observed, planned, self.executor.refused)


def require_cluster_key(security: SecuritySettings) -> None:
    """Raises `errors.ConfigError` where hosts could not command each other."""
    if security.control.signers is not None and security.cluster.signing is None:
        raise errors.ConfigError(
            "control messages have to be signed, and this host has no cluster key to sign its own with",
            remedy="give it one: [cluster] keys beside [control] signers, or --cluster-key FILE",
        )


def _told(task: asyncio.Task[None]) -> None:
    """None of them ends by itself."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.critical("%s ended, restart this host: %s", task.get_name(), error, exc_info=error)


def default_labels() -> dict[str, str]:
    """Labels that every host has, with the names that upstream gives them."""
    return {"hostcore.os": platform.system().lower(), "hostcore.arch": platform.machine(), "hostcore.osfamily": "unix"}
