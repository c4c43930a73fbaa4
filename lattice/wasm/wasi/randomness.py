"""wasi:random: the system's random bytes, also where a guest would do with worse ones."""

from __future__ import annotations

import os

from lattice import errors
from lattice.wasm.wasi.table import Interface

RANDOM_BYTES_MAX = 1024 * 1024
"""At once; generating more would hold the loop."""


def _bytes(size: int) -> bytes:
    if size > RANDOM_BYTES_MAX:
        raise errors.GuestProtocolError(
            f"the guest asks for {size} random bytes at once; {RANDOM_BYTES_MAX} is the most",
            remedy="ask for them in pieces",
        )
    return os.urandom(size)


def _u64() -> int:
    return int.from_bytes(os.urandom(8), "little")


def _seed() -> tuple[int, int]:
    return (_u64(), _u64())


RANDOM = Interface("wasi:random/random", plain={"get-random-bytes": _bytes, "get-random-u64": _u64})

INSECURE = Interface(
    "wasi:random/insecure", plain={"get-insecure-random-bytes": _bytes, "get-insecure-random-u64": _u64}
)

INSECURE_SEED = Interface("wasi:random/insecure-seed", plain={"insecure-seed": _seed})
