"""Sizes and times as people write them, and the limits of an actor."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

from lattice.config import Limits
from lattice.control.manifest.document import Node
from lattice.control.manifest.reader import Reader

_SIZES = {
    **{"": 1, "b": 1, "k": 1000, "kb": 1000, "m": 1000**2, "mb": 1000**2, "g": 1000**3, "gb": 1000**3},
    **{"ki": 1024, "kib": 1024, "mi": 1024**2, "mib": 1024**2, "gi": 1024**3, "gib": 1024**3},
}
_TIMES = {"": 1.0, "s": 1.0, "ms": 0.001, "us": 0.000001, "m": 60.0, "min": 60.0, "h": 3600.0}
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)[ ]?([A-Za-z]{0,3})", re.ASCII)

MEMORY_MIN = 64 * 1024
"""One page of WebAssembly memory."""
MEMORY_MAX = 4 * 1024**3
"""All that 32-bit addresses reach."""
TIME_MAX_S = 24 * 3600.0
"""A call that takes a day is a mistake in a unit."""
PAYLOAD_MAX = 1024**3
"""Payloads are copied whole, several times on their way."""
REUSE_MAX = 1_000_000
"""Calls of one instance of a component. What leaks a little in each has shown long before."""

Quantity = TypeVar("Quantity", int, float)


def parse_size(text: str) -> int:
    """Bytes of "65536", "64MiB", "10 MB", "1.5g": powers of 1000, with an i powers of 1024. Raises `ValueError`."""
    number, unit = _quantity(text)
    if unit.lower() not in _SIZES:
        raise ValueError(f"{text!r} has no unit of size known here: B, kB, MB, GB, KiB, MiB, GiB")
    size = float(number) * _SIZES[unit.lower()] if "." in number else int(number) * _SIZES[unit.lower()]
    return int(size)


def parse_duration(text: str) -> float:
    """Seconds of "500ms", "10s", "1.5", "2m", "1h". Raises `ValueError`."""
    number, unit = _quantity(text)
    if unit not in _TIMES:
        raise ValueError(f"{text!r} has no unit of time known here: us, ms, s, m, h")
    return float(number) * _TIMES[unit]


def _quantity(text: str) -> tuple[str, str]:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:100]!r} is not a number with a unit")
    return match[1], match[2]


_KEYS = ("memory", "time", "instances", "queue", "depth", "payload", "isolation", "reuse")


def read_limits(reader: Reader, node: Node | None) -> Limits:
    """`properties.limits` of an actor; what is not said, or said wrongly, keeps its default."""
    fields = reader.fields(node, "limits", _KEYS)
    found: dict[str, Any] = {
        "memory_bytes_max": _bounded(reader, fields.get("memory"), "memory", parse_size, MEMORY_MIN, MEMORY_MAX),
        "time_s_max": _bounded(reader, fields.get("time"), "time", parse_duration, 0.001, TIME_MAX_S),
        "instances_max": reader.integer(fields.get("instances"), "instances", 1, 100_000),
        "queue_max": reader.integer(fields.get("queue"), "queue", 0, 1_000_000),
        "depth_max": reader.integer(fields.get("depth"), "depth", 1, 1000),
        "payload_bytes_max": _bounded(reader, fields.get("payload"), "payload", parse_size, 1, PAYLOAD_MAX),
        "isolation": _isolation(reader, fields.get("isolation")),
        "reuse_max": reader.integer(fields.get("reuse"), "reuse", 1, REUSE_MAX),
    }
    return Limits(**{key: value for key, value in found.items() if value is not None})


def _bounded(
    reader: Reader,
    node: Node | None,
    what: str,
    parse: Callable[[str], Quantity],
    least: Quantity,
    most: Quantity,
) -> Quantity | None:
    text = reader.word(node, what)
    if node is None or not text:
        return None
    try:
        value = parse(text)
    except ValueError as error:
        reader.mistake(node, f"{what}: {error}")
        return None
    if not least <= value <= most:
        unit = "bytes" if parse is parse_size else "seconds"
        reader.mistake(node, f"{what} has to be from {least} to {most} {unit}, and {text!r} is not")
        return None
    return value


def _isolation(reader: Reader, node: Node | None) -> Literal["instance", "call"] | None:
    text = reader.word(node, "isolation")
    if node is None or not text:
        return None
    if text not in ("instance", "call"):
        reader.mistake(node, f"isolation {text!r} is unknown", "instance: reuse instances; call: a fresh one per call")
        return None
    return cast(Literal["instance", "call"], text)
