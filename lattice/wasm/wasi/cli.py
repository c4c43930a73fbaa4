"""wasi:cli: environment, exit, standard streams, and terminals of which there are none."""

from __future__ import annotations

from typing import NoReturn

from lattice import errors
from lattice.streams import Waiter
from lattice.wasm import output
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.buffers import Memory
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.streams import WRITE_BYTES_MAX, InputStream, OutputStream
from lattice.wasm.wasi.table import Interface


class LogSink:
    """What a guest prints becomes lines of its actor's log, as many as one call may have."""

    __slots__ = ("_descriptor", "_instance")

    def __init__(self, instance: Instance, descriptor: int) -> None:
        self._instance = instance
        self._descriptor = descriptor

    def room(self) -> int:
        return WRITE_BYTES_MAX

    def put(self, data: bytes) -> None:
        output.write(self._instance, self._descriptor, data)

    def flush(self) -> None:
        """A line goes to the log when it is whole."""

    def flushed(self) -> bool:
        return True

    def ready(self) -> bool:
        return True

    def attach(self, waiter: Waiter) -> None:
        """Nobody waits: it is always ready."""

    def detach(self, waiter: Waiter) -> None:
        """As `attach`."""

    def close(self) -> None:
        """The log stays."""


def _environment(instance: Instance) -> list[tuple[str, str]]:
    return list(instance.grants.environment)


def _arguments(instance: Instance) -> list[str]:
    return list(instance.grants.arguments)


def _initial_cwd() -> None:
    return None


def _exit(instance: Instance, status: Ok | Err) -> NoReturn:
    _exit_with_code(instance, 0 if isinstance(status, Ok) else 1)


def _exit_with_code(instance: Instance, code: int) -> NoReturn:
    instance.exit_code = code
    raise errors.GuestTrapped(f"exit {code}")


def _stdin(instance: Instance) -> InputStream:
    return instance.own_beyond_calls(InputStream(Memory(b"")))


def _stdout(instance: Instance) -> OutputStream:
    return instance.own_beyond_calls(OutputStream(LogSink(instance, output.STDOUT)))


def _stderr(instance: Instance) -> OutputStream:
    return instance.own_beyond_calls(OutputStream(LogSink(instance, output.STDERR)))


def _no_terminal() -> None:
    return None


ENVIRONMENT = Interface(
    "wasi:cli/environment",
    functions={"get-environment": _environment, "get-arguments": _arguments},
    plain={"initial-cwd": _initial_cwd},
)
EXIT = Interface("wasi:cli/exit", functions={"exit": _exit, "exit-with-code": _exit_with_code})
STDIN = Interface("wasi:cli/stdin", functions={"get-stdin": _stdin})
STDOUT = Interface("wasi:cli/stdout", functions={"get-stdout": _stdout})
STDERR = Interface("wasi:cli/stderr", functions={"get-stderr": _stderr})
TERMINAL_INPUT = Interface("wasi:cli/terminal-input", resources=frozenset({"terminal-input"}))
TERMINAL_OUTPUT = Interface("wasi:cli/terminal-output", resources=frozenset({"terminal-output"}))
TERMINAL_STDIN = Interface("wasi:cli/terminal-stdin", plain={"get-terminal-stdin": _no_terminal})
TERMINAL_STDOUT = Interface("wasi:cli/terminal-stdout", plain={"get-terminal-stdout": _no_terminal})
TERMINAL_STDERR = Interface("wasi:cli/terminal-stderr", plain={"get-terminal-stderr": _no_terminal})
