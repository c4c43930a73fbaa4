"""What a registry has of an image, brought into the cache. Nothing is believed: manifest, configuration and module have
the digest and the size that led to them, or are not used."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from lattice import errors
from lattice.artifacts import oci
from lattice.artifacts.arriving import Progress, in_thread, incoming, keep
from lattice.artifacts.blobs import Blobs
from lattice.artifacts.oci import Descriptor
from lattice.artifacts.pull import kept
from lattice.artifacts.registry import Registry
from lattice.artifacts.transfer import Transfer

_log = logging.getLogger("lattice.registry")


class Fetch:
    """One image of one registry, into one cache."""

    def __init__(self, registry: Registry, blobs: Blobs) -> None:
        self._registry = registry
        self._blobs = blobs
        self._name = str(registry.reference)

    async def resolve(self) -> tuple[str, Descriptor]:
        """The digest that the reference means, and the layer that is the module."""
        name = self._name
        reference = self._registry.reference
        digest, document = await self._document(reference.digest or reference.tag, None)
        manifest = document
        if isinstance(document, oci.Index):
            entry = oci.wasm_entry(document, name)
            _, manifest = await self._document(entry.digest, entry)
        if isinstance(manifest, oci.Index):
            raise errors.UnsupportedGuest(f"{name} is an index of indexes", remedy="name the manifest by its digest")
        return digest, oci.wasm_layer(manifest, name)

    async def _document(self, wanted: str, entry: Descriptor | None) -> tuple[str, oci.Manifest | oci.Index]:
        """A manifest or index by tag or digest, checked and kept; `entry` is what an index says of it."""
        registry, name = self._registry, self._name
        if wanted.startswith("sha256:") and (known := await kept(self._blobs, wanted, name)) is not None:
            return wanted, known
        data, media_type, said = await registry.repeated(lambda: self._manifest(wanted), registry.patience.answer_s)
        digest = oci.digest_of(data)
        if (wanted.startswith("sha256:") and wanted != digest) or (said.startswith("sha256:") and said != digest):
            raise errors.ArtifactMismatch(f"{name}: what the registry sent has the digest {digest} and should not")
        if entry is not None and (entry.size != len(data) or entry.media_type != media_type):
            raise errors.ArtifactMismatch(f"{name}: its index says another size or type than the manifest has")
        if (known := await kept(self._blobs, digest, name)) is not None:
            return digest, known
        document = oci.read(data, media_type, name)
        if isinstance(document, oci.Manifest):
            oci.wasm_layer(document, name)
            await self._check_config(document.config)
        await keep(self._blobs, digest.removeprefix("sha256:"), data, registry.patience.answer_s)
        return digest, document

    async def _check_config(self, config: Descriptor) -> None:
        """Nothing is taken from it; that it is what the manifest says is still a part of the image being whole."""
        registry = self._registry

        async def fetch() -> bytes:
            async with registry.request("GET", registry.base / f"blobs/{config.digest}") as response:
                if response.status != 200:
                    raise await registry.failure(response, f"configuration of {self._name}")
                return await registry.read(response, config.size)

        data = await registry.repeated(fetch, registry.patience.answer_s)
        if len(data) != config.size or oci.digest_of(data) != config.digest:
            raise errors.ArtifactMismatch(f"{self._name}: its configuration is not what the manifest says")

    async def module(self, layer: Descriptor, progress: Progress) -> Path:
        """The module in the cache, downloaded or gone on with."""
        registry = self._registry
        whole_s = registry.patience.transfer_s(layer.size)
        async with incoming(self._blobs, layer.hex, whole_s) as part:
            if part is not None:
                await in_thread(part.resume, layer.size)
                transfer = Transfer(registry, layer, part, progress)
                _log.info("pulling %s (%d KiB)", self._name, layer.size // 1024)
                await registry.repeated(transfer.run, whole_s)
                if part.is_right and not part.is_module:
                    part.discard()
                    raise errors.NotWasm(f"{self._name}: its layer is no WebAssembly, whatever its type says")
                await in_thread(part.commit)
        await asyncio.to_thread(self._blobs.trim)
        path = await asyncio.to_thread(self._blobs.get, layer.hex)
        if path is None:
            raise errors.ArtifactUnreadable(
                f"{self._name} did not stay in the cache", remedy="is another process trimming it?"
            )
        return path

    async def _manifest(self, wanted: str) -> tuple[bytes, str, str]:
        """The bytes, the type that they are sent as, and the digest that the registry says they have."""
        registry = self._registry
        headers = {"Accept": ", ".join((*oci.MANIFESTS, *oci.INDEXES))}
        async with registry.request("GET", registry.base / f"manifests/{wanted}", headers=headers) as response:
            if response.status != 200:
                raise await registry.failure(response, self._name)
            data = await registry.read(response, oci.MANIFEST_BYTES_MAX)
            type_ = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            return data, type_, response.headers.get("Docker-Content-Digest", "")
