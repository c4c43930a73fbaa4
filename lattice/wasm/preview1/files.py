"""Functions on descriptors of commands. Those on input and output answer at once; on files they wait for a thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from lattice.wasm import audit
from lattice.wasm.engine import HostFunction
from lattice.wasm.output import STDIN, STDOUT
from lattice.wasm.preview1.codes import (
    BADF,
    FBIG,
    INVAL,
    ISDIR,
    MODULES,
    NOTSUP,
    SPIPE,
    SUCCESS,
    of_system,
)
from lattice.wasm.preview1.process import Process, gather, read_input, read_source, scatter, spans, stdio, write_output
from lattice.wasm.preview1.volumes import Descriptor, NotGranted, Refusal

FILE_BYTES_MAX = 256 * 1024 * 1024
"""The largest file a guest may make: one that writes for ever ends there."""

Done: TypeAlias = Callable[[Any], None] | None
Prepared: TypeAlias = tuple[Callable[[], Any], Done] | Coroutine[Any, Any, None] | None
"""What to do in a thread, and what to do with the result on the loop; or what to wait for; None when all is done
already."""


def waiting(prepare: Callable[[Process, Any], Prepared]) -> HostFunction:
    """A host function from one that reads its arguments and says what is to be done in a thread."""

    def function(process: Process, a: Any) -> None:
        try:
            prepared = prepare(process, a)
        except Refusal as refusal:
            process.set_result(refusal.code)
            return
        if prepared is None:
            process.set_result(SUCCESS)
        elif isinstance(prepared, tuple):
            process.sleep(_carry_out(process, *prepared))
        else:
            process.sleep(_wait(process, prepared))

    return function


async def _wait(process: Process, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Refusal as refusal:
        process.set_result(refusal.code)
    else:
        process.set_result(SUCCESS)


async def _carry_out(process: Process, work: Callable[[], Any], done: Done) -> None:
    try:
        result = await process.files.run(work)
        if done is not None:
            done(result)
    except OSError as error:
        process.set_result(of_system(error))
    except NotGranted as refusal:
        audit.refused(process, refusal.what, refusal.path)
        process.set_result(refusal.code)
    except Refusal as refusal:
        process.set_result(refusal.code)
    else:
        process.set_result(SUCCESS)


def write_u32(process: Process, at: int) -> Callable[[int], None]:
    return lambda value: process.write(at, value.to_bytes(4, "little"))


def wide(low: int, high: int) -> int:
    return low | high << 32


def _file(process: Process, number: int, *, writing: bool | None = False) -> Descriptor:
    """An open file; None if it need be open for neither reading nor writing. Raises `Refusal`."""
    entry = process.files.get(number)
    if entry.is_folder:
        raise Refusal(ISDIR)
    if writing is not None and not (entry.writable if writing else entry.readable):
        raise Refusal(BADF)
    return entry


def _fd_read(process: Process, a: Any) -> Prepared:
    number, read_at = a.a0, a.a3
    if stdio(process, number):
        if number != STDIN:
            raise Refusal(BADF)
        buffers = spans(process, a.a1, a.a2)
        if process.source is not None:
            return read_source(process, process.source, buffers, read_at)
        write_u32(process, read_at)(read_input(process, buffers))
        return None
    entry = _file(process, number)
    buffers = spans(process, a.a1, a.a2)
    wanted = sum(length for _, length in buffers)

    def done(data: bytes) -> None:
        entry.position += len(data)
        scatter(process, buffers, data)
        write_u32(process, read_at)(len(data))

    return lambda: os.pread(entry.file, wanted, entry.position), done


def _fd_pread(process: Process, a: Any) -> Prepared:
    if stdio(process, a.a0):
        raise Refusal(SPIPE)
    entry, buffers, offset, read_at = _file(process, a.a0), spans(process, a.a1, a.a2), wide(a.a3, a.h3), a.a4
    if offset >> 63:
        raise Refusal(INVAL)
    wanted = sum(length for _, length in buffers)

    def done(data: bytes) -> None:
        scatter(process, buffers, data)
        write_u32(process, read_at)(len(data))

    return lambda: os.pread(entry.file, wanted, offset), done


def _fd_write(process: Process, a: Any) -> Prepared:
    number, written_at = a.a0, a.a3
    if stdio(process, number):
        if number == STDIN:
            raise Refusal(BADF)
        data = gather(process, a.a1, a.a2)
        write_u32(process, written_at)(len(data))
        write_output(process, number, data)
        return process.caught_up() if number == STDOUT and process.is_ahead else None
    entry, data = _file(process, number, writing=True), gather(process, a.a1, a.a2)

    def work() -> tuple[int, int]:
        if entry.append:
            entry.position = os.fstat(entry.file).st_size
        written = _write_at(entry, data, entry.position)
        # Others may have appended since: only the system knows where this landed.
        return written, os.lseek(entry.file, 0, os.SEEK_CUR) if entry.append else entry.position + written

    def done(result: tuple[int, int]) -> None:
        written, entry.position = result
        write_u32(process, written_at)(written)

    return work, done


def _fd_pwrite(process: Process, a: Any) -> Prepared:
    if stdio(process, a.a0):
        raise Refusal(SPIPE)
    entry, data, offset = _file(process, a.a0, writing=True), gather(process, a.a1, a.a2), wide(a.a3, a.h3)
    return lambda: _write_at(entry, data, offset), write_u32(process, a.a4)


def _write_at(entry: Descriptor, data: bytes, offset: int) -> int:
    if offset + len(data) > FILE_BYTES_MAX:
        raise Refusal(FBIG)
    return os.write(entry.file, data) if entry.append else os.pwrite(entry.file, data, offset)


def _fd_close(process: Process, a: Any) -> Prepared:
    number = a.a0
    if stdio(process, number):
        process.open.discard(number)
        return None
    process.files.get(number)
    # A close may write what is left, so it may wait too.
    return lambda: process.files.remove(number), None


def _fd_renumber(process: Process, a: Any) -> Prepared:
    number, to = a.a0, a.a1
    if stdio(process, number) or stdio(process, to):
        raise Refusal(NOTSUP)
    process.files.get(to)
    process.files.get(number)
    return lambda: process.files.move(number, to), None


def _fd_sync(process: Process, a: Any) -> Prepared:
    if stdio(process, a.a0):
        return None
    entry = process.files.get(a.a0)
    return lambda: os.fsync(entry.file), None


def _fd_advise(process: Process, a: Any) -> Prepared:
    if stdio(process, a.a0):
        raise Refusal(SPIPE)
    _file(process, a.a0, writing=None)
    return None


def refusing(code: int) -> HostFunction:
    def prepare(process: Process, a: Any) -> Prepared:
        if not stdio(process, a.a0):
            process.files.get(a.a0)
        raise Refusal(code)

    return waiting(prepare)


def _fd_seek(process: Process, a: Any, whence: str) -> Prepared:
    if stdio(process, a.a0):
        raise Refusal(SPIPE)
    entry = process.files.get(a.a0)
    if entry.is_folder:
        raise Refusal(BADF)
    offset, new_at = wide(a.a1, a.h1), a.a3
    offset -= (offset >> 63) << 64

    def move(base: int) -> None:
        if not 0 <= base + offset < 1 << 63:
            raise Refusal(INVAL)
        entry.position = base + offset
        process.write(new_at, entry.position.to_bytes(8, "little"))

    if whence != "end":
        move(0 if whence == "set" else entry.position)
        return None

    def from_end() -> int:
        size = os.fstat(entry.file).st_size
        if size + offset < 0:
            raise Refusal(INVAL)
        return size

    return from_end, move


def _seek_of(order: tuple[str, str, str]) -> HostFunction:
    def prepare(process: Process, a: Any) -> Prepared:
        if a.a2 > 2:
            raise Refusal(INVAL)
        return _fd_seek(process, a, order[a.a2])

    return waiting(prepare)


def _fd_tell(process: Process, a: Any) -> Prepared:
    if stdio(process, a.a0):
        raise Refusal(SPIPE)
    process.write(a.a1, _file(process, a.a0, writing=None).position.to_bytes(8, "little"))
    return None


def _fd_filestat_set_size(process: Process, a: Any) -> Prepared:
    if stdio(process, a.a0):
        raise Refusal(INVAL)
    entry, size = _file(process, a.a0, writing=True), wide(a.a1, a.h1)
    if size > FILE_BYTES_MAX:
        raise Refusal(FBIG)
    return lambda: os.ftruncate(entry.file, size), None


def may_wait(module: str) -> dict[str, HostFunction]:
    """The functions that read and write, for one of the two names of the interface."""
    order = ("set", "current", "end") if module == MODULES[0] else ("current", "end", "set")
    return {
        "fd_advise": waiting(_fd_advise),
        "fd_allocate": refusing(NOTSUP),
        "fd_close": waiting(_fd_close),
        "fd_datasync": waiting(_fd_sync),
        "fd_filestat_set_size": waiting(_fd_filestat_set_size),
        "fd_pread": waiting(_fd_pread),
        "fd_pwrite": waiting(_fd_pwrite),
        "fd_read": waiting(_fd_read),
        "fd_renumber": waiting(_fd_renumber),
        "fd_seek": _seek_of(order),
        "fd_sync": waiting(_fd_sync),
        "fd_tell": waiting(_fd_tell),
        "fd_write": waiting(_fd_write),
    }
