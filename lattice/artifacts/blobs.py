"""Content on disk under its SHA-256, shared safely by processes.

    FOLDER/blobs/sha256/DIGEST        content, whole
    FOLDER/blobs/sha256/DIGEST.part   content that arrives; who holds its lock (flock) writes it

A part becomes content by one rename, after its digest was checked, and content is checked again whenever it is read. So
a crash, a full disk or a second process leave either nothing, a part that the next one goes on with, or the content.
The time of a file is when it was last used; the longest unused goes first when the folder is full. Blocking.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from lattice import errors, wasmfile
from lattice.artifacts import folders

_log = logging.getLogger("lattice.cache")

BLOBS_BYTES_MAX = 2 * 1024 * 1024 * 1024
"""The longest unused goes when there is more: a thousand actors of 2 MB, or eight of the largest that are run."""
PART_S_MAX = 7 * 24 * 3600.0
"""A part that nobody went on with for so long is removed."""
USED_LATELY_S = 60.0
"""What was used so lately stays: somebody may have its path and be about to read it."""
READ_BYTES = 1024 * 1024
PART = ".part"
_WHERE = ("blobs", "sha256")
_HEX = re.compile(r"[0-9a-f]{64}")
_WASM = b"\0asm"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One content. `used_at` is Unix time; `kind` is what it begins like: wasm, manifest or other, or a part."""

    digest: str
    size: int
    used_at: float
    kind: str


class Incoming:
    """Content on its way: the part of one digest, locked by whoever has this object."""

    def __init__(self, folder_fd: int, fd: int, digest: str) -> None:
        self._folder_fd = folder_fd
        self._fd = fd
        self._digest = digest
        self._hash = hashlib.sha256()
        self._settled = False
        self.size = 0

    def resume(self, bytes_max: int) -> None:
        """Reads what is there already; more than there can be is thrown away."""
        self._hash = hashlib.sha256()
        self.size = 0
        if os.fstat(self._fd).st_size > bytes_max:
            self.restart()
            return
        os.lseek(self._fd, 0, os.SEEK_SET)
        while part := os.read(self._fd, READ_BYTES):
            self._hash.update(part)
            self.size += len(part)

    def restart(self) -> None:
        os.lseek(self._fd, 0, os.SEEK_SET)
        os.ftruncate(self._fd, 0)
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Raises `errors.ArtifactUnreadable` when there is no room."""
        rest = memoryview(data)
        with _told(f"the cache, for {self._digest[:12]},"):
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        self._hash.update(data)
        self.size += len(data)

    @property
    def is_right(self) -> bool:
        """Whether what was written has the digest."""
        return self._hash.hexdigest() == self._digest

    @property
    def is_module(self) -> bool:
        """Whether it begins as WebAssembly does."""
        return os.pread(self._fd, len(_WASM), 0) == _WASM

    def commit(self) -> None:
        """Makes it the content. Raises `errors.ArtifactMismatch`, and then nothing of it is left."""
        if not self.is_right:
            self.discard()
            raise errors.ArtifactMismatch(f"what arrived does not have the digest sha256:{self._digest}")
        with _told(f"the cache, for {self._digest[:12]},"):
            os.fchmod(self._fd, 0o400)
            os.utime(self._fd)
            name = self._digest + PART
            os.rename(name, self._digest, src_dir_fd=self._folder_fd, dst_dir_fd=self._folder_fd)
        self._settled = True

    def discard(self) -> None:
        self._settled = True
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._digest + PART, dir_fd=self._folder_fd)

    def close(self) -> None:
        """Gives the lock back; what was written stays for whoever goes on."""
        if not self._settled and self.size == 0:
            self.discard()
        os.close(self._fd)
        os.close(self._folder_fd)


class Blobs:
    """One folder."""

    def __init__(self, folder: Path, bytes_max: int = BLOBS_BYTES_MAX) -> None:
        self.folder = folder
        self._bytes_max = bytes_max

    def path(self, digest: str) -> Path:
        """Where content is, or would be."""
        _check(digest)
        return self.folder.joinpath(*_WHERE, digest)

    def get(self, digest: str) -> Path | None:
        """The file with this content, checked and noted as used; None when it is not here.

        Raises `errors.ConfigError` for a folder that cannot be trusted, `errors.ArtifactUnreadable`.
        """
        return self.path(digest) if self._look(digest, wasmfile.WASM_BYTES_MAX, keep=False) is not None else None

    def read(self, digest: str, bytes_max: int, *, used: bool = True) -> bytes | None:
        """The same for small content, as bytes. `used` notes the use."""
        return self._look(digest, bytes_max, keep=True, used=used)

    def _look(self, digest: str, bytes_max: int, *, keep: bool, used: bool = True) -> bytes | None:
        """`keep` returns the content, else b"" stands for it."""
        _check(digest)
        with self._opened() as folder_fd:
            try:
                fd = folders.open_file(digest, folder_fd)
            except FileNotFoundError:
                return None
            except OSError as error:
                _log.warning("%s in the cache is not used: %s", digest[:12], error)
                if error.errno in (None, errno.ELOOP, errno.ENXIO):  # planted; otherwise it may be good content
                    _remove(digest, folder_fd)
                return None
            try:
                if os.fstat(fd).st_size > bytes_max:
                    return None  # not what the caller takes it for, which does not make it wrong
                right, data = _hashed(fd, digest, keep)
                if right:
                    if used:
                        with contextlib.suppress(OSError):
                            os.utime(fd)
                    return data
            finally:
                os.close(fd)
            _log.warning("%s in the cache is corrupt and is fetched again", digest[:12])
            _remove(digest, folder_fd)
            return None

    def put(self, digest: str, data: bytes) -> Path:
        """Keeps content. Raises `errors.ArtifactMismatch`, `errors.ArtifactUnreadable`, `errors.ConfigError`; and
        `errors.Conflict` while another process writes the same."""
        incoming = self.begin(digest)
        if incoming is None:
            raise errors.Conflict(f"another process is fetching {digest[:12]}")
        try:
            incoming.restart()
            incoming.write(data)
            incoming.commit()
        finally:
            incoming.close()
        return self.path(digest)

    def begin(self, digest: str) -> Incoming | None:
        """The part of a digest, locked; None while somebody else has it. Raises as `get` does."""
        _check(digest)
        with self._opened() as folder_fd:
            while True:
                fd = folders.open_file(digest + PART, folder_fd, os.O_RDWR | os.O_CREAT)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _is_still(digest + PART, fd, folder_fd):
                        return Incoming(os.dup(folder_fd), fd, digest)
                except BlockingIOError:
                    os.close(fd)
                    return None
                except BaseException:
                    os.close(fd)
                    raise
                os.close(fd)  # it became the content while we waited for the lock

    def entries(self) -> list[Entry]:
        """Everything that is here, the latest used first. Nothing is checked."""
        with self._opened() as folder_fd:
            found = [entry for name in os.listdir(folder_fd) if (entry := _entry(name, folder_fd)) is not None]
        return sorted(found, key=lambda entry: -entry.used_at)

    def trim(self, bytes_max: int | None = None, unused_s_max: float | None = None) -> list[Entry]:
        """Removes the longest unused until at most `bytes_max` (None: the folder's limit) are left, and what was not
        used for `unused_s_max`. Returns what went."""
        limit = self._bytes_max if bytes_max is None else bytes_max
        now = time.time()
        found = self.entries()
        total = sum(entry.size for entry in found)
        gone: list[Entry] = []
        with self._opened() as folder_fd:
            for entry in reversed(found):
                age = now - entry.used_at
                is_part = entry.kind == "part"
                old = age > (PART_S_MAX if is_part else unused_s_max if unused_s_max is not None else float("inf"))
                if not (old or (total > limit and age > USED_LATELY_S)):
                    continue
                name = entry.digest + (PART if is_part else "")
                if is_part and _is_locked(name, folder_fd):
                    continue
                if _remove(name, folder_fd):
                    total -= entry.size
                    gone.append(entry)
        return gone

    def verify(self) -> tuple[int, list[str]]:
        """Reads everything: how many are right, and the digests of those that were not, which are removed."""
        right, wrong = 0, []
        for entry in self.entries():
            if entry.kind == "part":
                continue
            if self._look(entry.digest, wasmfile.WASM_BYTES_MAX, keep=False, used=False) is not None:
                right += 1
            else:
                wrong.append(entry.digest)
        return right, wrong

    @contextmanager
    def _opened(self) -> Iterator[int]:
        with _told(str(self.folder)), folders.opened(self.folder, *_WHERE) as fd:
            yield fd


def _check(digest: str) -> None:
    """Digests come from strangers, and become names of files."""
    if not _HEX.fullmatch(digest):
        raise errors.ArtifactUnreadable(f"{digest[:80]!r} is no digest")


@contextmanager
def _told(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise errors.ArtifactUnreadable(
            f"{place} cannot be used: {error.strerror or error}",
            remedy="lattice cache trim, or free some space" if full else "choose another LATTICE_CACHE",
        ) from error


def _hashed(fd: int, digest: str, keep: bool) -> tuple[bool, bytes]:
    hash_ = hashlib.sha256()
    parts: list[bytes] = []
    while part := os.read(fd, READ_BYTES):
        hash_.update(part)
        if keep:
            parts.append(part)
    return hash_.hexdigest() == digest, b"".join(parts)


def _is_still(name: str, fd: int, folder_fd: int) -> bool:
    """Whether an open file is still what its name leads to."""
    try:
        there = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(fd))


def _is_locked(name: str, folder_fd: int) -> bool:
    try:
        fd = folders.open_file(name, folder_fd, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(fd)


def _remove(name: str, folder_fd: int) -> bool:
    try:
        os.unlink(name, dir_fd=folder_fd)
        return True
    except OSError as error:
        _log.warning("%s cannot be removed from the cache: %s", name[:12], error)
        return False


def _entry(name: str, folder_fd: int) -> Entry | None:
    """What a file is; None for what was not put here by us, or has just gone."""
    digest = name.removesuffix(PART)
    if not _HEX.fullmatch(digest):
        return None
    try:
        fd = folders.open_file(name, folder_fd)
    except OSError:
        try:
            found = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        except OSError:
            return None
        return None if stat.S_ISDIR(found.st_mode) else Entry(digest=digest, size=0, used_at=0.0, kind="other")
    try:
        found = os.fstat(fd)
        begin = os.pread(fd, 4, 0)
    finally:
        os.close(fd)
    kind = "wasm" if begin == _WASM else "manifest" if begin[:1] == b"{" else "other"
    kind = "part" if name.endswith(PART) else kind
    return Entry(digest=digest, size=found.st_size, used_at=found.st_mtime, kind=kind)
