"""The operations on a JetStream key-value bucket: read a key's last message, decide, write if it is still the last."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

import nats.js.errors
from lattice_keyvalue import Kind, Page, Swap, rules

from lattice.errors import Overloaded
from lattice_keyvalue_nats.connection import NatsConnection
from lattice_keyvalue_nats.entry import DELETED, OPERATION_HEADER, Entry, encode_key, pack, unpack
from lattice_keyvalue_nats.listing import list_keys

Result = TypeVar("Result")

ATTEMPTS_MAX = 30
"""Of one change against other hosts that change the same key. Each loses to a success of somebody else."""
BACKOFF_S_MAX = 0.01
"""Random, so that two hosts do not meet again and again."""
MARK_TTL_S = 3600
"""How long a mark of deletion stays, where the server can remove it: longer than a watcher is away."""
EXPIRED_TTL_S = 60
"""How long after its time an expired value stays, where the server can remove it: clocks differ."""
ID_HEADER = "Nats-Msg-Id"
EXPECTED_HEADER = "Nats-Expected-Last-Subject-Sequence"
CONFLICT = (10071, 10164)
"""JetStream's codes for: it was not the last message any more."""


@dataclass(frozen=True, slots=True)
class Change(Generic[Result]):
    """What a key is to hold from now on (None: nothing), and the answer to the caller."""

    entry: Entry | None
    result: Result


class NatsBucket:
    """A `Bucket`: the JetStream key-value bucket `name`, shared with whoever else uses it.

    `stale_reads` lets any replica answer reads. `ttl` says whether the server removes messages by itself.
    """

    def __init__(self, connection: NatsConnection, name: str, *, stale_reads: bool, ttl: bool) -> None:
        self.url = connection.url
        self._connection = connection
        self._stream = f"KV_{name}"
        self._subject = f"$KV.{name}."
        self._stale_reads = stale_reads
        self._ttl = ttl
        # Callers in this process take turns at a key: they would only make each other try again. An entry lives as
        # long as somebody holds its lock.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def _limit(self, key: str) -> AbstractContextManager[None]:
        return self._connection.translated(f"the key {key!r}")

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._connection.timeout_s

    async def _last(self, key: str, deadline: float, *, stale: bool) -> tuple[Entry | None, int]:
        """What the key holds, and the sequence number of the message that says so (0: none ever did)."""
        subject = self._subject + encode_key(key)
        get = self._connection.jetstream.get_msg
        try:
            found = await self._connection.ask(lambda: get(self._stream, subject=subject, direct=stale), deadline)
        except nats.js.errors.NotFoundError:
            return None, 0
        return unpack(key, found.data or b"", found.headers or {}), found.seq or 0

    async def _publish(self, key: str, entry: Entry | None, expected: int | None, deadline: float) -> bool:
        """Writes what the key holds; False when message `expected` is not its last one any more. The message has an
        id, by which the servers know it when it is sent again."""
        body, headers = (b"", {OPERATION_HEADER: DELETED[0]}) if entry is None else pack(entry)
        headers[ID_HEADER] = secrets.token_hex(8)
        if expected is not None:
            headers[EXPECTED_HEADER] = str(expected)
        ttl_s: float | None = MARK_TTL_S if entry is None else None
        if entry is not None and entry.expires_ms is not None:
            ttl_s = max(0, entry.expires_ms / 1000 - time.time()) + EXPIRED_TTL_S
        subject = self._connection.publish_prefix + self._subject + encode_key(key)
        publish, stream, ttl = self._connection.jetstream.publish, self._stream, ttl_s if self._ttl else None
        try:
            await self._connection.ask(
                lambda: publish(subject, body, stream=stream, headers=dict(headers), msg_ttl=ttl), deadline
            )
        except nats.js.errors.APIError as error:
            if error.err_code in CONFLICT:
                return False
            raise
        return True

    async def _read(self, key: str) -> Entry | None:
        with self._limit(key):
            return (await self._last(key, self._deadline(), stale=self._stale_reads))[0]

    async def _change(self, key: str, decide: Callable[[Entry | None], Change[Result]]) -> Result:
        """Replaces what the key holds by what `decide` makes of it; writes nothing when that is the same."""
        turn = self._turns.setdefault(key, asyncio.Lock())
        deadline = self._deadline()
        with self._limit(key):
            async with asyncio.timeout_at(deadline), turn:
                for _ in range(ATTEMPTS_MAX):
                    entry, last = await self._last(key, deadline, stale=False)
                    change = decide(entry)
                    if change.entry is entry or await self._publish(key, change.entry, last, deadline):
                        return change.result
                    await asyncio.sleep(random.uniform(0, BACKOFF_S_MAX))  # noqa: S311 - no secret
        raise Overloaded(
            f"{key!r} was changed by others at every one of {ATTEMPTS_MAX} attempts; nothing was done",
            remedy="try again later, or spread the load over several keys",
        )

    async def get(self, key: str) -> bytes | None:
        entry = await self._read(key)
        if entry is None:
            return None
        _require(key, entry, Kind.VALUE)
        return entry.value

    async def contains(self, key: str) -> bool:
        return await self._read(key) is not None

    async def set(self, key: str, value: bytes, expires_s: int = 0) -> None:
        expires_ms = int(time.time() * 1000) + expires_s * 1000 if expires_s else None
        with self._limit(key):
            await self._publish(key, Entry(Kind.VALUE, value=value, expires_ms=expires_ms), None, self._deadline())

    async def delete(self, key: str) -> bool:
        return await self._change(key, lambda entry: Change(None, entry is not None))

    async def increment(self, key: str, delta: int, wide: bool = False) -> int:
        def decide(entry: Entry | None) -> Change[int]:
            entry = entry or Entry(Kind.VALUE, value=b"0")
            _require(key, entry, Kind.VALUE)
            total = rules.added(key, entry.value, delta, wide)
            return Change(replace(entry, value=b"%d" % total), total)

        return await self._change(key, decide)

    async def compare_and_swap(self, key: str, expected: bytes | None, value: bytes) -> Swap:
        def decide(entry: Entry | None) -> Change[Swap]:
            if entry is not None:
                _require(key, entry, Kind.VALUE)
            held = None if entry is None else entry.value
            if held != expected:
                return Change(entry, Swap(False, held))
            return Change(replace(entry or Entry(Kind.VALUE), value=value), Swap(True, held))

        return await self._change(key, decide)

    async def list_keys(self, cursor: str | None) -> Page:
        with self._connection.translated("the list of keys"):
            return await list_keys(self._connection, self._stream, self._subject, cursor, self._deadline())

    async def list_add(self, key: str, value: bytes) -> int:
        def decide(entry: Entry | None) -> Change[int]:
            items = (*_items(key, entry, Kind.LIST), value)
            return Change(Entry(Kind.LIST, items=items), len(items))

        return await self._change(key, decide)

    async def list_del(self, key: str, value: bytes) -> bool:
        return await self._remove(key, value, Kind.LIST) > 0

    async def list_clear(self, key: str) -> bool:
        return await self._clear(key, Kind.LIST)

    async def list_range(self, key: str, start: int, stop: int) -> list[bytes]:
        items = _items(key, await self._read(key), Kind.LIST)
        first, end = rules.span(len(items), start, stop)
        return list(items[first:end])

    async def set_add(self, key: str, value: bytes) -> int:
        def decide(entry: Entry | None) -> Change[int]:
            members = _items(key, entry, Kind.SET)
            if value in members:
                return Change(entry, 0)
            return Change(Entry(Kind.SET, items=tuple(sorted((*members, value)))), 1)

        return await self._change(key, decide)

    async def set_del(self, key: str, value: bytes) -> int:
        return await self._remove(key, value, Kind.SET)

    async def set_query(self, key: str) -> list[bytes]:
        return list(_items(key, await self._read(key), Kind.SET))

    async def set_union(self, keys: Sequence[str]) -> list[bytes]:
        found: set[bytes] = set()
        for key in keys:
            found.update(await self.set_query(key))
        return rules.bounded("the union", sorted(found))

    async def set_intersection(self, keys: Sequence[str]) -> list[bytes]:
        found: set[bytes] | None = None
        for key in keys:
            members = await self.set_query(key)
            found = set(members) if found is None else found.intersection(members)
        return sorted(found or ())

    async def set_clear(self, key: str) -> bool:
        return await self._clear(key, Kind.SET)

    async def _remove(self, key: str, value: bytes, kind: Kind) -> int:
        def decide(entry: Entry | None) -> Change[int]:
            items = _items(key, entry, kind)
            left = tuple(item for item in items if item != value)
            if len(left) == len(items):
                return Change(entry, 0)
            return Change(Entry(kind, items=left) if left else None, len(items) - len(left))

        return await self._change(key, decide)

    async def _clear(self, key: str, kind: Kind) -> bool:
        def decide(entry: Entry | None) -> Change[bool]:
            _items(key, entry, kind)
            return Change(None, entry is not None)

        return await self._change(key, decide)


def _require(key: str, entry: Entry, kind: Kind) -> None:
    if entry.kind is not kind:
        raise rules.wrong_kind(key, kind)


def _items(key: str, entry: Entry | None, kind: Kind) -> tuple[bytes, ...]:
    if entry is None:
        return ()
    _require(key, entry, kind)
    return entry.items
