"""Descriptors of guests that have none but their output: waPC actors. Everything else is not there, by construction."""

from __future__ import annotations

from typing import Any

from lattice.wasm import audit, output
from lattice.wasm.beneath import PATH_BYTES_MAX
from lattice.wasm.engine import HostFunction
from lattice.wasm.fiber import Fiber
from lattice.wasm.output import STDERR, STDIN, STDOUT
from lattice.wasm.preview1 import clocks
from lattice.wasm.preview1.codes import (
    BADF,
    CHARACTER_DEVICE,
    FD_READ,
    FD_WRITE,
    INVAL,
    PARAMETERS,
    SOCKETS,
    SUCCESS,
)

PIECES_MAX = 1024
"""Buffers of one fd_write; IOV_MAX of common systems."""


def _none_of_them(fiber: Fiber, a: Any) -> None:
    """args_sizes_get and environ_sizes_get: a count and a size in bytes, both 0."""
    fiber.write(a.a0, bytes(4))
    fiber.write(a.a1, bytes(4))
    a.a0 = SUCCESS


def _nothing_to_copy(_fiber: Fiber, a: Any) -> None:
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
    rights = FD_READ if a.a0 == STDIN else FD_WRITE
    fiber.write(a.a1, CHARACTER_DEVICE.to_bytes(8, "little") + rights.to_bytes(8, "little") + bytes(8))
    a.a0 = SUCCESS


def _path_open(fiber: Fiber, a: Any) -> None:
    audit.refused(fiber, "opens a file, and waPC actors have none", fiber.read(a.a2, min(a.a3, PATH_BYTES_MAX)))
    a.a0 = BADF


def _socket(fiber: Fiber, a: Any) -> None:
    audit.refused(fiber, "uses a socket, and guests have none")
    a.a0 = BADF


def _no_such_descriptor(_fiber: Fiber, a: Any) -> None:
    a.a0 = BADF


def _ready(_fiber: Fiber, descriptor: int) -> int | None:
    return 0 if descriptor <= STDERR else None


_OFFERED: dict[str, HostFunction] = {
    **clocks.AT_ONCE,
    "args_sizes_get": _none_of_them,
    "args_get": _nothing_to_copy,
    "environ_sizes_get": _none_of_them,
    "environ_get": _nothing_to_copy,
    "fd_write": _fd_write,
    "fd_read": _fd_read,
    "fd_fdstat_get": _fd_fdstat_get,
    "path_open": _path_open,
    **dict.fromkeys(SOCKETS, _socket),
}


def may_wait(module: str) -> dict[str, HostFunction]:
    """The functions that a guest may sleep in, for one of the two names of the interface."""
    return {**clocks.MAY_WAIT, "poll_oneoff": clocks.poll_oneoff(_ready, module)}


AT_ONCE: dict[str, HostFunction] = {
    name: _OFFERED.get(name, _no_such_descriptor)
    for name in PARAMETERS
    if name not in (*clocks.MAY_WAIT, "poll_oneoff")
}
