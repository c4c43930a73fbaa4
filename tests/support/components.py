"""Components made for tests: text around a type, values of it, and the engine's own way of running them beside ours."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import wasmtime
from hypothesis import strategies as st
from wasmtime import component as stock
from wasmtime.component._types import VariantLikeType

from lattice.wasm.component import types
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.component.types import Flags, List, Primitive, Record, ValueType, Variant

NUMBERS = ("s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64")
LIBC = """
  (core module $libc
    (memory (export "memory") 4)
    (global $p (mut i32) (i32.const 8192))
    (func (export "used") (result i32) global.get $p)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $r i32)
      (if (i32.and (i32.ne (local.get 1) (i32.const 0)) (i32.le_u (local.get 3) (local.get 1)))
        (then (return (local.get 0))))
      (local.set $r (global.get $p))
      (global.set $p (i32.and (i32.add (i32.add (global.get $p) (local.get 3)) (i32.const 7)) (i32.const -8)))
      (if (i32.gt_u (global.get $p) (i32.const 262144)) (then unreachable))
      (memory.copy (local.get $r) (local.get 0) (local.get 1))
      (local.get $r)))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
"""


def wasm(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


class Names:
    """The text of a type; records, variants, enums and flags have to have names before they are used."""

    def __init__(self) -> None:
        self.definitions: list[str] = []

    def text(self, type_: ValueType) -> str:
        if isinstance(type_, Primitive):
            return type_.name
        if isinstance(type_, List):
            return f"(list {self.text(type_.element)})"
        if isinstance(type_, Variant) and type_.form == "option":
            return f"(option {self.text(some(type_.cases[1]))})"
        if isinstance(type_, Variant) and type_.form == "result":
            ok, err = type_.cases
            return f"(result {self.text(ok) if ok else ''} {f'(error {self.text(err)})' if err else ''})"
        if isinstance(type_, Record):
            return f"(tuple {' '.join(self.text(field) for field in type_.fields)})"
        if isinstance(type_, Flags):
            return self._named(f"(flags {' '.join(map(quoted, type_.names))})")
        assert isinstance(type_, Variant)
        if type_.form == "enum":
            return self._named(f"(enum {' '.join(map(quoted, type_.names))})")
        cases = [
            f"(case {quoted(name)} {self.text(case) if case else ''})"
            for name, case in zip(type_.names, type_.cases, strict=True)
        ]
        return self._named(f"(variant {' '.join(cases)})")

    def _named(self, text: str) -> str:
        number = len(self.definitions)
        self.definitions.append(text)
        return f"$t{number}"


def quoted(name: str) -> str:
    return f'"{name}"'


def some(type_: ValueType | None) -> ValueType:
    assert type_ is not None
    return type_


def echo_component(type_: ValueType, encoding: str = "utf8", *, imported: str = "host", exported: str = "") -> bytes:
    """Exports `run`, which passes a value of the type on to the host's `f` and returns what that returns; `raw`, which
    gives bytes out as two of them; `used`, how much room has been made; and has a realloc of its own. `f` is in the
    interface `imported`; `run` is in `exported` too, if that is given."""
    names = Names()
    text = names.text(type_)
    defined = "\n".join(
        f'(type $d{n} {definition}) (export "t{n}" (type $t{n} (eq $d{n})))'
        for n, definition in enumerate(names.definitions)
    )
    aliased = "\n".join(f'(alias export $h "t{n}" (type $t{n}))' for n in range(len(names.definitions)))
    function = types.FunctionType(("v",), (type_,), type_)
    params, results = types.core_signature(function, lowered=True)
    inward, outward = types.core_signature(function, lowered=False)
    through_memory = len(params) > len(inward)
    core = {"i": "i32", "l": "i64", "f": "f32", "d": "f64"}

    def letters(what: str) -> str:
        return " ".join(core[letter] for letter in what)

    passed = " ".join(f"(local.get {n})" for n in range(len(inward)))
    area = "(i32.const 64)" if through_memory else ""
    body = f"(call $f {passed} {area})" + (f" {area}" if through_memory else "")
    options = f"(memory $memory) (realloc $realloc) string-encoding={encoding}"
    own = f"""(func $run (param "v" {text}) (result {text}) (canon lift (core func $main "run") {options}))
  (instance $exported (export "run" (func $run)))
  (export "{exported}" (instance $exported))"""
    return wasm(f"""(component
  (import "{imported}" (instance $h {defined} (export "f" (func (param "v" {text}) (result {text})))))
  {aliased}
  {LIBC}
  (core func $f (canon lower (func $h "f") {options}))
  (core module $main
    (import "host" "f" (func $f (param {letters(params)}) (result {letters(results)})))
    (func (export "run") (param {letters(inward)}) (result {letters(outward)}) {body})
    (func (export "raw") (param i32 i32) (result i32) (local.get 0)))
  (core instance $main (instantiate $main (with "host" (instance (export "f" (func $f))))))
  (func (export "run") (param "v" {text}) (result {text})
    (canon lift (core func $main "run") {options}))
  {own if exported else ""}
  (func (export "raw") (param "bytes" (list u8)) (result (tuple {text} {text}))
    (canon lift (core func $main "raw") {options}))
  (func (export "used") (result u32) (canon lift (core func $libc "used"))))""")


LABELS = ("a", "b", "c", "d", "e", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s")


def value_types() -> st.SearchStrategy[ValueType]:
    """Types of every kind but resources."""
    leaf = st.one_of(
        st.sampled_from([Primitive(name) for name in (*NUMBERS, "bool", "char", "string")]),
        st.integers(1, 9).map(lambda n: types.enum(LABELS[:n])),
        st.integers(1, 18).map(lambda n: Flags(LABELS[:n])),
    )

    def more(inner: st.SearchStrategy[ValueType]) -> st.SearchStrategy[ValueType]:
        maybe = st.none() | inner
        return st.one_of(
            inner.map(List),
            inner.map(types.option),
            st.tuples(maybe, maybe).map(lambda pair: types.result(*pair)),
            st.lists(inner, min_size=1, max_size=6).map(lambda fields: Record(tuple(fields))),
            st.lists(maybe, min_size=1, max_size=5).map(
                lambda cases: Variant("variant", LABELS[: len(cases)], tuple(cases))
            ),
        )

    return st.recursive(leaf, more, max_leaves=8)


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


def values(type_: ValueType) -> st.SearchStrategy[Any]:
    """Values of a type, as they look in Python."""
    if isinstance(type_, Primitive):
        return _primitives(type_.name)
    if isinstance(type_, List):
        if type_.element == Primitive("u8"):
            return st.binary(max_size=20)
        return st.lists(values(type_.element), max_size=4)
    if isinstance(type_, Record):
        return st.tuples(*[values(field) for field in type_.fields])
    if isinstance(type_, Flags):
        return st.frozensets(st.sampled_from(type_.names))
    assert isinstance(type_, Variant)
    payloads = [st.none() if case is None else values(case) for case in type_.cases]
    if type_.form == "enum":
        return st.sampled_from(type_.names)
    if type_.form == "option":
        nested = isinstance(type_.cases[1], Variant) and type_.cases[1].form == "option"
        return st.none() | (payloads[1].map(lambda v: ("some", v)) if nested else payloads[1])
    if type_.form == "result":
        return payloads[0].map(Ok) | payloads[1].map(Err)
    return st.one_of(*[st.tuples(st.just(n), p) for n, p in zip(type_.names, payloads, strict=True)])


def _primitives(name: str) -> st.SearchStrategy[Any]:
    if name == "bool":
        return st.booleans()
    if name in ("string", "char"):
        return TEXT if name == "string" else st.characters(exclude_categories=("Cs",))
    if name in ("f32", "f64"):
        return st.floats(width=32 if name == "f32" else 64, allow_nan=False)
    bits = int(name[1:])
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if name[0] == "s" else st.integers(0, (1 << bits) - 1)


def same(a: Any, b: Any) -> bool:
    """Equality in which one NaN is as good as another."""
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, tuple | list) and type(a) is type(b):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, Ok | Err) and type(a) is type(b):
        return same(a.value, b.value)
    return bool(a == b)


def to_stock(type_: ValueType, kind: Any, value: Any) -> Any:
    """A value as the engine's own bindings take it; `kind` is their description of the type."""
    if isinstance(type_, List) and type_.element != Primitive("u8"):
        return [to_stock(type_.element, kind.element, item) for item in value]
    if isinstance(type_, Record):
        return tuple(to_stock(t, k, v) for t, k, v in zip(type_.fields, kind.elements, value, strict=True))
    if isinstance(type_, Flags):
        return set(value)
    if not isinstance(type_, Variant) or type_.form == "enum":
        return value
    index, payload = _case(type_, value)
    tag, inner = kind._cases()[index]
    case = type_.cases[index]
    return stock.Variant(tag, None if case is None else to_stock(case, inner, payload))


def _case(type_: Variant, value: Any) -> tuple[int, Any]:
    if type_.form == "result":
        return int(isinstance(value, Err)), value.value
    if type_.form == "option":
        nested = isinstance(type_.cases[1], Variant) and type_.cases[1].form == "option"
        return (0, None) if value is None else (1, value[1] if nested else value)
    return type_.names.index(value[0]), value[1]


def from_stock(type_: ValueType, kind: Any, value: Any) -> Any:
    if isinstance(type_, List) and type_.element != Primitive("u8"):
        return [from_stock(type_.element, kind.element, item) for item in value]
    if isinstance(type_, Record):
        return tuple(from_stock(t, k, v) for t, k, v in zip(type_.fields, kind.elements, value, strict=True))
    if isinstance(type_, Flags):
        return frozenset(value)
    if not isinstance(type_, Variant) or type_.form == "enum":
        return value
    index, payload = [tag for tag, _ in kind._cases()].index(value.tag), value.payload
    case = type_.cases[index]
    if case is not None:
        payload = from_stock(case, kind._cases()[index][1], payload)
    if type_.form == "result":
        return Err(payload) if index else Ok(payload)
    if type_.form == "option":
        nested = isinstance(case, Variant) and case.form == "option"
        return None if index == 0 else ("some", payload) if nested else payload
    return type_.names[index], payload


class Stock:
    """A component of `echo_component`, run by the engine's own component bindings."""

    def __init__(self, data: bytes, type_: ValueType, function: Callable[[Any], Any]) -> None:
        self._type = type_
        engine = wasmtime.Engine()
        self._store = wasmtime.Store(engine)
        component = stock.Component(engine, data)
        linker = stock.Linker(engine)

        def called(_store: Any, value: Any) -> Any:
            return to_stock(type_, self._kind, function(from_stock(type_, self._kind, value)))

        with linker.root() as root, root.add_instance("host") as host:
            host.add_func("f", called)
        self._instance = linker.instantiate(self._store, component)
        self._run, self._raw, self._used = (
            some_function(self._instance.get_func(self._store, name)) for name in ("run", "raw", "used")
        )
        self._kind = self._run.type(self._store).result

    def run(self, value: Any) -> Any:
        return from_stock(self._type, self._kind, self._called(self._run, to_stock(self._type, self._kind, value)))

    def raw(self, data: bytes) -> Any:
        kind = self._raw.type(self._store).result
        return from_stock(Record((self._type, self._type)), kind, self._called(self._raw, data))

    def used(self) -> int:
        return int(self._called(self._used))

    def _called(self, function: Any, *arguments: Any) -> Any:
        # The bindings leave out the case where the payload's class tells it, and take False for an s8.
        with patch.object(VariantLikeType, "_tagged", lambda _self: True):
            return function(self._store, *arguments)


def some_function(function: Any) -> Any:
    assert function is not None
    return function
