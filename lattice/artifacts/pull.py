"""An image from a registry into the cache: by digest from the cache alone where it is there, by tag from the registry.

Nothing is believed: manifest, configuration and module have the digest and the size that led to them, or are not used.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path

import msgspec
from aiohttp.abc import AbstractResolver

from lattice import errors
from lattice.artifacts import oci
from lattice.artifacts.blobs import Blobs
from lattice.artifacts.oci import Descriptor
from lattice.artifacts.reference import ImageReference
from lattice.artifacts.registry import Registry
from lattice.artifacts.settings import RegistrySettings
from lattice.artifacts.tags import Meaning, Tags
from lattice.artifacts.transfer import Progress, Transfer, in_thread, incoming

_log = logging.getLogger("lattice.registry")


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
                if part.is_right and not part.is_module:
                    part.discard()
                    raise errors.NotWasm(f"{registry.reference}: its layer is no WebAssembly, whatever its type says")
                await in_thread(part.commit)
        await asyncio.to_thread(self._blobs.trim)
        path = await asyncio.to_thread(self._blobs.get, layer.hex)
        if path is None:
            raise errors.ArtifactUnreadable(
                f"{registry.reference} did not stay in the cache", remedy="is another process trimming it?"
            )
        return path


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
