"""A module on its way from a registry to the cache, over as many connections as it takes."""

from __future__ import annotations

import re

import aiohttp

from lattice import errors
from lattice.artifacts.arriving import Progress, in_thread
from lattice.artifacts.blobs import Incoming
from lattice.artifacts.oci import Descriptor
from lattice.artifacts.registry import Registry

WRITE_BYTES = 1024 * 1024
"""What is collected before a thread writes it."""
_RANGE = re.compile(r"bytes (\d{1,12})-\d{1,12}/(\d{1,12}|\*)", re.ASCII)


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
