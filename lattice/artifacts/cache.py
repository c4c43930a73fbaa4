"""Compiled code on disk, by the digest of what it was compiled from and the fingerprint of what compiled it.

An entry is machine code, so it is believed only from a folder that nobody else may write, and only with its own digest
at its end. Anything else is as if it were not there: the caller compiles again and the entry is replaced.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
from pathlib import Path

from lattice import errors
from lattice.artifacts import folders

_log = logging.getLogger("lattice.cache")

NEW = ".new-"
DIGEST_BYTES = 32
CODE_BYTES_MAX = 1024 * 1024 * 1024
"""One entry: compiled code has at most some four times the size of its module."""
CACHE_BYTES_MAX = 1024 * 1024 * 1024
"""The oldest entries go when the folder holds more; a JavaScript component compiles to 33 MB."""


class CompiledCache:
    """One folder, shared safely by several hosts: entries appear whole, by rename."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._warned = False

    def get(self, digest: str) -> str | None:
        """Path of compiled code for the module with this SHA-256 (hex), whole and as it was put; or None.

        The path stays good while the process does what it does next: entries are replaced by rename, never in place.
        """
        if not self._is_private():
            return None
        path = self._path(digest)
        try:
            fd = folders.open_file(path, None)
            try:
                data = folders.read_file(fd, CODE_BYTES_MAX)
            finally:
                os.close(fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("compiled code cannot be read, compiling again: %s", error)
            return None
        if hashlib.sha256(memoryview(data)[:-DIGEST_BYTES]).digest() != data[-DIGEST_BYTES:]:
            _log.warning("%s is corrupt, compiling again", path)
            return None
        return path

    def put(self, digest: str, code: bytes) -> None:
        """Keeps compiled code. A cache that cannot be written is a warning, not an error."""
        if not self._is_private():
            return
        try:
            handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=NEW)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(code)
                    file.write(hashlib.sha256(code).digest())
                os.replace(temporary, self._path(digest))
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
            self._trim()
        except OSError as error:
            _log.warning("compiled code cannot be kept in %s: %s", self._folder, error)

    def _path(self, digest: str) -> str:
        return f"{self._folder}/{digest}-{self._fingerprint}.compiled"

    def _is_private(self) -> bool:
        """Makes the folder, and looks each time whether only its owner may write to it: what lies there is run."""
        try:
            with folders.opened(self._folder):
                return True
        except (OSError, errors.ConfigError) as error:
            if not self._warned:
                _log.warning("no compiled code is kept: %s", error)
            self._warned = True
            return False

    def _trim(self) -> None:
        entries = []
        # Also what somebody who was killed had begun to write.
        for path in (*self._folder.glob("*.compiled"), *self._folder.glob(f"{NEW}*")):
            with contextlib.suppress(OSError):
                found = path.lstat()
                entries.append((found.st_mtime, found.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= CACHE_BYTES_MAX:
                return
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size
