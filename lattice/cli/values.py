"""JSON that people write and read, to and from the messages actors take and give.

Where a contract names the operation, its message says which fields are bytes: a text there is its UTF-8, and
`{"base64": "..."}` is any bytes. Without one, texts stay texts.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Any, get_args, get_type_hints

import msgspec

from lattice import errors, wire
from lattice.contracts import actor
from lattice.contracts.known import CONTRACTS
from lattice.contracts.message import Message, Operation


def operation_named(name: str) -> Operation | None:
    """The published operation of an actor with this name."""
    for contract in (actor.CONTRACT, *CONTRACTS.values()):
        for operation in contract.actor_operations:
            if operation.name == name:
                return operation
    return None


def to_payload(text: str, operation: str) -> bytes:
    """A payload from JSON; "" is an empty one. Raises `errors.MalformedMessage` that names the field."""
    if not text.strip():
        return b""
    try:
        value = _with_bytes(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise errors.MalformedMessage(f"the payload is not JSON: {error}") from error
    known = operation_named(operation)
    if known is None or known.request is None:
        return _encoded(value)
    try:
        request = msgspec.convert(_texts_to_bytes(value, known.request), known.request, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise errors.MalformedMessage(f"the payload is no request of {operation}: {error}") from error
    return _encoded(request)


def _encoded(message: Any) -> bytes:
    try:
        return wire.encode(message)
    except (OverflowError, ValueError, RecursionError) as error:
        # JSON has larger numbers and half characters; MessagePack has neither.
        raise errors.MalformedMessage(f"the payload cannot be sent: {error}") from error


def to_json(payload: bytes, raw: bool = False) -> Any:
    """A reply as JSON data: None when it is empty; with `raw`, or when it is no message, its bytes."""
    if not payload:
        return None
    if raw:
        return _without_bytes(payload)
    try:
        return _without_bytes(wire.decode_any(payload))
    except errors.MalformedMessage:
        return _without_bytes(payload)


def _with_bytes(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"base64"} and isinstance(value["base64"], str):
            try:
                return base64.b64decode(value["base64"], validate=True)
            except binascii.Error as error:
                raise ValueError(f"{value['base64'][:40]!r} is not base64") from error
        return {key: _with_bytes(item) for key, item in value.items()}
    return [_with_bytes(item) for item in value] if isinstance(value, list) else value


def _texts_to_bytes(value: Any, type_: Any) -> Any:
    if not isinstance(value, dict) or not (isinstance(type_, type) and issubclass(type_, Message)):
        return value
    hints = get_type_hints(type_)
    binary = {
        field.encode_name
        for field in msgspec.structs.fields(type_)
        if hints[field.name] is bytes or bytes in get_args(hints[field.name])
    }
    return {key: item.encode() if key in binary and isinstance(item, str) else item for key, item in value.items()}


def _without_bytes(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _without_bytes(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_bytes(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
