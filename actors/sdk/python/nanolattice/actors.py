"""Other actors: calls to them, and operations that they call here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from nanolattice import host, records
from nanolattice.answering import Handler, handlers

T = TypeVar("T")


def call(actor: str, operation: str, payload: bytes | str = b"") -> bytes:
    """Calls an actor by its key or alias. Raises `Error`; a failure of that actor has the code `guest_error`, and as
    its message that actor's code and message."""
    return host.call("", actor, operation, payload.encode() if isinstance(payload, str) else payload)


def call_json(actor: str, operation: str, value: object, type_: type[T]) -> T:
    """The same with JSON both ways: `value` goes, and what comes back is read as `type_`."""
    reply = call(actor, operation, json.dumps(records.plain(value), ensure_ascii=False))
    return records.from_json(type_, reply, f"the answer of {actor}")


def on_operation(name: str) -> Callable[[Handler], Handler]:
    """Names the function that answers an operation, bytes in and bytes out: `@on_operation("Shop.Buy")`."""

    def register(handler: Handler) -> Handler:
        handlers[name] = handler
        return handler

    return register
