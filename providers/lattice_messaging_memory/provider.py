"""The provider: publish queues, request waits for the first reply."""

from __future__ import annotations

import asyncio
import secrets

from lattice_messaging import Delivery, RouteSettings, SubscriptionSettings, checked_subject, refuse_reserved
from lattice_messaging.subjects import INBOX_PREFIX
from pydantic import Field

from lattice.contracts.messaging import CONTRACT, PubMessage, ReplyMessage, RequestMessage, SubMessage
from lattice.errors import (
    ConfigError,
    DeadlineExceeded,
    Draining,
    Overloaded,
    PayloadTooLarge,
    ProviderUnavailable,
    TargetUnknown,
)
from lattice.provider import Link, Provider, Settings
from lattice_messaging_memory.broker import Broker


class MemorySettings(Settings):
    message_bytes_max: int = Field(default=1024 * 1024, ge=1, le=1024 * 1024 * 1024)
    """Body of one message. The default is that of a NATS server, so that an application can move there."""
    links_max: int = Field(default=10_000, ge=1, le=1_000_000)
    """Links with subscriptions. Each has a queue of its own."""
    requests_max: int = Field(default=10_000, ge=1, le=1_000_000)
    """Requests that wait for a reply; one more is refused (`Overloaded`)."""
    request_timeout_max: float = Field(default=60.0, gt=0, le=3600)
    """Seconds a request waits at most, and when it says 0."""


class MessagingMemory(Provider[Delivery | None, Delivery]):
    """At most once, in this process: what is queued is gone with it."""

    name = "messaging-memory"
    contract = CONTRACT
    settings_type = MemorySettings
    attach_settings_type = SubscriptionSettings
    route_settings_type = RouteSettings
    settings: MemorySettings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._broker = Broker()
        self._deliveries: set[Delivery] = set()
        self._inboxes: dict[str, asyncio.Future[SubMessage]] = {}
        self._draining = False

    async def attach(self, link: Link, settings: SubscriptionSettings) -> Delivery | None:
        return self._subscribe(link, settings) if settings.subscriptions else None

    async def route(self, link: Link, settings: RouteSettings) -> Delivery:
        return self._subscribe(link, settings)

    def _subscribe(self, link: Link, settings: SubscriptionSettings) -> Delivery:
        refuse_reserved(link, settings.subscriptions)
        if len(self._deliveries) >= self.settings.links_max:
            raise ConfigError(
                f"link {link}: {self.name} already has {len(self._deliveries)} links with subscriptions",
                remedy="raise links_max of the provider",
            )
        delivery = Delivery(self.context, link, settings)
        self._deliveries.add(delivery)
        self._broker.add(delivery)
        return delivery

    async def detach(self, link: Link, attached: Delivery | None) -> None:
        if attached is not None:
            await self.unroute(link, attached)

    async def unroute(self, link: Link, route: Delivery) -> None:
        self._deliveries.discard(route)
        self._broker.remove(route)
        route.close()

    async def publish(self, _attached: Delivery | None, message: PubMessage) -> None:
        """Returns when the message is queued. Raises `Overloaded`, `PayloadTooLarge`, `Draining`, `ProviderError`."""
        self._send(SubMessage(subject=message.subject, reply_to=message.reply_to or None, body=message.body))

    def _send(self, message: SubMessage) -> int:
        checked_subject(message.subject)
        if message.reply_to is not None:
            checked_subject(message.reply_to)
        if len(message.body) > self.settings.message_bytes_max:
            raise PayloadTooLarge(
                f"the message has {len(message.body)} bytes, more than {self.settings.message_bytes_max}",
                remedy="raise message_bytes_max of the provider, or keep the body in a blob store",
            )
        if message.subject.startswith(INBOX_PREFIX):
            # The first reply wins; a late one has nobody to go to, as in NATS.
            inbox = self._inboxes.get(message.subject)
            if inbox is not None and not inbox.done():
                inbox.set_result(message)
            return 1
        if self._draining:
            raise Draining(f"{self.name} is stopping; the message on {message.subject!r} was not published")
        return self._broker.publish(message)

    async def request(self, _attached: Delivery | None, message: RequestMessage) -> ReplyMessage:
        """The first reply. Raises what `publish` does, `TargetUnknown` without subscribers, `DeadlineExceeded`."""
        if len(self._inboxes) >= self.settings.requests_max:
            raise Overloaded(f"{len(self._inboxes)} requests wait for a reply", remedy="raise requests_max")
        timeout_s = min(
            message.timeout_ms / 1000 or self.settings.request_timeout_max, self.settings.request_timeout_max
        )
        inbox = INBOX_PREFIX + secrets.token_hex(11)
        reply = self._inboxes[inbox] = asyncio.get_running_loop().create_future()
        try:
            if not self._send(SubMessage(subject=message.subject, reply_to=inbox, body=message.body)):
                raise TargetUnknown(f"nobody subscribes to {message.subject!r}")
            async with asyncio.timeout(timeout_s):
                found = await reply
        except TimeoutError:
            raise DeadlineExceeded(f"no reply on {message.subject!r} within {timeout_s:g} s") from None
        finally:
            del self._inboxes[inbox]
        return ReplyMessage(subject=found.subject, reply_to=found.reply_to, body=found.body)

    async def drain(self) -> None:
        """Takes no new messages, except replies; returns when everything queued was delivered."""
        self._draining = True
        for delivery in list(self._deliveries):
            await delivery.idle()

    async def stop(self) -> None:
        for reply in self._inboxes.values():
            if not reply.done():
                reply.set_exception(ProviderUnavailable(f"{self.name} stopped before the reply came"))
