"""Paths of guests, which cannot leave the folder they begin at. Blocking calls: they belong into a thread.

A path is walked name by name, each opened in its parent and never through a symbolic link; links are read and followed
here, so that none leads out, and `..` goes back to a folder that was walked through, which the kernel's may not.

Only the system is called here; nothing knows of guests or of their interfaces, so that every kind of guest walks by it.
Everything raises `OSError`, and of that `Escape` for a path that would lead out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

LINKS_MAX = 32
"""Symbolic links of one path; more is a loop. Linux follows 40."""
PATH_BYTES_MAX = 4096
"""PATH_MAX of common systems."""
DEPTH_MAX = 128
"""Folders of one path, each of them an open descriptor while it is walked."""

_WALK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
_OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class Escape(OSError):  # not an error of this program: a path that would leave its folder
    def __init__(self) -> None:
        super().__init__(errno.EPERM, "the path leads out of its folder")


@contextmanager
def place(root: int, path: bytes, *, follow: bool) -> Iterator[tuple[int, bytes]]:
    """A descriptor of the folder in which `path` ends, and its last name there, "." for the folder itself.

    With `follow` the name is no symbolic link. It need not be there.
    """
    names = _names(path)
    # A copy, because the number of one that somebody closes meanwhile may come to mean another folder.
    walked = [os.dup(root)]
    try:
        name = _walk(names, follow, walked)
        yield walked[-1], name
    finally:
        for folder in walked:
            os.close(folder)


def _walk(names: list[bytes], follow: bool, walked: list[int]) -> bytes:
    """Opens folder after folder into `walked`; returns the name that is left."""
    links = 0
    while names:
        name = names.pop()
        if name == b".":
            continue
        if name == b"..":
            if len(walked) == 1:
                raise Escape
            os.close(walked.pop())
            continue
        target = _link(walked[-1], name) if names or follow else None
        if target is not None:
            links += 1
            if links > LINKS_MAX:
                raise OSError(errno.ELOOP, "too many symbolic links")
            names += _names(target)
        elif not names:
            return name
        else:
            if len(walked) > DEPTH_MAX:
                raise OSError(errno.ENAMETOOLONG, "too many folders")
            walked.append(os.open(name, _WALK, dir_fd=walked[-1]))
    return b"."


def _names(path: bytes) -> list[bytes]:
    """The names of a path, the last first; what ends in a slash ends in "."."""
    if not path:
        raise FileNotFoundError(errno.ENOENT, "no path")
    if b"\0" in path:
        raise OSError(errno.EINVAL, "a path with a zero byte")
    if len(path) > PATH_BYTES_MAX:
        raise OSError(errno.ENAMETOOLONG, "a path that is too long")
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


def _bare(path: bytes) -> bytes:
    """The path without slashes at its end, with which it could name nothing that is not there yet."""
    return path.rstrip(b"/") or path


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
    """A descriptor of a file or a folder, and whether it is a folder. Devices, pipes and sockets are not opened."""
    walked = _bare(path) if how.create else path
    with place(root, walked, follow=how.follow and not (how.create and how.exclusive)) as (folder, name):
        if walked != path:
            raise IsADirectoryError(errno.EISDIR, "a file whose name ends in a slash cannot be made")
        is_folder = stat.S_ISDIR(_openable(folder, name, how))
        file = os.open(name, _OPEN | (os.O_DIRECTORY if is_folder else _flags(how)), 0o666, dir_fd=folder)
    found = os.fstat(file).st_mode
    if stat.S_ISDIR(found) != is_folder or not (is_folder or stat.S_ISREG(found)):
        os.close(file)
        raise PermissionError(errno.EACCES, "it was replaced meanwhile")
    return file, is_folder


def _openable(folder: int, name: bytes, how: How) -> int:
    """The mode of what is there or will be made. Asked before, because opening a device may do something."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        if not how.create or how.directory:
            raise
        return stat.S_IFREG
    if how.create and how.exclusive:
        raise FileExistsError(errno.EEXIST, "it is there")
    if stat.S_ISDIR(mode):
        if how.write or how.create or how.truncate:
            raise IsADirectoryError(errno.EISDIR, "a folder cannot be written to")
    elif how.directory:
        raise NotADirectoryError(errno.ENOTDIR, "no folder")
    elif stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "a symbolic link")
    elif not stat.S_ISREG(mode):
        raise PermissionError(errno.EACCES, "neither a file nor a folder")
    return mode


def _flags(how: How) -> int:
    flags = os.O_RDONLY
    if how.write:
        flags = os.O_RDWR if how.read else os.O_WRONLY
    if how.create:
        flags |= os.O_CREAT | (os.O_EXCL if how.exclusive else 0)
    return flags | (os.O_TRUNC if how.truncate else 0) | (os.O_APPEND if how.append else 0)


def stat_below(root: int, path: bytes, *, follow: bool) -> os.stat_result:
    with place(root, path, follow=follow) as (folder, name):
        return os.stat(name, dir_fd=folder, follow_symlinks=False)


Times = Callable[[os.stat_result], tuple[int, int]]


def set_times(root: int, path: bytes, times: Times, *, follow: bool) -> None:
    """Sets what `times` makes of what is there: the nanoseconds of the last access and of the last change."""
    with place(root, path, follow=follow) as (folder, name):
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        os.utime(name, ns=times(found), dir_fd=folder, follow_symlinks=False)


def make_folder(root: int, path: bytes) -> None:
    with place(root, _bare(path), follow=False) as (folder, name):
        if name == b".":
            raise FileExistsError(errno.EEXIST, "it is there")
        os.mkdir(name, 0o777, dir_fd=folder)


def remove_folder(root: int, path: bytes) -> None:
    with place(root, _bare(path), follow=False) as (folder, name):
        os.rmdir(name, dir_fd=folder)


def remove_file(root: int, path: bytes) -> None:
    with place(root, path, follow=False) as (folder, name):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise IsADirectoryError(errno.EISDIR, "a folder")
        os.unlink(name, dir_fd=folder)


def rename(root: int, path: bytes, new_root: int, new_path: bytes) -> None:
    with (
        place(root, _bare(path), follow=False) as (folder, name),
        place(new_root, _bare(new_path), follow=False) as (new_folder, new_name),
    ):
        if b"." in (name, new_name):
            raise OSError(errno.EBUSY, "the folder itself cannot be renamed")
        if path.endswith(b"/") or new_path.endswith(b"/"):
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if not stat.S_ISDIR(mode):
                raise NotADirectoryError(errno.ENOTDIR, "no folder")
        os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=new_folder)


def link(root: int, path: bytes, new_root: int, new_path: bytes) -> None:
    """One more name for a file."""
    with (
        place(root, path, follow=False) as (folder, name),
        place(new_root, new_path, follow=False) as (new_folder, new_name),
    ):
        os.link(name, new_name, src_dir_fd=folder, dst_dir_fd=new_folder, follow_symlinks=False)


def make_link(root: int, target: bytes, path: bytes) -> None:
    """A symbolic link to what lies in its own folder or deeper.

    From the root or by `..` it could lead other programs of the host out, if not at once then when it is moved.
    """
    if b".." in _names(target):
        raise Escape
    with place(root, path, follow=False) as (folder, name):
        os.symlink(target, name, dir_fd=folder)


def read_link(root: int, path: bytes) -> bytes:
    """Where a symbolic link leads, unless it says where something of the host is."""
    with place(root, path, follow=False) as (folder, name):
        target = os.readlink(name, dir_fd=folder)
    if target.startswith(b"/"):
        raise Escape
    return target
