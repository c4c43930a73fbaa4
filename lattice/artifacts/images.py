"""Images by reference: from the lattice's store, from a registry, from a file; fetched, checked and kept by each host.

`stored://SHA256/NAME.wasm` names content in the lattice's store, `file:///PATH` a file of the host that reads it;
everything else is a registry's, with `oci://` before it or not. What was fetched lies in one folder by its content.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeAlias

from lattice import errors
from lattice.artifacts import module_file
from lattice.artifacts.arriving import in_thread, incoming
from lattice.artifacts.blobs import Blobs
from lattice.artifacts.pull import Pull, Pulled, ago
from lattice.artifacts.reference import ImageReference, parse
from lattice.artifacts.settings import RegistrySettings
from lattice.artifacts.tags import Tags

STORED, FILE = "stored://", "file://"
FETCH_S_MAX = 60.0
REPORT_EVERY_S = 2.0
"""How often a pull says how far it is, to people who read lines."""
_STORED = re.compile(r"stored://([0-9a-f]{64})/([A-Za-z0-9._-]{1,200})")

Report: TypeAlias = Callable[[str], None]
"""Gets a line for each step, for people to read."""


class ImageStore(Protocol):
    """Large values by name; a part of `transport.Objects`."""

    async def put(self, name: str, data: bytes | memoryview, timeout_s: float = 30.0) -> None: ...

    async def get(self, name: str, timeout_s: float = 30.0) -> bytes: ...


class Images:
    """`folder` keeps what was fetched, shared with other hosts. `open_store` opens the lattice's store when it is first
    needed."""

    def __init__(
        self,
        folder: Path,
        open_store: Callable[[], Awaitable[ImageStore]] | None = None,
        registries: RegistrySettings | None = None,
    ) -> None:
        self._open = open_store
        self._store: ImageStore | None = None
        self.blobs = Blobs(folder)
        self.tags = Tags(folder)
        self.pull = Pull(self.blobs, self.tags, registries or RegistrySettings())

    async def put(self, path: Path) -> str:
        """Stores a file; returns its reference. Raises `errors.ArtifactUnreadable`, `errors.StoreUnavailable`."""
        data = await asyncio.to_thread(module_file.read, path)
        digest = hashlib.sha256(data).hexdigest()
        store = await self._opened()
        try:
            known = hashlib.sha256(await store.get(digest, FETCH_S_MAX)).hexdigest() == digest
        except (errors.TargetUnknown, errors.MalformedMessage):
            known = False
        if not known:
            await store.put(digest, data, FETCH_S_MAX)
        return f"{STORED}{digest}/{re.sub(r'[^A-Za-z0-9._-]', '_', path.name)[:200]}"

    async def fetch(self, reference: str, report: Report = lambda line: None) -> Path:
        """The file behind a reference, on this host.

        Raises `errors.ArtifactError`, `errors.StoreUnavailable`, `errors.ConfigError`.
        """
        if reference.startswith(FILE):
            path = Path(reference.removeprefix(FILE))
            if not path.is_absolute():
                raise errors.ArtifactUnreadable(f"{reference} is not an absolute path", remedy="write file:///PATH")
            return path
        found = _STORED.fullmatch(reference)
        if found is not None:
            return await self._stored(found[1], found[2])
        try:
            wanted = parse(reference)
        except errors.ConfigError as error:
            raise errors.ArtifactUnreadable(
                f"{reference[:300]} is not an image that this host can fetch: {error}", remedy=error.remedy
            ) from error
        return (await self._pulled(wanted, report)).path

    async def _pulled(self, reference: ImageReference, report: Report) -> Pulled:
        began = said = time.monotonic()

        def progress(done: int, size: int) -> None:
            nonlocal said
            if time.monotonic() - said > REPORT_EVERY_S:
                said = time.monotonic()
                report(f"pulling {reference}: {done // 1024} of {size // 1024} KiB")

        pulled = await self.pull(reference, progress)
        if pulled.stale_s is not None:
            report(f"{reference} is from the cache, {ago(pulled.stale_s)} old: its registry cannot be reached")
        elif not pulled.from_cache:
            report(f"pulled {reference} ({pulled.size // 1024} KiB in {time.monotonic() - began:.1f} s)")
        return pulled

    async def _stored(self, digest: str, name: str) -> Path:
        path = await asyncio.to_thread(self.blobs.get, digest)
        if path is not None:
            return path
        async with incoming(self.blobs, digest, FETCH_S_MAX) as part:
            if part is not None:
                data = await self._from_store(digest, name)
                await in_thread(part.restart)
                await in_thread(part.write, data)
                await in_thread(part.commit)
        await asyncio.to_thread(self.blobs.trim)
        return self.blobs.path(digest)

    async def _from_store(self, digest: str, name: str) -> bytes:
        try:
            data = await (await self._opened()).get(digest, FETCH_S_MAX)
        except errors.TargetUnknown as error:
            raise errors.ArtifactUnreadable(
                f"the lattice's store has no image {digest[:12]} ({name})", remedy="put the application again"
            ) from error
        except (errors.MalformedMessage, TimeoutError) as error:
            raise errors.StoreUnavailable(f"the image {name} did not arrive: {error or 'too slow'}") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise errors.ArtifactMismatch(f"the lattice's store holds something else under {digest[:12]} ({name})")
        return data

    async def _opened(self) -> ImageStore:
        if self._store is None:
            if self._open is None:
                raise errors.StoreUnavailable("this host has joined no lattice, which is where images are stored")
            self._store = await self._open()
        return self._store
