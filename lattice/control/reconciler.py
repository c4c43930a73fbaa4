"""Makes what is there what is wanted: plans, and tells hosts over the control interface. Every host has one; the one
that holds the lease acts.

The plan remembers nothing. What was told and cannot be seen yet is kept here, so that nothing is told twice.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from lattice import errors, subjects
from lattice.control import messages
from lattice.control.commands import EPOCH, ORDER, REVISION
from lattice.control.lease import Lease
from lattice.control.messages import Reply, ScaleComponent, StartProvider, StopProvider, UpdateComponent
from lattice.control.peers import Peers
from lattice.control.plan import Action, Plan, plan
from lattice.control.state import APPLICATION, ActorSeen, Failure, Observed, Wanted
from lattice.control.store import Store
from lattice.tasks import end_all
from lattice.transport.transport import Headers, Transport, request

_log = logging.getLogger("lattice.reconciler")

IDLE_S = 10.0
EVERY_S = 1.0
"""A look without a reason: back-offs end, and hints get lost."""
GATHER_S = 0.05
"""Changes within this time are looked at together."""
COMMANDS_AT_ONCE = 64
COMMAND_S_MAX = 3.0
"""Until a host acknowledges."""
EFFECT_S_MAX = 45.0
"""Until an acknowledged command shows in the inventory; an image compiles for ten seconds. Then it is told again."""


Sign = Callable[[str, str, bytes], Headers | None]
"""Headers of a command, by the host it is for, the subject and the payload. Raises `errors.CallError`."""


class _Sent(msgspec.Struct, frozen=True):
    """A command whose effect is not seen yet."""

    action: Action
    fingerprint: str
    until: float


class Reconciler:
    """`run` is its life."""

    def __init__(
        self, transport: Transport, lattice: str, peers: Peers, store: Store, lease: Lease, sign: Sign
    ) -> None:
        self._transport = transport
        self._lattice = lattice
        self._peers = peers
        self._store = store
        self._lease = lease
        self._sign = sign
        self._sent: dict[tuple[str, str], _Sent] = {}
        self._orders = itertools.count(1)
        self._look = asyncio.Event()
        self._commands: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(COMMANDS_AT_ONCE)
        peers.on_change(self._look.set)
        store.on_change(self._look.set)
        lease.on_change(self._began)

    def _began(self) -> None:
        self._sent.clear()  # what another one told is not known here; telling it again does no harm
        self._look.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                try:
                    async with asyncio.timeout(self._pause()):
                        await self._look.wait()
                    await asyncio.sleep(GATHER_S)
                except TimeoutError:
                    pass
                self._look.clear()
                if self._lease.epoch and self._store.loaded and self._transport.state == "connected":
                    if self._lease.held_since(self._peers.lost_at):
                        self._act()
                    else:
                        await asyncio.sleep(GATHER_S)  # the lease is renewed at each loss; without a majority it is not
                        self._look.set()
        finally:
            await end_all(self._commands)

    def _pause(self) -> float | None:
        """Until the next look if nothing happens meanwhile. Only what was told or failed is looked after by time."""
        if not self._lease.epoch:
            return None
        return EVERY_S if self._sent or self._peers.observed.failures else IDLE_S

    def planned(self) -> Plan:
        """What would be done now, as any host may ask."""
        return plan(self._store.desired, self._peers.observed, _now())

    def _act(self) -> None:
        observed = self._peers.observed
        self._forget(observed)
        for action in self.planned().actions:
            place = (action.host, action.key)
            wanted = self._store.desired.wanted.get(action.key)
            fingerprint = wanted.fingerprint if wanted is not None else ""
            sent = self._sent.get(place)
            if sent is not None and (sent.action.kind, sent.action.count, sent.fingerprint) == (
                action.kind,
                action.count,
                fingerprint,
            ):
                continue
            if action.kind == "update" and self._updating(action.key):
                continue
            sent = self._sent[place] = _Sent(action, fingerprint, _now() + EFFECT_S_MAX)
            task = asyncio.create_task(self._tell(sent, wanted), name=f"tell:{action.key}")
            self._commands.add(task)
            task.add_done_callback(self._commands.discard)

    def _updating(self, key: str) -> bool:
        """Whether a host is at it already: one after the other."""
        return any(sent.action.kind == "update" and place[1] == key for place, sent in self._sent.items())

    def _forget(self, observed: Observed) -> None:
        """Commands that took effect, failed, or whose host is gone."""
        now = _now()
        for place, sent in list(self._sent.items()):
            host = observed.hosts.get(place[0])
            failure = observed.failures.get(place)
            failed = (
                failure is not None
                and failure.fingerprint == sent.fingerprint
                and failure.at > sent.until - EFFECT_S_MAX
            )
            if host is None or failed or now > sent.until or _took_effect(sent, host.items.get(place[1])):
                del self._sent[place]

    async def _tell(self, sent: _Sent, wanted: Wanted | None) -> None:
        """Sends one command. What goes wrong is a failure of that host, which the next plan goes around."""
        action = sent.action
        subject, message = self._message(action, wanted)
        try:
            async with self._room:
                epoch = self._lease.epoch
                if not epoch:
                    self._withdraw(sent)
                    return
                _log.info("%s %s on %s: %s", action.kind, action.key, action.host, action.why)
                payload = messages.encode(message)
                headers = self._sign(action.host, subject, payload)
                answer = await request(self._transport, subject, payload, COMMAND_S_MAX, headers)
            reply = messages.decode(answer, Reply, "the answer to a command")
            if reply.success:
                return
            error: errors.LatticeError = messages.error_of(reply)
        except errors.LatticeError as failure:
            error = failure
        self._withdraw(sent)
        if isinstance(error, errors.Conflict):
            _log.warning("%s: %s", action.host, error)
            return
        _log.warning("%s %s on %s failed: %s", action.kind, action.key, action.host, error)
        if action.kind in ("scale", "start", "update") and wanted is not None:
            self._peers.note_failure(
                Failure(
                    host=action.host,
                    key=action.key,
                    code=error.code,
                    message=str(error),
                    remedy=error.remedy,
                    fingerprint=wanted.fingerprint,
                )
            )

    def _withdraw(self, sent: _Sent) -> None:
        """It had no effect. What was told of the same place since stands."""
        place = (sent.action.host, sent.action.key)
        if self._sent.get(place) is sent:
            del self._sent[place]

    def _message(self, action: Action, wanted: Wanted | None) -> tuple[str, Any]:
        revision = self._store.desired.revision
        annotations = {EPOCH: str(self._lease.epoch), ORDER: str(next(self._orders)), REVISION: str(revision)}
        if wanted is not None:
            annotations[APPLICATION] = wanted.application
        reference = wanted.image if wanted is not None else ""
        host, key = action.host, action.key
        if action.kind == "scale":
            message: Any = ScaleComponent(
                component_id=key,
                component_ref=reference,
                annotations=annotations,
                count=action.count,
                max_instances=action.count,
                host_id=host,
            )
            return subjects.ctl(self._lattice, "component", "scale", host), message
        if action.kind == "update":
            message = UpdateComponent(
                component_id=key, new_component_ref=reference, annotations=annotations, host_id=host
            )
            return subjects.ctl(self._lattice, "component", "update", host), message
        if action.kind == "start":
            message = StartProvider(provider_id=key, provider_ref=reference, host_id=host, annotations=annotations)
            return subjects.ctl(self._lattice, "provider", "start", host), message
        message = StopProvider(provider_id=key, host_id=host, annotations=annotations)
        return subjects.ctl(self._lattice, "provider", "stop", host), message


def _took_effect(sent: _Sent, seen: Any) -> bool:
    action = sent.action
    if action.kind == "stop" or (action.kind == "scale" and action.count == 0):
        return seen is None
    if seen is None:
        return False
    if action.kind == "update":
        return bool(seen.fingerprint == sent.fingerprint)
    return not isinstance(seen, ActorSeen) or seen.count == action.count


def _now() -> float:
    return asyncio.get_running_loop().time()
