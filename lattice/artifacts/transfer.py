"""A module on its way from a registry to the cache: by one task at a time, over as many connections as it takes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar

import aiohttp

from lattice import errors
from lattice.artifacts.blobs import Blobs, Incoming
from lattice.artifacts.oci import Descriptor
from lattice.artifacts.registry import Registry

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many bytes are there, and of how many."""
WRITE_BYTES = 1024 * 1024
"""What is collected before a thread writes it."""
LOOK_S = 0.1
"""How often is looked whether another process is ready."""
_RANGE = re.compile(r"bytes (\d{1,12})-\d{1,12}/(\d{1,12}|\*)", re.ASCII)

T = TypeVar("T")


class Transfer:
    """One module on its way, over as many connections as it takes."""

    def __init__(self, registry: Registry, layer: Descriptor, part: Incoming, progress: Progress) -> None:
        self._registry = registry
        self._layer = layer
        self._part = part
        self._progress = progress
        self._resumed = part.size > 0

    async def run(self) -> None:
        """Raises `errors.RegistryUnavailable` when it may be gone on with, `errors.ArtifactMismatch` when not."""
        part, layer = self._part, self._layer
        if part.size < layer.size or layer.size == 0:
            try:
                await self._connection()
            except errors.ArtifactMismatch:
                part.discard()
                raise
        if not part.is_right and self._resumed:
            # What was left by somebody before may have been wrong from its first byte.
            self._resumed = False
            await in_thread(part.restart)
            raise errors.RegistryUnavailable(f"{self._registry.reference}: what was there did not fit; again")

    async def _connection(self) -> None:
        registry, part, layer = self._registry, self._part, self._layer
        begin = part.size
        headers = {"Range": f"bytes={begin}-"} if begin else {}
        async with registry.request("GET", registry.base / f"blobs/{layer.digest}", headers=headers) as response:
            if response.status == 416 and begin:
                await in_thread(part.restart)
                raise errors.RegistryUnavailable(f"{registry.reference}: there is no rest; again from the beginning")
            if response.status == 206 and begin:
                self._check_range(response, begin)
            elif response.status == 200:
                await in_thread(part.restart)
            else:
                raise await registry.failure(response, f"module of {registry.reference}")
            said = response.content_length
            if said is not None and part.size + said != layer.size:
                raise self._mismatch(f"the registry has {part.size + said} bytes")
            await self._receive(response)

    def _check_range(self, response: aiohttp.ClientResponse, begin: int) -> None:
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != begin or found[2] not in ("*", str(self._layer.size)):
            raise self._mismatch("the registry sends another range than was asked for")

    async def _receive(self, response: aiohttp.ClientResponse) -> None:
        part, size = self._part, self._layer.size
        collected = bytearray()
        try:
            async for piece in self._registry.pieces(response):
                if part.size + len(collected) + len(piece) > size:
                    raise self._mismatch("the registry sends more")
                collected += piece
                if len(collected) >= WRITE_BYTES:
                    await in_thread(part.write, bytes(collected))
                    collected.clear()
                self._progress(part.size + len(collected), size)
        finally:
            # Also what came before a connection broke: the next one goes on from there.
            if collected:
                await in_thread(part.write, bytes(collected))
        if part.size < size:
            raise self._mismatch(f"the registry sends {part.size} bytes")

    def _mismatch(self, what: str) -> errors.ArtifactMismatch:
        return errors.ArtifactMismatch(f"{self._registry.reference}: {what}, and its manifest says {self._layer.size}")


@asynccontextmanager
async def incoming(blobs: Blobs, digest: str, wait_s: float) -> AsyncIterator[Incoming | None]:
    """The part of a digest for this task alone; None when somebody else has just put the content there.

    Raises `errors.RegistryUnavailable` when somebody else was fetching it for `wait_s`.
    """
    deadline = asyncio.get_running_loop().time() + wait_s
    while (part := blobs.begin(digest)) is None:
        if asyncio.get_running_loop().time() > deadline:
            raise errors.RegistryUnavailable(f"another process has been fetching {digest[:12]} for {wait_s:g} s")
        await asyncio.sleep(LOOK_S)
    try:
        if await in_thread(blobs.get, digest) is not None:
            part.discard()
            yield None
        else:
            yield part
    finally:
        part.close()


async def in_thread(work: Callable[..., T], *arguments: object) -> T:
    """`asyncio.to_thread` that ends when the thread does, also when it is cancelled: what it uses is closed next."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise
