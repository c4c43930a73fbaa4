"""Modules that the tests of the kit run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import wasmtime

from lattice import wire
from lattice.testing import TestHost

ROOT = Path(__file__).parents[2]
ACTORS = ROOT / "actors"
COUNTER = ACTORS / "counter" / "counter.wasm"


def guest(folder: Path, name: str) -> Path:
    """One of tests/guests, compiled into a folder."""
    compiled = folder / f"{name}.wasm"
    compiled.write_bytes(wasmtime.wat2wasm((ROOT / "tests" / "guests" / f"{name}.wat").read_text()))
    return compiled


class Refused(Exception):
    """What the guest was told instead of a reply."""


async def relayed(h: TestHost, contract: str, operation: str, message: Any = b"", link: str = "default") -> bytes:
    """What the guest `relay` gets for a call to a contract or another actor. Raises `Refused`."""
    payload = message if isinstance(message, bytes) else wire.encode(message)
    names = b"".join(f"{part}\0".encode() for part in (link, contract, operation))
    reply: bytes = await h.call("Relay", names + payload)
    if reply[:1] != b"1":
        raise Refused(reply[1:].decode())
    return reply[1:]


def decoded(reply: bytes) -> Any:
    return msgspec.msgpack.decode(reply)
