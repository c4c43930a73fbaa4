"""From the values of a component's functions to MessagePack: the other way of `unpacking.py`.

For every type a function is made once, or none where a value is encoded as it is: lists of numbers are not walked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from lattice.wasm.component.host import Err, Ok
from lattice.wasm.component.types import Flags, List, Primitive, Record, ValueType, Variant

Writer: TypeAlias = Callable[[Any], Any]
"""Makes what is encoded of a value. None in its place: the value as it is."""


def is_option(type_: ValueType | None) -> bool:
    return isinstance(type_, Variant) and type_.form == "option"


def case_names(type_: Variant) -> tuple[str, ...]:
    return ("ok", "err") if type_.form == "result" else type_.names


def written(write: Writer | None, value: Any) -> Any:
    return value if write is None else write(value)


def writer(type_: ValueType) -> Writer | None:
    if isinstance(type_, Primitive):
        return None
    if isinstance(type_, List):
        element = writer(type_.element)
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
    writers = [None if case is None else writer(case) for case in type_.cases]
    if type_.form == "result":
        return _result_writer(type_, writers)
    cases = dict(zip(type_.names, zip(type_.cases, writers, strict=True), strict=True))

    def write(value: Any) -> Any:
        name, payload = value
        case, inner = cases[name]
        return name if case is None else {name: written(inner, payload)}

    return write


def _record_writer(type_: Record) -> Writer | None:
    writers = [writer(field) for field in type_.fields]
    if type_.names:
        fields = list(zip(type_.names, writers, strict=True))
        return lambda value: {name: written(write, item) for (name, write), item in zip(fields, value, strict=True)}
    if not any(writers):
        return None
    return lambda value: [written(write, item) for write, item in zip(writers, value, strict=True)]


def _option_writer(type_: Variant) -> Writer | None:
    assert type_.cases[1] is not None
    write = writer(type_.cases[1])
    if is_option(type_.cases[1]):
        return lambda value: None if value is None else [written(write, value[1])]
    return None if write is None else lambda value: None if value is None else write(value)


def _result_writer(type_: Variant, writers: list[Writer | None]) -> Writer:
    def write(value: Ok | Err) -> Any:
        index = 0 if isinstance(value, Ok) else 1
        name = case_names(type_)[index]
        return name if type_.cases[index] is None else {name: written(writers[index], value.value)}

    return write
