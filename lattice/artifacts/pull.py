"""An image from a registry into the cache: by digest from the cache alone where it is there, by tag from the registry.

Nothing is believed: manifest, configuration and module have the digest and the size that led to them, or are not used.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver

from lattice import errors
from lattice.artifacts import oci
from lattice.artifacts.blobs import Blobs, Incoming
from lattice.artifacts.oci import Descriptor
from lattice.artifacts.reference import ImageReference
from lattice.artifacts.registry import Registry
from lattice.artifacts.settings import RegistrySettings
from lattice.artifacts.tags import Meaning, Tags

_log = logging.getLogger("lattice.registry")

Progress = Callable[[int, int], None]
"""Is told how many bytes are there, and of how many."""
WRITE_BYTES = 1024 * 1024
"""What is collected before a thread writes it."""
LOOK_S = 0.1
_RANGE = re.compile(r"bytes (\d{1,12})-\d{1,12}/(\d{1,12}|\*)")

T = TypeVar("T")


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """`digest` is the manifest's, `module` that of the module, both as `sha256:…`. `from_cache`: nothing of the module
    was transferred. `stale_s`: how old the meaning of the tag is, when the registry could not be asked for it."""

    reference: str
    digest: str
    module: str
    size: int
    path: Path
    from_cache: bool
    stale_s: float | None = None


class Pull:
    """Pulls into one cache. `resolver` is for tests."""

    def __init__(
        self, blobs: Blobs, tags: Tags, settings: RegistrySettings, resolver: AbstractResolver | None = None
    ) -> None:
        self._blobs = blobs
        self._tags = tags
        self._settings = settings
        self._resolver = resolver

    async def __call__(
        self, reference: ImageReference, progress: Progress = lambda done, size: None, *, stale: bool = True
    ) -> Pulled:
        """`stale`: a tag may mean what it meant last while its registry cannot be reached.

        Raises `errors.ArtifactError`, `errors.ConfigError`.
        """
        if reference.digest and (found := await self._cached(reference, reference.digest)) is not None:
            return found
        try:
            async with Registry(reference, self._settings, self._resolver) as registry:
                digest, layer = await self._resolve(registry, reference)
                path = await asyncio.to_thread(self._blobs.get, layer.hex)
                was_here = path is not None
                if path is None:
                    path = await self._download(registry, layer, progress)
        except errors.RegistryUnavailable as error:
            if not stale or reference.digest:
                raise
            return await self._last(reference, error)
        if reference.tag and not reference.digest:
            await asyncio.to_thread(self._tags.put, Meaning(str(reference), digest, time.time()))
        return _pulled(reference, digest, layer, path, was_here)

    async def _last(self, reference: ImageReference, error: errors.RegistryUnavailable) -> Pulled:
        """What a tag meant when it was last looked up."""
        meaning = await asyncio.to_thread(self._tags.get, str(reference))
        found = await self._cached(reference, meaning.digest) if meaning is not None else None
        if meaning is None or found is None:
            raise error
        stale_s = max(0.0, time.time() - meaning.at)
        _log.warning("%s is taken from the cache as it was %s ago: %s", reference, ago(stale_s), error)
        return msgspec.structs.replace(found, stale_s=stale_s)

    async def _cached(self, reference: ImageReference, digest: str) -> Pulled | None:
        """What is wholly in the cache."""
        document = await self._kept(reference, digest)
        if isinstance(document, oci.Index):
            document = await self._kept(reference, oci.wasm_entry(document, str(reference)).digest)
        if not isinstance(document, oci.Manifest):
            return None
        layer = oci.wasm_layer(document, str(reference))
        path = await asyncio.to_thread(self._blobs.get, layer.hex)
        return _pulled(reference, digest, layer, path, True) if path is not None else None

    async def _kept(self, reference: ImageReference, digest: str) -> oci.Manifest | oci.Index | None:
        data = await asyncio.to_thread(self._blobs.read, digest.removeprefix("sha256:"), oci.MANIFEST_BYTES_MAX)
        # A digest may name a module that is here: that is no manifest, and the registry will say so.
        return oci.read(data, "", str(reference)) if data is not None and data.startswith(b"{") else None

    # Manifests.

    async def _resolve(self, registry: Registry, reference: ImageReference) -> tuple[str, Descriptor]:
        """The digest that a reference means, and the layer that is the module."""
        name = str(reference)
        digest, document = await self._document(registry, reference.digest or reference.tag, None)
        manifest = document
        if isinstance(document, oci.Index):
            entry = oci.wasm_entry(document, name)
            _, manifest = await self._document(registry, entry.digest, entry)
        if isinstance(manifest, oci.Index):
            raise errors.UnsupportedGuest(f"{name} is an index of indexes", remedy="name the manifest by its digest")
        return digest, oci.wasm_layer(manifest, name)

    async def _document(
        self, registry: Registry, wanted: str, entry: Descriptor | None
    ) -> tuple[str, oci.Manifest | oci.Index]:
        """A manifest or index by tag or digest, checked and kept; `entry` is what an index says of it."""
        name = str(registry.reference)
        if wanted.startswith("sha256:") and (known := await self._kept(registry.reference, wanted)) is not None:
            return wanted, known
        data, media_type, said = await registry.repeated(
            lambda: _fetch_manifest(registry, wanted), registry.patience.answer_s
        )
        digest = oci.digest_of(data)
        if (wanted.startswith("sha256:") and wanted != digest) or (said.startswith("sha256:") and said != digest):
            raise errors.ArtifactMismatch(f"{name}: what the registry sent has the digest {digest} and should not")
        if entry is not None and (entry.size != len(data) or entry.media_type != media_type):
            raise errors.ArtifactMismatch(f"{name}: its index says another size or type than the manifest has")
        if (known := await self._kept(registry.reference, digest)) is not None:
            return digest, known
        document = oci.read(data, media_type, name)
        if isinstance(document, oci.Manifest):
            oci.wasm_layer(document, name)
            await self._check_config(registry, document.config)
        await self._keep(digest.removeprefix("sha256:"), data)
        return digest, document

    async def _check_config(self, registry: Registry, config: Descriptor) -> None:
        """Nothing is taken from it; that it is what the manifest says is still a part of the image being whole."""

        async def fetch() -> bytes:
            async with registry.request("GET", registry.base / f"blobs/{config.digest}") as response:
                if response.status != 200:
                    raise await registry.failure(response, f"configuration of {registry.reference}")
                return await registry.read(response, config.size)

        data = await registry.repeated(fetch, registry.patience.answer_s)
        if len(data) != config.size or oci.digest_of(data) != config.digest:
            raise errors.ArtifactMismatch(f"{registry.reference}: its configuration is not what the manifest says")

    async def _keep(self, digest: str, data: bytes) -> None:
        async with incoming(self._blobs, digest, self._settings.patience.answer_s) as part:
            if part is not None:
                await in_thread(part.restart)
                await in_thread(part.write, data)
                await in_thread(part.commit)

    # The module.

    async def _download(self, registry: Registry, layer: Descriptor, progress: Progress) -> Path:
        whole_s = registry.patience.transfer_s(layer.size)
        async with incoming(self._blobs, layer.hex, whole_s) as part:
            if part is not None:
                await in_thread(part.resume, layer.size)
                transfer = Transfer(registry, layer, part, progress)
                _log.info("pulling %s (%d KiB)", registry.reference, layer.size // 1024)
                await registry.repeated(transfer.run, whole_s)
                await in_thread(part.commit)
        await asyncio.to_thread(self._blobs.trim)
        path = await asyncio.to_thread(self._blobs.get, layer.hex)
        if path is None:
            raise errors.ArtifactUnreadable(
                f"{registry.reference} did not stay in the cache", remedy="is another process trimming it?"
            )
        return path


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


async def _fetch_manifest(registry: Registry, wanted: str) -> tuple[bytes, str, str]:
    """The bytes, the type that they are sent as, and the digest that the registry says they have."""
    headers = {"Accept": ", ".join((*oci.MANIFESTS, *oci.INDEXES))}
    async with registry.request("GET", registry.base / f"manifests/{wanted}", headers=headers) as response:
        if response.status != 200:
            raise await registry.failure(response, str(registry.reference))
        data = await registry.read(response, oci.MANIFEST_BYTES_MAX)
        type_ = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return data, type_, response.headers.get("Docker-Content-Digest", "")


def references(blobs: Blobs, tags: Tags) -> dict[str, set[str]]:
    """By digest, the references that mean it: of manifests and of their modules. Blocking."""
    found: dict[str, set[str]] = {}
    for meaning in tags.all():
        pending = [meaning.digest]
        while pending:
            digest = pending.pop()
            found.setdefault(digest, set()).add(meaning.reference)
            data = blobs.read(digest.removeprefix("sha256:"), oci.MANIFEST_BYTES_MAX, used=False)
            if data is None or not data.startswith(b"{"):
                continue
            with contextlib.suppress(errors.ArtifactError):
                document = oci.read(data, "", meaning.reference)
                if isinstance(document, oci.Index):
                    pending.append(oci.wasm_entry(document, meaning.reference).digest)
                else:
                    found.setdefault(oci.wasm_layer(document, meaning.reference).digest, set()).add(meaning.reference)
    return found


def _pulled(reference: ImageReference, digest: str, layer: Descriptor, path: Path, from_cache: bool) -> Pulled:
    return Pulled(
        reference=str(reference),
        digest=digest,
        module=layer.digest,
        size=layer.size,
        path=path,
        from_cache=from_cache,
    )


def ago(seconds: float) -> str:
    """An age as people say it."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
