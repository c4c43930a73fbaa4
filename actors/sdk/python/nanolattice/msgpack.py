"""MessagePack, as far as messages of contracts need it: no extension types. Source: its specification."""

from __future__ import annotations

import struct
from typing import Any

NESTING_MAX = 64
"""Messages of contracts nest three deep; a stranger's may try to exhaust the stack."""


class Malformed(ValueError):
    """Bytes that are not one MessagePack value."""


def pack(value: Any) -> bytes:
    """Raises `TypeError` for what has no place in MessagePack."""
    out = bytearray()
    _put(out, value)
    return bytes(out)


def unpack(data: bytes) -> Any:
    """Raises `Malformed`."""
    try:
        value, at = _take(data, 0, NESTING_MAX)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise Malformed(f"cut short, or not UTF-8: {error}") from error
    if at != len(data):
        raise Malformed(f"{len(data) - at} bytes too many")
    return value


def _put(out: bytearray, value: Any) -> None:
    if value is None:
        out.append(0xC0)
    elif value is True or value is False:
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, str):
        data = value.encode()
        _head(out, len(data), 0xA0, 32, 0xD9)
        out += data
    elif isinstance(value, int):
        _put_int(out, value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _head(out, len(value), 0, 0, 0xC4)
        out += value
    elif isinstance(value, float):
        out += struct.pack(">Bd", 0xCB, value)
    elif isinstance(value, dict):
        _head(out, len(value), 0x80, 16, 0xDD)
        for key, item in value.items():
            _put(out, key)
            _put(out, item)
    elif isinstance(value, (list, tuple)):
        _head(out, len(value), 0x90, 16, 0xDB)
        for item in value:
            _put(out, item)
    else:
        raise TypeError(f"{type(value).__name__} has no place in MessagePack")


def _head(out: bytearray, size: int, fix: int, fix_end: int, first: int) -> None:
    """The kind and size of what follows. `first` is the kind with one byte of size; maps and arrays have none such, and
    those of two and four bytes follow it."""
    if size < fix_end:
        out.append(fix | size)
    elif size <= 0xFF and first not in (0xDB, 0xDD):
        out += bytes((first, size))
    elif size <= 0xFFFF:
        out += struct.pack(">BH", first + 1, size)
    else:
        out += struct.pack(">BI", first + 2, size)


def _put_int(out: bytearray, value: int) -> None:
    if -32 <= value <= 0x7F:
        out.append(value & 0xFF)
        return
    for kind, form, low, high in _INTEGERS:
        if low <= value <= high:
            out += struct.pack(form, kind, value)
            return
    raise TypeError(f"{value} does not fit into 64 bits")


_INTEGERS = (
    (0xCC, ">BB", 0, 0xFF),
    (0xCD, ">BH", 0, 0xFFFF),
    (0xCE, ">BI", 0, 0xFFFF_FFFF),
    (0xCF, ">BQ", 0, 0xFFFF_FFFF_FFFF_FFFF),
    (0xD0, ">Bb", -0x80, 0x7F),
    (0xD1, ">Bh", -0x8000, 0x7FFF),
    (0xD2, ">Bi", -0x8000_0000, 0x7FFF_FFFF),
    (0xD3, ">Bq", -0x8000_0000_0000_0000, 0x7FFF_FFFF_FFFF_FFFF),
)
_NUMBERS = {kind: struct.Struct(">" + form[2]) for kind, form, _, _ in _INTEGERS} | {
    0xCA: struct.Struct(">f"),
    0xCB: struct.Struct(">d"),
}
_SIZES = (struct.Struct(">B"), struct.Struct(">H"), struct.Struct(">I"))


def _take(data: bytes, at: int, nesting: int) -> tuple[Any, int]:
    """One value and where it ends."""
    kind = data[at]
    at += 1
    if kind < 0x80:
        return kind, at
    if kind >= 0xE0:
        return kind - 0x100, at
    if kind in _CONSTANTS:
        return _CONSTANTS[kind], at
    if kind in _NUMBERS:
        number = _NUMBERS[kind]
        return number.unpack_from(data, at)[0], at + number.size
    what, size, at = _size(data, kind, at)
    if what in ("text", "bytes"):
        piece = data[at : at + size]
        if len(piece) != size:
            raise Malformed("cut short")
        return (piece.decode() if what == "text" else piece), at + size
    if nesting == 0:
        raise Malformed(f"nested more than {NESTING_MAX} deep")
    # Each item takes a byte at least: a larger count is a lie, and would be a long loop.
    if size > len(data) - at:
        raise Malformed("cut short")
    if what == "list":
        items = []
        for _ in range(size):
            item, at = _take(data, at, nesting - 1)
            items.append(item)
        return items, at
    table = {}
    for _ in range(size):
        key, at = _take(data, at, nesting - 1)
        if isinstance(key, (dict, list)):
            raise Malformed("a key is no plain value")
        table[key], at = _take(data, at, nesting - 1)
    return table, at


_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


def _size(data: bytes, kind: int, at: int) -> tuple[str, int, int]:
    """What a value with a size is, its size, and where it begins."""
    if kind < 0x90:
        return "map", kind & 0x0F, at
    if kind < 0xA0:
        return "list", kind & 0x0F, at
    if kind < 0xC0:
        return "text", kind & 0x1F, at
    for what, first, sizes in (
        ("bytes", 0xC4, _SIZES),
        ("text", 0xD9, _SIZES),
        ("list", 0xDC, _SIZES[1:]),
        ("map", 0xDE, _SIZES[1:]),
    ):
        if first <= kind < first + len(sizes):
            form = sizes[kind - first]
            return what, form.unpack_from(data, at)[0], at + form.size
    raise Malformed(f"{kind:#x} is the kind of no value here")
