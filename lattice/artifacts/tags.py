"""What tags meant when they were last looked up, so that a host starts while a registry cannot be reached.

    FOLDER/references/HASH    a record as JSON; HASH is the SHA-256 of the reference, so no reference becomes a path

Blocking.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

import msgspec

from lattice import errors
from lattice.artifacts import folders

TAGS_MAX = 10_000
"""References that are remembered; the oldest goes. Each takes a file of some two hundred bytes."""
RECORD_BYTES_MAX = 4096
"""A reference has at most 600 characters."""
_WHERE = "references"
_NEW = ".new-"


class Meaning(msgspec.Struct, frozen=True):
    """`digest` is that of the manifest, as `sha256:…`; `at` is Unix time."""

    reference: str
    digest: str
    at: float


class Tags:
    """One folder, shared by processes: a record appears whole, by rename."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, reference: str) -> Meaning | None:
        """Raises `errors.ConfigError` for a folder that cannot be trusted. Anything broken is as if not there."""
        try:
            with folders.opened(self._folder, _WHERE) as folder_fd:
                found = _read(_name(reference), folder_fd)
        except OSError:
            return None
        return found if found is not None and found.reference == reference else None

    def put(self, meaning: Meaning) -> None:
        """Raises `errors.ConfigError`, `errors.ArtifactUnreadable`."""
        temporary = _NEW + secrets.token_hex(8)
        try:
            with folders.opened(self._folder, _WHERE) as folder_fd:
                fd = folders.open_file(temporary, folder_fd, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                try:
                    with os.fdopen(fd, "wb") as file:
                        file.write(msgspec.json.encode(meaning))
                    os.rename(temporary, _name(meaning.reference), src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.unlink(temporary, dir_fd=folder_fd)
                    raise
        except OSError as error:
            raise errors.ArtifactUnreadable(
                f"what {meaning.reference} means cannot be kept: {error.strerror or error}",
                remedy="lattice cache trim, or choose another LATTICE_CACHE",
            ) from error
        self.forget(keep=TAGS_MAX)

    def all(self) -> list[Meaning]:
        """The newest first. Raises `errors.ConfigError`."""
        with folders.opened(self._folder, _WHERE) as folder_fd:
            found = [_read(name, folder_fd) for name in os.listdir(folder_fd)]
        return sorted((one for one in found if one is not None), key=lambda one: -one.at)

    def forget(self, digests: frozenset[str] = frozenset(), *, keep: int = TAGS_MAX) -> None:
        """Removes what means one of `digests`, and the oldest beyond `keep`."""
        with folders.opened(self._folder, _WHERE) as folder_fd:
            if not digests and len(os.listdir(folder_fd)) <= keep:
                return
        found = self.all()
        old = {one.reference for one in found[keep:]}
        with folders.opened(self._folder, _WHERE) as folder_fd:
            for one in found:
                if one.digest in digests or one.reference in old:
                    with contextlib.suppress(OSError):
                        os.unlink(_name(one.reference), dir_fd=folder_fd)


def _name(reference: str) -> str:
    return hashlib.sha256(reference.encode()).hexdigest()


def _read(name: str, folder_fd: int) -> Meaning | None:
    try:
        fd = folders.open_file(name, folder_fd)
    except OSError:
        return None
    try:
        return msgspec.json.decode(folders.read_file(fd, RECORD_BYTES_MAX), type=Meaning)
    except (msgspec.DecodeError, UnicodeDecodeError, OSError):
        return None
    finally:
        os.close(fd)
