"""The types of values that cross a component's border, and how they lie in memory and in core values. Pure.

Source: the component model's "Canonical ABI Explainer" (alignment, size, flattening). Core values are letters: i, l, f
and d for i32, i64, f32 and f64.
"""

from __future__ import annotations

import functools
from typing import TypeAlias

import msgspec

from lattice import errors

PARAMS_FLAT_MAX, RESULTS_FLAT_MAX = 16, 1
"""With more core values than this, parameters or results go through memory. Part of the ABI."""
FLAGS_MAX = 32
"""Flags of one type; the component model has no more."""
TYPE_PARTS_MAX = 5_000
"""Parts of one type, counted as often as they are used: a type may name another twice, and that one the next."""
TYPE_DEPTH_MAX = 100
"""Types in types; they are walked by recursion."""


class Primitive(msgspec.Struct, frozen=True):
    name: str


class Record(msgspec.Struct, frozen=True):
    """Also a tuple, whose fields have no names. The canonical ABI knows fields by their order alone."""

    fields: tuple[ValueType, ...]
    names: tuple[str, ...] = ()


class Variant(msgspec.Struct, frozen=True):
    """Also an enum, an option and a result, which look different in Python: `form` says which it is."""

    form: str
    names: tuple[str, ...]
    cases: tuple[ValueType | None, ...]


class List(msgspec.Struct, frozen=True):
    element: ValueType


class Flags(msgspec.Struct, frozen=True):
    names: tuple[str, ...]


class ResourceType(msgspec.Struct, frozen=True):
    """A host's resource is told by the interface (without version) and name; a guest's by its number in the plan, with
    the component instance that made it. -1 is none."""

    interface: str = ""
    name: str = ""
    guest: int = -1
    owner: int = -1


class Handle(msgspec.Struct, frozen=True):
    own: bool
    resource: ResourceType


ValueType: TypeAlias = Primitive | Record | Variant | List | Flags | Handle


VALUE_TYPES = (Primitive, Record, Variant, List, Flags, Handle)


class FunctionType(msgspec.Struct, frozen=True):
    names: tuple[str, ...]
    params: tuple[ValueType, ...]
    result: ValueType | None


_SIZES = {
    **dict.fromkeys(("bool", "s8", "u8"), 1),
    **dict.fromkeys(("s16", "u16"), 2),
    **dict.fromkeys(("s32", "u32", "f32", "char"), 4),
    **dict.fromkeys(("s64", "u64", "f64"), 8),
}
_FLAT = {"s64": "l", "u64": "l", "f32": "f", "f64": "d", "string": "ii"}


def option(some: ValueType) -> Variant:
    return Variant("option", ("none", "some"), (None, some))


def result(ok: ValueType | None, err: ValueType | None) -> Variant:
    return Variant("result", ("ok", "error"), (ok, err))


def enum(names: tuple[str, ...]) -> Variant:
    return Variant("enum", names, (None,) * len(names))


def parts(type_: ValueType) -> tuple[ValueType, ...]:
    """The types directly inside."""
    if isinstance(type_, Record):
        return type_.fields
    if isinstance(type_, Variant):
        return tuple(case for case in type_.cases if case is not None)
    return (type_.element,) if isinstance(type_, List) else ()


def handles_of(type_: ValueType) -> tuple[Handle, ...]:
    """The types of the handles in values of this type."""
    if isinstance(type_, Handle):
        return (type_,)
    return tuple(handle for part in parts(type_) for handle in handles_of(part))


def align_up(at: int, alignment: int) -> int:
    return (at + alignment - 1) & -alignment


def discriminant_size(cases: int) -> int:
    return 1 if cases <= 1 << 8 else 2 if cases <= 1 << 16 else 4


@functools.lru_cache(maxsize=4096)
def alignment(type_: ValueType) -> int:
    if isinstance(type_, Primitive):
        return 4 if type_.name == "string" else _SIZES[type_.name]
    if isinstance(type_, Record):
        return max(alignment(field) for field in type_.fields)
    if isinstance(type_, Variant):
        return max(discriminant_size(len(type_.cases)), case_alignment(type_))
    return flags_size(len(type_.names)) if isinstance(type_, Flags) else 4


def case_alignment(type_: Variant) -> int:
    return max((alignment(case) for case in type_.cases if case is not None), default=1)


def flags_size(count: int) -> int:
    return 1 if count <= 8 else 2 if count <= 16 else 4


@functools.lru_cache(maxsize=4096)
def size(type_: ValueType) -> int:
    if isinstance(type_, Primitive):
        return 8 if type_.name == "string" else _SIZES[type_.name]
    if isinstance(type_, Record):
        return align_up(offsets(type_.fields)[-1] + size(type_.fields[-1]), alignment(type_))
    if isinstance(type_, Variant):
        largest = max((size(case) for case in type_.cases if case is not None), default=0)
        return align_up(payload_offset(type_) + largest, alignment(type_))
    if isinstance(type_, Flags):
        return flags_size(len(type_.names))
    return 8 if isinstance(type_, List) else 4


def payload_offset(type_: Variant) -> int:
    return align_up(discriminant_size(len(type_.cases)), case_alignment(type_))


def offsets(fields: tuple[ValueType, ...]) -> tuple[int, ...]:
    """Where each field of a record begins."""
    found, at = [], 0
    for field in fields:
        at = align_up(at, alignment(field))
        found.append(at)
        at += size(field)
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def flatten(type_: ValueType) -> str:
    """The core values of a type, cut off where there are more than parameters may have."""
    if isinstance(type_, Primitive):
        return _FLAT.get(type_.name, "i")
    if isinstance(type_, Record):
        found = ""
        for field in type_.fields:
            found += flatten(field)
            if len(found) > PARAMS_FLAT_MAX:
                return found[: PARAMS_FLAT_MAX + 1]
        return found
    if isinstance(type_, Variant):
        joined = ""
        for case in type_.cases:
            flat = flatten(case) if case is not None else ""
            joined = "".join(_join(a, b) for a, b in zip(joined, flat, strict=False)) + (
                joined[len(flat) :] or flat[len(joined) :]
            )
        return ("i" + joined)[: PARAMS_FLAT_MAX + 1]
    return "ii" if isinstance(type_, List) else "i"


def _join(a: str, b: str) -> str:
    """The core value that can carry either."""
    if a == b:
        return a
    return "i" if a in "if" and b in "if" else "l"


def core_signature(type_: FunctionType, *, lowered: bool) -> tuple[str, str]:
    """Parameters and results of the core function: one that the guest calls (`lowered`), or one that it exports."""
    params = "".join(flatten(param) for param in type_.params)
    results = flatten(type_.result) if type_.result is not None else ""
    if len(params) > PARAMS_FLAT_MAX:
        params = "i"
    if len(results) > RESULTS_FLAT_MAX:
        if not lowered:
            return params, "i"
        return params + "i", ""
    return params, results


def uses_memory(type_: ValueType) -> bool:
    """Whether values of the type lie in memory, wholly or partly."""
    if isinstance(type_, Primitive):
        return type_.name == "string"
    return isinstance(type_, List) or any(uses_memory(part) for part in parts(type_))


def crosses_memory(type_: FunctionType) -> bool:
    """Whether a call needs memory: for a value that lies there, or because there are too many for core values."""
    values = type_.params if type_.result is None else (*type_.params, type_.result)
    return (
        any(uses_memory(value) for value in values)
        or sum(len(flatten(param)) for param in type_.params) > PARAMS_FLAT_MAX
        or (type_.result is not None and len(flatten(type_.result)) > RESULTS_FLAT_MAX)
    )


class Measure:
    """Counts the parts of types while they are built, so that one which doubles at every step is refused early."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[ValueType, int, int]] = {}

    def check(self, type_: ValueType) -> ValueType:
        """Returns it. Raises `errors.NotWasm`. The parts have been checked before."""
        count, depth = 1, 1
        for part in parts(type_):
            _, inner, deep = self._known.get(id(part), (part, 1, 1))
            count += inner
            depth = max(depth, deep + 1)
        if count > TYPE_PARTS_MAX or depth > TYPE_DEPTH_MAX:
            raise errors.NotWasm(f"a type of {count} parts, {depth} deep; at most {TYPE_PARTS_MAX}, {TYPE_DEPTH_MAX}")
        self._known[id(type_)] = (type_, count, depth)
        return type_
