"""The contracts every host answers by itself: log lines and numbers. They need no link."""

from __future__ import annotations

from typing import Literal

from lattice.contracts.message import U32, Contract, Message, Operation


class RangeLimit(Message, frozen=True, kw_only=True):
    """Both ends are included."""

    min: U32
    max: U32


class LogEntry(Message, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warn", "error"]
    text: str


NUMBERGEN = Contract(
    "wasmcloud:builtin:numbergen",
    operations=(
        Operation("NumberGen.GenerateGuid", "generate_guid", None, str),
        Operation("NumberGen.RandomInRange", "random_in_range", RangeLimit, U32),
        Operation("NumberGen.Random32", "random_32", None, U32),
    ),
    built_in=True,
)

LOGGING = Contract(
    "wasmcloud:builtin:logging",
    operations=(Operation("Logging.WriteLog", "write_log", LogEntry, None),),
    built_in=True,
)
