"""Paths of guests, walked below a granted folder one name at a time. Blocking calls: they belong into a thread.

Nothing is left to the kernel's own walk: no "..", no absolute path and no symbolic link leads out of the folder,
whoever renames what meanwhile. Every step is taken from the descriptor of the folder before, and ".." goes back to the
one that was come from. The last name is looked at when it is opened, with O_NOFOLLOW.

Stands alone: it knows nothing of the interfaces, so that other kinds of guests walk by it as well. Raises `OSError`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

SYMLINKS_MAX = 32
"""Links followed on one path; more is a loop. Linux follows 40."""
PATH_BYTES_MAX = 4096
"""As on Linux."""
DEPTH_MAX = 128
"""Folders a path is deep below the granted one. Each is an open descriptor during the walk."""

_WALK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class FileGrant(msgspec.Struct, frozen=True):
    """A folder of the host that a guest sees under another name; read-only unless it says otherwise."""

    host: Path
    guest: str
    writable: bool = False


class Place(msgspec.Struct, frozen=True):
    """Where a path leads: `name` in the folder `parent`, or that folder itself when the name is "."."""

    parent: int
    name: str
    must_be_folder: bool
    """The path ends in a slash or in dots."""


def refused(code: int) -> OSError:
    return OSError(code, os.strerror(code))


@contextmanager
def walk(folder: int, path: str, *, follow: bool) -> Iterator[Place]:
    """The place of `path` below the folder of that descriptor; `follow` says whether a link at the end is followed.

    The descriptor in it is closed at the end of the block. There may be nothing at the place; with `follow` there is no
    link, unless one came meanwhile.
    """
    parts = deque(_parts(path))
    must_be_folder = path.endswith("/") or parts[-1] in (".", "..")
    open_folders: list[int] = [os.dup(folder)]
    links = 0
    try:
        while parts:
            name = parts.popleft()
            if name in ("", "."):
                continue
            if name == "..":
                if len(open_folders) == 1:
                    raise refused(errno.EPERM)
                os.close(open_folders.pop())
                continue
            last = not any(part not in ("", ".") for part in parts)
            if last and not follow and not must_be_folder:
                yield Place(open_folders[-1], name, False)
                return
            try:
                found = os.stat(name, dir_fd=open_folders[-1], follow_symlinks=False)
            except FileNotFoundError:
                if not last:
                    raise
                yield Place(open_folders[-1], name, must_be_folder)
                return
            if stat.S_ISLNK(found.st_mode):
                links += 1
                if links > SYMLINKS_MAX:
                    raise refused(errno.ELOOP)
                target = os.readlink(name, dir_fd=open_folders[-1])
                parts.extendleft(reversed(_parts(target)))
                must_be_folder = must_be_folder or (last and target.endswith("/"))
                continue
            if last:
                yield Place(open_folders[-1], name, must_be_folder)
                return
            if len(open_folders) >= DEPTH_MAX:
                raise refused(errno.ENAMETOOLONG)
            open_folders.append(os.open(name, _WALK | os.O_DIRECTORY, dir_fd=open_folders[-1]))
        yield Place(open_folders[-1], ".", True)
    finally:
        for descriptor in open_folders:
            os.close(descriptor)


def _parts(path: str) -> list[str]:
    if not path:
        raise refused(errno.ENOENT)
    if "\0" in path:
        raise refused(errno.EINVAL)
    if len(path.encode("utf-8", "surrogateescape")) > PATH_BYTES_MAX:
        raise refused(errno.ENAMETOOLONG)
    if path.startswith("/"):
        raise refused(errno.EPERM)
    return path.split("/")


def open_below(folder: int, path: str, flags: int, *, follow: bool) -> int:
    """A descriptor of the file or folder at `path`, which is neither a device nor a pipe nor a socket.

    `flags` are those of `open`. Without `follow` a link at the end is refused with ELOOP.
    """
    with walk(folder, path, follow=follow) as place:
        if place.must_be_folder:
            flags |= os.O_DIRECTORY
        if flags & os.O_CREAT and place.must_be_folder:
            raise refused(errno.EISDIR)
        safe = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        _require_plain(place)
        descriptor = os.open(place.name, flags | safe, 0o666, dir_fd=place.parent)
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        os.close(descriptor)
        raise refused(errno.EACCES)
    return descriptor


def _require_plain(place: Place) -> None:
    """Opening a device may do something, so it is asked before; what changes meanwhile is found after."""
    try:
        mode = os.stat(place.name, dir_fd=place.parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise refused(errno.ELOOP)
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise refused(errno.EACCES)


def stat_below(folder: int, path: str, *, follow: bool) -> os.stat_result:
    with walk(folder, path, follow=follow) as place:
        found = os.stat(place.name, dir_fd=place.parent, follow_symlinks=False)
    if place.must_be_folder and not stat.S_ISDIR(found.st_mode):
        raise refused(errno.ENOTDIR)
    return found


def make_folder(folder: int, path: str) -> None:
    with walk(folder, path.rstrip("/") or path, follow=False) as place:
        if place.name == ".":
            raise refused(errno.EEXIST)
        os.mkdir(place.name, 0o777, dir_fd=place.parent)


def remove_folder(folder: int, path: str) -> None:
    with walk(folder, path.rstrip("/") or path, follow=False) as place:
        if place.name == ".":
            raise refused(errno.EINVAL)
        os.rmdir(place.name, dir_fd=place.parent)


def remove_file(folder: int, path: str) -> None:
    with walk(folder, path, follow=False) as place:
        if place.must_be_folder:
            raise refused(errno.EISDIR)
        os.unlink(place.name, dir_fd=place.parent)


def rename(folder: int, path: str, new_folder: int, new_path: str) -> None:
    with (
        walk(folder, path.rstrip("/") or path, follow=False) as old,
        walk(new_folder, new_path.rstrip("/") or new_path, follow=False) as new,
    ):
        if "." in (old.name, new.name):
            raise refused(errno.EBUSY)
        os.rename(old.name, new.name, src_dir_fd=old.parent, dst_dir_fd=new.parent)


def link(folder: int, path: str, new_folder: int, new_path: str) -> None:
    with walk(folder, path, follow=False) as old, walk(new_folder, new_path, follow=False) as new:
        os.link(old.name, new.name, src_dir_fd=old.parent, dst_dir_fd=new.parent, follow_symlinks=False)


def make_link(folder: int, target: str, path: str) -> None:
    """A symbolic link. One that begins at the root is refused: the host and the guest have different ones."""
    _parts(target)
    with walk(folder, path, follow=False) as place:
        os.symlink(target, place.name, dir_fd=place.parent)


def read_link(folder: int, path: str) -> str:
    with walk(folder, path, follow=False) as place:
        return os.readlink(place.name, dir_fd=place.parent)


def set_times(folder: int, path: str, times_ns: tuple[int, int], *, follow: bool) -> None:
    with walk(folder, path, follow=follow) as place:
        os.utime(place.name, ns=times_ns, dir_fd=place.parent, follow_symlinks=False)
