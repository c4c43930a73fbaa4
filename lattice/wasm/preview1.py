"""WASI preview 1 for guests that import it: clocks, random bytes, output to the log, and nothing else.

There is no environment, no argument, no file and no socket to be had, by construction: the functions for them answer
that there is no such descriptor. Written here rather than taken from the engine, whose version sleeps inside
`poll_oneoff` with the whole loop and can send output only to files (docs/adr/0005). Source: the WASI preview 1
witx definitions; `wasi_unstable` is its older name, with the same shapes.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any, Final

from lattice import errors
from lattice.wasm import output
from lattice.wasm.engine import HostFunction, Linker
from lattice.wasm.fiber import Fiber
from lattice.wasm.output import STDERR, STDIN, STDOUT

IMPORT_MODULES = ("wasi_snapshot_preview1", "wasi_unstable")

SUCCESS: Final = 0
BADF: Final = 8
INVAL: Final = 28
NOSYS: Final = 52

PIECES_MAX = 1024
"""Buffers of one fd_write; IOV_MAX of common systems."""
RANDOM_BYTES_MAX = 1024 * 1024
"""One random_get; generating more would hold the loop."""
SUBSCRIPTIONS_MAX = 256
"""Subscriptions of one poll_oneoff; programs use one or two."""

SUBSCRIPTION_BYTES, EVENT_BYTES = 48, 32
CLOCK_ABSOLUTE = 1
CHARACTER_DEVICE = 2
RIGHT_TO_READ, RIGHT_TO_WRITE = 1 << 1, 1 << 6


def define_imports(linker: Linker) -> None:
    """Every function of the interface, under both of its names."""
    for module in IMPORT_MODULES:
        for name, parameters, function in _ANSWERED:
            linker.define(module, name, parameters, "i", function)
        for name, parameters in _REFUSED:
            linker.define(module, name, parameters, "i", _no_such_descriptor)
        linker.define(module, "proc_exit", "i", "", _proc_exit)
        linker.define_async(module, "poll_oneoff", "iiii", "i", _poll_oneoff)


def _none_of_them(fiber: Fiber, a: Any) -> None:
    """args_sizes_get and environ_sizes_get: a count and a size in bytes, both 0."""
    fiber.write(a.a0, bytes(4))
    fiber.write(a.a1, bytes(4))
    a.a0 = SUCCESS


def _nothing_to_copy(_fiber: Fiber, a: Any) -> None:
    a.a0 = SUCCESS


def _clock_now_ns(clock: int) -> int | None:
    match clock:
        case 0:
            return time.time_ns()
        case 1:
            return time.monotonic_ns()
        case 2 | 3:
            return time.process_time_ns()
    return None


def _clock_time_get(fiber: Fiber, a: Any) -> None:
    now = _clock_now_ns(a.a0)
    if now is None:
        a.a0 = INVAL
        return
    fiber.write(a.a2, now.to_bytes(8, "little"))
    a.a0 = SUCCESS


def _clock_res_get(fiber: Fiber, a: Any) -> None:
    if _clock_now_ns(a.a0) is None:
        a.a0 = INVAL
        return
    fiber.write(a.a1, (1).to_bytes(8, "little"))
    a.a0 = SUCCESS


def _random_get(fiber: Fiber, a: Any) -> None:
    if a.a1 > RANDOM_BYTES_MAX:
        a.a0 = INVAL
        return
    fiber.write(a.a0, os.urandom(a.a1))
    a.a0 = SUCCESS


def _fd_write(fiber: Fiber, a: Any) -> None:
    descriptor, count = a.a0, a.a2
    if descriptor not in (STDOUT, STDERR):
        a.a0 = BADF
        return
    if count > PIECES_MAX:
        a.a0 = INVAL
        return
    pieces = fiber.read(a.a1, 8 * count)
    written = 0
    kept: list[bytes] = []
    for at in range(0, 8 * count, 8):
        start = int.from_bytes(pieces[at : at + 4], "little")
        length = int.from_bytes(pieces[at + 4 : at + 8], "little")
        kept.append(fiber.read(start, min(length, max(0, output.BYTES_MAX - written))))
        written += length
    fiber.write(a.a3, (written & 0xFFFFFFFF).to_bytes(4, "little"))
    output.write(fiber, descriptor, b"".join(kept))
    a.a0 = SUCCESS


def _fd_read(fiber: Fiber, a: Any) -> None:
    if a.a0 != STDIN:
        a.a0 = BADF
        return
    fiber.write(a.a3, bytes(4))  # the end of input
    a.a0 = SUCCESS


def _fd_fdstat_get(fiber: Fiber, a: Any) -> None:
    if a.a0 > STDERR:
        a.a0 = BADF
        return
    rights = RIGHT_TO_READ if a.a0 == STDIN else RIGHT_TO_WRITE
    fiber.write(a.a1, CHARACTER_DEVICE.to_bytes(8, "little") + rights.to_bytes(8, "little") + bytes(8))
    a.a0 = SUCCESS


def _no_such_descriptor(_fiber: Fiber, a: Any) -> None:
    a.a0 = BADF


def _not_offered(_fiber: Fiber, a: Any) -> None:
    a.a0 = NOSYS


def _proc_exit(fiber: Fiber, a: Any) -> None:
    fiber.exit_code = a.a0
    raise errors.GuestTrapped(f"exit {a.a0}")


def _poll_oneoff(fiber: Fiber, a: Any) -> None:
    events_at, count, written_at = a.a1, a.a2, a.a3
    if not 0 < count <= SUBSCRIPTIONS_MAX:
        fiber.set_result(INVAL)
        return
    wanted = fiber.read(a.a0, SUBSCRIPTION_BYTES * count)
    fiber.sleep(_wait(fiber, wanted, events_at, written_at))


async def _wait(fiber: Fiber, wanted: bytes, events_at: int, written_at: int) -> None:
    """Sleeps until the first of the clocks; descriptors are ready (or not there) at once."""
    at_once = bytearray()
    clocks: list[tuple[float, bytes]] = []
    for at in range(0, len(wanted), SUBSCRIPTION_BYTES):
        user_data, tag = wanted[at : at + 8], wanted[at + 8]
        if tag != 0:
            descriptor = int.from_bytes(wanted[at + 16 : at + 20], "little")
            at_once += _event(user_data, SUCCESS if descriptor <= STDERR else BADF, tag)
            continue
        clock = int.from_bytes(wanted[at + 16 : at + 20], "little")
        timeout_ns = int.from_bytes(wanted[at + 24 : at + 32], "little")
        now_ns = _clock_now_ns(clock)
        if now_ns is None:
            at_once += _event(user_data, INVAL, tag)
            continue
        if int.from_bytes(wanted[at + 40 : at + 42], "little") & CLOCK_ABSOLUTE:
            timeout_ns = max(0, timeout_ns - now_ns)
        clocks.append((timeout_ns / 1e9, user_data))
    if not at_once:
        first_s = min(wait_s for wait_s, _ in clocks)
        # Never past the call's deadline: that ends the call, from outside.
        await asyncio.sleep(min(first_s, max(0.0, fiber.deadline - time.monotonic()) + 1.0))
        for wait_s, user_data in clocks:
            if wait_s <= first_s:
                at_once += _event(user_data, SUCCESS, 0)
    fiber.write(events_at, bytes(at_once))
    fiber.write(written_at, (len(at_once) // EVENT_BYTES).to_bytes(4, "little"))
    fiber.set_result(SUCCESS)


def _event(user_data: bytes, error: int, tag: int) -> bytes:
    return user_data + error.to_bytes(2, "little") + bytes([tag]) + bytes(EVENT_BYTES - 11)


_ANSWERED: tuple[tuple[str, str, HostFunction], ...] = (
    ("args_sizes_get", "ii", _none_of_them),
    ("args_get", "ii", _nothing_to_copy),
    ("environ_sizes_get", "ii", _none_of_them),
    ("environ_get", "ii", _nothing_to_copy),
    ("clock_res_get", "ii", _clock_res_get),
    ("clock_time_get", "ili", _clock_time_get),
    ("random_get", "ii", _random_get),
    ("sched_yield", "", _nothing_to_copy),
    ("proc_raise", "i", _not_offered),
    ("fd_write", "iiii", _fd_write),
    ("fd_read", "iiii", _fd_read),
    ("fd_fdstat_get", "ii", _fd_fdstat_get),
)

_REFUSED: tuple[tuple[str, str], ...] = (
    ("fd_advise", "illi"),
    ("fd_allocate", "ill"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "ill"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "il"),
    ("fd_filestat_set_times", "illi"),
    ("fd_pread", "iiili"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_pwrite", "iiili"),
    ("fd_readdir", "iiili"),
    ("fd_renumber", "ii"),
    ("fd_seek", "ilii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiilli"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiillii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
)
