"""What guests print, as lines of their actor's log: bounded per call, and unable to forge a line of somebody else's."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from lattice.wasm.guest import ActorContext

STDIN, STDOUT, STDERR = 0, 1, 2

BYTES_MAX = 64 * 1024
"""Output of one call that reaches the log; a guest that prints without end would fill it."""

_ESCAPED = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x09}


class Printer(Protocol):
    """A guest instance that prints: in which call, for which actor; `output` is kept here."""

    actor: ActorContext
    deadline: float
    output: Any


class Output:
    """What a guest prints during one call; calls are told apart by their deadlines."""

    __slots__ = ("call_deadline", "logged_bytes", "unfinished")

    def __init__(self, call_deadline: float, unfinished: dict[int, bytes]) -> None:
        self.call_deadline = call_deadline
        self.logged_bytes = 0
        self.unfinished = unfinished


def write(printer: Printer, descriptor: int, data: bytes) -> None:
    """Whole lines go to the log as they come; the rest waits for its line end."""
    output = printer.output
    if output is None or output.call_deadline != printer.deadline:
        output = printer.output = Output(printer.deadline, {} if output is None else output.unfinished)
    room = BYTES_MAX - output.logged_bytes
    if room <= 0:
        return
    level = logging.INFO if descriptor == STDOUT else logging.WARNING
    *lines, rest = (output.unfinished.get(descriptor, b"") + data[:room]).split(b"\n")
    output.unfinished[descriptor] = rest[:BYTES_MAX]
    output.logged_bytes += len(data)
    for line in lines:
        printer.actor.log.log(level, "%s", line.decode("utf-8", "backslashreplace").translate(_ESCAPED))
    if len(data) >= room:
        printer.actor.log.warning("the rest of this call's output is dropped: over %d bytes", BYTES_MAX)


def finish(printer: Printer) -> None:
    """The last lines, which nothing ended."""
    output = printer.output
    if output is not None:
        for descriptor in [descriptor for descriptor, rest in output.unfinished.items() if rest]:
            write(printer, descriptor, b"\n")
