"""The keys of a bucket, a page at a time: the headers of its messages, read by a consumer that lives for one page.

A cursor is the number of the last message that was looked at. Where the bucket keeps one message for each key, as those
do that are made here, the next page begins there. Where it keeps more, only a walk through the last ones of all keys
tells which those are, and each page is such a walk.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import nats.errors
from lattice_keyvalue import Page, rules
from nats.aio.msg import Msg
from nats.js import api

from lattice.errors import ProviderError
from lattice_keyvalue_nats.connection import NatsConnection
from lattice_keyvalue_nats.entry import decode_key, encode_key, is_there

LEFT_S = 10.0
"""How long the server keeps a consumer that nobody asks, because its page was given up."""
FETCH_S_MAX = 1.0
"""How long messages are waited for that the server said are there. They may have been deleted meanwhile."""


async def list_keys(connection: NatsConnection, stream: str, subject: str, cursor: str | None, deadline: float) -> Page:
    """`subject` is what the keys follow. Raises what the client raises."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 20):
        raise rules.bad_cursor(cursor)
    info = await connection.ask(lambda: connection.jetstream.stream_info(stream), deadline)
    listing = _Listing(connection, stream, subject, info.config.max_msgs_per_subject == 1, deadline)
    while True:
        try:
            return await listing.page(int(cursor or 0))
        except TimeoutError:
            # What was counted is gone, or the server is. Another try tells which.
            if listing.time_left_s <= 0:
                raise


@dataclass(frozen=True, slots=True)
class _Listing:
    connection: NatsConnection
    stream: str
    subject: str
    one_each: bool
    """Whether the bucket keeps one message for each key."""
    deadline: float

    @property
    def time_left_s(self) -> float:
        return self.deadline - asyncio.get_running_loop().time()

    async def page(self, after: int) -> Page:
        keys: list[str] = []
        looked_at = 0
        async with contextlib.aclosing(self._messages(after)) as messages:
            async for message in messages:
                number = message.metadata.sequence.stream
                if number <= after:
                    continue
                looked_at, after = looked_at + 1, number
                key = _key(message.subject.removeprefix(self.subject))
                if key is not None and is_there(message.headers or {}):
                    keys.append(key)
                if looked_at == rules.KEYS_PAGE_MAX and message.metadata.num_pending:
                    return Page(keys, str(after))
        return Page(keys, None)

    async def _messages(self, after: int) -> AsyncGenerator[Msg]:
        """Messages in order, without their bodies. Raises `TimeoutError` when they do not come."""
        jetstream, name = self.connection.jetstream, f"keys-{secrets.token_hex(8)}"
        try:
            consumer = await self.connection.ask(
                lambda: jetstream.add_consumer(self.stream, self._consumer(name, after)), self.deadline
            )
            left = consumer.num_pending or 0
            if not left:
                return
            pulled = await jetstream.pull_subscribe_bind(stream=self.stream, name=name)
            try:
                while left:
                    wanted = min(left, rules.KEYS_PAGE_MAX)
                    for message in await pulled.fetch(wanted, timeout=max(0.2, min(FETCH_S_MAX, self.time_left_s))):
                        left = message.metadata.num_pending
                        yield message
            finally:
                await pulled.unsubscribe()
        finally:
            # The server would do so by itself, after `LEFT_S`.
            with contextlib.suppress(TimeoutError, OSError, nats.errors.Error):
                async with asyncio.timeout(FETCH_S_MAX):
                    await jetstream.delete_consumer(self.stream, name)

    def _consumer(self, name: str, after: int) -> api.ConsumerConfig:
        policy = api.DeliverPolicy.ALL if self.one_each else api.DeliverPolicy.LAST_PER_SUBJECT
        begins = self.one_each and after > 0
        return api.ConsumerConfig(
            name=name,
            filter_subject=f"{self.subject}>",
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE if begins else policy,
            opt_start_seq=after + 1 if begins else None,
            ack_policy=api.AckPolicy.NONE,
            headers_only=True,
            mem_storage=True,
            inactive_threshold=LEFT_S,
        )


def _key(encoded: str) -> str | None:
    """The key that actors name by this part of a subject; None when they cannot, as another program made it."""
    try:
        key = decode_key(encoded)
        return key if rules.nameable(key) and encode_key(key) == encoded else None
    except (UnicodeDecodeError, ProviderError):
        return None
