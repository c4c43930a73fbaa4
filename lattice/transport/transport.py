"""What a lattice needs of a message system: publish, ask, subscribe, key-value buckets, objects. NATS is one (`nats`);
the one in memory (`memory`) has the same promises and can be told to break.

Delivery is at most once; buckets are consistent (a write that was acknowledged is never lost, `update` and `create`
compare and set); objects are written once and read whole. Nothing here knows what is sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Literal, Protocol, TypeAlias

import msgspec

from lattice import errors, subjects

_log = logging.getLogger("lattice.transport")


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message. `reply` is where an answer goes, "" when none is wanted; `headers` are None when it has none."""

    subject: str
    payload: bytes
    reply: str = ""
    headers: Mapping[str, str] | None = None


Receive: TypeAlias = Callable[[Delivery], None]
"""Called on the event loop, in the order of arrival; must not block or raise. What waits is a task of the receiver."""

Accept: TypeAlias = Callable[[bytes | None], bool]
"""Looks at an answer, None when nobody listens; one for which it returns False is as if it had not come. Called on the
event loop; must not block or raise."""

Headers: TypeAlias = Mapping[str, str]

State: TypeAlias = Literal["connected", "disconnected", "closed"]


class Subscription(Protocol):
    async def unsubscribe(self) -> None:
        """No message is delivered when this has returned."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """The newest value of a key. `value` is None when the key was deleted; `revision` counts writes of the bucket."""

    key: str
    value: bytes | None
    revision: int


class Bucket(Protocol):
    """A key-value bucket. Keys are words of `A-Z a-z 0-9 _ - = .` and `/`.

    Every method raises `errors.StoreUnavailable` when the store has no leader, is full, cannot be reached or does not
    answer within `timeout_s`; whether a write then happened is not known.
    """

    async def changes(self, after: int, timeout_s: float = 5.0) -> list[Entry]:
        """The newest entry of each key written after revision `after` (0: all), by revision; deleted keys included.

        Any replica answers, also without a leader, so what a moment ago was acknowledged elsewhere may be missing.
        """

    async def get(self, key: str, timeout_s: float = 5.0) -> Entry | None:
        """The newest entry, None when there is none or it was deleted. Read from the leader where there is one."""

    async def put(self, key: str, value: bytes, timeout_s: float = 5.0) -> int:
        """Returns the revision."""

    async def update(self, key: str, value: bytes | None, revision: int, timeout_s: float = 5.0) -> int:
        """Writes (None: deletes) only if the newest revision of the key is `revision`; 0 means that the key is not
        there (or was deleted). Returns the new revision. Raises `errors.Conflict`."""

    async def delete(self, key: str, timeout_s: float = 5.0) -> None: ...


class Objects(Protocol):
    """Large values by name, in chunks. Methods raise `errors.StoreUnavailable` as a bucket's do."""

    async def put(self, name: str, data: bytes | memoryview, timeout_s: float = 30.0) -> None: ...

    async def get(self, name: str, timeout_s: float = 30.0, size_max: int | None = None) -> bytes:
        """Raises `errors.TargetUnknown` when there is no such object, `errors.MalformedMessage` for a broken one and
        for one of more than `size_max` bytes, before those are read."""

    async def delete(self, name: str, timeout_s: float = 5.0) -> None: ...


class Transport(Protocol):
    """One connection of one host (or tool) to its lattice. It reconnects by itself until it is closed."""

    @property
    def state(self) -> State: ...

    @property
    def payload_bytes_max(self) -> int:
        """The largest message the other side takes."""

    def on_state(self, changed: Callable[[State], None]) -> None:
        """`changed` is called with each new state, on the event loop."""

    async def publish(self, subject: str, payload: bytes, reply: str = "", headers: Headers | None = None) -> None:
        """Raises `errors.Unreachable` when not connected: nothing is kept to be sent at some later time."""

    async def ask(
        self, subject: str, payload: bytes, headers: Headers | None = None, accept: Accept | None = None
    ) -> asyncio.Future[bytes]:
        """Sends a request; the future gets the first answer, or the first that `accept` accepts. It fails with
        `errors.Unreachable` when nobody listens (the request did not reach anyone), and with `errors.AnswerLost` when
        the connection is lost meanwhile.

        The caller bounds its wait and cancels the future it no longer waits for.
        """

    def gather(
        self, subject: str, payload: bytes, wait_s: float, headers: Headers | None = None
    ) -> AsyncIterator[bytes]:
        """Sends a request and yields every answer that comes within `wait_s`."""

    async def subscribe(self, subject: str, receive: Receive, *, queue: str = "") -> Subscription:
        """`*` stands for one word, `>` for the rest. With `queue`, each message goes to one member of that group."""

    async def bucket(self, name: str) -> Bucket:
        """Opens a bucket, and creates it if it is not there, on as many replicas as the cluster has, up to 3.

        Raises `errors.StoreUnavailable`; `errors.ConfigError` when the message system keeps no data.
        """

    async def objects(self, name: str, *, keep_s: float | None = None) -> Objects:
        """As `bucket`; objects go after `keep_s` seconds, None keeps them until they are deleted."""

    async def flush(self, timeout_s: float = 5.0) -> None:
        """Returns when everything published or subscribed before has reached the other side. Raises
        `errors.Unreachable`."""

    async def close(self) -> None: ...


async def answer(
    transport: Transport, delivery: Delivery, payload: bytes, refusal: Callable[[errors.CallError], bytes]
) -> None:
    """Answers a message that wants one. `refusal` makes bytes of the error that is told where the answer is too large;
    when nothing can be sent, nobody waits for it any more."""
    if not subjects.takes_answers(delivery.reply):
        return
    try:
        try:
            await transport.publish(delivery.reply, payload)
        except errors.PayloadTooLarge as error:
            _log.error("the answer to %s could not be sent: %s", delivery.subject, error)
            await transport.publish(delivery.reply, refusal(error))
    except errors.CallError as error:
        _log.debug("an answer could not be sent: %s", error)


async def request(
    transport: Transport,
    subject: str,
    payload: bytes,
    timeout_s: float,
    headers: Headers | None = None,
    accept: Accept | None = None,
) -> bytes:
    """One question and its answer. Raises `errors.Unreachable`, and `errors.AnswerLost` after `timeout_s`."""
    answer: Awaitable[bytes] = await transport.ask(subject, payload, headers, accept)
    try:
        async with asyncio.timeout(timeout_s):
            return await answer
    except TimeoutError as error:
        raise errors.AnswerLost(f"no answer on {subject} within {timeout_s:g} s") from error
