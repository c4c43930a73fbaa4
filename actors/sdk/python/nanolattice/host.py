"""The way out of the actor: one function that calls a capability or another actor.

Inside a component it is the import `nanolattice:actor/host`. Tests that run outside of one give another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nanolattice import msgpack
from nanolattice.errors import Error

Call = Callable[[str, str, str, bytes], bytes]
"""(link name, contract or actor, operation, payload) -> reply. Raises `Error`."""

_calls: list[Call] = []


def use(call: Call) -> None:
    """Makes this the way out."""
    _calls[:] = [call]


def call(link: str, target: str, operation: str, payload: bytes) -> bytes:
    """Calls a capability or an actor with bytes. Raises `Error`."""
    if not _calls:
        raise Error("not_linked", f"{operation} was called outside of an actor: there is no host here")
    return _calls[0](link, target, operation, payload)


def ask(link: str, contract: str, operation: str, message: Any) -> Any:
    """Calls a capability with a message, and reads its reply; None if there is none. Raises `Error`."""
    payload = b"" if message is None else msgpack.pack(message)
    reply = call(link, contract, operation, payload)
    return msgpack.unpack(reply) if reply else None
