"""A `Transport` in memory: one client of a simulated network, which loses its server and finds another as the real one
does."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence

from lattice import errors
from lattice.testing.interest import Member
from lattice.testing.memory_store import Cluster, MemoryBucket, MemoryObjects
from lattice.testing.network import INBOX, LOCAL_S, Network, now
from lattice.transport.transport import Accept, Delivery, Headers, Receive, State

NOTICE_S = 4.0
"""Until a client notices that its server is silent."""
RETRY_S = 0.25
HOME_S = 5.0
"""After the near server is back, until its clients are."""


class MemorySubscription:
    """A `Subscription`."""

    def __init__(self, network: Network, subject: str, queue: str, member: Member) -> None:
        self._network = network
        self._place = (subject, queue, member)

    async def unsubscribe(self) -> None:
        self._network.interest.remove(*self._place)


class MemoryTransport:
    """`sites` are those whose servers it may use, its own first. `id` is unique in the network."""

    payload_bytes_max = 1024 * 1024

    def __init__(self, network: Network, cluster: Cluster, id: str, sites: Sequence[str]) -> None:
        self.id = id
        self.site = sites[0]
        self._network = network
        self._cluster = cluster
        self._sites = tuple(sites)
        self._state: State = "disconnected"
        self._on_state: list[Callable[[State], None]] = []
        self._asked: dict[str, tuple[asyncio.Future[bytes], asyncio.Queue[bytes] | None, Accept | None]] = {}
        self._numbers = itertools.count()
        self._subscriptions: list[tuple[str, str, Member]] = []
        self._isolated_since: float | None = None
        self._unsent: list[tuple[str, bytes, str, Headers | None]] = []
        self._unheard: list[tuple[Member, Delivery]] = []
        """What waits in the sockets while nothing passes; lost with the connection."""
        self._timer: asyncio.TimerHandle | None = None
        network.join(self)
        self._connect()

    # What can be broken and mended.

    def isolate(self) -> None:
        """Nothing passes to or from this client any more, and nobody is told."""
        self._isolated_since = now()
        self.network_changed()

    def restore(self) -> None:
        self._isolated_since = None
        sent, self._unsent = self._unsent, []
        unheard, self._unheard = self._unheard, []
        for message in sent:
            self._network.send(self, *message)
        for member, delivery in unheard:
            self._network.arrive(member, delivery)
        self.network_changed()

    def die(self) -> None:
        """The process is gone: its server notices at once."""
        self._end()

    @property
    def isolated(self) -> bool:
        """Whether nothing passes between it and its server."""
        return self._silent_since() is not None

    def _silent_since(self) -> float | None:
        if self._isolated_since is not None:
            return self._isolated_since
        return self._network.cut_since(self._sites[0], self.site)

    # What the network asks.

    @property
    def hears(self) -> bool:
        return self._state == "connected" and not self.isolated

    def hold(self, member: Member, delivery: Delivery) -> None:
        """It was sent to this client, to which nothing passes at the moment."""
        if self._state == "connected":
            self._unheard.append((member, delivery))

    def subscribed_at(self, time: float, stale_s: float) -> bool:
        """Whether its server takes it for a listener."""
        since = self._silent_since()
        return self._state == "connected" if since is None else time - since < stale_s

    def network_changed(self) -> None:
        """A server went or came, or a way."""
        if self._state != "connected":
            return  # an attempt to connect is under way
        home = self._sites[0]
        if not self._network.is_up(self.site):
            self._lost()
        elif self.isolated:
            self._later(NOTICE_S, self._notice)
        elif self.site != home and self._network.is_up(home):
            self._later(HOME_S, self._go_home)
        else:
            self._cancel_timer()

    def answered(self, delivery: Delivery) -> None:
        waiting = self._asked.get(delivery.subject)
        if waiting is None:
            return
        future, queue, accept = waiting
        if queue is not None:
            queue.put_nowait(delivery.payload)
        elif not future.done() and (accept is None or accept(delivery.payload)):
            future.set_result(delivery.payload)

    # The connection.

    def _connect(self) -> None:
        self._timer = None
        if self._state == "closed":
            return
        site = next((site for site in self._sites if self._reaches(site)), None)
        if site is None or self._isolated_since is not None:
            self._later(RETRY_S, self._connect)
            return
        self.site = site
        self._become("connected")
        self.network_changed()

    def _reaches(self, site: str) -> bool:
        return self._network.is_up(site) and self._network.cut_since(self._sites[0], site) is None

    def _notice(self) -> None:
        if self.isolated and self._state == "connected":
            self._lost()

    def _lost(self) -> None:
        self._become("disconnected")
        self._unsent.clear()
        self._unheard.clear()
        asked, self._asked = self._asked, {}
        for future, queue, _ in asked.values():
            if queue is None and not future.done():
                future.set_exception(errors.AnswerLost("the connection was lost before the answer came"))
                future.exception()  # who waited may have been ended in the same turn
        self._later(RETRY_S, self._connect)

    def _go_home(self) -> None:
        if self._state == "connected" and self._network.is_up(self._sites[0]):
            self.site = self._sites[0]

    def _become(self, state: State) -> None:
        if self._state in (state, "closed"):
            return
        self._state = state
        for changed in list(self._on_state):
            changed(state)

    def _later(self, after_s: float, what: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(after_s, what)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Transport.

    @property
    def state(self) -> State:
        return self._state

    def on_state(self, changed: Callable[[State], None]) -> None:
        self._on_state.append(changed)

    def _send(self, subject: str, payload: bytes, reply: str = "", headers: Headers | None = None) -> bool:
        if self._state != "connected":
            raise errors.Unreachable("not connected")
        if len(payload) > self.payload_bytes_max:
            raise errors.PayloadTooLarge(f"{len(payload)} bytes in one message")
        if self.isolated:
            self._unsent.append((subject, payload, reply, headers))
            return True
        return self._network.send(self, subject, payload, reply, headers)

    async def publish(self, subject: str, payload: bytes, reply: str = "", headers: Headers | None = None) -> None:
        self._send(subject, payload, reply, headers)

    async def ask(
        self, subject: str, payload: bytes, headers: Headers | None = None, accept: Accept | None = None
    ) -> asyncio.Future[bytes]:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        inbox = self._inbox(future, None, accept)
        future.add_done_callback(lambda _: self._asked.pop(inbox, None))
        if not self._send(subject, payload, inbox, headers):
            asyncio.get_running_loop().call_later(2 * LOCAL_S, _refuse, future, subject, accept)
        return future

    async def gather(
        self, subject: str, payload: bytes, wait_s: float, headers: Headers | None = None
    ) -> AsyncIterator[bytes]:
        answers: asyncio.Queue[bytes] = asyncio.Queue()
        inbox = self._inbox(asyncio.get_running_loop().create_future(), answers)
        try:
            self._send(subject, payload, inbox, headers)
            async with asyncio.timeout(wait_s):
                while True:
                    yield await answers.get()
        except TimeoutError:
            return
        finally:
            self._asked.pop(inbox, None)

    def _inbox(
        self, future: asyncio.Future[bytes], queue: asyncio.Queue[bytes] | None, accept: Accept | None = None
    ) -> str:
        inbox = f"{INBOX}.{self.id}.{next(self._numbers)}"
        self._asked[inbox] = (future, queue, accept)
        return inbox

    async def subscribe(self, subject: str, receive: Receive, *, queue: str = "") -> MemorySubscription:
        if self._state == "closed":
            raise errors.Unreachable("the connection is closed")
        member = Member(self, receive)
        self._network.interest.add(subject, queue, member)
        self._subscriptions.append((subject, queue, member))
        return MemorySubscription(self._network, subject, queue, member)

    async def bucket(self, name: str) -> MemoryBucket:
        bucket = MemoryBucket(self._cluster.stream(f"KV_{name}"), self)
        await bucket.open()
        return bucket

    async def objects(self, name: str, *, keep_s: float | None = None) -> MemoryObjects:
        return MemoryObjects(self._cluster.stream(f"OBJ_{name}"), self)

    async def flush(self, timeout_s: float = 5.0) -> None:
        if self._state != "connected":
            raise errors.Unreachable("not connected")
        await asyncio.sleep(timeout_s if self.isolated else LOCAL_S)
        if self.isolated:
            raise errors.Unreachable("the server does not answer")

    async def close(self) -> None:
        self._end()

    def _end(self) -> None:
        self._cancel_timer()
        for place in self._subscriptions:
            self._network.interest.remove(*place)
        self._subscriptions.clear()
        self._network.leave(self)
        if self._state != "closed":
            self._lost()
            self._cancel_timer()
            self._become("closed")


def _refuse(future: asyncio.Future[bytes], subject: str, accept: Accept | None) -> None:
    if not future.done() and (accept is None or accept(None)):
        future.set_exception(errors.Unreachable(f"nobody listens to {subject}"))
