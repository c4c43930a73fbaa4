"""WIT values as MessagePack: how arguments and results of a component's functions travel to others and back.

| WIT | MessagePack |
|---|---|
| bool, integers, floats, string | as they are; an integer may stand for a float |
| char | a text of one character |
| list<T> | array; list<u8> is bytes, and an array of numbers is read too |
| record | map by the names of WIT; a field whose type is an option may be left out |
| tuple | array |
| option<T> | nil or the value; where T is itself an option: nil or an array of one |
| variant, enum | the case's name, or a map of one: name to value |
| result | the same, with the cases ok and err |
| flags | array of names |

Arguments are an array, in order; a result that is none is zero bytes. Values are read by the types of whoever reads:
what does not fit raises `errors.MalformedMessage` with the place. Each layer is read by itself, and paid for before, so
that no message takes more room here than a guest's own values may. Python values look as `host.py` says.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Raw

from lattice import errors, wire
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.component.lift import case_maker
from lattice.wasm.component.memory import ELEMENT_BYTES, LIFTED_BYTES_MAX
from lattice.wasm.component.types import Flags, FunctionType, List, Primitive, Record, ValueType, Variant, handles_of

RAW_BYTES = 72
"""A part that has not been read yet, and its place in a list."""

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
    """What one message may still take."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = LIFTED_BYTES_MAX

    def spend(self, cost: int) -> None:
        self.left -= cost
        if self.left < 0:
            raise errors.PayloadTooLarge(f"the values of a message take more than {LIFTED_BYTES_MAX} bytes here")


Reader: TypeAlias = Callable[[Any, Budget], Any]
"""Makes a value of the bytes of one; raises `errors.MalformedMessage`, `errors.PayloadTooLarge`."""
Writer: TypeAlias = Callable[[Any], Any]
"""Makes what is encoded of a value. None in its place: the value as it is."""


class Signature:
    """The messages of one function. Made once for each; only of functions that `travels` says yes to."""

    def __init__(self, name: str, type_: FunctionType) -> None:
        self._name = name
        self._names = type_.names
        self._readers = [_reader(param) for param in type_.params]
        self._writers = [_writer(param) for param in type_.params]
        self._read = None if type_.result is None else _reader(type_.result)
        self._write = None if type_.result is None else _writer(type_.result)
        self._void = type_.result is None
        self._split = wire.decoder(list[Raw], "the list of arguments")

    def write_arguments(self, values: Sequence[Any]) -> bytes:
        return wire.encode([_written(write, value) for write, value in zip(self._writers, values, strict=True)])

    def read_arguments(self, payload: bytes) -> list[Any]:
        """No bytes are no arguments. Raises `errors.MalformedMessage` that names argument and place."""
        budget = Budget()
        try:
            parts: list[Any] = _parts(self._split, payload, len(self._readers)) if payload else []
            if len(parts) != len(self._readers):
                raise errors.MalformedMessage(f"it takes {len(self._readers)}, and none came")
            return [
                _within(f"argument {name!r}", read, part, budget)
                for name, read, part in zip(self._names, self._readers, parts, strict=True)
            ]
        except errors.MalformedMessage as error:
            raise errors.MalformedMessage(
                f"the arguments do not fit {self._name}: {error.message}",
                remedy=f"send an array: {', '.join(self._names) or 'empty'}",
            ) from error

    def write_result(self, value: Any) -> bytes:
        return b"" if self._void else wire.encode(_written(self._write, value))

    def read_result(self, payload: bytes) -> Any:
        """Raises `errors.MalformedMessage` that names the place."""
        if self._read is None:
            if payload not in (b"", b"\xc0"):
                raise errors.MalformedMessage(f"a result of {self._name} came, which has none here")
            return None
        try:
            return self._read(payload, Budget())
        except errors.MalformedMessage as error:
            raise errors.MalformedMessage(
                f"the result of {self._name} does not fit the type it is imported with: {error.message}"
            ) from error


def travels(type_: FunctionType) -> bool:
    """Whether all its values are plain ones: resources stay where they are."""
    values = type_.params if type_.result is None else (*type_.params, type_.result)
    return not any(handles_of(value) for value in values)


def _within(place: str, read: Reader, data: Any, budget: Budget) -> Any:
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


def _parts(split: Callable[[Any], Any], data: Any, wanted: int) -> list[Any]:
    count = _count(data, _ARRAY)
    if count not in (-1, wanted):
        raise errors.MalformedMessage(f"an array of {count} where {wanted} are wanted")
    found: list[Any] = split(data)
    return found


def _reader(type_: ValueType) -> Reader:
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
    read = _reader(element)

    def read_list(data: Any, budget: Budget) -> list[Any]:
        budget.spend((ELEMENT_BYTES + RAW_BYTES) * max(0, _count(data, _ARRAY)))
        return [_within(f"item {n}", read, part, budget) for n, part in enumerate(split(data))]

    return read_list


def _tuple_reader(type_: Record) -> Reader:
    readers = [_reader(field) for field in type_.fields]
    split = wire.decoder(list[Raw], "a tuple")
    cost = (ELEMENT_BYTES + RAW_BYTES) * len(readers)

    def read(data: Any, budget: Budget) -> tuple[Any, ...]:
        budget.spend(cost)
        parts = _parts(split, data, len(readers))
        return tuple([_within(f"part {n}", readers[n], part, budget) for n, part in enumerate(parts)])

    return read


def _record_reader(type_: Record) -> Reader:
    """Fields are f0, f1, ... in Python, because WIT's names have hyphens."""
    places = [f"f{n}" for n in range(len(type_.names))]
    fields: list[Any] = [
        (place, Raw, None) if _is_option(field) else (place, Raw)
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
        (place, f"field {name!r}", _reader(field))
        for place, name, field in zip(places, type_.names, type_.fields, strict=True)
    ]
    cost = (ELEMENT_BYTES + RAW_BYTES) * len(readers)

    def read(data: Any, budget: Budget) -> tuple[Any, ...]:
        budget.spend(cost)
        parts = split(data)
        found = []
        for place, told, read_field in readers:
            part = getattr(parts, place)
            found.append(None if part is None else _within(told, read_field, part, budget))
        return tuple(found)

    return read


def _is_option(type_: ValueType | None) -> bool:
    return isinstance(type_, Variant) and type_.form == "option"


def _option_reader(type_: Variant) -> Reader:
    inner = type_.cases[1]
    assert inner is not None
    read = _reader(inner)
    nested = _is_option(inner)
    split = wire.decoder(list[Raw], "an option of an option")

    def read_option(data: Any, budget: Budget) -> Any:
        if bytes(memoryview(data)[:1]) == b"\xc0":
            return None
        if not nested:
            return read(data, budget)
        budget.spend(ELEMENT_BYTES + RAW_BYTES)
        return "some", read(_parts(split, data, 1)[0], budget)

    return read_option


def _case_names(type_: Variant) -> tuple[str, ...]:
    return ("ok", "err") if type_.form == "result" else type_.names


def _variant_reader(type_: Variant) -> Reader:
    names = _case_names(type_)
    cases = {
        name: (case_maker(type_, index), None if case is None else _reader(case))
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
        budget.spend(ELEMENT_BYTES + RAW_BYTES)
        ((name, part),) = pair(data).items()
        make, inner = of(name)
        if inner is not None:
            return make(_within(f"case {name!r}", inner, part, budget))
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
        budget.spend(ELEMENT_BYTES * max(0, count))
        found = frozenset(decode(data))
        for other in sorted(found - known):
            raise errors.MalformedMessage(f"{other[:100]!r} is none of the flags {', '.join(names)}")
        return found

    return read


def _written(write: Writer | None, value: Any) -> Any:
    return value if write is None else write(value)


def _writer(type_: ValueType) -> Writer | None:
    if isinstance(type_, Primitive):
        return None
    if isinstance(type_, List):
        element = _writer(type_.element)
        return None if element is None else lambda value: [element(item) for item in value]
    if isinstance(type_, Record):
        return _record_writer(type_)
    if isinstance(type_, Flags):
        names = type_.names
        return lambda value: [name for name in names if name in value]
    assert isinstance(type_, Variant), "resources do not travel"
    if type_.form == "enum":
        return None
    if type_.form == "option":
        return _option_writer(type_)
    writers = [None if case is None else _writer(case) for case in type_.cases]
    if type_.form == "result":
        return _result_writer(type_, writers)
    cases = dict(zip(type_.names, zip(type_.cases, writers, strict=True), strict=True))

    def write(value: Any) -> Any:
        name, payload = value
        case, inner = cases[name]
        return name if case is None else {name: _written(inner, payload)}

    return write


def _record_writer(type_: Record) -> Writer | None:
    writers = [_writer(field) for field in type_.fields]
    if type_.names:
        fields = list(zip(type_.names, writers, strict=True))
        return lambda value: {name: _written(write, item) for (name, write), item in zip(fields, value, strict=True)}
    if not any(writers):
        return None
    return lambda value: [_written(write, item) for write, item in zip(writers, value, strict=True)]


def _option_writer(type_: Variant) -> Writer | None:
    assert type_.cases[1] is not None
    write = _writer(type_.cases[1])
    if _is_option(type_.cases[1]):
        return lambda value: None if value is None else [_written(write, value[1])]
    return None if write is None else lambda value: None if value is None else write(value)


def _result_writer(type_: Variant, writers: list[Writer | None]) -> Writer:
    def write(value: Ok | Err) -> Any:
        index = 0 if isinstance(value, Ok) else 1
        name = _case_names(type_)[index]
        return name if type_.cases[index] is None else {name: _written(writers[index], value.value)}

    return write
