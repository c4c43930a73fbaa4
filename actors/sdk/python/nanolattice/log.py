"""Lines of the actor's log: the built-in contract wasmcloud:builtin:logging. `print` works too, at the level info."""

from __future__ import annotations

from typing import Literal

from nanolattice import host

CONTRACT = "wasmcloud:builtin:logging"

Level = Literal["debug", "info", "warn", "error"]


def write(level: Level, message: str) -> None:
    host.ask("default", CONTRACT, "Logging.WriteLog", {"level": level, "text": message})


def debug(message: str) -> None:
    write("debug", message)


def info(message: str) -> None:
    write("info", message)


def warn(message: str) -> None:
    write("warn", message)


def error(message: str) -> None:
    write("error", message)
