"""The other hosts: which are there, what each runs, and which fell silent. Every host keeps this view for itself.

`presence` is the other half, what this host says of itself. Silence is measured by the listener's own clock,
so clocks need not agree; while the listener itself is cut off it accuses nobody.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from lattice import errors, subjects
from lattice.control import messages
from lattice.control.directory import Index
from lattice.control.messages import Event, Inventory, Pulse, Reply
from lattice.control.state import Failure, HostSeen, Observed, Wanted
from lattice.tasks import end_all
from lattice.transport.transport import Delivery, State, Subscription, Transport, request

_log = logging.getLogger("lattice.peers")

SUSPECT_S = 1.5
"""Three pulses missed. Callers go elsewhere; nothing is moved yet."""
LOST_S = 2.2
"""What ran there is started elsewhere. With the time that starting takes this stays under 3 s."""
MISSED_S = 0.8
"""A pulse is missed; from here on the limits are kept to the moment."""
FOREIGN_LOST_S = 95.0
"""For hosts of other kinds, which send a heartbeat every 30 s."""
INVENTORY_WAIT_S = 0.3
"""A pulse that tells of an unknown inventory is followed by it; after this time it is asked for."""
INVENTORY_S_MAX = 2.0
FETCHES_MAX = 16
HOSTS_MAX = 5_000
"""Anybody with the right to publish pulses can make up hosts."""
LOST_KEEP_S = 600.0
FAILURES_MAX = 10_000
AVOID_S = 1.0
"""How long a host that could not be reached comes after others."""


class _Peer:
    """One other host."""

    def __init__(self, seen: HostSeen, heard: float) -> None:
        self.seen = seen
        self.boot = ""
        self.revision = -1
        self.heard = heard
        self.suspect = False
        self.pulses = False
        self.fetching = False


class Peers:
    """Membership, and the `Directory` that callers look into. `inventory` tells what this host is and runs."""

    def __init__(
        self, transport: Transport, lattice: str, key: str, boot: str, inventory: Callable[[], HostSeen]
    ) -> None:
        self._transport = transport
        self._lattice = lattice
        self._key = key
        self._boot = boot
        self._inventory = inventory
        self._peers: dict[str, _Peer] = {}
        self._lost: dict[str, tuple[HostSeen, float]] = {}
        self._failures: dict[tuple[str, str], Failure] = {}
        self._avoided: dict[str, float] = {}
        self.lost_at = float("-inf")
        """When a host was last found gone."""
        self._index = Index()
        self._turn = itertools.count()
        self._observed: Observed | None = None
        self._on_change: list[Callable[[], None]] = []
        self._on_suspect: list[Callable[[str], None]] = []
        self._notify: asyncio.Handle | None = None
        self._wanted: Callable[[str], Wanted | None] = lambda _key: None
        self._state_told: Callable[[str], None] = lambda _state: None
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._fetches = asyncio.Semaphore(FETCHES_MAX)

    def expect(self, wanted: Callable[[str], Wanted | None]) -> None:
        """`wanted` tells what shall be somewhere, though it is not seen yet."""
        self._wanted = wanted

    def on_state_told(self, told: Callable[[str], None]) -> None:
        """`told` is called with the digest of the stored state that another host knows, with each of its pulses."""
        self._state_told = told

    async def start(self) -> None:
        self._subscriptions = [
            await self._transport.subscribe(subjects.pulse(self._lattice), self._pulsed),
            await self._transport.subscribe(subjects.event(self._lattice, "*"), self._event),
        ]
        self._transport.on_state(self._connection)

    async def stop(self) -> None:
        tasks, self._tasks = list(self._tasks), set()
        await end_all(tasks)
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        if self._notify is not None:
            self._notify.cancel()

    def own_changed(self) -> None:
        """Something was started, stopped or changed on this host."""
        self._change()

    # What is known.

    @property
    def observed(self) -> Observed:
        """The lattice as this host sees it, itself included."""
        if self._observed is None:
            hosts = {key: peer.seen for key, peer in self._peers.items()}
            hosts[self._key] = self._inventory()
            lost = {key: seen for key, (seen, _) in self._lost.items()}
            self._observed = Observed(hosts=hosts, lost=lost, failures=dict(self._failures))
        return self._observed

    def boot_of(self, host: str) -> str:
        """Which run of a host is there, "" for one that is not."""
        if host == self._key:
            return self._boot
        peer = self._peers.get(host)
        return peer.boot if peer is not None else ""

    def copies(self, key: str) -> Sequence[str]:
        found = self._index.hosts_of(key)
        if not found:
            return ()
        now = _now()
        usable = []
        for host in found:
            peer = self._peers[host]
            if not peer.suspect and not peer.seen.draining:
                usable.append(host)
        if len(usable) < 2:
            return usable
        turn = next(self._turn) % len(usable)
        usable = usable[turn:] + usable[:turn]
        labels, avoided = self._inventory().labels, self._avoided
        usable.sort(key=lambda host: (avoided.get(host, 0) > now, _distance(labels, self._peers[host].seen.labels)))
        return usable

    def knows(self, key: str) -> bool:
        return bool(self._index.hosts_of(key)) or self._index.was_seen(key, _now()) or self._wanted(key) is not None

    def find(self, name: str) -> str | None:
        return self._index.find(name)

    def contract_of(self, key: str) -> str:
        wanted = self._wanted(key)
        return wanted.contract if wanted is not None else self._index.contract_of(key)

    def application_of(self, key: str) -> str:
        wanted = self._wanted(key)
        return wanted.application if wanted is not None else self._index.application_of(key)

    def is_host(self, key: str) -> bool:
        """One that fell silent here may be there for others, and calls."""
        return key in self._peers or key in self._lost or key == self._key

    def avoid(self, host: str) -> None:
        if len(self._avoided) > HOSTS_MAX:
            self._avoided.clear()
        self._avoided[host] = _now() + AVOID_S

    def on_change(self, changed: Callable[[], None]) -> None:
        self._on_change.append(changed)

    def on_suspect(self, suspect: Callable[[str], None]) -> None:
        self._on_suspect.append(suspect)

    def note_failure(self, failure: Failure) -> None:
        """Counts attempts of the same thing; another fingerprint begins anew."""
        known = self._failures.get((failure.host, failure.key))
        attempts = known.attempts + 1 if known is not None and known.fingerprint == failure.fingerprint else 1
        if known is None and len(self._failures) >= FAILURES_MAX:
            del self._failures[next(iter(self._failures))]
        self._failures[failure.host, failure.key] = msgspec.structs.replace(failure, at=_now(), attempts=attempts)
        self._change()

    def clear_failure(self, host: str, key: str) -> None:
        if self._failures.pop((host, key), None) is not None:
            self._change()

    # What is heard.

    def _pulsed(self, delivery: Delivery) -> None:
        try:
            pulse: Pulse = messages.decode_pulse(delivery.payload)
        except errors.MalformedMessage as error:
            _log.debug("%s", error)
            return
        if pulse.host == self._key:
            return
        peer = self._heard(pulse.host)
        if peer is None:
            return
        peer.pulses = True
        peer.boot = peer.boot or pulse.boot  # commands to it are for this run, before its inventory is here
        if pulse.state:
            self._state_told(pulse.state)
        if pulse.draining and not peer.seen.draining:
            peer.seen = msgspec.structs.replace(peer.seen, draining=True)
            self._change()
        if (peer.boot, peer.revision) != (pulse.boot, pulse.inventory) and not peer.fetching:
            peer.fetching = True
            self._spawn(self._fetch(pulse), f"inventory:{pulse.host}")

    def _heard(self, host: str) -> _Peer | None:
        peer = self._peers.get(host)
        if peer is None:
            if len(self._peers) >= HOSTS_MAX or not subjects.is_word(host):
                return None
            peer = self._peers[host] = _Peer(HostSeen(key=host), _now())
            back = self._lost.pop(host, None)
            _log.info("host %s is %s", back[0].name if back else host, "back" if back else "there")
            self._change()
        peer.heard = _now()
        if peer.suspect:
            peer.suspect = False
            self._change()
        return peer

    async def _fetch(self, pulse: Pulse) -> None:
        """Asks for an inventory that did not come by itself."""
        try:
            await asyncio.sleep(INVENTORY_WAIT_S)
            peer = self._peers.get(pulse.host)
            if peer is None or (peer.boot == pulse.boot and peer.revision >= pulse.inventory):
                return
            async with self._fetches:
                subject = subjects.ctl(self._lattice, "host", "get", pulse.host)
                answer = await request(self._transport, subject, b"", INVENTORY_S_MAX)
            reply = messages.decode(answer, Reply, "the answer to host.get")
            self._take(messages.decode(messages.encode(reply.response), Inventory, "the inventory"))
        except (errors.CallError, errors.LatticeError) as error:
            _log.debug("the inventory of %s did not come: %s", pulse.host, error)
        finally:
            peer = self._peers.get(pulse.host)
            if peer is not None:
                peer.fetching = False

    def _event(self, delivery: Delivery) -> None:
        try:
            event = messages.decode(delivery.payload, Event, "the event")
            if event.source == self._key:
                return
            if event.name == "host_heartbeat" or event.name == "host_started":
                self._take(msgspec.convert(event.data, Inventory))
            elif event.name == "host_stopped":
                self._gone(event.source, "stopped")
            elif event.name in ("component_scale_failed", "provider_start_failed"):
                self._failed(event)
        except (errors.MalformedMessage, msgspec.ValidationError) as error:
            _log.debug("an event that is not understood: %s", error)

    def _failed(self, event: Event) -> None:
        data = event.data if isinstance(event.data, dict) else {}
        key = data.get("component_id") or data.get("provider_id")
        if not isinstance(key, str) or not key:
            return
        self.note_failure(
            Failure(
                host=event.source,
                key=key,
                code=str(data.get("code", "")),
                message=str(data.get("error", ""))[:2000],
                remedy=str(data.get("remedy", ""))[:2000],
                fingerprint=str(data.get("fingerprint", "")),
            )
        )

    def _take(self, inventory: Inventory) -> None:
        """The inventory of another host. An older one than is known, of the same run, is left."""
        if inventory.host_id == self._key:
            return
        peer = self._heard(inventory.host_id)
        if peer is None or (
            inventory.boot and inventory.boot == peer.boot and inventory.inventory_revision < peer.revision
        ):
            return
        if inventory.boot != peer.boot and peer.boot:
            for host, key in [known for known in self._failures if known[0] == inventory.host_id]:
                del self._failures[host, key]
            for suspect in self._on_suspect:
                suspect(inventory.host_id)  # another run: nobody will answer what the last one was asked
        peer.boot, peer.revision = inventory.boot, inventory.inventory_revision
        seen = messages.host_seen(inventory)
        if seen != peer.seen:
            self._index.replace(peer.seen, seen, _now())
            peer.seen = seen
            for item in seen.items.values():
                failure = self._failures.get((seen.key, item.key))
                if failure is not None and failure.fingerprint == item.fingerprint:
                    del self._failures[seen.key, item.key]
            self._change()

    def _gone(self, host: str, why: str) -> None:
        peer = self._peers.pop(host, None)
        if peer is None:
            return
        _log.warning("host %s %s", peer.seen.name or host, why)
        self._index.replace(peer.seen, HostSeen(key=host), _now())
        self._lost[host] = (peer.seen, _now())
        for known in [known for known in self._failures if known[0] == host]:
            del self._failures[known]
        for suspect in self._on_suspect:
            suspect(host)
        self.lost_at = _now()
        self._change()

    def sweep(self) -> float:
        """Looks who was silent for too long; returns after how many seconds somebody will have been who is silent now.
        Whoever is cut off accuses nobody."""
        next_s = math.inf
        if self._transport.state != "connected":
            return next_s
        now = _now()
        for host, peer in list(self._peers.items()):
            silent_s = now - peer.heard
            limit_s = LOST_S if peer.pulses else FOREIGN_LOST_S
            if peer.pulses and MISSED_S < silent_s < limit_s:
                next_s = min(next_s, (SUSPECT_S if silent_s < SUSPECT_S else LOST_S) - silent_s)
            if silent_s >= limit_s:
                self._gone(host, f"was silent for {silent_s:.1f} s")
            elif peer.pulses and silent_s >= SUSPECT_S and not peer.suspect:
                peer.suspect = True
                _log.info("host %s is silent", peer.seen.name or host)
                for suspect in self._on_suspect:
                    suspect(host)
                self._change()
        for host, (_, since) in list(self._lost.items()):
            if now - since > LOST_KEEP_S:
                del self._lost[host]
                self._change()
        return next_s

    def _connection(self, state: State) -> None:
        """Who was cut off knows nothing of others: all of them get their time anew."""
        if state == "connected":
            now = _now()
            for peer in self._peers.values():
                peer.heard = now

    def excuse(self, late_s: float) -> None:
        """This process itself did not run for a while: what it did not hear then says nothing of others."""
        for peer in self._peers.values():
            peer.heard += late_s

    def _change(self) -> None:
        """Tells the listeners, once for all changes of a turn of the loop."""
        self._observed = None
        if self._notify is None:
            self._notify = asyncio.get_running_loop().call_soon(self._notify_now)

    def _notify_now(self) -> None:
        self._notify = None
        for changed in self._on_change:
            changed()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s ended: %s: %s", task.get_name(), type(error).__name__, error)


def _distance(one: dict[str, str], other: dict[str, str]) -> int:
    """0 in the same zone, 1 in the same cloud, 2 elsewhere."""
    for number, label in enumerate(("zone", "cloud")):
        if one.get(label) and one.get(label) == other.get(label):
            return number
    return 2


def _now() -> float:
    return asyncio.get_running_loop().time()
