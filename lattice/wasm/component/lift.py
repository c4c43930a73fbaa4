"""From a component's memory and core values to Python values.

For every type a function is made once: `loader` for values in memory, whose place has been checked, and `lifter` for
core values at fixed places of the argument list. Lists of numbers are copied as one slice. Core values are unsigned
integers for i32 and i64. What the guest gets wrong raises `errors.GuestProtocolError`, which traps it. Source: the
component model's "Canonical ABI Explainer", lifting.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from lattice import errors
from lattice.wasm.component import types
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.component.memory import BYTES_PER_BYTE, ELEMENT_BYTES, WALKED_BYTES, Crossing
from lattice.wasm.component.types import Flags, Handle, List, Primitive, Record, ValueType, Variant

Loader: TypeAlias = Callable[[Crossing, int], Any]
Lifter: TypeAlias = Callable[[Crossing, Sequence[Any]], Any]

NUMBERS = {
    **{"s8": "b", "u8": "B", "s16": "h", "u16": "H", "s32": "i", "u32": "I", "s64": "q", "u64": "Q"},
    **{"f32": "f", "f64": "d"},
}
"""The letters of Python's struct and memoryview. Memory is little-endian, and so are the machines that this runs on."""
BITS = {"s8": 8, "u8": 8, "s16": 16, "u16": 16, "s32": 32, "u32": 32, "s64": 64, "u64": 64}
UTF16_TAG = 1 << 31
"""Marks the length of a string as one of UTF-16 units, where strings are latin1+utf16."""


def character(code: int) -> str:
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise errors.GuestProtocolError(f"the guest gave {code:#x} as a character, which is none")
    return chr(code)


def text(cx: Crossing, at: int, length: int) -> str:
    """A string, whose `length` counts what the encoding says."""
    encoding, alignment, size = "utf-8", 1, length
    if cx.encoding == "utf16":
        encoding, alignment, size = "utf-16-le", 2, 2 * length
    elif cx.encoding == "latin1+utf16":
        wide = length & UTF16_TAG
        encoding, alignment, size = ("utf-16-le", 2, 2 * (length ^ UTF16_TAG)) if wide else ("latin-1", 2, length)
    cx.inside(at, alignment, size)
    cx.spend(size)
    try:
        return str(cx.view[at : at + size], encoding)
    except UnicodeDecodeError as error:
        raise errors.GuestProtocolError(f"the guest gave a string that is not {encoding}: {error.reason}") from None


def octets(cx: Crossing, at: int, n: int) -> bytes:
    cx.inside(at, 1, n)
    cx.spend(n)
    return cx.view[at : at + n].tobytes()


def _listing(element: ValueType) -> Callable[[Crossing, int, int], Any]:
    """Reads `n` elements at an address."""
    size, alignment = types.size(element), types.alignment(element)
    if isinstance(element, Primitive) and element.name == "u8":
        return octets
    if isinstance(element, Primitive) and element.name in NUMBERS:
        letter: Any = NUMBERS[element.name]

        def numbers(cx: Crossing, at: int, n: int) -> list[Any]:
            cx.inside(at, alignment, n * size)
            cx.spend(n * ELEMENT_BYTES)
            found: list[Any] = cx.view[at : at + n * size].cast(letter).tolist()
            return found

        return numbers
    load = loader(element)
    cost = WALKED_BYTES + size * BYTES_PER_BYTE

    def elements(cx: Crossing, at: int, n: int) -> list[Any]:
        cx.inside(at, alignment, n * size)
        cx.spend(n * cost)
        return [load(cx, place) for place in range(at, at + n * size, size)]

    return elements


def case_maker(type_: Variant, index: int) -> Callable[[Any], Any]:
    """How a case looks in Python, around its payload."""
    name, case = type_.names[index], type_.cases[index]
    if type_.form == "enum":
        return lambda _payload: name
    if type_.form == "result":
        return Ok if index == 0 else Err
    if type_.form == "option":
        if case is None:
            return lambda _payload: None
        if isinstance(case, Variant) and case.form == "option":
            return lambda payload: ("some", payload)
        return lambda payload: payload
    return lambda payload: (name, payload)


def _no_such_case(index: int) -> errors.GuestProtocolError:
    return errors.GuestProtocolError(f"the guest gave case {index} of a type that has none of that number")


def flag_set(names: tuple[str, ...], bits: int) -> frozenset[str]:
    return frozenset([name for place, name in enumerate(names) if bits >> place & 1])


@functools.lru_cache(maxsize=4096)
def loader(type_: ValueType) -> Loader:
    """A function that reads a value at an address that is aligned and inside."""
    if isinstance(type_, Primitive):
        return _primitive_loader(type_.name)
    if isinstance(type_, List):
        listing = _listing(type_.element)
        pair = struct.Struct("<II").unpack_from
        return lambda cx, at: listing(cx, *pair(cx.view, at))
    if isinstance(type_, Record):
        return _record_loader(type_)
    if isinstance(type_, Variant):
        return _variant_loader(type_)
    if isinstance(type_, Flags):
        names = type_.names
        bits = struct.Struct("<" + "BHI"[types.flags_size(len(names)) >> 1]).unpack_from
        return lambda cx, at: flag_set(names, bits(cx.view, at)[0])
    index = struct.Struct("<I").unpack_from
    return lambda cx, at: cx.handles.lift(type_, index(cx.view, at)[0])


def _primitive_loader(name: str) -> Loader:
    if name == "string":
        pair = struct.Struct("<II").unpack_from
        return lambda cx, at: text(cx, *pair(cx.view, at))
    if name == "bool":
        return lambda cx, at: cx.view[at] != 0
    if name == "char":
        code = struct.Struct("<I").unpack_from
        return lambda cx, at: character(code(cx.view, at)[0])
    unpack = struct.Struct("<" + NUMBERS[name]).unpack_from
    return lambda cx, at: unpack(cx.view, at)[0]


def _record_loader(type_: Record) -> Loader:
    if all(isinstance(field, Primitive) and field.name in NUMBERS for field in type_.fields):
        form, at = "<", 0
        for offset, field in zip(types.offsets(type_.fields), type_.fields, strict=True):
            assert isinstance(field, Primitive)
            form += f"{offset - at}x{NUMBERS[field.name]}"
            at = offset + types.size(field)
        unpack = struct.Struct(form).unpack_from
        return lambda cx, at: unpack(cx.view, at)
    loads = [(offset, loader(field)) for offset, field in zip(types.offsets(type_.fields), type_.fields, strict=True)]
    return lambda cx, at: tuple([load(cx, at + offset) for offset, load in loads])


def _variant_loader(type_: Variant) -> Loader:
    index_of = struct.Struct("<" + "BHI"[types.discriminant_size(len(type_.cases)) >> 1]).unpack_from
    payload_at = types.payload_offset(type_)
    makers = [case_maker(type_, index) for index in range(len(type_.cases))]
    loads = [loader(case) if case is not None else None for case in type_.cases]

    def load(cx: Crossing, at: int) -> Any:
        index = index_of(cx.view, at)[0]
        if index >= len(loads):
            raise _no_such_case(index)
        inner = loads[index]
        return makers[index](inner(cx, at + payload_at) if inner is not None else None)

    return load


@functools.lru_cache(maxsize=4096)
def lifter(type_: ValueType, at: int, have: str) -> Lifter:
    """A function that takes a value out of core values, from place `at`; `have` are the letters of all of them."""
    if isinstance(type_, Primitive):
        return _primitive_lifter(type_.name, at, have)
    if isinstance(type_, List):
        listing = _listing(type_.element)
        start, length = _word(at, have), _word(at + 1, have)
        return lambda cx, values: listing(cx, start(values), length(values))
    if isinstance(type_, Record):
        lifts = []
        for field in type_.fields:
            lifts.append(lifter(field, at, have))
            at += len(types.flatten(field))
        return lambda cx, values: tuple([lift(cx, values) for lift in lifts])
    if isinstance(type_, Variant):
        return _variant_lifter(type_, at, have)
    word = _word(at, have)
    if isinstance(type_, Flags):
        names = type_.names
        return lambda cx, values: flag_set(names, word(values))
    return lambda cx, values: cx.handles.lift(type_, word(values))


def _word(at: int, have: str) -> Callable[[Sequence[Any]], int]:
    """An i32, which may have come in the place of an i64 of another case."""
    if have[at] == "i":
        return lambda values: int(values[at])
    return lambda values: int(values[at] & 0xFFFFFFFF)


def _primitive_lifter(name: str, at: int, have: str) -> Lifter:
    if name in ("f32", "f64"):
        return _float_lifter(name, at, have)
    if name in ("s64", "u64"):
        return (lambda cx, values: values[at]) if name == "u64" else (lambda cx, values: _signed(values[at], 64))
    word = _word(at, have)
    if name == "string":
        length = _word(at + 1, have)
        return lambda cx, values: text(cx, word(values), length(values))
    if name == "bool":
        return lambda cx, values: word(values) != 0
    if name == "char":
        return lambda cx, values: character(word(values))
    bits = BITS[name]
    mask = (1 << bits) - 1
    if name[0] == "u":
        return lambda cx, values: word(values) & mask
    return lambda cx, values: _signed(word(values) & mask, bits)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def _float_lifter(name: str, at: int, have: str) -> Lifter:
    if have[at] == ("f" if name == "f32" else "d"):
        return lambda cx, values: values[at]
    form, size = ("<f", 4) if name == "f32" else ("<d", 8)
    mask = (1 << 8 * size) - 1
    unpack = struct.Struct(form).unpack
    return lambda cx, values: unpack((values[at] & mask).to_bytes(size, "little"))[0]


def _variant_lifter(type_: Variant, at: int, have: str) -> Lifter:
    index_of = _word(at, have)
    makers = [case_maker(type_, index) for index in range(len(type_.cases))]
    lifts = [lifter(case, at + 1, have) if case is not None else None for case in type_.cases]

    def lift(cx: Crossing, values: Sequence[Any]) -> Any:
        index = index_of(values)
        if index >= len(lifts):
            raise _no_such_case(index)
        inner = lifts[index]
        return makers[index](inner(cx, values) if inner is not None else None)

    return lift


def handles_in(type_: ValueType) -> bool:
    return isinstance(type_, Handle) or any(handles_in(part) for part in types.parts(type_))
