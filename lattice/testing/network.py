"""Message servers and the ways between them, in memory: one server for each site, joined as a full mesh.

A message goes from its sender's server straight to the servers that have a receiver, never over a third one. A way that
is cut is not told of: what is sent over it waits, as TCP has it, and arrives late when the way is mended; after
`STALE_S` the servers know that nobody is there, and what waited is lost. Everything that happens by chance comes from
one generator, so a run can be had again.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import msgspec

from lattice.testing.interest import Interest, Member
from lattice.transport.transport import Delivery, Headers

if TYPE_CHECKING:
    from lattice.testing.memory_transport import MemoryTransport

STALE_S = 5.0
"""Until a server has noticed that another one, or a client, is cut off."""
LOCAL_S = 0.0002
"""From a client to its server and to another client of it."""
INBOX = "_INBOX"


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """How messages travel. `site_delay_s` is between two sites, `jitter_s` comes on top by chance, for each receiver
    anew: more of it than lies between two messages changes their order."""

    loss: float = 0.0
    duplicates: float = 0.0
    site_delay_s: float = 0.005
    jitter_s: float = 0.0

    @property
    def calm(self) -> bool:
        return not (self.loss or self.duplicates or self.jitter_s)


class Traffic(msgspec.Struct):
    """What was sent so far, and how often it was received."""

    messages: int = 0
    bytes: int = 0
    deliveries: int = 0


class Listener(Protocol):
    """Something that lives by the servers' state, as the stores do."""

    def network_changed(self) -> None: ...


class Network:
    def __init__(self, sites: Iterable[str], chance: random.Random) -> None:
        self.sites = tuple(sites)
        self.chance = chance
        self.weather = Weather()
        self.traffic = Traffic()
        self.interest = Interest()
        self._down: set[str] = set()
        self._cut: dict[frozenset[str], float] = {}
        """Pairs of sites between which nothing passes, with the time since when."""
        self._held: dict[frozenset[str], list[tuple[Member, Delivery]]] = {}
        """What was sent over a way since it was cut."""
        self._clients: dict[str, MemoryTransport] = {}
        self._listeners: list[Listener] = []
        self._queue: list[tuple[float, int, tuple[Member, ...], Delivery]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    # What can be broken and mended.

    def kill_server(self, site: str) -> None:
        """Its clients notice at once, as a closed socket is noticed."""
        self._down.add(site)
        self._changed()

    def start_server(self, site: str) -> None:
        self._down.discard(site)
        self._changed()

    def cut(self, one: str, other: str) -> None:
        """Nothing passes between two sites, and nobody is told."""
        self._cut.setdefault(frozenset((one, other)), now())
        self._changed()

    def mend(self, one: str, other: str) -> None:
        pair = frozenset((one, other))
        since = self._cut.pop(pair, None)
        held = self._held.pop(pair, [])
        if since is not None and now() - since < STALE_S:
            for member, delivery in held:
                self._plan(self._way_s(one, other), (member,), delivery)
        self._changed()

    def _changed(self) -> None:
        for client in list(self._clients.values()):
            client.network_changed()
        for listener in self._listeners:
            listener.network_changed()

    def watch(self, listener: Listener) -> None:
        self._listeners.append(listener)

    # What is known of it.

    def is_up(self, site: str) -> bool:
        return site not in self._down

    def cut_since(self, one: str, other: str) -> float | None:
        """When the way between two sites was cut; None while it is whole."""
        return self._cut.get(frozenset((one, other))) if one != other else None

    def joined(self, one: str, other: str) -> bool:
        """Whether a message passes from one server to another."""
        return one not in self._down and other not in self._down and self.cut_since(one, other) is None

    def _believed(self, one: str, other: str) -> bool:
        """Whether the server of `one` takes the other for joined: it notices a cut only after a while."""
        if one in self._down or other in self._down:
            return False
        since = self.cut_since(one, other)
        return since is None or now() - since < STALE_S

    # Clients.

    def join(self, client: MemoryTransport) -> None:
        self._clients[client.id] = client

    def leave(self, client: MemoryTransport) -> None:
        self._clients.pop(client.id, None)

    # Messages.

    def send(
        self, sender: MemoryTransport, subject: str, payload: bytes, reply: str = "", headers: Headers | None = None
    ) -> bool:
        """False when the sender's server knows of nobody who listens."""
        self.traffic.messages += 1
        self.traffic.bytes += len(subject) + len(payload) + len(reply)
        delivery = Delivery(subject, payload, reply, headers)
        if subject.startswith(INBOX):
            return self._answer(sender, delivery)
        plain, groups = self.interest.find(subject)
        known = [member for member in plain if self._knows(sender.site, member)]
        for group in groups:
            able = [member for member in group if self._knows(sender.site, member)]
            if able:
                known.append(self.chance.choice(able))
        if not known:
            return False
        self._deliver(sender.site, known, delivery)
        return True

    def _answer(self, sender: MemoryTransport, delivery: Delivery) -> bool:
        client = self._clients.get(delivery.subject.split(".")[1])
        if client is None:
            return False
        self._deliver(sender.site, [Member(client, client.answered)], delivery)
        return True

    def _knows(self, site: str, member: Member) -> bool:
        client = member.client
        return client.subscribed_at(now(), STALE_S) and (client.site == site or self._believed(site, client.site))

    def _deliver(self, site: str, members: Iterable[Member], delivery: Delivery) -> None:
        """Plans the arrival at each, together for those of one site when the weather is calm."""
        weather, together = self.weather, dict[str, list[Member]]()
        for member in members:
            there = member.client.site
            if there != site and not self.joined(site, there):
                self._held.setdefault(frozenset((site, there)), []).append((member, delivery))
                continue
            if weather.calm:
                together.setdefault(there, []).append(member)
                continue
            copies = (self.chance.random() >= weather.loss) + (self.chance.random() < weather.duplicates)
            for _ in range(copies):
                self._plan(self._way_s(site, there) + self.chance.random() * weather.jitter_s, (member,), delivery)
        for there, group in together.items():
            self._plan(self._way_s(site, there), tuple(group), delivery)

    def _way_s(self, one: str, other: str) -> float:
        return LOCAL_S if one == other else LOCAL_S + self.weather.site_delay_s

    def _plan(self, after_s: float, members: tuple[Member, ...], delivery: Delivery) -> None:
        heapq.heappush(self._queue, (now() + after_s, next(self._order), members, delivery))
        self._wind()

    def _wind(self) -> None:
        """Sets the timer to the first arrival."""
        if not self._queue:
            return
        first = self._queue[0][0]
        if self._timer is not None:
            if self._timer.when() <= first:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(first, self._arrive)

    def _arrive(self) -> None:
        self._timer = None
        while self._queue and self._queue[0][0] <= now() + 1e-9:
            _, _, members, delivery = heapq.heappop(self._queue)
            for member in members:
                self.arrive(member, delivery)
        self._wind()

    def arrive(self, member: Member, delivery: Delivery) -> None:
        if member.active and member.client.hears:
            self.traffic.deliveries += 1
            member.receive(delivery)
        elif member.active:
            member.client.hold(member, delivery)


def now() -> float:
    return asyncio.get_running_loop().time()
