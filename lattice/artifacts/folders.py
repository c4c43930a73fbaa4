"""Folders that only their owner may write, and files in them: opened so that no planted link or pipe is followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lattice import errors

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: opening a pipe that somebody placed there would wait for its other end for ever.
FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@contextmanager
def opened(folder: Path, *below: str) -> Iterator[int]:
    """The descriptor of a folder, or of one below it; what is missing is made.

    Raises `errors.ConfigError` when others may write there, or when a link stands in its place; OSError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    fd = _checked(folder, str(folder))
    try:
        place = folder
        for name in below:
            place = place / name
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=fd)
            inner = _checked(name, str(place), fd)
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


def _checked(name: str | Path, place: str, parent_fd: int | None = None) -> int:
    try:
        fd = os.open(name, _FOLDER, dir_fd=parent_fd)
    except NotADirectoryError as error:  # a link, as well
        raise errors.ConfigError(
            f"{place} is a link or a file, and should be a folder", remedy="remove it, or choose another LATTICE_CACHE"
        ) from error
    if not _only_ours(os.fstat(fd)):
        os.close(fd)
        raise errors.ConfigError(
            f"{place} is not used, because others may write to it", remedy=f"chown it to this user, chmod go-w {place}"
        )
    return fd


def open_file(name: str, folder_fd: int | None, flags: int = os.O_RDONLY) -> int:
    """A plain file of ours. Raises OSError, FileNotFoundError among them, for anything else."""
    fd = os.open(name, flags | FILE, 0o600, dir_fd=folder_fd)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or not _only_ours(found):
        os.close(fd)
        raise OSError(f"{name} is not a plain file that only its owner may write")
    return fd


def _only_ours(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def read_file(fd: int, bytes_max: int) -> bytes:
    """At most `bytes_max` and one more, by which the caller sees that there is more."""
    parts: list[bytes] = []
    left = bytes_max + 1
    while left and (part := os.read(fd, min(left, 4 * 1024 * 1024))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
