"""The small parts that definitions of a component have in common: sorts, names, descriptions, value types, options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from lattice import errors
from lattice.wasm.component.definitions import Described, ValueRef
from lattice.wasmfile import Cursor

PRIMITIVES = {
    **{0x7F: "bool", 0x7E: "s8", 0x7D: "u8", 0x7C: "s16", 0x7B: "u16", 0x7A: "s32", 0x79: "u32"},
    **{0x78: "s64", 0x77: "u64", 0x76: "f32", 0x75: "f64", 0x74: "char", 0x73: "string"},
}
CORE_SORTS = {
    **{0x00: "core func", 0x01: "core table", 0x02: "core memory", 0x03: "core global", 0x04: "core tag"},
    **{0x10: "core type", 0x11: "core module", 0x12: "core instance"},
}
SORTS = {0x01: "func", 0x02: "value", 0x03: "type", 0x04: "component", 0x05: "instance"}

T = TypeVar("T")


def unsupported(what: str, why: str) -> errors.UnsupportedGuest:
    return errors.UnsupportedGuest(f"the component uses {what}, {why}")


ASYNC = "which belongs to WASI 0.3: this host runs WASI 0.2"


_OPTIONS = {0: ("encoding", "utf8"), 1: ("encoding", "utf16"), 2: ("encoding", "latin1+utf16")}
_INDEX_OPTIONS = {3: "memory", 4: "realloc", 5: "post_return"}


def some(cursor: Cursor, found: tuple[T, ...]) -> tuple[T, ...]:
    """Types of no size do not exist: a list of them would cost nothing and hold anything."""
    if not found:
        raise errors.NotWasm(f"byte {cursor.position}: a type without any part")
    return found


def sort(cursor: Cursor) -> str:
    start = cursor.position
    sort = cursor.byte("a sort")
    found = CORE_SORTS.get(cursor.byte("a core sort")) if sort == 0 else SORTS.get(sort)
    if found is None:
        raise errors.NotWasm(f"byte {start}: a sort that is not known")
    return found


def core_argument(cursor: Cursor) -> tuple[str, int]:
    name = cursor.name("an argument's name")
    if cursor.byte("an argument's sort") != 0x12:
        raise errors.NotWasm(f"byte {cursor.position}: an argument that is no instance")
    return name, cursor.u32("an instance index")


def core_item(cursor: Cursor) -> tuple[str, str, int]:
    name = cursor.name("an export's name")
    sort = CORE_SORTS.get(cursor.byte("a core sort"))
    if sort is None:
        raise errors.NotWasm(f"byte {cursor.position}: a sort that is not known")
    return name, sort, cursor.u32("an index")


def argument(cursor: Cursor) -> tuple[str, str, int]:
    return cursor.name("an argument's name"), sort(cursor), cursor.u32("an index")


def named_item(cursor: Cursor) -> tuple[str, str, int]:
    return extern_name(cursor, "an export's name"), sort(cursor), cursor.u32("an index")


def extern_name(cursor: Cursor, what: str) -> str:
    start = cursor.position
    form = cursor.byte(what)
    if form > 1:
        raise errors.NotWasm(f"byte {start}: {what} of form {form} is not known here")
    return cursor.name(what)


def described(cursor: Cursor) -> Described:
    start = cursor.position
    kind = cursor.byte("an external kind")
    if kind == 0 and cursor.byte("a core kind") == 0x11:
        return Described("core module", cursor.u32("a type index"))
    if kind == 3:
        bound = cursor.byte("a type bound")
        if bound > 1:
            raise errors.NotWasm(f"byte {start}: a type bound of form {bound} is not known")
        return Described("type", -1 if bound else cursor.u32("a type index"))
    if kind in (1, 4, 5):
        return Described({1: "func", 4: "component", 5: "instance"}[kind], cursor.u32("a type index"))
    if kind == 2:
        raise unsupported("values as imports or exports", "which no engine implements yet")
    raise errors.NotWasm(f"byte {start}: an external kind that is not known")


def value(cursor: Cursor) -> ValueRef:
    start = cursor.position
    if start < cursor.end and cursor.data[start] in PRIMITIVES:
        cursor.position += 1
        return PRIMITIVES[cursor.data[start]]
    if start < cursor.end and cursor.data[start] == 0x64:
        raise unsupported("error contexts", ASYNC)
    if start < cursor.end and 0x40 <= cursor.data[start] < 0x80:
        raise errors.NotWasm(f"byte {start}: a value type that is not known")
    return cursor.u32("a value type")


def named_value(cursor: Cursor) -> tuple[str, ValueRef]:
    return cursor.name("a label"), value(cursor)


def case(cursor: Cursor) -> tuple[str, ValueRef | None]:
    name = cursor.name("a case")
    payload = optional(cursor, value)
    if cursor.byte("the end of a case"):
        raise errors.NotWasm(f"byte {cursor.position}: a case that refines another")
    return name, payload


def optional(cursor: Cursor, read: Callable[[Cursor], T]) -> T | None:
    start = cursor.position
    there = cursor.byte("an optional part")
    if there > 1:
        raise errors.NotWasm(f"byte {start}: neither there nor not there")
    return read(cursor) if there else None


def result(cursor: Cursor) -> ValueRef | None:
    start = cursor.position
    form = cursor.byte("a function's result")
    if form == 0:
        return value(cursor)
    if form == 1 and cursor.byte("a function's results") == 0:
        return None
    raise errors.NotWasm(f"byte {start}: named results, which components no longer have")


def option(cursor: Cursor) -> tuple[str, Any]:
    start = cursor.position
    code = cursor.byte("an option")
    if code in _OPTIONS:
        return _OPTIONS[code]
    if code in _INDEX_OPTIONS:
        return _INDEX_OPTIONS[code], cursor.u32("an index")
    if code in (6, 7):
        raise unsupported("asynchronous calls", ASYNC)
    raise unsupported(f"the canonical option {code} (byte {start})", "which needs an engine with garbage collection")
