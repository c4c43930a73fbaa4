"""Messages as people read them, the same on every run: for transcripts and for what expectations say. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import cbor2
import msgspec

from lattice import errors, wire
from lattice.contracts import actor, sqldb
from lattice.contracts.known import CONTRACTS
from lattice.contracts.message import Operation

TEXT_CHARS_MAX = 400
"""Of one value in a transcript; of longer ones the beginning and a digest. A transcript is read, and kept in git."""
_MADE_UP = re.compile(r"_INBOX\.[0-9A-Za-z]+")
_STREAM = "streamId"
_STATEMENTS = frozenset(operation.name for operation in sqldb.CONTRACT.operations)

OPERATIONS: Mapping[str, Operation] = {
    operation.name: operation
    for contract in (*CONTRACTS.values(), actor.CONTRACT)
    for operation in (*contract.operations, *contract.actor_operations)
}
"""By their names, which no two contracts share."""


class Names:
    """Names that are made up anew on every run, told in the order in which they appear."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def told(self, name: str, kind: str) -> str:
        return self._known.setdefault(
            name, f"{kind}{sum(1 for told in self._known.values() if told[:2] == kind[:2]) + 1}"
        )


def request(operation: str, payload: bytes, names: Names) -> Any:
    """What is asked, as values of JSON."""
    known = OPERATIONS.get(operation)
    return _message(known.request if known else _UNKNOWN, operation, payload, names)


def reply(operation: str, payload: bytes, names: Names) -> Any:
    known = OPERATIONS.get(operation)
    return _message(known.reply if known else _UNKNOWN, operation, payload, names)


_UNKNOWN = object()


def _message(type_: Any, operation: str, payload: bytes, names: Names) -> Any:
    if type_ is None:
        return None
    if type_ is not _UNKNOWN:
        try:
            message = msgspec.to_builtins(wire.decoder(type_, "it")(payload), builtin_types=(bytes,))
        except errors.MalformedMessage as error:
            return {"unreadable": str(error), "bytes": _bytes(payload)}
        if operation in _STATEMENTS:
            message = _with_cbor(message)
        return _readable(message, names)
    if _is_text(payload):
        return _readable(payload, names)
    try:
        return _readable(wire.decode_any(payload), names)
    except errors.MalformedMessage:
        return _bytes(payload)


def _with_cbor(message: Any) -> Any:
    """Parameters and rows of statements, which are CBOR inside."""
    if isinstance(message, dict):
        for key in ("parameters", "rows"):
            given = message.get(key)
            if isinstance(given, list):
                message[key] = [_cbor(one) for one in given]
            elif isinstance(given, bytes):
                message[key] = _cbor(given)
    return message


def _cbor(data: Any) -> Any:
    try:
        return cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError):
        return data


def _readable(value: Any, names: Names) -> Any:
    match value:
        case dict():
            found = {str(_readable(key, names)): _readable(one, names) for key, one in value.items()}
            if isinstance(found.get(_STREAM), str):
                found[_STREAM] = names.told(found[_STREAM], "stream-")
            return found
        case list() | tuple():
            return [_readable(one, names) for one in value]
        case bytes():
            return _readable(value.decode(), names) if _is_text(value) else _bytes(value)
        case str():
            return _shortened(_MADE_UP.sub(lambda found: names.told(found[0], "_INBOX."), value))
        case None | bool() | int() | float():
            return value
    return _shortened(str(value))


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in "\n\r\t" for letter in text)


def _shortened(text: str) -> str:
    if len(text) <= TEXT_CHARS_MAX:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{text[:TEXT_CHARS_MAX]}... ({len(text)} characters, sha256 {digest})"


def _bytes(data: bytes) -> dict[str, Any]:
    if len(data) > TEXT_CHARS_MAX:
        return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {"base64": base64.b64encode(data).decode()}
