"""At least once: a durable JetStream consumer whose messages are acknowledged after the actor handled them."""

from __future__ import annotations

import asyncio
import contextlib
import json

import nats.errors
import nats.js.errors
from lattice_messaging import handled
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

from lattice.contracts.messaging import SubMessage
from lattice.errors import CallError, ConfigError, ProviderError
from lattice.provider import Context, Link
from lattice.tasks import end_all
from lattice_messaging_nats.connection import Connection
from lattice_messaging_nats.settings import _Link

FETCH_S = 2.0
"""How long one request for messages stays with the server: the longest silence after a reconnect."""
ACK_S = 10.0
"""How long beyond the actor's timeout the server waits for an acknowledgement before it delivers again."""
LATE_S = 0.5
"""Beyond that, until a request without any answer counts as lost."""
REQUEST_OVER = ("404", "408")
"""Statuses of a request that found no messages, or not all it asked for, in its time."""
RETRY_S = 1.0
"""Until a consumer that failed (server gone, stream without a leader) is asked again."""
BACKOFF_S_MAX = 300.0


class Durable:
    """Fetches no more than the actor handles at once, so nothing waits here that another member could have.

    `delivered` and `failed` count tries, `given_up` messages that failed the last one.
    """

    def __init__(self, context: Context, connection: Connection, link: Link, settings: _Link) -> None:
        self.link = link
        self.settings = settings
        self.delivered = self.failed = self.given_up = 0
        self._context = context
        self._connection = connection
        self._js: JetStreamContext = connection.client.jetstream()
        self._running: set[asyncio.Task[None]] = set()
        self._fetching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Makes or updates the consumer, then begins. Raises `ConfigError` when the stream is not there."""
        try:
            await self._connection.ask(self._consumer(), f"durable {self.settings.durable!r}")
        except CallError as error:
            cause = error.__cause__
            if isinstance(cause, nats.js.errors.NotFoundError):
                raise ConfigError(
                    f"link {self.link}: stream: there is no stream {self.settings.stream!r}",
                    remedy="create it with the subjects, storage and replicas it is to have; it is not made here",
                ) from error
            if isinstance(cause, nats.js.errors.BadRequestError):
                raise ConfigError(
                    f"link {self.link}: durable: {self.settings.durable!r}: {cause.description}",
                    remedy="use another durable name, or delete the consumer that has it",
                ) from error
            raise
        self._fetching = self._context.spawn(self._fetch(), f"durable {self.settings.durable}")

    async def _consumer(self) -> None:
        settings = self.settings
        await self._js.add_consumer(
            settings.stream,
            ConsumerConfig(
                name=settings.durable,
                durable_name=settings.durable,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=settings.timeout + ACK_S,
                max_deliver=settings.deliveries_max,
                filter_subjects=list(settings.subscriptions),
            ),
        )

    async def _fetch(self) -> None:
        while True:
            try:
                await self._fetch_until_failure()
            except (TimeoutError, OSError, CallError, nats.errors.Error) as error:
                reason = str(error) or type(error).__name__
                self._context.log.warning("link %s: durable %r: %s", self.link, self.settings.durable, reason)
            await asyncio.sleep(RETRY_S)

    async def _fetch_until_failure(self) -> None:
        """Asks for as many messages as there is room for, one request at a time, until something goes wrong.

        The client library's own `fetch` keeps a first message back while it waits for the rest of the batch.
        """
        await self._consumer()
        client, settings = self._connection.client, self.settings
        inbox = client.new_inbox()
        arrived = await client.subscribe(inbox)
        asked_for = 0
        try:
            while True:
                if not asked_for:
                    asked_for = await self._room()
                    question = {"batch": asked_for, "expires": int(FETCH_S * 1e9)}
                    place = f"{settings.stream}.{settings.durable}"
                    await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{place}", json.dumps(question).encode(), inbox)
                try:
                    message = await arrived.next_msg(FETCH_S + LATE_S)
                except TimeoutError:
                    # Lost with a connection: the request is not there any more.
                    self._connection.check()
                    asked_for = 0
                    continue
                status = (message.headers or {}).get("Status")
                if status is None:
                    asked_for = max(0, asked_for - 1)
                    # An answer to a request thought lost may be one too many.
                    await self._room()
                    self._begin(message)
                elif status in REQUEST_OVER:
                    asked_for = 0
                else:
                    description = (message.headers or {}).get("Description", "")
                    raise ProviderError(f"the server ended the request: {status} {description}")
        finally:
            with contextlib.suppress(OSError, nats.errors.Error):
                await arrived.unsubscribe()

    async def _room(self) -> int:
        """How many more messages the actor may handle; waits until it is one."""
        while len(self._running) >= self.settings.concurrency:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        return self.settings.concurrency - len(self._running)

    def _begin(self, message: Msg) -> None:
        task = self._context.spawn(self._handle(message), f"durable {self.settings.durable} message")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _handle(self, message: Msg) -> None:
        settings = self.settings
        body = SubMessage(subject=message.subject, body=message.data)
        tries = message.metadata.num_delivered
        try:
            if await handled(self._context, self.link, body, settings.timeout):
                self.delivered += 1
                await message.ack()
                return
            self.failed += 1
            if tries < settings.deliveries_max:
                await message.nak(delay=min(settings.backoff * 2 ** (tries - 1), BACKOFF_S_MAX))
                return
            self.given_up += 1
            self._context.log.error(
                "link %s: a message on %r (number %d of stream %s) failed %d times and is given up",
                self.link,
                message.subject,
                message.metadata.sequence.stream,
                settings.stream,
                tries,
            )
            await message.term()
        except (OSError, nats.errors.Error) as error:
            # The server delivers it again: once is a promise, twice is possible.
            reason = str(error) or type(error).__name__
            self._context.log.warning("link %s: the server did not learn the outcome: %s", self.link, reason)

    async def finish(self) -> None:
        """No further messages; returns when those fetched are handled."""
        if self._fetching is not None:
            await end_all((self._fetching,))
        await asyncio.gather(*self._running, return_exceptions=True)

    def close(self) -> None:
        """No further messages. The consumer stays on the server and keeps its place."""
        if self._fetching is not None:
            self._fetching.cancel()
