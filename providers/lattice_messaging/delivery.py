"""Messages on their way to one actor: a bounded queue and as many workers as the link allows."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from lattice.contracts.messaging import HANDLE_MESSAGE, SubMessage
from lattice.errors import LatticeError
from lattice.provider import Context, Link
from lattice_messaging.settings import SubscriptionSettings


async def handled(
    context: Context, link: Link, message: SubMessage, timeout_s: float, *, repeatable: bool = False
) -> bool:
    """Gives one message to the actor; False, and a line in the log, when it failed or took too long. `repeatable`: it
    may reach the actor twice."""
    try:
        async with asyncio.timeout(timeout_s):
            deadline = time.monotonic() + timeout_s
            await context.call(link, HANDLE_MESSAGE, message, deadline, repeatable=repeatable)
        return True
    except (LatticeError, TimeoutError) as error:
        reason = str(error) or f"no answer within {timeout_s:g} s"
        context.log.warning("link %s: a message on %r was not handled: %s", link, message.subject, reason)
    except Exception:
        # One message's trouble must not end the provider, whatever it is.
        context.log.exception("link %s: a message on %r was not handled", link, message.subject)
    return False


class Delivery:
    """The queue of one link. Workers begin with a message and end with the queue: an idle link costs nothing.

    `delivered`, `failed` and `dropped` count messages since the link was made.
    """

    def __init__(self, context: Context, link: Link, settings: SubscriptionSettings) -> None:
        self.link = link
        self.settings = settings
        self.delivered = self.failed = self.dropped = 0
        self._context = context
        self._waiting: deque[SubMessage] = deque()
        self._waiting_bytes = 0
        self._workers = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def has_room(self, message: SubMessage) -> bool:
        """A single message over the bytes limit passes when nothing else waits: it would never have room."""
        return not self._waiting or (
            len(self._waiting) < self.settings.queue_messages_max
            and self._waiting_bytes + len(message.body) <= self.settings.queue_bytes_max
        )

    def put(self, message: SubMessage) -> None:
        """Queues a message for which there is room."""
        assert self.has_room(message), "the caller asks first, and decides what happens when there is none"
        self._waiting.append(message)
        self._waiting_bytes += len(message.body)
        if self._workers < self.settings.concurrency:
            self._workers += 1
            self._idle.clear()
            self._context.spawn(self._work(), f"deliver {self.link.source} -> {self.link.target}")

    def drop(self, message: SubMessage) -> None:
        """Counts a message for which there was no room. The log gets the first and then every thousandth."""
        self.dropped += 1
        if self.dropped % 1000 == 1:
            self._context.log.warning(
                "link %s: the queue is full (%d messages): %d dropped so far, the last on %r; "
                "raise concurrency or queue_messages_max",
                self.link,
                len(self._waiting),
                self.dropped,
                message.subject,
            )

    async def _work(self) -> None:
        try:
            while self._waiting:
                message = self._waiting.popleft()
                self._waiting_bytes -= len(message.body)
                if await handled(self._context, self.link, message, self.settings.timeout):
                    self.delivered += 1
                else:
                    self.failed += 1
        finally:
            self._workers -= 1
            if not self._workers:
                self._idle.set()

    async def idle(self) -> None:
        """Returns when nothing waits and nothing is being handled. Every message has its timeout, so this ends."""
        await self._idle.wait()

    def close(self) -> None:
        """Forgets what waits; what is being handled goes on."""
        if self._waiting:
            self._context.log.warning("link %s is gone: %d waiting messages dropped", self.link, len(self._waiting))
        self.dropped += len(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
