"""wasi:logging over the built-in contract wasmcloud:builtin:logging."""

from __future__ import annotations

from lattice import errors
from lattice.contracts import builtin
from lattice.wasm.wasi.instance import Instance, Outgoing
from lattice.wasm.wasi.table import Interface

TEXT_CHARS_MAX = 8 * 1024
"""A longer line of a guest is cut: it is formatted on the loop."""
CONTEXT_CHARS_MAX = 256

_WRITE = Outgoing(builtin.LOGGING, "Logging.WriteLog")
_LEVELS = {"trace": "debug", "debug": "debug", "info": "info", "warn": "warn", "error": "error", "critical": "error"}


async def _log(instance: Instance, level: str, context: str, message: str) -> None:
    text = message[:TEXT_CHARS_MAX]
    if context:
        text = f"{context[:CONTEXT_CHARS_MAX]}: {text}"
    try:
        await instance.call(_WRITE, builtin.LogEntry(level=_LEVELS[level], text=text))  # type: ignore[arg-type]  # one of the four
    except errors.CallError as error:
        # The guest cannot be told: `log` has no result.
        instance.actor.log.warning("a log line of the guest was not written: %s: %s", error.code, error.message)


LOGGING = Interface("wasi:logging/logging", functions={"log": _log})
