"""The provider: links to subjects of a NATS server."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import nats.errors
from lattice_messaging import Delivery, checked_subject, is_reserved, refuse_reserved
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from lattice.contracts.messaging import CONTRACT, PubMessage, ReplyMessage, RequestMessage, SubMessage
from lattice.errors import CallError, DeadlineExceeded, Overloaded, PayloadTooLarge, ProviderError
from lattice.provider import Link, Provider, Settings
from lattice_messaging_nats.connection import Connection, Connections
from lattice_messaging_nats.durable import Durable
from lattice_messaging_nats.settings import AttachSettings, NatsSettings, RouteSettings, _Link

CLIENT_MESSAGES_MAX = 65_536
CLIENT_BYTES_MAX = 64 * 1024 * 1024
"""The client library's own queue: only a bridge to ours within one turn of the loop, so it holds what one read from the
socket brings, and ours decides and counts."""
DRAIN_S_MAX = 5.0
"""For the server to answer that a subscription has ended."""


@dataclass(eq=False)
class NatsLink:
    """What one link holds: a share of a connection, and what it needs to receive."""

    connection: Connection
    settings: _Link
    delivery: Delivery | None = None
    durable: Durable | None = None
    subscriptions: list[Subscription] = field(default_factory=list)

    @property
    def acknowledge(self) -> bool:
        return isinstance(self.settings, AttachSettings) and self.settings.acknowledge


class MessagingNats(Provider[NatsLink, NatsLink]):
    """At most once over plain NATS; at least once over JetStream where a link asks for it."""

    name = "messaging-nats"
    replicable = True
    contract = CONTRACT
    settings_type = NatsSettings
    attach_settings_type = AttachSettings
    route_settings_type = RouteSettings
    settings: NatsSettings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._links: set[NatsLink] = set()
        self._requests = 0
        self._connections = Connections(
            lambda url: Connection(url, self.context.log), timeout_s=self.settings.connect_timeout
        )

    async def attach(self, link: Link, settings: AttachSettings) -> NatsLink:
        return await self._open(link, settings)

    async def route(self, link: Link, settings: RouteSettings) -> NatsLink:
        return await self._open(link, settings)

    async def detach(self, link: Link, attached: NatsLink) -> None:
        await self._close(attached)

    async def unroute(self, link: Link, route: NatsLink) -> None:
        await self._close(route)

    async def _open(self, link: Link, settings: _Link) -> NatsLink:
        if not settings.allow_reserved:
            refuse_reserved(link, settings.subscriptions)
        opened = NatsLink(await self._connections.acquire(settings.url or self.settings.url), settings)
        self._links.add(opened)
        try:
            if settings.durable:
                opened.durable = Durable(self.context, opened.connection, link, settings)
                await opened.durable.start()
            elif settings.subscriptions:
                await self._subscribe(opened, Delivery(self.context, link, settings))
        except BaseException:
            await self._close(opened)
            raise
        return opened

    async def _subscribe(self, opened: NatsLink, delivery: Delivery) -> None:
        settings, client = opened.settings, opened.connection.client
        opened.delivery = delivery

        async def receive(message: Msg) -> None:
            if is_reserved(message.subject) and not settings.allow_reserved:
                return
            received = SubMessage(subject=message.subject, reply_to=message.reply or None, body=message.data)
            if delivery.has_room(received):
                delivery.put(received)
            else:
                delivery.drop(received)

        for pattern in settings.subscriptions:
            with opened.connection.translated(f"the subscription to {pattern!r}"):
                opened.subscriptions.append(
                    await client.subscribe(
                        pattern,
                        queue=settings.queue_group,
                        cb=receive,
                        pending_msgs_limit=CLIENT_MESSAGES_MAX,
                        pending_bytes_limit=CLIENT_BYTES_MAX,
                    )
                )
        # The server has the subscriptions when it has answered a ping that came after them.
        await opened.connection.ask(client.flush(timeout=DRAIN_S_MAX), "the subscriptions")

    async def _close(self, opened: NatsLink) -> None:
        self._links.discard(opened)
        for subscription in opened.subscriptions:
            # A server that is gone has no subscription to end.
            with contextlib.suppress(OSError, nats.errors.Error):
                await subscription.unsubscribe()
        if opened.delivery is not None:
            opened.delivery.close()
        if opened.durable is not None:
            opened.durable.close()
        await self._connections.release(opened.connection)

    async def publish(self, link: NatsLink, message: PubMessage) -> None:
        """Returns when the message is on its way, or with `acknowledge` when a stream has stored it.

        Raises `ProviderUnavailable`, `PayloadTooLarge`, `ProviderError`.
        """
        connection, reply_to = link.connection, message.reply_to or ""
        self._check(link, message.subject, message.body)
        what = f"a message on {message.subject!r}"
        if link.acknowledge and not message.subject.startswith("_INBOX."):
            if reply_to:
                raise ProviderError("a message with replyTo cannot be stored: the reply would be the stream's own")
            stored = connection.client.jetstream().publish(
                message.subject, message.body, timeout=self.settings.publish_timeout
            )
            await connection.ask(stored, what)
            return
        if reply_to:
            checked_subject(reply_to, reserved=link.settings.allow_reserved)
        with connection.translated(what):
            async with asyncio.timeout(self.settings.publish_timeout):
                await connection.client.publish(message.subject, message.body, reply=reply_to)

    async def request(self, link: NatsLink, message: RequestMessage) -> ReplyMessage:
        """The first reply. Raises what `publish` does, `TargetUnknown` without subscribers, `DeadlineExceeded`."""
        self._check(link, message.subject, message.body)
        if self._requests >= self.settings.requests_max:
            raise Overloaded(f"{self._requests} requests wait for a reply", remedy="raise requests_max")
        longest_s = self.settings.request_timeout_max
        timeout_s = min(message.timeout_ms / 1000 or longest_s, longest_s)
        self._requests += 1
        try:
            work = _first_reply(link.connection, message, timeout_s)
            found = await link.connection.ask(work, f"the request on {message.subject!r}")
        finally:
            self._requests -= 1
        return ReplyMessage(subject=found.subject, reply_to=found.reply or None, body=found.data)

    def _check(self, link: NatsLink, subject: str, body: bytes) -> None:
        checked_subject(subject, reserved=link.settings.allow_reserved)
        link.connection.check()
        limit = link.connection.client.max_payload
        if len(body) > limit:
            raise PayloadTooLarge(
                f"the message has {len(body)} bytes, more than {limit}",
                remedy="raise max_payload of the server, or keep the body in a blob store",
            )

    async def health(self) -> None:
        for connection in self._connections.all():
            connection.check()

    async def drain(self) -> None:
        """Ends the subscriptions; returns when what had arrived is handled and the server has what was published."""
        for opened in list(self._links):
            for subscription in opened.subscriptions:
                try:
                    async with asyncio.timeout(DRAIN_S_MAX):
                        await subscription.drain()
                except (TimeoutError, OSError, nats.errors.Error) as error:
                    self.context.log.warning("a subscription did not end in order: %s", error or type(error).__name__)
            opened.subscriptions.clear()
        for opened in list(self._links):
            if opened.delivery is not None:
                await opened.delivery.idle()
            if opened.durable is not None:
                await opened.durable.finish()
        for connection in self._connections.all():
            if connection.client.is_connected:
                try:
                    await connection.ask(connection.client.flush(timeout=DRAIN_S_MAX), "the last messages")
                except CallError as error:
                    self.context.log.warning("%s", error)

    async def stop(self) -> None:
        for opened in list(self._links):
            if opened.durable is not None:
                opened.durable.close()
        self._links.clear()
        await self._connections.close()


async def _first_reply(connection: Connection, message: RequestMessage, timeout_s: float) -> Msg:
    try:
        return await connection.client.request(message.subject, message.body, timeout=timeout_s)
    except nats.errors.TimeoutError:
        raise DeadlineExceeded(f"no reply on {message.subject!r} within {timeout_s:g} s") from None
