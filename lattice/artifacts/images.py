"""Images by content: put into the lattice's store under their SHA-256, fetched, checked and kept by each host.

`stored://SHA256/NAME.wasm` names content; `file:///PATH` a file of the host that reads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from lattice import errors, wasmfile

STORED, FILE = "stored://", "file://"
FETCH_S_MAX = 60.0
_STORED = re.compile(r"stored://([0-9a-f]{64})/([A-Za-z0-9._-]{1,200})")


class ImageStore(Protocol):
    """Large values by name; a part of `transport.Objects`."""

    async def put(self, name: str, data: bytes | memoryview, timeout_s: float = 30.0) -> None: ...

    async def get(self, name: str, timeout_s: float = 30.0) -> bytes: ...


class Images:
    """`folder` keeps what was fetched. `open_store` opens the lattice's store when it is first needed."""

    def __init__(self, folder: Path, open_store: Callable[[], Awaitable[ImageStore]] | None = None) -> None:
        self._folder = folder
        self._open = open_store
        self._store: ImageStore | None = None
        self._fetching: dict[str, asyncio.Lock] = {}

    async def put(self, path: Path) -> str:
        """Stores a file; returns its reference. Raises `errors.ArtifactUnreadable`, `errors.StoreUnavailable`."""
        data = await asyncio.to_thread(_read, path)
        digest = hashlib.sha256(data).hexdigest()
        store = await self._opened()
        try:
            known = hashlib.sha256(await store.get(digest, FETCH_S_MAX)).hexdigest() == digest
        except (errors.TargetUnknown, errors.MalformedMessage):
            known = False
        if not known:
            await store.put(digest, data, FETCH_S_MAX)
        return f"{STORED}{digest}/{re.sub(r'[^A-Za-z0-9._-]', '_', path.name)[:200]}"

    async def fetch(self, reference: str) -> Path:
        """The file behind a reference, on this host. Raises `errors.ArtifactError`, `errors.StoreUnavailable`."""
        if reference.startswith(FILE):
            path = Path(reference.removeprefix(FILE))
            if not path.is_absolute():
                raise errors.ArtifactUnreadable(f"{reference} is not an absolute path", remedy="write file:///PATH")
            return path
        found = _STORED.fullmatch(reference)
        if found is None:
            raise errors.ArtifactUnreadable(
                f"{reference} is not an image that this host can fetch",
                remedy="use a file:// image, or lattice app put",
            )
        digest, name = found.groups()
        path = self._folder / digest / name
        async with self._fetching.setdefault(digest, asyncio.Lock()):
            if await asyncio.to_thread(_is_whole, path, digest):
                return path
            try:
                data = await (await self._opened()).get(digest, FETCH_S_MAX)
            except errors.TargetUnknown as error:
                raise errors.ArtifactUnreadable(
                    f"the lattice's store has no image {digest[:12]} ({name})", remedy="put the application again"
                ) from error
            except (errors.MalformedMessage, TimeoutError) as error:
                raise errors.StoreUnavailable(f"the image {name} did not arrive: {error or 'too slow'}") from error
            if hashlib.sha256(data).hexdigest() != digest:
                raise errors.ArtifactUnreadable(
                    f"the lattice's store holds something else under {digest[:12]} ({name})"
                )
            await asyncio.to_thread(_write, path, data)
        return path

    async def _opened(self) -> ImageStore:
        if self._store is None:
            if self._open is None:
                raise errors.StoreUnavailable("this host has joined no lattice, which is where images are stored")
            self._store = await self._open()
        return self._store


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > wasmfile.WASM_BYTES_MAX:
            raise errors.ArtifactUnreadable(f"{path} is larger than {wasmfile.WASM_BYTES_MAX // 2**20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise errors.ArtifactUnreadable(f"{path} cannot be read: {error.strerror}") from error


def _is_whole(path: Path, digest: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except OSError:
        return False


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise errors.ArtifactUnreadable(
            f"{path} cannot be written: {error.strerror or error}",
            remedy="free some space, or choose another LATTICE_CACHE",
        ) from error
