"""wasi:random: the system's random bytes, also where a guest would do with worse ones."""

from __future__ import annotations

from lattice import errors
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.table import Interface

RANDOM_BYTES_MAX = 1024 * 1024
"""At once; generating more would hold the loop."""


def _bytes(instance: Instance, size: int) -> bytes:
    if size > RANDOM_BYTES_MAX:
        raise errors.GuestProtocolError(
            f"the guest asks for {size} random bytes at once; {RANDOM_BYTES_MAX} is the most",
            remedy="ask for them in pieces",
        )
    return instance.actor.nature.random(size)


def _u64(instance: Instance) -> int:
    return int.from_bytes(instance.actor.nature.random(8), "little")


def _seed(instance: Instance) -> tuple[int, int]:
    return (_u64(instance), _u64(instance))


RANDOM = Interface("wasi:random/random", functions={"get-random-bytes": _bytes, "get-random-u64": _u64})

INSECURE = Interface(
    "wasi:random/insecure", functions={"get-insecure-random-bytes": _bytes, "get-insecure-random-u64": _u64}
)

INSECURE_SEED = Interface("wasi:random/insecure-seed", functions={"insecure-seed": _seed})
