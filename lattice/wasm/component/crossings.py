"""The two ways through a component's border, made ready once for each function: core values out and in.

`Outward` is a function that core code calls, `Inward` one that it exports. Both know from the type where each value
lies: in core values, or in memory when there are too many. Nothing here calls anything.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Any

from lattice.wasm.component import types
from lattice.wasm.component.lift import lifter, loader
from lattice.wasm.component.lower import lowerer, storer
from lattice.wasm.component.memory import Crossing
from lattice.wasm.component.types import FunctionType, Record

VALUE_BYTES = 32
"""A typed value of the engine: kind in the first eight bytes, then the value."""
RAW_BYTES = 16
"""An untyped value."""
KINDS = {"i": 0, "l": 1, "f": 2, "d": 3}
_READ = {"i": "8xI20x", "l": "8xQ16x", "f": "8xf20x", "d": "8xd16x"}
_RAW = {"i": "I12x", "l": "Q8x", "f": "f12x", "d": "d8x"}
_WRITE = {"i": "QI20x", "l": "QQ16x", "f": "Qf20x", "d": "Qd16x"}


class Values:
    """Typed values of the engine, of fixed kinds."""

    __slots__ = ("_kinds", "_write", "count", "size", "unpack", "write")

    def __init__(self, letters: str) -> None:
        self.count = len(letters)
        self.size = VALUE_BYTES * len(letters)
        self._kinds = [KINDS[letter] for letter in letters]
        self.unpack = struct.Struct("<" + "".join(_READ[letter] for letter in letters)).unpack
        # The kind of an i32 is 0, as padding is.
        only_words = letters.strip("i") == ""
        form = _READ if only_words else _WRITE
        self._write = struct.Struct("<" + "".join(form[letter] for letter in letters)).pack
        self.write = self._write_words if only_words else self._write_all

    def read(self, address: int) -> tuple[Any, ...]:
        return self.unpack(ctypes.string_at(address, self.size))

    def _write_words(self, address: int, values: Sequence[Any]) -> None:
        ctypes.memmove(address, self._write(*values), self.size)

    def _write_all(self, address: int, values: Sequence[Any]) -> None:
        mixed = [part for pair in zip(self._kinds, values, strict=True) for part in pair]
        ctypes.memmove(address, self._write(*mixed), self.size)


class Outward:
    """A function that core code calls: its arguments are lifted, its result is lowered."""

    __slots__ = (
        "_lifts", "_load", "_lower", "_pack_raw", "_store", "_what", "parameters", "read_raw", "results", "values_in",
        "values_out",
    )  # fmt: skip

    def __init__(self, type_: FunctionType) -> None:
        self.parameters, self.results = types.core_signature(type_, lowered=True)
        self.values_in, self.values_out = Values(self.parameters), Values(self.results)
        self.read_raw = struct.Struct("<" + "".join(_RAW[letter] for letter in self.parameters)).unpack_from
        self._pack_raw = struct.Struct("<" + "".join(_RAW[letter] for letter in self.results)).pack_into
        flat = [types.flatten(param) for param in type_.params]
        self._load = self._lower = self._store = None
        self._lifts: list[Any] = []
        self._what = Record(type_.params) if type_.params else None
        if sum(map(len, flat)) > types.PARAMS_FLAT_MAX:
            assert self._what is not None
            self._load = loader(self._what)
        else:
            at = 0
            for param, letters in zip(type_.params, flat, strict=True):
                self._lifts.append(lifter(param, at, self.parameters))
                at += len(letters)
        result = type_.result
        if result is not None and self.results:
            self._lower = lowerer(result, 0, self.results)
        elif result is not None:
            self._store = (storer(result), types.alignment(result), types.size(result))

    def arguments(self, cx: Crossing, values: Sequence[Any]) -> Sequence[Any]:
        if self._load is not None and self._what is not None:
            at = cx.inside(values[0], types.alignment(self._what), types.size(self._what))
            return self._load(cx, at)  # type: ignore[no-any-return]  # a record is a tuple
        return [lift(cx, values) for lift in self._lifts]

    def give(self, cx: Crossing, values: Sequence[Any], result: Any, address: int) -> None:
        """Puts the result where the core code looks for it: into the engine's values at `address`, or where the last
        argument points."""
        if self._lower is not None:
            out: list[Any] = [0]
            self._lower(cx, result, out)
            self.values_out.write(address, out)
        elif self._store is not None:
            store, alignment, size = self._store
            store(cx, cx.inside(values[-1], alignment, size), result)

    def give_raw(self, cx: Crossing, values: Sequence[Any], result: Any, raw: Any) -> None:
        """As `give`, into the engine's untyped values."""
        if self._store is not None:
            store, alignment, size = self._store
            store(cx, cx.inside(values[-1], alignment, size), result)
        elif self._lower is not None:
            out: list[Any] = [0]
            self._lower(cx, result, out)
            self._pack_raw(raw, 0, out[0])


class Inward:
    """A function that core code exports: its arguments are lowered, its result is lifted."""

    __slots__ = (
        "_count", "_lift", "_load", "_lowers", "_store", "lends", "parameters", "results", "values_in", "values_out",
    )  # fmt: skip

    def __init__(self, type_: FunctionType) -> None:
        self.parameters, self.results = types.core_signature(type_, lowered=False)
        self.values_in, self.values_out = Values(self.parameters), Values(self.results)
        flat = [types.flatten(param) for param in type_.params]
        self._count = len(type_.params)
        crossing = type_.params if type_.result is None else (*type_.params, type_.result)
        self.lends = any(not handle.own for value in crossing for handle in types.handles_of(value))
        """Whether handles cross that are only lent, and have to be let go of before the call returns."""
        self._lift = self._load = self._store = None
        self._lowers: list[Any] = []
        if sum(map(len, flat)) > types.PARAMS_FLAT_MAX:
            what = Record(type_.params)
            self._store = (storer(what), types.alignment(what), types.size(what))
        else:
            at = 0
            for param, letters in zip(type_.params, flat, strict=True):
                self._lowers.append(lowerer(param, at, self.parameters))
                at += len(letters)
        result = type_.result
        if result is None:
            return
        if len(types.flatten(result)) > types.RESULTS_FLAT_MAX:
            self._load = (loader(result), types.alignment(result), types.size(result))
        else:
            self._lift = lifter(result, 0, self.results)

    def arguments(self, cx: Crossing, arguments: Sequence[Any]) -> list[Any]:
        """Core values. Raises `TypeError` or `ValueError` for arguments that are not of the function's types."""
        if len(arguments) != self._count:
            raise TypeError(f"the function takes {self._count} arguments, and {len(arguments)} are given")
        if self._store is not None:
            store, alignment, size = self._store
            at = cx.allocate(alignment, size)
            store(cx, at, arguments)
            return [at]
        out: list[Any] = [0] * len(self.parameters)
        for lower, argument in zip(self._lowers, arguments, strict=True):
            lower(cx, argument, out)
        return out

    def result(self, cx: Crossing, values: Sequence[Any]) -> Any:
        if self._lift is not None:
            return self._lift(cx, values)
        if self._load is not None:
            load, alignment, size = self._load
            return load(cx, cx.inside(values[0], alignment, size))
        return None
