"""Paths that cannot leave the folder they are in. Only the system is called here; nothing knows of guests.

A path is walked name by name, each opened in its parent and never through a symbolic link; links are read and followed
here, so that none leads out, and `..` goes back to a folder that was walked through, which the kernel's may not.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

LINKS_MAX = 32
"""Symbolic links of one path; as many as common systems follow."""
DEPTH_MAX = 64
"""Folders of one path, each of them an open descriptor while it is walked."""

_WALK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class Escape(Exception):  # not an error of this program: a path that would leave its folder
    pass


@contextmanager
def place(root: int, path: bytes, *, follow: bool) -> Iterator[tuple[int, bytes]]:
    """A descriptor of the folder in which `path` ends, and its last name there, "." for the folder itself.

    With `follow` the name is no symbolic link. It need not be there. Raises `Escape`, and `OSError` of what is missing.
    """
    if not path:
        raise FileNotFoundError(errno.ENOENT, "no path")
    walked: list[int] = []
    try:
        yield _walk(root, path, follow, walked)
    finally:
        for folder in walked:
            os.close(folder)


def _walk(root: int, path: bytes, follow: bool, walked: list[int]) -> tuple[int, bytes]:
    names = _names(path)
    links = 0
    while names:
        name = names.pop()
        here = walked[-1] if walked else root
        if name == b".":
            continue
        if name == b"..":
            if not walked:
                raise Escape
            os.close(walked.pop())
            continue
        target = _link(here, name) if names or follow else None
        if target is not None:
            links += 1
            if links > LINKS_MAX:
                raise OSError(errno.ELOOP, "too many symbolic links")
            names += _names(target)
        elif not names:
            return here, name
        else:
            if len(walked) == DEPTH_MAX:
                raise OSError(errno.ENAMETOOLONG, "too many folders")
            walked.append(os.open(name, _WALK, dir_fd=here))
    return (walked[-1] if walked else root), b"."


def _names(path: bytes) -> list[bytes]:
    """The names of a path, the last first; what ends in a slash ends in "."."""
    if path.startswith(b"/"):
        raise Escape
    names = [name for name in path.split(b"/") if name]
    if path.endswith(b"/"):
        names.append(b".")
    return names[::-1]


def _link(folder: int, name: bytes) -> bytes | None:
    """Where a symbolic link leads; None for what is none, or is not there."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


class How(NamedTuple):
    """How a file is opened."""

    read: bool
    write: bool
    create: bool
    exclusive: bool
    truncate: bool
    append: bool
    directory: bool
    follow: bool


def open_file(root: int, path: bytes, how: How) -> tuple[int, bool]:
    """A descriptor of a file or a folder, and whether it is a folder. Devices, pipes and sockets are not opened.

    Raises as `place`.
    """
    with place(root, path, follow=how.follow and not (how.create and how.exclusive)) as (folder, name):
        try:
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            if not how.create or how.directory:
                raise
            mode = stat.S_IFREG
        _require_openable(mode, how)
        is_folder = stat.S_ISDIR(mode)
        file = os.open(name, _OPEN | (os.O_DIRECTORY if is_folder else _flags(how)), 0o666, dir_fd=folder)
    found = os.fstat(file).st_mode
    if stat.S_ISDIR(found) != is_folder or not (is_folder or stat.S_ISREG(found)):
        os.close(file)
        raise PermissionError(errno.EACCES, "it was replaced meanwhile")
    return file, is_folder


def _require_openable(mode: int, how: How) -> None:
    if stat.S_ISDIR(mode):
        if how.create and how.exclusive:
            raise FileExistsError(errno.EEXIST, "it is there")
        if how.write or how.truncate:
            raise IsADirectoryError(errno.EISDIR, "a folder cannot be written to")
    elif how.directory:
        raise NotADirectoryError(errno.ENOTDIR, "no folder")
    elif stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "a symbolic link")
    elif not stat.S_ISREG(mode):
        raise PermissionError(errno.EACCES, "neither a file nor a folder")


def _flags(how: How) -> int:
    flags = os.O_RDONLY
    if how.write:
        flags = os.O_RDWR if how.read else os.O_WRONLY
    if how.create:
        flags |= os.O_CREAT | (os.O_EXCL if how.exclusive else 0)
    return flags | (os.O_TRUNC if how.truncate else 0) | (os.O_APPEND if how.append else 0)
