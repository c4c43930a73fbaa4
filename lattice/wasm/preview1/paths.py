"""Functions on paths of commands: each begins at an open folder, and none leads out of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from lattice.wasm import audit, beneath
from lattice.wasm.engine import HostFunction
from lattice.wasm.preview1.codes import (
    APPEND,
    CREATE,
    EXCLUSIVE,
    FD_READ,
    FOLLOW_LAST,
    INVAL,
    MUST_BE_DIRECTORY,
    NAMETOOLONG,
    NEEDS_WRITING,
    NOTCAPABLE,
    ROFS,
    TRUNCATE,
)
from lattice.wasm.preview1.descriptions import stat_record, times_of
from lattice.wasm.preview1.files import Prepared, waiting, wide, write_u32
from lattice.wasm.preview1.process import Process
from lattice.wasm.preview1.volumes import Descriptor, NotGranted, Refusal

LINK_BYTES_MAX = 4096
"""Of a symbolic link that is read; systems have none longer."""


def _path(process: Process, at: int, length: int) -> bytes:
    if length > beneath.PATH_BYTES_MAX:
        raise Refusal(NAMETOOLONG)
    path = process.read(at, length)
    if b"\0" in path:
        raise Refusal(INVAL)
    return path


def _folder(process: Process, number: int, path: bytes, what: str, *, writing: bool = False) -> Descriptor:
    """The folder a path begins at. What is not granted is told to the host's owner. Raises `Refusal`."""
    try:
        folder = process.files.folder(number)
    except Refusal:
        audit.refused(process, f"{what} in no folder that it was granted", path)
        raise
    if writing and not folder.writable:
        audit.refused(process, f"{what} in a folder that it may only read", path)
        raise Refusal(ROFS)
    return folder


def _within(path: bytes, what: str, work: Callable[[], Any]) -> Callable[[], Any]:
    """`work`, with a path that would lead out refused."""

    def guarded() -> Any:
        try:
            return work()
        except beneath.Escape:
            raise NotGranted(f"{what} outside of what it was granted", path) from None

    return guarded


def _path_open(process: Process, a: Any) -> Prepared:
    path, how, flags, rights, opened_at = _path(process, a.a2, a.a3), a.a4, a.a7, wide(a.a5, a.h5), a.a8
    writes = bool(rights & NEEDS_WRITING)
    folder = _folder(process, a.a0, path, "opens a file", writing=writes or bool(how & (CREATE | TRUNCATE)))
    files = process.files
    files.require_room()
    wanted = beneath.How(
        read=bool(rights & FD_READ) or not writes,
        write=writes,
        create=bool(how & CREATE),
        exclusive=bool(how & EXCLUSIVE),
        truncate=bool(how & TRUNCATE),
        append=bool(flags & APPEND),
        directory=bool(how & MUST_BE_DIRECTORY),
        follow=bool(a.a1 & FOLLOW_LAST),
    )

    def work() -> int:
        file, is_folder = beneath.open_file(folder.file, path, wanted)
        return files.add(
            Descriptor(
                file,
                is_folder=is_folder,
                readable=wanted.read,
                writable=folder.writable if is_folder else wanted.write,
                append=wanted.append,
            )
        )

    return _within(path, "opens a file", work), write_u32(process, opened_at)


def _filestat_of(module: str) -> HostFunction:
    def prepare(process: Process, a: Any) -> Prepared:
        path, follow, at = _path(process, a.a2, a.a3), bool(a.a1 & FOLLOW_LAST), a.a4
        folder = _folder(process, a.a0, path, "looks at a file")

        def work() -> os.stat_result:
            return beneath.stat_below(folder.file, path, follow=follow)

        def done(found: os.stat_result) -> None:
            process.write(at, stat_record(found, module))

        return _within(path, "looks at a file", work), done

    return waiting(prepare)


def _path_filestat_set_times(process: Process, a: Any) -> Prepared:
    path, follow = _path(process, a.a2, a.a3), bool(a.a1 & FOLLOW_LAST)
    accessed, modified, flags = wide(a.a4, a.h4), wide(a.a5, a.h5), a.a6
    folder = _folder(process, a.a0, path, "changes the times of a file", writing=True)

    def work() -> None:
        beneath.set_times(folder.file, path, lambda found: times_of(found, accessed, modified, flags), follow=follow)

    return _within(path, "changes the times of a file", work), None


def _changing(what: str, change: Callable[[int, bytes], None]) -> HostFunction:
    """A function that makes or removes what its path names: `change(folder, path)`."""

    def prepare(process: Process, a: Any) -> Prepared:
        path = _path(process, a.a1, a.a2)
        folder = _folder(process, a.a0, path, what, writing=True)

        def work() -> None:
            change(folder.file, path)

        return _within(path, what, work), None

    return waiting(prepare)


def _path_rename(process: Process, a: Any) -> Prepared:
    path, to = _path(process, a.a1, a.a2), _path(process, a.a4, a.a5)
    folder = _folder(process, a.a0, path, "renames a file", writing=True)
    to_folder = _folder(process, a.a3, to, "renames a file", writing=True)

    def work() -> None:
        beneath.rename(folder.file, path, to_folder.file, to)

    return _within(b" to ".join((path, to)), "renames a file", work), None


def _path_readlink(process: Process, a: Any) -> Prepared:
    path, at, room, used_at = _path(process, a.a1, a.a2), a.a3, min(a.a4, LINK_BYTES_MAX), a.a5
    folder = _folder(process, a.a0, path, "reads a link")

    def work() -> bytes:
        return beneath.read_link(folder.file, path)[:room]

    def done(target: bytes) -> None:
        process.write(at, target)
        write_u32(process, used_at)(len(target))

    return _within(path, "reads a link", work), done


def _no_links(folder_of: Callable[[Any], int], path_of: Callable[[Any], tuple[int, int]]) -> HostFunction:
    """Links that a guest makes could lead other programs of the host astray."""

    def prepare(process: Process, a: Any) -> Prepared:
        path = _path(process, *path_of(a))
        _folder(process, folder_of(a), path, "makes a link", writing=True)
        audit.refused(process, "makes a link, which no guest may", path)
        raise Refusal(NOTCAPABLE)

    return waiting(prepare)


def may_wait(module: str) -> dict[str, HostFunction]:
    """The functions on paths, for one of the two names of the interface."""
    return {
        "path_create_directory": _changing("makes a folder", beneath.make_folder),
        "path_filestat_get": _filestat_of(module),
        "path_filestat_set_times": waiting(_path_filestat_set_times),
        "path_link": _no_links(lambda a: a.a4, lambda a: (a.a5, a.a6)),
        "path_open": waiting(_path_open),
        "path_readlink": waiting(_path_readlink),
        "path_remove_directory": _changing("removes a folder", beneath.remove_folder),
        "path_rename": waiting(_path_rename),
        "path_symlink": _no_links(lambda a: a.a2, lambda a: (a.a3, a.a4)),
        "path_unlink_file": _changing("removes a file", beneath.remove_file),
    }
