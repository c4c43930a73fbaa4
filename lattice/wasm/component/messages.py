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
what does not fit raises `errors.MalformedMessage` with the place. Python values look as `host.py` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from lattice import errors, wire
from lattice.wasm.component.packing import writer, written
from lattice.wasm.component.types import FunctionType, handles_of
from lattice.wasm.component.unpacking import Budget, parts_of, reader, within

TOLD_CHARS_MAX = 500
"""Of what does not fit: names in it are those of whoever sent it."""


class Signature:
    """The messages of one function. Made once for each; only of functions that `travels` says yes to."""

    def __init__(self, name: str, type_: FunctionType) -> None:
        self._name = name
        self._names = type_.names
        self._readers = [reader(param) for param in type_.params]
        self._writers = [writer(param) for param in type_.params]
        self._read = None if type_.result is None else reader(type_.result)
        self._write = None if type_.result is None else writer(type_.result)
        self._void = type_.result is None
        self._split = wire.decoder(list[Raw], "the list of arguments")

    def write_arguments(self, values: Sequence[Any]) -> bytes:
        return wire.encode([written(write, value) for write, value in zip(self._writers, values, strict=True)])

    def read_arguments(self, payload: bytes) -> list[Any]:
        """No bytes are no arguments. Raises `errors.MalformedMessage` that names argument and place."""
        budget = Budget()
        try:
            parts: list[Any] = parts_of(self._split, payload, len(self._readers)) if payload else []
            if len(parts) != len(self._readers):
                raise errors.MalformedMessage(f"it takes {len(self._readers)}, and none came")
            return [
                within(f"argument {name!r}", read, part, budget)
                for name, read, part in zip(self._names, self._readers, parts, strict=True)
            ]
        except errors.MalformedMessage as error:
            raise errors.MalformedMessage(
                f"the arguments do not fit {self._name}: {error.message[:TOLD_CHARS_MAX]}",
                remedy=f"send an array: {', '.join(self._names) or 'empty'}",
            ) from error

    def write_result(self, value: Any) -> bytes:
        return b"" if self._void else wire.encode(written(self._write, value))

    def read_result(self, payload: bytes) -> Any:
        """Raises `errors.MalformedMessage` that names the place."""
        if self._read is None:
            if payload not in (b"", b"\xc0"):
                raise errors.MalformedMessage(f"a result of {self._name} came, which has none here")
            return None
        try:
            return self._read(payload, Budget())
        except errors.MalformedMessage as error:
            told = error.message[:TOLD_CHARS_MAX]
            raise errors.MalformedMessage(
                f"the result of {self._name} does not fit the type it is imported with: {told}"
            ) from error


def travels(type_: FunctionType) -> bool:
    """Whether all its values are plain ones: resources stay where they are."""
    values = type_.params if type_.result is None else (*type_.params, type_.result)
    return not any(handles_of(value) for value in values)
