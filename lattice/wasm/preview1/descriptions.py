"""Functions that describe files and folders: of what kind they are, when they changed, what a folder holds."""

from __future__ import annotations

import os
import time
from itertools import islice
from typing import Any

from lattice.wasm.engine import HostFunction
from lattice.wasm.output import STDIN
from lattice.wasm.preview1.codes import (
    ALL_RIGHTS,
    APPEND,
    BADF,
    DIRECTORY,
    FD_READ,
    FD_SEEK,
    FD_TELL,
    FD_WRITE,
    INVAL,
    MODULES,
    NAMETOOLONG,
    NEEDS_WRITING,
    NOTDIR,
    NOTSUP,
    REGULAR_FILE,
    SYMBOLIC_LINK,
    UNKNOWN_KIND,
    kind_of,
)
from lattice.wasm.preview1.files import Prepared, refusing, waiting, wide, write_u32
from lattice.wasm.preview1.process import Process, stdio
from lattice.wasm.preview1.volumes import Refusal

ENTRIES_MAX = 10_000
"""Names of one folder that are listed; a folder with more has other readers in mind."""
LISTED_BYTES_MAX = 64 * 1024
"""What one fd_readdir gives; programs ask with 4 KiB."""


def _fd_fdstat_get(process: Process, a: Any) -> Prepared:
    """Input and output are of no known kind, so that programs take them for no terminal and write in large pieces."""
    number = a.a0
    if stdio(process, number):
        kind, flags, rights, inherited = UNKNOWN_KIND, 0, FD_READ if number == STDIN else FD_WRITE, 0
    else:
        entry = process.files.get(number)
        kind, flags = DIRECTORY if entry.is_folder else REGULAR_FILE, APPEND if entry.append else 0
        if entry.is_folder:
            # Programs ask an open for what they want only if it is inherited; what is not granted is refused then.
            rights, inherited = ALL_RIGHTS & ~(NEEDS_WRITING | FD_SEEK | FD_TELL), ALL_RIGHTS
        else:
            rights = ALL_RIGHTS & ~(0 if entry.writable else NEEDS_WRITING)
            inherited = 0
    head = bytes([kind, 0]) + flags.to_bytes(2, "little") + bytes(4)
    process.write(a.a1, head + rights.to_bytes(8, "little") + inherited.to_bytes(8, "little"))
    return None


def _fd_fdstat_set_flags(process: Process, a: Any) -> Prepared:
    if not stdio(process, a.a0):
        entry = process.files.get(a.a0)
        if bool(a.a1 & APPEND) != entry.append:
            raise Refusal(NOTSUP)
    return None


def stat_record(found: os.stat_result, module: str) -> bytes:
    """A file as the interface describes it. The older one has less room for the number of links."""
    times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
    numbers = (found.st_size, *times)
    tail = b"".join(max(0, number).to_bytes(8, "little") for number in numbers)
    head = (found.st_dev & (1 << 64) - 1).to_bytes(8, "little") + found.st_ino.to_bytes(8, "little")
    kind = bytes([kind_of(found.st_mode)])
    if module == MODULES[0]:
        return head + kind + bytes(7) + found.st_nlink.to_bytes(8, "little") + tail
    return head + kind + bytes(3) + min(found.st_nlink, 0xFFFFFFFF).to_bytes(4, "little") + tail


def _filestat_of(module: str) -> HostFunction:
    def prepare(process: Process, a: Any) -> Prepared:
        at = a.a1
        if stdio(process, a.a0):
            process.write(at, bytes(64 if module == MODULES[0] else 56))
            return None
        entry = process.files.get(a.a0)
        return lambda: os.fstat(entry.file), lambda found: process.write(at, stat_record(found, module))

    return waiting(prepare)


def times_of(found: os.stat_result, accessed: int, modified: int, flags: int) -> tuple[int, int]:
    """The two times that a file gets: flags say which are given (1, 4) and which are now (2, 8). Raises `Refusal`."""
    if flags & 3 == 3 or flags & 12 == 12 or max(accessed, modified) >> 63:
        raise Refusal(INVAL)
    now = time.time_ns()
    access = accessed if flags & 1 else now if flags & 2 else found.st_atime_ns
    return access, modified if flags & 4 else now if flags & 8 else found.st_mtime_ns


def _fd_filestat_set_times(process: Process, a: Any) -> Prepared:
    if stdio(process, a.a0):
        raise Refusal(BADF)
    entry = process.files.get(a.a0)
    if not entry.writable:
        raise Refusal(BADF)
    accessed, modified, flags = wide(a.a1, a.h1), wide(a.a2, a.h2), a.a3
    return lambda: os.utime(entry.file, ns=times_of(os.fstat(entry.file), accessed, modified, flags)), None


def _granted(process: Process, number: int) -> bytes:
    """What a granted folder is called. Programs ask from descriptor 3 on until there is none."""
    if stdio(process, number):
        raise Refusal(BADF)
    entry = process.files.get(number)
    if not entry.name:
        raise Refusal(BADF)
    return entry.name


def _fd_prestat_get(process: Process, a: Any) -> Prepared:
    process.write(a.a1, bytes(4) + len(_granted(process, a.a0)).to_bytes(4, "little"))
    return None


def _fd_prestat_dir_name(process: Process, a: Any) -> Prepared:
    name = _granted(process, a.a0)
    if a.a2 < len(name):
        raise Refusal(NAMETOOLONG)
    process.write(a.a1, name)
    return None


def _fd_readdir(process: Process, a: Any) -> Prepared:
    if stdio(process, a.a0):
        raise Refusal(NOTDIR)
    entry = process.files.folder(a.a0)
    at, room, cookie, used_at = a.a1, min(a.a2, LISTED_BYTES_MAX), wide(a.a3, a.h3), a.a4

    def work() -> bytes:
        if cookie == 0 or not entry.entries:
            entry.entries = _listed(entry.file)
        listed = bytearray()
        for number, (inode, kind, name) in enumerate(entry.entries[cookie:], cookie + 1):
            if len(listed) >= room:
                break
            listed += number.to_bytes(8, "little") + inode.to_bytes(8, "little")
            listed += len(name).to_bytes(4, "little") + bytes([kind, 0, 0, 0]) + name
        return bytes(listed[:room])

    def done(listed: bytes) -> None:
        process.write(at, listed)
        write_u32(process, used_at)(len(listed))

    return work, done


def _listed(folder: int) -> list[tuple[int, int, bytes]]:
    """What a folder holds: inode, kind, name; itself and its parent first, of which the second stays unknown."""
    # Opened again, so that it is listed from its start.
    again = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
    try:
        found = [(os.fstat(folder).st_ino, DIRECTORY, b"."), (0, DIRECTORY, b"..")]
        with os.scandir(again) as entries:
            found += [(item.inode(), _kind(item), os.fsencode(item.name)) for item in islice(entries, ENTRIES_MAX)]
    finally:
        os.close(again)
    return found


def _kind(item: os.DirEntry[str]) -> int:
    if item.is_symlink():
        return SYMBOLIC_LINK
    if item.is_dir(follow_symlinks=False):
        return DIRECTORY
    return REGULAR_FILE if item.is_file(follow_symlinks=False) else UNKNOWN_KIND


def may_wait(module: str) -> dict[str, HostFunction]:
    """The functions that describe, for one of the two names of the interface."""
    return {
        "fd_fdstat_get": waiting(_fd_fdstat_get),
        "fd_fdstat_set_flags": waiting(_fd_fdstat_set_flags),
        "fd_fdstat_set_rights": refusing(NOTSUP),
        "fd_filestat_get": _filestat_of(module),
        "fd_filestat_set_times": waiting(_fd_filestat_set_times),
        "fd_prestat_dir_name": waiting(_fd_prestat_dir_name),
        "fd_prestat_get": waiting(_fd_prestat_get),
        "fd_readdir": waiting(_fd_readdir),
    }
