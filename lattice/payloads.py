"""Payloads too large for one message: they lie in the lattice's object store while they travel."""

from __future__ import annotations

import asyncio
import hashlib
import logging

from lattice import errors, subjects
from lattice.transport.transport import Objects, Transport

_log = logging.getLogger("lattice.remote")

MESSAGE_BYTES_MAX = 900 * 1024
"""Larger payloads go through the object store: servers refuse messages over 1 MiB by default, envelope included."""
OBJECT_KEEP_S = 600.0
"""How long a payload is kept that nobody came for."""
PAYLOAD_BYTES_MAX = 256 * 1024 * 1024
"""A size that an envelope may claim; an actor's own limit is far below."""
HASHED_HERE_BYTES_MAX = 512 * 1024
"""A larger payload is hashed by a thread: the loop is not held for longer than a quarter of a millisecond."""


class Payloads:
    """Payloads too large for one message."""

    def __init__(self, transport: Transport, lattice: str) -> None:
        self._transport = transport
        self._name = subjects.payload_objects(lattice)
        self._objects: Objects | None = None

    async def put(self, name: str, payload: bytes, timeout_s: float) -> None:
        """Raises `errors.Unreachable`: the call has not begun."""
        try:
            async with asyncio.timeout(timeout_s):
                await (await self._store()).put(name, memoryview(payload), timeout_s)
        except (errors.StoreUnavailable, TimeoutError) as error:
            raise errors.Unreachable(f"a payload of {len(payload)} bytes could not be sent: {error}") from error

    async def take(self, name: str, size: int, timeout_s: float, digest: bytes = b"") -> bytes:
        """Reads and deletes. Raises `errors.Unreachable` when it did not arrive, `errors.PayloadTooLarge`,
        `errors.MalformedMessage` when it is of another size than was announced, `errors.NotAuthentic` when it does not
        have this digest."""
        if size > PAYLOAD_BYTES_MAX:
            raise errors.PayloadTooLarge(
                f"a payload of {size} bytes is announced; at most {PAYLOAD_BYTES_MAX} are read"
            )
        try:
            async with asyncio.timeout(timeout_s):
                store = await self._store()
                payload = await store.get(name, timeout_s, size_max=size)
        except (errors.StoreUnavailable, errors.TargetUnknown, TimeoutError) as error:
            raise errors.Unreachable(f"a payload of {size} bytes did not arrive: {error}") from error
        try:
            await store.delete(name)
        except errors.StoreUnavailable as error:
            _log.debug("the payload %s stays until its time is over: %s", name, error)
        if len(payload) != size:
            raise errors.MalformedMessage(f"a payload of {len(payload)} bytes came where {size} were announced")
        if digest and await digest_of(payload) != digest:
            raise errors.NotAuthentic(f"the payload {name} in the object store is not what was sent")
        return payload

    async def _store(self) -> Objects:
        if self._objects is None:
            self._objects = await self._transport.objects(self._name, keep_s=OBJECT_KEEP_S)
        return self._objects


async def digest_of(payload: bytes) -> bytes:
    """SHA-256."""
    if len(payload) <= HASHED_HERE_BYTES_MAX:
        return hashlib.sha256(payload).digest()
    return (await asyncio.to_thread(hashlib.sha256, payload)).digest()
