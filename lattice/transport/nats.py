"""The lattice over NATS: one connection that notices loss within seconds, goes home to the near server, and fails what
it cannot send instead of keeping it.

Requests share one inbox subscription. Every subscription is in a queue group, if need be one of its own: while a
connection moves to another server both ends have it, and a message is still delivered once.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from lattice import errors
from lattice.tasks import end_all
from lattice.transport import nats_connection as connection
from lattice.transport.nats_buckets import NatsBucket
from lattice.transport.nats_objects import NatsObjects
from lattice.transport.settings import NatsSettings, shown
from lattice.transport.transport import Accept, Delivery, Headers, Receive, State

_log = logging.getLogger("lattice.nats")

PENDING_MESSAGES_MAX = 65_536
"""Messages of one subscription that wait for the loop; past it the server's are dropped and the log says so."""
PENDING_BYTES_MAX = 256 * 1024 * 1024
HOME_EVERY_S = 5.0
"""How often a connection that is away from its near server looks whether that is back."""
MOVE_S_MAX = 5.0
"""How long requests sent before a move may take their answers from the server that is left."""
WAITING_MAX = 100_000
"""Requests without an answer; each is a future and a line in a table."""


class _Subscribed:
    """One subscription, and what it is on the connection of the moment."""

    def __init__(self, subject: str, queue: str, receive: Receive) -> None:
        self.subject = subject
        self.queue = queue
        self.receive = receive
        self.on: Any = None


class _Subscription:
    def __init__(self, end: Callable[[], Awaitable[None]]) -> None:
        self._end = end

    async def unsubscribe(self) -> None:
        await self._end()


class NatsTransport:
    """A `Transport`. Made by `connect`."""

    def __init__(self, settings: NatsSettings) -> None:
        self._settings = settings
        self._client = Client()
        self._state: State = "disconnected"
        self._listeners: list[Callable[[State], None]] = []
        self._subscribed: dict[int, _Subscribed] = {}
        self._numbers = itertools.count(1)
        self._own = secrets.token_hex(8)
        self._inbox = f"_INBOX.{self._own}"
        self._waiting: dict[str, tuple[asyncio.Future[bytes], Accept | None]] = {}
        self._moving = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.dropped = 0
        """Messages lost because this process did not keep up."""

    # The connection.

    async def open(self, timeout_s: float | None) -> None:
        """Connects. Raises `errors.Unreachable` when no server answered within `timeout_s` (None: tries for ever),
        and at once `errors.ConfigError` for what trying again does not mend, such as a refused login."""
        self._client = await connection.first(self._settings, self._hooks(), timeout_s)
        await self._subscribe_inbox(self._client)
        self._set_state("connected")
        if len(self._settings.urls) > 1:
            self._spawn(self._go_home(), "nats-home")

    def _hooks(self) -> connection.Hooks:
        """What a connection reports; one that was left reports to nobody."""

        def of(client: Client) -> bool:
            return client is self._client and self._state != "closed"

        async def lost(client: Client) -> None:
            if of(client):
                self._lost()

        async def back(client: Client) -> None:
            connection.bound_sends(client)
            if of(client):
                _log.info("connected to NATS again, at %s", self.server)
                self._set_state("connected")

        async def ended(client: Client) -> None:
            if of(client):
                self._lost()
                _log.error("the NATS server ended the connection: %s", client.last_error or "no reason given")
                self._spawn(self._reopen(), "nats-reopen")

        async def failed(client: Client, error: Exception) -> None:
            if isinstance(error, nats.errors.SlowConsumerError):
                self.dropped += 1
                if self.dropped & (self.dropped - 1) == 0:  # the 1st, 2nd, 4th, 8th ...
                    _log.error("this process does not keep up: %d messages were dropped by now", self.dropped)
            elif "permissions violation" in str(error).lower():
                _log.error("NATS refuses it: %s; the user needs permission for the lattice's subjects", error)
            else:
                _log.debug("NATS: %s", error or type(error).__name__)

        return connection.Hooks(lost, back, ended, failed)

    @property
    def server(self) -> str:
        """The address of the server that this is connected to."""
        url = self._client.connected_url
        return shown(url.geturl()) if url is not None else "(none)"

    @property
    def state(self) -> State:
        return self._state

    @property
    def keeps_nothing(self) -> bool:
        """Whether this is a server by itself with JetStream off. One of several may leave it to the others."""
        info = self._client._server_info  # its INFO, which the library shows nowhere else
        return not info.get("jetstream") and not info.get("cluster")

    @property
    def payload_bytes_max(self) -> int:
        return int(self._client.max_payload)

    def on_state(self, changed: Callable[[State], None]) -> None:
        self._listeners.append(changed)

    def _set_state(self, state: State) -> None:
        if state != self._state:
            self._state = state
            for changed in self._listeners:
                changed(state)

    def _lost(self) -> None:
        if self._state == "connected":
            _log.warning("the connection to NATS is lost; trying %s", ", ".join(self._settings.shown))
        self._set_state("disconnected")
        self._fail_waiting(errors.AnswerLost("the connection to NATS broke before the answer came"))

    def _fail_waiting(self, error: errors.CallError) -> None:
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(error)

    async def _reopen(self) -> None:
        """The client library gives up for good after some errors; a host does not."""
        while self._state == "disconnected":
            client = self._client
            try:
                client = self._client = await connection.first(self._settings, self._hooks(), None)
                await self._subscribe_all(client)
            except (errors.ConfigError, errors.CallError, nats.errors.Error, OSError) as error:
                _log.error("%s; trying again in %g s", error or type(error).__name__, HOME_EVERY_S)
                await connection.close(client)
                await asyncio.sleep(HOME_EVERY_S)
                continue
            self._set_state("connected")
            return

    async def _go_home(self) -> None:
        """Moves back to the first server when it is there again."""
        home = self._settings.urls[0]
        while self._state != "closed":
            await asyncio.sleep(HOME_EVERY_S)
            if self._state != "connected" or self.server == shown(home) or not await connection.accepts(home):
                continue
            try:
                client = await connection.only(home, self._settings, self._hooks())
            except (errors.Unreachable, errors.ConfigError) as error:
                _log.debug("not home yet: %s", error)
                continue
            async with self._moving:
                old, self._client = self._client, client
                was = [(subscribed, subscribed.on) for subscribed in self._subscribed.values()]
                try:
                    await self._subscribe_all(client)
                except (errors.CallError, nats.errors.Error, OSError) as error:
                    _log.warning("not home yet: %s", error or type(error).__name__)
                    self._client = old
                    for subscribed, on in was:
                        subscribed.on = on
                    await connection.close(client)
                    continue
            _log.info("back at %s", self.server)
            self._set_state("connected")
            await self._leave(old, was)

    async def _leave(self, old: Client, was: list[tuple[_Subscribed, Any]]) -> None:
        """Ends a connection when what was asked over it is answered. Until its subscriptions are gone both have them,
        in one queue group, so each message is delivered once."""
        try:
            await asyncio.gather(*(on.unsubscribe() for _, on in was if on is not None))
            asked = [future for future, _ in self._waiting.values()]
            if asked:
                await asyncio.wait(asked, timeout=MOVE_S_MAX)
        except (nats.errors.Error, OSError) as error:
            _log.debug("while leaving: %s", error)
        await connection.close(old)

    async def _subscribe_all(self, client: Client) -> None:
        await self._subscribe_inbox(client)
        for subscribed in list(self._subscribed.values()):
            await self._attach(client, subscribed)
        await connection.ping(client, MOVE_S_MAX)

    # Messages.

    async def publish(self, subject: str, payload: bytes, reply: str = "", headers: Headers | None = None) -> None:
        if self._state != "connected":
            raise errors.Unreachable("not connected to NATS")
        try:
            await self._client.publish(subject, payload, reply, None if headers is None else dict(headers))
        except nats.errors.MaxPayloadError as error:
            raise errors.PayloadTooLarge(
                f"a message of {len(payload)} bytes; the NATS server takes {self.payload_bytes_max}"
            ) from error
        except nats.errors.BadSubjectError as error:
            raise errors.MalformedMessage(f"{subject!r} is not a subject") from error
        except (nats.errors.Error, OSError) as error:
            raise errors.Unreachable(f"not sent to NATS: {error or type(error).__name__}") from error

    async def ask(
        self, subject: str, payload: bytes, headers: Headers | None = None, accept: Accept | None = None
    ) -> asyncio.Future[bytes]:
        if len(self._waiting) >= WAITING_MAX:
            raise errors.Overloaded(f"{WAITING_MAX} requests wait for an answer")
        number = f"{next(self._numbers):x}"
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (future, accept)
        future.add_done_callback(lambda _: self._waiting.pop(number, None))
        try:
            await self.publish(subject, payload, f"{self._inbox}.{number}", headers)
        except BaseException:
            future.cancel()
            raise
        return future

    async def _answered(self, message: Msg) -> None:
        waiting = self._waiting.get(message.subject.rpartition(".")[2])
        if waiting is None or waiting[0].done():
            return
        future, accept = waiting
        nobody = not message.data and message.headers and message.headers.get("Status") == "503"
        if accept is not None and not accept(None if nobody else message.data):
            return
        if nobody:
            future.set_exception(errors.Unreachable("nobody listens there"))
        else:
            future.set_result(message.data)

    async def _subscribe_inbox(self, client: Client) -> None:
        await client.subscribe(
            f"{self._inbox}.*",
            cb=self._answered,
            pending_msgs_limit=WAITING_MAX,
            pending_bytes_limit=PENDING_BYTES_MAX,
        )

    async def gather(
        self, subject: str, payload: bytes, wait_s: float, headers: Headers | None = None
    ) -> AsyncIterator[bytes]:
        answers: asyncio.Queue[bytes | None] = asyncio.Queue()
        inbox = f"_INBOX.{secrets.token_hex(8)}"

        async def answered(message: Msg) -> None:
            nobody = not message.data and message.headers and message.headers.get("Status") == "503"
            answers.put_nowait(None if nobody else message.data)

        deadline = asyncio.get_running_loop().time() + wait_s
        if self._state != "connected":
            raise errors.Unreachable("not connected to NATS")
        try:
            subscription = await self._client.subscribe(inbox, cb=answered)
        except (nats.errors.Error, OSError) as error:
            raise errors.Unreachable(f"not sent to NATS: {error or type(error).__name__}") from error
        try:
            await self.publish(subject, payload, inbox, headers)
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        answer = await answers.get()
                except TimeoutError:
                    return
                if answer is None:
                    return
                yield answer
        finally:
            await _unsubscribe(subscription)

    async def subscribe(self, subject: str, receive: Receive, *, queue: str = "") -> _Subscription:
        number = next(self._numbers)
        subscribed = _Subscribed(subject, queue or f"_own.{self._own}.{number}", receive)
        async with self._moving:
            self._subscribed[number] = subscribed
            try:
                await self._attach(self._client, subscribed)
            except (nats.errors.Error, OSError) as error:
                del self._subscribed[number]
                raise errors.Unreachable(f"not subscribed to {subject}: {error or type(error).__name__}") from error

        async def end() -> None:
            async with self._moving:
                if self._subscribed.pop(number, None) is not None and subscribed.on is not None:
                    await _unsubscribe(subscribed.on)

        return _Subscription(end)

    async def _attach(self, client: Client, subscribed: _Subscribed) -> None:
        receive = subscribed.receive

        async def received(message: Msg) -> None:
            receive(Delivery(message.subject, message.data, message.reply, message.headers))

        subscribed.on = await client.subscribe(
            subscribed.subject,
            queue=subscribed.queue,
            cb=received,
            pending_msgs_limit=PENDING_MESSAGES_MAX,
            pending_bytes_limit=PENDING_BYTES_MAX,
        )

    async def flush(self, timeout_s: float = 5.0) -> None:
        if self._state != "connected":
            raise errors.Unreachable("not connected to NATS")
        await connection.ping(self._client, timeout_s)

    # What is stored.

    async def bucket(self, name: str) -> NatsBucket:
        bucket = NatsBucket(self, name, self._settings.domain)
        await bucket.create(self._settings.replicas, self._settings.grows)
        return bucket

    async def objects(self, name: str, *, keep_s: float | None = None) -> NatsObjects:
        objects = NatsObjects(self, name, self._settings.domain)
        await objects.create(self._settings.replicas, keep_s, self._settings.grows)
        return objects

    @property
    def client(self) -> Client:
        """The connection of the moment, for what the stores ask of JetStream."""
        return self._client

    async def close(self) -> None:
        if self._state == "closed":
            return
        self._set_state("closed")
        await end_all(self._tasks)
        self._fail_waiting(errors.AnswerLost("the connection was closed"))
        await connection.close(self._client)

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s ended: %s: %s", task.get_name(), type(error).__name__, error)


async def connect(settings: NatsSettings, *, timeout_s: float | None = 10.0) -> NatsTransport:
    """Raises `errors.Unreachable` when no server answered within `timeout_s` (None: tries for ever and says so in the
    log), and `errors.ConfigError` for a login, certificate or file that is refused."""
    transport = NatsTransport(settings)
    await transport.open(timeout_s)
    return transport


async def _unsubscribe(subscription: Any) -> None:
    try:
        await subscription.unsubscribe()
    except (nats.errors.Error, OSError) as error:
        _log.debug("while unsubscribing: %s", error or type(error).__name__)
