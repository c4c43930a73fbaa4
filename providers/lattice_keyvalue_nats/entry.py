"""Keys as subjects, and what a key holds as the headers and body of one message. Pure.

A plain value without expiry is a message without headers of ours, so other programs read and write it as they do
everywhere. Lists and sets are a MessagePack array in the body and their kind in a header; an expiry is a header.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from lattice_keyvalue import Kind, rules

from lattice.errors import ProviderError

KIND_HEADER = "Lattice-Kind"
EXPIRES_HEADER = "Lattice-Expires-Ms"
OPERATION_HEADER = "KV-Operation"
DELETED = ("DEL", "PURGE")
REASON_HEADER = "Nats-Marker-Reason"
"""On a message that the server left in place of an expired one."""

SUBJECT_KEY_BYTES_MAX = 3 * rules.KEY_BYTES_MAX
"""A longer subject would not fit into a server's line of 4 KiB, and the server would close the connection."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes]).decode
# "=" is escaped too, as it begins an escape; a dot that would leave an empty part of a subject is.
_escaped = re.compile(rb"[^-/_.a-zA-Z0-9]|^\.|\.$|(?<=\.)\.")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a key holds: `value` for a value, `items` for a list (in order) or a set (sorted)."""

    kind: Kind
    value: bytes = b""
    items: tuple[bytes, ...] = ()
    expires_ms: int | None = None


def encode_key(key: str) -> str:
    """A key as the part of a subject that NATS allows: "=" and two hex digits for each byte that it does not."""
    raw = key.encode()
    encoded = _escaped.sub(lambda found: b"=%02X" % found.group()[0], raw).decode() if raw else "="
    if len(encoded) > SUBJECT_KEY_BYTES_MAX:
        rules.check_key(key)
    return encoded


def decode_key(subject: str) -> str:
    """The inverse of `encode_key`."""
    if subject == "=":
        return ""
    return re.sub(rb"=([0-9A-F]{2})", lambda found: bytes.fromhex(found.group(1).decode()), subject.encode()).decode()


def pack(entry: Entry) -> tuple[bytes, dict[str, str]]:
    """An entry as body and headers."""
    headers = {}
    if entry.expires_ms is not None:
        headers[EXPIRES_HEADER] = str(entry.expires_ms)
    if entry.kind is Kind.VALUE:
        return entry.value, headers
    headers[KIND_HEADER] = entry.kind.name.lower()
    return _encode(entry.items), headers


def is_there(headers: Mapping[str, str]) -> bool:
    """Whether a message is neither a mark of deletion nor expired, by its headers alone."""
    if headers.get(OPERATION_HEADER) in DELETED or REASON_HEADER in headers:
        return False
    expires_ms = headers.get(EXPIRES_HEADER, "")
    return not (expires_ms.isascii() and expires_ms.isdigit() and int(expires_ms) <= time.time() * 1000)


def unpack(key: str, body: bytes, headers: Mapping[str, str]) -> Entry | None:
    """The inverse of `pack`; None for a mark of deletion and for what has expired.

    Raises `ProviderError` for a message that only claims to be ours.
    """
    if headers.get(OPERATION_HEADER) in DELETED or REASON_HEADER in headers:
        return None
    try:
        expires = headers.get(EXPIRES_HEADER)
        expires_ms = None if expires is None else int(expires)
        if expires_ms is not None and expires_ms <= time.time() * 1000:
            return None
        kind = Kind[headers.get(KIND_HEADER, "value").upper()]
        if kind is Kind.VALUE:
            return Entry(kind, value=body, expires_ms=expires_ms)
        return Entry(kind, items=tuple(_decode(body)), expires_ms=expires_ms)
    except (KeyError, ValueError, msgspec.DecodeError) as error:
        raise ProviderError(
            f"the message under {key!r} is not one that this provider writes: {error!r}",
            remedy="replace it with Set, or give the link a bucket of its own",
        ) from error
