"""A command's view of its process: arguments, environment, input, output, and its files.

Input and output lie in memory, or come and go in pieces: then reading waits for the one who sends, and writing for the
one who reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from lattice import errors
from lattice.bodies import BodySink, BodySource
from lattice.streams import PIPE_BYTES_MAX, Awaitable, StreamClosed, StreamFailed, wait_any
from lattice.wasm import audit, output
from lattice.wasm.engine import Engine, HostFunction
from lattice.wasm.fiber import Fiber
from lattice.wasm.guest import ActorContext
from lattice.wasm.output import STDERR, STDIN, STDOUT
from lattice.wasm.preview1 import clocks
from lattice.wasm.preview1.codes import BADF, INVAL, IO, NOTSUP, PIPE, SOCKETS, SUCCESS
from lattice.wasm.preview1.volumes import FileTable, Refusal

PIECES_MAX = 1024
"""Buffers of one read or write; IOV_MAX of common systems."""
IO_BYTES_MAX = 1024 * 1024
"""What one read or write moves at most. Copying more at a time would hold the loop; programs ask again."""


class Process(Fiber):
    """A live command. `begin` gives it what it finds when it starts."""

    __slots__ = (
        *("_files", "arguments", "environment", "full", "input", "input_at", "open", "printed", "printed_bytes"),
        *("sink", "source", "when_printed"),
    )

    def __init__(self, engine: Engine, actor: ActorContext, files: FileTable) -> None:
        super().__init__(engine, actor)
        self._files = files
        self.begin((), (), b"")

    def begin(
        self, arguments: Sequence[bytes], environment: Sequence[bytes], given: bytes | memoryview | BodySource
    ) -> None:
        """`environment` are texts `NAME=VALUE`; `given` is what it reads from its standard input."""
        self.arguments = arguments
        self.environment = environment
        self.source: BodySource | None = None
        self.input = memoryview(b"")
        if isinstance(given, bytes | memoryview):
            self.input = memoryview(given)
        else:
            self.source = given
        self.input_at = 0
        self.printed: list[bytes] = []
        self.printed_bytes = 0
        self.full: errors.PayloadTooLarge | None = None
        """Why it was ended: it printed more than a reply may have."""
        self.open = {STDIN, STDOUT, STDERR}
        self.sink: BodySink | None = None
        """Where output goes from now on, instead of being kept."""
        self.when_printed: Callable[[], None] | None = None
        """Called when there is more output that is kept."""

    @property
    def files(self) -> FileTable:
        return self._files

    def print(self, data: bytes) -> None:
        """Raises `errors.PayloadTooLarge`, which ends the command, and `Refusal` when nobody reads on."""
        if self.sink is not None:
            try:
                self.sink.put(data)
            except StreamClosed:
                raise Refusal(PIPE) from None
            return
        self.printed_bytes += len(data)
        limit = self.actor.limits.payload_bytes_max
        # Output that is about to be passed on waits for that in here, however small the limit.
        if self.printed_bytes > limit + (PIPE_BYTES_MAX + IO_BYTES_MAX if self.when_printed is not None else 0):
            self.printed.clear()
            self.full = errors.PayloadTooLarge(
                f"the output of {self.actor.key} is over limits.payload ({limit} bytes)",
                remedy="raise limits.payload of the actor",
            )
            raise self.full
        self.printed.append(data)
        if self.when_printed is not None:
            self.when_printed()

    @property
    def is_ahead(self) -> bool:
        """It has printed more than is passed on at the moment, and should wait."""
        if self.sink is not None:
            return not self.sink.ready()
        return self.when_printed is not None and self.printed_bytes >= PIPE_BYTES_MAX

    async def caught_up(self) -> None:
        """Whoever is to pass its output on gets a turn, and the time it needs."""
        await asyncio.sleep(0)
        if self.sink is not None:
            await wait_any((self.sink,))

    def printed_so_far(self) -> bytes:
        return b"".join(self.printed)

    def close(self) -> None:
        super().close()
        self._files.close()


def spans(fiber: Fiber, at: int, count: int) -> list[tuple[int, int]]:
    """The (address, length) of each buffer of a read or write, cut where `IO_BYTES_MAX` ends. Raises `Refusal`."""
    if count > PIECES_MAX:
        raise Refusal(INVAL)
    pieces = fiber.read(at, 8 * count)
    room = IO_BYTES_MAX
    found: list[tuple[int, int]] = []
    for place in range(0, 8 * count, 8):
        length = min(int.from_bytes(pieces[place + 4 : place + 8], "little"), room)
        if length:
            found.append((int.from_bytes(pieces[place : place + 4], "little"), length))
            room -= length
    return found


def gather(fiber: Fiber, at: int, count: int) -> bytes:
    """What a write gives."""
    found = spans(fiber, at, count)
    if len(found) == 1:
        return fiber.read(*found[0])
    return b"".join(fiber.read(start, length) for start, length in found)


def scatter(fiber: Fiber, buffers: list[tuple[int, int]], data: bytes | memoryview) -> None:
    """Puts what was read into the buffers of a read; `data` is no longer than they are together."""
    at = 0
    for start, length in buffers:
        if at >= len(data):
            return
        fiber.write(start, data[at : at + length])
        at += length


def read_input(process: Process, buffers: list[tuple[int, int]]) -> int:
    wanted = sum(length for _, length in buffers)
    data = process.input[process.input_at : process.input_at + wanted]
    scatter(process, buffers, data)
    process.input_at += len(data)
    return len(data)


async def read_source(process: Process, source: BodySource, buffers: list[tuple[int, int]], read_at: int) -> None:
    """Reads what is there, and waits until something is. Raises `Refusal` for a body that broke off."""
    wanted = sum(length for _, length in buffers)
    if wanted:
        await wait_any((source,))
    try:
        data = source.take(wanted)
    except StreamClosed:
        data = b""
    except StreamFailed:
        raise Refusal(IO) from None
    scatter(process, buffers, data)
    process.write(read_at, len(data).to_bytes(4, "little"))


def write_output(process: Process, descriptor: int, data: bytes) -> None:
    if descriptor == STDOUT:
        process.print(data)
    else:
        output.write(process, descriptor, data)


def _sizes(process: Process, a: Any, texts: Sequence[bytes]) -> None:
    process.write(a.a0, len(texts).to_bytes(4, "little"))
    process.write(a.a1, sum(len(text) + 1 for text in texts).to_bytes(4, "little"))
    a.a0 = SUCCESS


def _copy(process: Process, a: Any, texts: Sequence[bytes]) -> None:
    """Pointers to the texts, and the texts, each ended by a NUL."""
    at, pointers = a.a1, bytearray()
    for text in texts:
        pointers += (at & 0xFFFFFFFF).to_bytes(4, "little")
        at += len(text) + 1
    process.write(a.a0, bytes(pointers))
    process.write(a.a1, b"".join(text + b"\0" for text in texts))
    a.a0 = SUCCESS


def _args_sizes_get(process: Process, a: Any) -> None:
    _sizes(process, a, process.arguments)


def _args_get(process: Process, a: Any) -> None:
    _copy(process, a, process.arguments)


def _environ_sizes_get(process: Process, a: Any) -> None:
    _sizes(process, a, process.environment)


def _environ_get(process: Process, a: Any) -> None:
    _copy(process, a, process.environment)


def _socket(process: Process, a: Any) -> None:
    audit.refused(process, "uses a socket, and guests have none")
    a.a0 = NOTSUP


def ready(process: Any, descriptor: int) -> int | Awaitable | None:
    """As `clocks.Ready`: files are always ready, and input and output that lie in memory."""
    if descriptor in process.open:
        waited: Awaitable | None = {STDIN: process.source, STDOUT: process.sink}.get(descriptor)
        if waited is not None:
            return IO_BYTES_MAX if waited.ready() else waited
        return len(process.input) - process.input_at if descriptor == STDIN else IO_BYTES_MAX
    return IO_BYTES_MAX if descriptor in process.files.entries else None


def stdio(process: Process, descriptor: int) -> bool:
    """Whether it is input or output. Raises `Refusal` when that was closed."""
    if descriptor > STDERR:
        return False
    if descriptor not in process.open and descriptor not in process.files.entries:
        raise Refusal(BADF)
    return descriptor in process.open


AT_ONCE: dict[str, HostFunction] = {
    **clocks.AT_ONCE,
    "args_sizes_get": _args_sizes_get,
    "args_get": _args_get,
    "environ_sizes_get": _environ_sizes_get,
    "environ_get": _environ_get,
    **dict.fromkeys(SOCKETS, _socket),
}


def may_wait(module: str) -> dict[str, HostFunction]:
    """The functions that wait for time, for one of the two names of the interface."""
    return {**clocks.MAY_WAIT, "poll_oneoff": clocks.poll_oneoff(ready, module)}
