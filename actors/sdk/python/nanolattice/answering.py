"""Which function answers which operation of the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nanolattice import msgpack
from nanolattice.errors import Error

Handler = Callable[[bytes], bytes]

handlers: dict[str, Handler] = {}
"""By operation."""


def answer(role: str, name: str, take: Callable[[dict[str, Any]], Any]) -> None:
    """Names what answers the operation `role.name`, as message in and message out, None being none.

    The name is put together here and stands nowhere else in this package: by it `lattice` finds out what actors answer.
    """
    operation = f"{role}.{name}"

    def handle(payload: bytes) -> bytes:
        reply = take(_read(operation, payload))
        return b"" if reply is None else msgpack.pack(reply)

    handlers[operation] = handle


def _read(operation: str, payload: bytes) -> dict[str, Any]:
    try:
        found = msgpack.unpack(payload)
    except msgpack.Malformed as error:
        raise Error("malformed_message", f"the message of {operation} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise Error("malformed_message", f"the message of {operation} is no map")
    return found
