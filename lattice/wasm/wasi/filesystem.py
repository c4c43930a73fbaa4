"""wasi:filesystem: the folders a guest was granted, and what is in them. Every operation runs in a thread."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from lattice.wasm import beneath
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.open_files import FileSink, FileSource, OpenFile, code_of
from lattice.wasm.wasi.streams import READ_BYTES_MAX, InputStream, IoError, OutputStream
from lattice.wasm.wasi.table import Interface

ENTRIES_MAX = 20_000
"""Names one `read-directory` gives: they are read at once, and kept until the guest has taken them."""

Result = Ok | Err
Flags = frozenset[str]
FOLLOW = "symlink-follow"
DONE = Ok()
WRITES = frozenset({"write", "mutate-directory"})


class Descriptor:
    """The resource `descriptor`: an open file or folder, and what the guest may do with it."""

    __slots__ = ("file", "flags", "writable")

    def __init__(self, number: int, flags: Flags, writable: bool) -> None:
        self.file = OpenFile(number)
        self.flags = flags
        self.writable = writable
        """Whether the folder it came from was granted for writing."""

    def close(self) -> None:
        self.file.close()


class EntryStream:
    """The resource `directory-entry-stream`."""

    __slots__ = ("entries",)

    def __init__(self, entries: list[tuple[str, str]]) -> None:
        self.entries = entries

    def close(self) -> None:
        self.entries.clear()


Method = Callable[..., Coroutine[Any, Any, Any]]


def fallible(method: Method) -> Method:
    """What the system refuses is an `Err` with its code; what the guest was not granted is in the audit besides."""

    @wraps(method)
    async def answer(instance: Instance, *arguments: Any) -> Result:
        try:
            return Ok(await method(instance, *arguments))
        except (OSError, ValueError, OverflowError) as error:
            code = code_of(error)
            if code in ("not-permitted", "read-only", "access"):
                named = [argument for argument in arguments if isinstance(argument, str)]
                instance.refused(f"wasi:filesystem {method.__name__.strip('_')} {' '.join(named)[:200]}", code)
            return Err(code)

    return answer


def _refused(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def _require_writable(descriptor: Descriptor) -> None:
    if not descriptor.writable:
        raise _refused(errno.EROFS)


def _require(descriptor: Descriptor, flag: str) -> None:
    if flag not in descriptor.flags:
        raise _refused(errno.EBADF)


async def kept(opened: asyncio.Future[int]) -> int:
    """The new descriptor; when nobody waits for it any more it is closed."""
    try:
        return await asyncio.shield(opened)
    except asyncio.CancelledError:
        opened.add_done_callback(_close_unwanted)
        raise


def _close_unwanted(opened: asyncio.Future[int]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        os.close(opened.result())


@fallible
async def _open_at(
    instance: Instance, folder: Descriptor, path_flags: Flags, path: str, open_flags: Flags, flags: Flags
) -> Descriptor:
    if flags & WRITES or open_flags & {"create", "truncate"}:
        _require_writable(folder)
    writes = "write" in flags or "truncate" in open_flags
    how = beneath.How(
        read="read" in flags or not writes,
        write=writes,
        create="create" in open_flags,
        exclusive="exclusive" in open_flags,
        truncate="truncate" in open_flags,
        append=False,
        directory="directory" in open_flags,
        follow=FOLLOW in path_flags,
    )
    name = path.encode()
    number = await kept(folder.file.work(lambda root: beneath.open_file(root, name, how)[0]))
    return instance.own(Descriptor(number, flags, folder.writable))


@fallible
async def _read(_instance: Instance, descriptor: Descriptor, length: int, offset: int) -> tuple[bytes, bool]:
    _require(descriptor, "read")
    size = min(length, READ_BYTES_MAX)
    data = await descriptor.file.do(lambda number: os.pread(number, size, offset))
    return data, len(data) < size


@fallible
async def _write(_instance: Instance, descriptor: Descriptor, data: bytes, offset: int) -> int:
    _require(descriptor, "write")
    return await descriptor.file.do(lambda number: os.pwrite(number, data, offset))


@fallible
async def _read_via_stream(instance: Instance, descriptor: Descriptor, offset: int) -> InputStream:
    _require(descriptor, "read")
    return instance.own(InputStream(FileSource(descriptor.file, offset)))


@fallible
async def _write_via_stream(instance: Instance, descriptor: Descriptor, offset: int) -> OutputStream:
    _require(descriptor, "write")
    return instance.own(OutputStream(FileSink(descriptor.file, offset)))


@fallible
async def _append_via_stream(instance: Instance, descriptor: Descriptor) -> OutputStream:
    _require(descriptor, "write")
    return instance.own(OutputStream(FileSink(descriptor.file, None)))


@fallible
async def _advise(_instance: Instance, _descriptor: Descriptor, _offset: int, _length: int, _advice: str) -> None:
    """Advice is heard and not followed."""


@fallible
async def _sync(_instance: Instance, descriptor: Descriptor) -> None:
    await descriptor.file.do(os.fsync)


@fallible
async def _sync_data(_instance: Instance, descriptor: Descriptor) -> None:
    await descriptor.file.do(os.fdatasync)


@fallible
async def _get_flags(_instance: Instance, descriptor: Descriptor) -> Flags:
    return descriptor.flags


@fallible
async def _get_type(_instance: Instance, descriptor: Descriptor) -> str:
    return _type_of((await descriptor.file.do(os.fstat)).st_mode)


@fallible
async def _set_size(_instance: Instance, descriptor: Descriptor, size: int) -> None:
    _require(descriptor, "write")
    await descriptor.file.do(lambda number: os.ftruncate(number, size))


@fallible
async def _set_times(_instance: Instance, descriptor: Descriptor, access: Any, modification: Any) -> None:
    _require_writable(descriptor)

    def change(number: int) -> None:
        found = os.fstat(number)
        os.utime(number, ns=(_time_ns(access, found.st_atime_ns), _time_ns(modification, found.st_mtime_ns)))

    await descriptor.file.do(change)


@fallible
async def _set_times_at(
    _instance: Instance, folder: Descriptor, path_flags: Flags, path: str, access: Any, modification: Any
) -> None:
    _require_writable(folder)
    name, follow = path.encode(), FOLLOW in path_flags

    def times(found: os.stat_result) -> tuple[int, int]:
        return _time_ns(access, found.st_atime_ns), _time_ns(modification, found.st_mtime_ns)

    await folder.file.do(lambda root: beneath.set_times(root, name, times, follow=follow))


def _time_ns(wanted: tuple[str, Any], now_ns: int) -> int:
    match wanted[0]:
        case "timestamp":
            seconds, nanoseconds = wanted[1]
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
        case "now":
            return time.time_ns()
    return now_ns


@fallible
async def _stat(_instance: Instance, descriptor: Descriptor) -> tuple[Any, ...]:
    return _stat_record(await descriptor.file.do(os.fstat))


@fallible
async def _stat_at(_instance: Instance, folder: Descriptor, path_flags: Flags, path: str) -> tuple[Any, ...]:
    name, follow = path.encode(), FOLLOW in path_flags
    return _stat_record(await folder.file.do(lambda root: beneath.stat_below(root, name, follow=follow)))


def _stat_record(found: os.stat_result) -> tuple[Any, ...]:
    times = (divmod(ns, 1_000_000_000) for ns in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns))
    return (_type_of(found.st_mode), found.st_nlink, found.st_size, *times)


def _type_of(mode: int) -> str:
    for is_it, name in (
        (stat.S_ISREG, "regular-file"),
        (stat.S_ISDIR, "directory"),
        (stat.S_ISLNK, "symbolic-link"),
        (stat.S_ISFIFO, "fifo"),
        (stat.S_ISSOCK, "socket"),
        (stat.S_ISCHR, "character-device"),
        (stat.S_ISBLK, "block-device"),
    ):
        if is_it(mode):
            return name
    return "unknown"


@fallible
async def _read_directory(instance: Instance, folder: Descriptor) -> EntryStream:
    entries = await folder.file.do(_entries)
    return instance.own(EntryStream(entries))


def _entries(number: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    own = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=number)
    try:
        with os.scandir(own) as entries:
            for entry in entries:
                if len(found) >= ENTRIES_MAX:
                    raise _refused(errno.EOVERFLOW)
                mode = entry.stat(follow_symlinks=False).st_mode
                found.append((_type_of(mode), os.fsencode(entry.name).decode("utf-8", "replace")))
    finally:
        os.close(own)
    found.reverse()
    return found


@fallible
async def _read_directory_entry(_instance: Instance, stream: EntryStream) -> tuple[str, str] | None:
    return stream.entries.pop() if stream.entries else None


def _changing(work: Callable[[int, bytes], None]) -> Method:
    """A method of a folder that changes what is at one path."""

    async def change(_instance: Instance, folder: Descriptor, path: str) -> None:
        _require_writable(folder)
        name = path.encode()
        await folder.file.do(lambda root: work(root, name))

    change.__name__ = work.__name__
    return fallible(change)


@fallible
async def _symlink_at(_instance: Instance, folder: Descriptor, target: str, path: str) -> None:
    _require_writable(folder)
    leads, name = target.encode(), path.encode()
    await folder.file.do(lambda root: beneath.make_link(root, leads, name))


@fallible
async def _readlink_at(_instance: Instance, folder: Descriptor, path: str) -> str:
    name = path.encode()
    return (await folder.file.do(lambda root: beneath.read_link(root, name))).decode()


@fallible
async def _rename_at(_instance: Instance, folder: Descriptor, path: str, new: Descriptor, new_path: str) -> None:
    _require_writable(folder)
    _require_writable(new)
    name, new_name = path.encode(), new_path.encode()
    await folder.file.do_with(new.file, lambda root, other: beneath.rename(root, name, other, new_name))


@fallible
async def _link_at(
    _instance: Instance, folder: Descriptor, flags: Flags, path: str, new: Descriptor, new_path: str
) -> None:
    _require_writable(folder)
    _require_writable(new)
    if FOLLOW in flags:
        raise _refused(errno.EINVAL)
    name, new_name = path.encode(), new_path.encode()
    await folder.file.do_with(new.file, lambda root, other: beneath.link(root, name, other, new_name))


async def _is_same_object(_instance: Instance, one: Descriptor, other: Descriptor) -> bool:
    first, second = await one.file.do(os.fstat), await other.file.do(os.fstat)
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def _hash(found: os.stat_result) -> tuple[int, int]:
    """Of which object it is and when it was changed, not of what the host calls it."""
    text = f"{found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns}".encode()
    digest = hashlib.blake2b(text, digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


@fallible
async def _metadata_hash(_instance: Instance, descriptor: Descriptor) -> tuple[int, int]:
    return _hash(await descriptor.file.do(os.fstat))


@fallible
async def _metadata_hash_at(_instance: Instance, folder: Descriptor, flags: Flags, path: str) -> tuple[int, int]:
    name, follow = path.encode(), FOLLOW in flags
    return _hash(await folder.file.do(lambda root: beneath.stat_below(root, name, follow=follow)))


def _filesystem_error_code(error: IoError) -> str | None:
    return error.file_code


TYPES = Interface(
    "wasi:filesystem/types",
    functions={
        "[method]descriptor.read-via-stream": _read_via_stream,
        "[method]descriptor.write-via-stream": _write_via_stream,
        "[method]descriptor.append-via-stream": _append_via_stream,
        "[method]descriptor.advise": _advise,
        "[method]descriptor.sync-data": _sync_data,
        "[method]descriptor.get-flags": _get_flags,
        "[method]descriptor.get-type": _get_type,
        "[method]descriptor.set-size": _set_size,
        "[method]descriptor.set-times": _set_times,
        "[method]descriptor.read": _read,
        "[method]descriptor.write": _write,
        "[method]descriptor.read-directory": _read_directory,
        "[method]descriptor.sync": _sync,
        "[method]descriptor.create-directory-at": _changing(beneath.make_folder),
        "[method]descriptor.stat": _stat,
        "[method]descriptor.stat-at": _stat_at,
        "[method]descriptor.set-times-at": _set_times_at,
        "[method]descriptor.link-at": _link_at,
        "[method]descriptor.open-at": _open_at,
        "[method]descriptor.readlink-at": _readlink_at,
        "[method]descriptor.remove-directory-at": _changing(beneath.remove_folder),
        "[method]descriptor.rename-at": _rename_at,
        "[method]descriptor.symlink-at": _symlink_at,
        "[method]descriptor.unlink-file-at": _changing(beneath.remove_file),
        "[method]descriptor.is-same-object": _is_same_object,
        "[method]descriptor.metadata-hash": _metadata_hash,
        "[method]descriptor.metadata-hash-at": _metadata_hash_at,
        "[method]directory-entry-stream.read-directory-entry": _read_directory_entry,
    },
    plain={"filesystem-error-code": _filesystem_error_code},
    resources=frozenset({"descriptor", "directory-entry-stream"}),
)
