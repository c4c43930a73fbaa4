"""CBOR, as far as the values of SQL statements and rows need it. Source: RFC 8949."""

from __future__ import annotations

import struct
from typing import Any

NESTING_MAX = 16
"""Rows are lists of lists of plain values."""


class Malformed(ValueError):
    """Bytes that are not one CBOR value, or one of a kind that no row has."""


def dump(value: Any) -> bytes:
    """Raises `TypeError` for what is no value of a database."""
    if value is None:
        return b"\xf6"
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        if not -(1 << 64) <= value < 1 << 64:
            raise TypeError(f"{value} does not fit into 64 bits")
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, float):
        return struct.pack(">Bd", 0xFB, value)
    if isinstance(value, str):
        data = value.encode()
        return _head(3, len(data)) + data
    if isinstance(value, (bytes, bytearray)):
        return _head(2, len(value)) + bytes(value)
    raise TypeError(f"a parameter of a statement cannot be {type(value).__name__}")


def load(data: bytes) -> Any:
    """Raises `Malformed`."""
    try:
        value, at = _take(data, 0, NESTING_MAX)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise Malformed(f"cut short, or not UTF-8: {error}") from error
    if at != len(data):
        raise Malformed(f"{len(data) - at} bytes too many")
    return value


def _head(major: int, size: int) -> bytes:
    if size < 24:
        return bytes((major << 5 | size,))
    for more, form in ((24, ">BB"), (25, ">BH"), (26, ">BI")):
        if size < 1 << 8 * (1 << more - 24):
            return struct.pack(form, major << 5 | more, size)
    return struct.pack(">BQ", major << 5 | 27, size)


_FORMS = {24: struct.Struct(">B"), 25: struct.Struct(">H"), 26: struct.Struct(">I"), 27: struct.Struct(">Q")}
_FLOATS = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: struct.Struct(">d")}
_SIMPLE = {20: False, 21: True, 22: None, 23: None}


def _take(data: bytes, at: int, nesting: int) -> tuple[Any, int]:
    """One value and where it ends. Only sizes that are known beforehand: the host writes no others."""
    major, more = data[at] >> 5, data[at] & 0x1F
    at += 1
    if major == 7:
        if more in _FLOATS:
            return _FLOATS[more].unpack_from(data, at)[0], at + _FLOATS[more].size
        if more in _SIMPLE:
            return _SIMPLE[more], at
        raise Malformed(f"the simple value {more} is in no row")
    size = more
    if more >= 24:
        if more not in _FORMS:
            raise Malformed("a value without a size")
        size = _FORMS[more].unpack_from(data, at)[0]
        at += _FORMS[more].size
    if major < 2:
        return (size if major == 0 else -1 - size), at
    if nesting == 0 or size > len(data) - at:
        raise Malformed("cut short, or nested too deep")
    if major in (2, 3):
        piece = data[at : at + size]
        return (piece if major == 2 else piece.decode()), at + size
    if major == 6:  # a tag says what a value means; the value is what rows are made of
        return _take(data, at, nesting - 1)
    if major == 5:
        raise Malformed("a map is in no row")
    items = []
    for _ in range(size):
        item, at = _take(data, at, nesting - 1)
        items.append(item)
    return items, at
