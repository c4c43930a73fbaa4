"""From Python values to a component's memory and core values: the other way of `lift.py`, made the same way.

A value that does not fit its type raises `TypeError` or `ValueError`: that is a mistake of whoever gave it, not of the
guest. Room in memory is made by the guest's own realloc. Source: the component model's "Canonical ABI Explainer",
lowering.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from lattice.wasm.component import types
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.component.lift import BITS, NUMBERS, UTF16_TAG
from lattice.wasm.component.memory import Crossing
from lattice.wasm.component.types import Flags, List, Primitive, Record, ValueType, Variant

Storer: TypeAlias = Callable[[Crossing, int, Any], None]
Lowerer: TypeAlias = Callable[[Crossing, Any, list[Any]], None]


def code_point(value: str) -> int:
    code = ord(value)
    if 0xD800 <= code <= 0xDFFF:
        raise ValueError(f"{code:#x} is a surrogate and no character")
    return code


def put_text(cx: Crossing, value: str) -> tuple[int, int]:
    """Address and length of a string's copy in the guest."""
    if cx.encoding == "utf8":
        data, alignment = value.encode(), 1
        length = len(data)
    elif (cx.encoding == "latin1+utf16" and value.isascii()) or (cx.encoding == "latin1+utf16" and _is_latin1(value)):
        data, alignment = value.encode("latin-1"), 2
        length = len(data)
    else:
        data, alignment = value.encode("utf-16-le"), 2
        length = len(data) // 2 | (UTF16_TAG if cx.encoding == "latin1+utf16" else 0)
    at = cx.allocate(alignment, len(data))
    cx.view[at : at + len(data)] = data
    return at, length


def _is_latin1(value: str) -> bool:
    return not value or max(value) <= "\xff"


def _putting(element: ValueType) -> Callable[[Crossing, Any], tuple[int, int]]:
    """Copies a list into the guest; its address and length."""
    size, alignment = types.size(element), types.alignment(element)
    if isinstance(element, Primitive) and element.name == "u8":

        def octets(cx: Crossing, value: Any) -> tuple[int, int]:
            data = value if isinstance(value, bytes | bytearray) else bytes(value)
            at = cx.allocate(1, len(data))
            cx.view[at : at + len(data)] = data
            return at, len(data)

        return octets
    if isinstance(element, Primitive) and element.name in NUMBERS:
        letter = NUMBERS[element.name]

        def numbers(cx: Crossing, value: Sequence[Any]) -> tuple[int, int]:
            data = _packed(f"<{len(value)}{letter}", *value)
            at = cx.allocate(alignment, len(data))
            cx.view[at : at + len(data)] = data
            return at, len(value)

        return numbers
    store = storer(element)

    def elements(cx: Crossing, value: Sequence[Any]) -> tuple[int, int]:
        count = len(value)
        at = cx.allocate(alignment, count * size)
        for place, item in zip(range(at, at + count * size, size), value, strict=True):
            store(cx, place, item)
        return at, count

    return elements


def _packed(form: str, *values: Any) -> bytes:
    try:
        return struct.pack(form, *values)
    except (struct.error, OverflowError) as error:
        raise ValueError(str(error)) from None


def case_finder(type_: Variant) -> Callable[[Any], tuple[int, Any]]:
    """The number of the case that a Python value is, and its payload."""
    if type_.form == "option":
        if isinstance(type_.cases[1], Variant) and type_.cases[1].form == "option":
            return lambda value: (0, None) if value is None else (1, value[1])
        return lambda value: (0, None) if value is None else (1, value)
    if type_.form == "result":
        return _result_case
    numbers = {name: index for index, name in enumerate(type_.names)}
    if type_.form == "enum":
        return lambda value: (_number(numbers, value), None)
    return lambda value: (_number(numbers, value[0]), value[1])


def _number(numbers: dict[str, int], name: str) -> int:
    found = numbers.get(name)
    if found is None:
        raise ValueError(f"{name!r} is none of {', '.join(numbers)}")
    return found


def _result_case(value: Any) -> tuple[int, Any]:
    if isinstance(value, Ok):
        return 0, value.value
    if isinstance(value, Err):
        return 1, value.value
    raise TypeError(f"a result is Ok or Err, not {type(value).__name__}")


def flag_bits(numbers: dict[str, int], value: Any) -> int:
    bits = 0
    for name in value:
        bits |= 1 << _number(numbers, name)
    return bits


@functools.lru_cache(maxsize=4096)
def storer(type_: ValueType) -> Storer:
    """A function that writes a value to an address that is aligned and inside."""
    if isinstance(type_, Primitive):
        return _primitive_storer(type_.name)
    if isinstance(type_, List):
        putting = _putting(type_.element)
        pair = struct.Struct("<II").pack_into

        def store_list(cx: Crossing, at: int, value: Any) -> None:
            place = putting(cx, value)  # before `cx.view` is taken, which the guest may renew
            pair(cx.view, at, *place)

        return store_list
    if isinstance(type_, Record):
        stores = [(o, storer(field)) for o, field in zip(types.offsets(type_.fields), type_.fields, strict=True)]

        def store_record(cx: Crossing, at: int, value: Sequence[Any]) -> None:
            for (offset, store), item in zip(stores, value, strict=True):
                store(cx, at + offset, item)

        return store_record
    if isinstance(type_, Variant):
        return _variant_storer(type_)
    if isinstance(type_, Flags):
        numbers = {name: index for index, name in enumerate(type_.names)}
        bits = struct.Struct("<" + "BHI"[types.flags_size(len(numbers)) >> 1]).pack_into
        return lambda cx, at, value: bits(cx.view, at, flag_bits(numbers, value))
    index = struct.Struct("<I").pack_into
    return lambda cx, at, value: index(cx.view, at, cx.handles.lower(type_, value))


def _primitive_storer(name: str) -> Storer:
    if name == "string":
        pair = struct.Struct("<II").pack_into

        def store_text(cx: Crossing, at: int, value: str) -> None:
            place = put_text(cx, value)
            pair(cx.view, at, *place)

        return store_text
    if name == "char":
        code = struct.Struct("<I").pack_into
        return lambda cx, at, value: code(cx.view, at, code_point(value))
    letter = "B" if name == "bool" else NUMBERS[name]
    pack = struct.Struct("<" + letter).pack_into

    def store(cx: Crossing, at: int, value: Any) -> None:
        try:
            pack(cx.view, at, value)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{value!r} is no {name}: {error}") from None

    return store


def _variant_storer(type_: Variant) -> Storer:
    put_index = struct.Struct("<" + "BHI"[types.discriminant_size(len(type_.cases)) >> 1]).pack_into
    payload_at = types.payload_offset(type_)
    find = case_finder(type_)
    stores = [storer(case) if case is not None else None for case in type_.cases]

    def store(cx: Crossing, at: int, value: Any) -> None:
        index, payload = find(value)
        put_index(cx.view, at, index)
        inner = stores[index]
        if inner is not None:
            inner(cx, at + payload_at, payload)

    return store


@functools.lru_cache(maxsize=4096)
def lowerer(type_: ValueType, at: int, have: str) -> Lowerer:
    """A function that puts a value into core values, from place `at` of a list that was filled with zeros; `have` are
    the letters of all of them."""
    if isinstance(type_, Primitive):
        return _primitive_lowerer(type_.name, at, have)
    if isinstance(type_, List):
        putting = _putting(type_.element)

        def lower_list(cx: Crossing, value: Any, out: list[Any]) -> None:
            out[at], out[at + 1] = putting(cx, value)

        return lower_list
    if isinstance(type_, Record):
        lowers, place = [], at
        for field in type_.fields:
            lowers.append(lowerer(field, place, have))
            place += len(types.flatten(field))

        def lower_record(cx: Crossing, value: Sequence[Any], out: list[Any]) -> None:
            for lower, item in zip(lowers, value, strict=True):
                lower(cx, item, out)

        return lower_record
    if isinstance(type_, Variant):
        return _variant_lowerer(type_, at, have)
    if isinstance(type_, Flags):
        numbers = {name: index for index, name in enumerate(type_.names)}

        def lower_flags(cx: Crossing, value: Any, out: list[Any]) -> None:
            out[at] = flag_bits(numbers, value)

        return lower_flags

    def lower_handle(cx: Crossing, value: Any, out: list[Any]) -> None:
        out[at] = cx.handles.lower(type_, value)

    return lower_handle


def _primitive_lowerer(name: str, at: int, have: str) -> Lowerer:
    if name == "string":

        def lower_text(cx: Crossing, value: str, out: list[Any]) -> None:
            out[at], out[at + 1] = put_text(cx, value)

        return lower_text
    if name in ("f32", "f64"):
        return _float_lowerer(name, at, have)
    if name == "bool":

        def lower_bool(cx: Crossing, value: Any, out: list[Any]) -> None:
            out[at] = 1 if value else 0

        return lower_bool
    if name == "char":

        def lower_char(cx: Crossing, value: str, out: list[Any]) -> None:
            out[at] = code_point(value)

        return lower_char
    bits = BITS[name]
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if name[0] == "s" else (0, (1 << bits) - 1)
    mask = (1 << (64 if bits == 64 else 32)) - 1

    def lower_integer(cx: Crossing, value: int, out: list[Any]) -> None:
        if not least <= value <= most:
            raise ValueError(f"{value} is no {name}")
        out[at] = value & mask

    return lower_integer


def _float_lowerer(name: str, at: int, have: str) -> Lowerer:
    if have[at] in "fd":

        def lower_float(cx: Crossing, value: float, out: list[Any]) -> None:
            out[at] = float(value)

        return lower_float
    form = "<f" if name == "f32" else "<d"

    def lower_bits(cx: Crossing, value: float, out: list[Any]) -> None:
        out[at] = int.from_bytes(_packed(form, value), "little")

    return lower_bits


def _variant_lowerer(type_: Variant, at: int, have: str) -> Lowerer:
    find = case_finder(type_)
    lowers = [lowerer(case, at + 1, have) if case is not None else None for case in type_.cases]

    def lower(cx: Crossing, value: Any, out: list[Any]) -> None:
        index, payload = find(value)
        out[at] = index
        inner = lowers[index]
        if inner is not None:
            inner(cx, payload, out)

    return lower
