"""An image by its reference: by digest from the cache alone where it is there, by tag from the registry while there is
one, and then from the cache."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lattice import errors
from lattice.artifacts import oci
from lattice.artifacts.arriving import Progress
from lattice.artifacts.blobs import Blobs
from lattice.artifacts.oci import Descriptor
from lattice.artifacts.reference import ImageReference
from lattice.artifacts.settings import RegistrySettings
from lattice.artifacts.tags import Meaning, Tags

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

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
            fetched = await self._fetch(reference, progress)
        except errors.RegistryUnavailable as error:
            if not stale or reference.digest:
                raise
            return await self._last(reference, error)
        if reference.tag and not reference.digest:
            await asyncio.to_thread(self._tags.put, Meaning(str(reference), fetched.digest, time.time()))
        return fetched

    async def _fetch(self, reference: ImageReference, progress: Progress) -> Pulled:
        # Loaded when a registry is asked: its HTTP library takes 0.2 s, and most starts ask none.
        from lattice.artifacts.fetch import Fetch
        from lattice.artifacts.registry import Registry

        async with Registry(reference, self._settings, self._resolver) as registry:
            fetch = Fetch(registry, self._blobs)
            digest, layer = await fetch.resolve()
            path = await asyncio.to_thread(self._blobs.get, layer.hex)
            found = path or await fetch.module(layer, progress)
            return _pulled(reference, digest, layer, found, path is not None)

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
        document = await kept(self._blobs, digest, str(reference))
        if isinstance(document, oci.Index):
            document = await kept(self._blobs, oci.wasm_entry(document, str(reference)).digest, str(reference))
        if not isinstance(document, oci.Manifest):
            return None
        layer = oci.wasm_layer(document, str(reference))
        path = await asyncio.to_thread(self._blobs.get, layer.hex)
        return _pulled(reference, digest, layer, path, True) if path is not None else None


async def kept(blobs: Blobs, digest: str, name: str) -> oci.Manifest | oci.Index | None:
    """A manifest or index that is in the cache. Raises as `oci.read` does."""
    data = await asyncio.to_thread(blobs.read, digest.removeprefix("sha256:"), oci.MANIFEST_BYTES_MAX)
    # A digest may name a module that is here: that is no manifest, and the registry will say so.
    return oci.read(data, "", name) if data is not None and data.startswith(b"{") else None


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
