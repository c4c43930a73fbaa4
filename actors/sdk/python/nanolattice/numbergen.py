"""Random numbers of the host: the built-in contract wasmcloud:builtin:numbergen. Python's `secrets`, `random` and
`uuid.uuid4` work too, by the system's random bytes."""

from __future__ import annotations

from nanolattice import host

CONTRACT = "wasmcloud:builtin:numbergen"


def guid() -> str:
    return str(host.ask("default", CONTRACT, "NumberGen.GenerateGuid", None))


def random_32() -> int:
    """From 0 to 4,294,967,295."""
    return int(host.ask("default", CONTRACT, "NumberGen.Random32", None))


def in_range(low: int, high: int) -> int:
    """Both ends are included."""
    return int(host.ask("default", CONTRACT, "NumberGen.RandomInRange", {"min": low, "max": high}))
