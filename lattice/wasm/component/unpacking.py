"""From MessagePack to the values of a component's functions, as `messages.py` says what they look like.

For every type a function is made once. Each layer of a message is read by itself, the parts in it as bytes, and paid
for before that: no message takes more room or time here than it may, however small it is. Lists of numbers or texts are
read at once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Raw

from lattice import errors, wire
from lattice.wasm.component.lift import case_maker
from lattice.wasm.component.memory import ELEMENT_BYTES, LIFTED_BYTES_MAX
from lattice.wasm.component.packing import case_names, is_option
from lattice.wasm.component.types import Flags, List, Primitive, Record, ValueType, Variant

VALUES_MAX = 20_000
"""Values of one message that are made one by one: a microsecond or two each, and as much again until the guest has
them. More of them go in several calls, or as bytes."""

_NUMBERS = {
    f"{sign}{bits}": Annotated[int, Meta(ge=least, le=most)]
    for bits in (8, 16, 32)
    for sign, least, most in (("s", -(1 << bits - 1), (1 << bits - 1) - 1), ("u", 0, (1 << bits) - 1))
}
_PLAIN: dict[str, Any] = {
    **_NUMBERS,
    # MessagePack has no integers outside of these two ranges, and msgspec no limits as large.
    "s64": Annotated[int, Meta(le=(1 << 63) - 1)],
    "u64": Annotated[int, Meta(ge=0)],
    "f32": float,
    "f64": float,
    "bool": bool,
    "string": str,
    "char": Annotated[str, Meta(min_length=1, max_length=1)],
}
_ARRAY, _MAP = (0x90, 0xDC), (0x80, 0xDE)
"""First bytes: of a short one, with the count in its lower half; of one with two bytes of count. The next has four."""


class Budget:
    """What one message may still take: values that are made one by one, and bytes of those that are made at once."""

    __slots__ = ("bytes", "values")

    def __init__(self) -> None:
        self.values = VALUES_MAX
        self.bytes = LIFTED_BYTES_MAX

    def walk(self, values: int) -> None:
        self.values -= values
        if self.values < 0:
            raise errors.PayloadTooLarge(
                f"a message of more than {VALUES_MAX} values between components",
                remedy="make several calls, or give lists of numbers or bytes, which are read at once",
            )

    def spend(self, cost: int) -> None:
        self.bytes -= cost
        if self.bytes < 0:
            raise errors.PayloadTooLarge(f"the values of a message take more than {LIFTED_BYTES_MAX} bytes here")


Reader: TypeAlias = Callable[[Any, Budget], Any]
"""Makes a value of the bytes of one; raises `errors.MalformedMessage`, `errors.PayloadTooLarge`."""


def within(place: str, read: Reader, data: Any, budget: Budget) -> Any:
    try:
        return read(data, budget)
    except errors.MalformedMessage as error:
        raise errors.MalformedMessage(f"{place}: {error.message}") from error


def _count(data: Any, kinds: tuple[int, int]) -> int:
    """How many items an array has by what its first bytes say, or pairs a map; -1 for what is none."""
    view = memoryview(data)
    if not view:
        return -1
    short, wide = kinds
    first = view[0]
    if first & 0xF0 == short:
        return first & 0x0F
    if first in (wide, wide + 1):
        return int.from_bytes(view[1 : 3 if first == wide else 5], "big")
    return -1


def parts_of(split: Callable[[Any], Any], data: Any, wanted: int) -> list[Any]:
    count = _count(data, _ARRAY)
    if count not in (-1, wanted):
        raise errors.MalformedMessage(f"an array of {count} where {wanted} are wanted")
    found: list[Any] = split(data)
    return found


def reader(type_: ValueType) -> Reader:
    if isinstance(type_, Primitive):
        return _primitive_reader(type_.name)
    if isinstance(type_, List):
        return _list_reader(type_.element)
    if isinstance(type_, Record):
        return _record_reader(type_) if type_.names else _tuple_reader(type_)
    if isinstance(type_, Flags):
        return _flags_reader(type_.names)
    assert isinstance(type_, Variant), "resources do not travel"
    return _option_reader(type_) if type_.form == "option" else _variant_reader(type_)


def _primitive_reader(name: str) -> Reader:
    decode = wire.decoder(_PLAIN[name], f"a {name}")
    if name == "f32":
        return lambda data, _budget: _narrowed([decode(data)])[0]
    return lambda data, _budget: decode(data)


def _narrowed(values: list[float]) -> list[float]:
    """Rounded to 32 bits."""
    form = f"<{len(values)}f"
    try:
        return list(struct.unpack(form, struct.pack(form, *values)))
    except OverflowError:
        raise errors.MalformedMessage("a number too large for an f32") from None


def _list_of(name: str) -> Any:
    return list.__class_getitem__(_PLAIN[name])


def _list_reader(element: ValueType) -> Reader:
    name = element.name if isinstance(element, Primitive) else ""
    if name == "u8":
        octets = wire.decoder(bytes | _list_of("u8"), "a list<u8>")

        def read_octets(data: Any, budget: Budget) -> bytes:
            budget.spend(8 * max(0, _count(data, _ARRAY)))
            return bytes(octets(data))

        return read_octets
    if name:
        plain = wire.decoder(_list_of(name), f"a list<{name}>")

        def read_plain(data: Any, budget: Budget) -> list[Any]:
            budget.spend(ELEMENT_BYTES * max(0, _count(data, _ARRAY)))
            return _narrowed(plain(data)) if name == "f32" else plain(data)

        return read_plain
    split = wire.decoder(list[Raw], "a list")
    read = reader(element)

    def read_list(data: Any, budget: Budget) -> list[Any]:
        budget.walk(max(0, _count(data, _ARRAY)))
        return [within(f"item {n}", read, part, budget) for n, part in enumerate(split(data))]

    return read_list


def _tuple_reader(type_: Record) -> Reader:
    readers = [reader(field) for field in type_.fields]
    split = wire.decoder(list[Raw], "a tuple")
    count = len(readers)

    def read(data: Any, budget: Budget) -> tuple[Any, ...]:
        budget.walk(count)
        parts = parts_of(split, data, count)
        return tuple([within(f"part {n}", readers[n], part, budget) for n, part in enumerate(parts)])

    return read


def _record_reader(type_: Record) -> Reader:
    """Fields are f0, f1, ... in Python, because WIT's names have hyphens."""
    places = [f"f{n}" for n in range(len(type_.names))]
    fields: list[Any] = [
        (place, Raw, None) if is_option(field) else (place, Raw)
        for place, field in zip(places, type_.fields, strict=True)
    ]
    form = msgspec.defstruct(
        "Record",
        fields,
        rename=dict(zip(places, type_.names, strict=True)),
        forbid_unknown_fields=True,
        kw_only=True,
    )
    split = wire.decoder(form, "a record")
    readers = [
        (place, f"field {name!r}", reader(field))
        for place, name, field in zip(places, type_.names, type_.fields, strict=True)
    ]
    count = len(readers)

    def read(data: Any, budget: Budget) -> tuple[Any, ...]:
        budget.walk(count)
        parts = split(data)
        found = []
        for place, told, read_field in readers:
            part = getattr(parts, place)
            found.append(None if part is None else within(told, read_field, part, budget))
        return tuple(found)

    return read


def _option_reader(type_: Variant) -> Reader:
    inner = type_.cases[1]
    assert inner is not None
    read = reader(inner)
    nested = is_option(inner)
    split = wire.decoder(list[Raw], "an option of an option")

    def read_option(data: Any, budget: Budget) -> Any:
        if bytes(memoryview(data)[:1]) == b"\xc0":
            return None
        if not nested:
            return read(data, budget)
        budget.walk(1)
        return "some", read(parts_of(split, data, 1)[0], budget)

    return read_option


def _variant_reader(type_: Variant) -> Reader:
    names = case_names(type_)
    cases = {
        name: (case_maker(type_, index), None if case is None else reader(case))
        for index, (name, case) in enumerate(zip(names, type_.cases, strict=True))
    }
    bare = wire.decoder(str, f"a case of a {type_.form}")
    pair = wire.decoder(dict[str, Raw], f"a case of a {type_.form}")

    def of(name: str) -> tuple[Callable[[Any], Any], Reader | None]:
        found = cases.get(name)
        if found is None:
            raise errors.MalformedMessage(f"{name[:100]!r} is none of the cases {', '.join(names)}")
        return found

    def read(data: Any, budget: Budget) -> Any:
        count = _count(data, _MAP)
        if count < 0:
            name = bare(data)
            make, inner = of(name)
            if inner is not None:
                raise errors.MalformedMessage(f"the case {name!r} comes without its value")
            return make(None)
        if count != 1:
            raise errors.MalformedMessage(f"a case is a map of one, and this one has {count}")
        budget.walk(1)
        ((name, part),) = pair(data).items()
        make, inner = of(name)
        if inner is not None:
            return make(within(f"case {name!r}", inner, part, budget))
        if bytes(memoryview(part)[:2]) != b"\xc0":
            raise errors.MalformedMessage(f"the case {name!r} has no value, and one came")
        return make(None)

    return read


def _flags_reader(names: tuple[str, ...]) -> Reader:
    decode = wire.decoder(list[str], "flags")
    known = frozenset(names)

    def read(data: Any, budget: Budget) -> frozenset[str]:
        count = _count(data, _ARRAY)
        if count > len(names):
            raise errors.MalformedMessage(f"{count} flags of a type that has {len(names)}")
        budget.walk(max(0, count))
        found = frozenset(decode(data))
        for other in sorted(found - known):
            raise errors.MalformedMessage(f"{other[:100]!r} is none of the flags {', '.join(names)}")
        return found

    return read
