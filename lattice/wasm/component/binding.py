"""Index spaces of components, one inside the other, and types with their indices followed."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from lattice import errors
from lattice.wasm.component import definitions as raw
from lattice.wasm.component import types
from lattice.wasm.component.types import FunctionType, Primitive, ResourceType, ValueType

T = TypeVar("T")


class Scope:
    """The index spaces of one component instance or of one type, by sort."""

    def __init__(self, outer: Scope | None = None) -> None:
        self._outer = outer
        self._spaces: dict[str, list[Any]] = {}
        self.measure: types.Measure = outer.measure if outer is not None else types.Measure()

    def add(self, sort: str, value: Any) -> None:
        self._spaces.setdefault(sort, []).append(value)

    def get(self, sort: str, index: int) -> Any:
        """Raises `errors.NotWasm` for an index that has not been defined yet."""
        space = self._spaces.get(sort, ())
        if index >= len(space):
            raise errors.NotWasm(f"{sort} {index} is used, and {len(space)} are defined until there")
        return space[index]

    def outer(self, alias: raw.OuterAlias) -> Any:
        scope: Scope | None = self
        for _ in range(alias.levels):
            scope = scope._outer if scope is not None else None
            if scope is None:
                raise errors.NotWasm(f"an alias {alias.levels} levels up, where there is nothing")
        assert scope is not None
        return scope.get(alias.sort, alias.index)


class ScopeType(msgspec.Struct, frozen=True):
    """The type of an instance or component, with what its outer aliases mean."""

    raw: raw.RawScope
    scope: Scope


def resolve(type_: Any, scope: Scope) -> Any:
    """A value type, a function type or a `ScopeType`."""
    if isinstance(type_, raw.RawScope):
        return ScopeType(type_, scope)
    if isinstance(type_, raw.RawFunction):
        params = tuple(value(ref, scope) for _, ref in type_.params)
        return FunctionType(
            tuple(name for name, _ in type_.params),
            params,
            None if type_.result is None else value(type_.result, scope),
        )
    return scope.measure.check(_value_type(type_, scope))


def value(ref: raw.ValueRef, scope: Scope) -> ValueType:
    if isinstance(ref, str):
        return Primitive(ref)
    found = scope.get("type", ref)
    if not isinstance(found, types.VALUE_TYPES):
        raise errors.NotWasm(f"type {ref} is used as that of a value, which it is not")
    return found


def _value_type(type_: Any, scope: Scope) -> ValueType:
    match type_:
        case raw.RawPrimitive():
            return Primitive(type_.name)
        case raw.RawRecord():
            names = _unique(tuple(name for name, _ in type_.fields))
            return types.Record(tuple(value(ref, scope) for _, ref in type_.fields), names)
        case raw.RawTuple():
            return types.Record(tuple(value(ref, scope) for ref in type_.elements))
        case raw.RawVariant():
            cases = tuple(None if ref is None else value(ref, scope) for _, ref in type_.cases)
            return types.Variant("variant", _unique(tuple(name for name, _ in type_.cases)), cases)
        case raw.RawList():
            return types.List(value(type_.element, scope))
        case raw.RawFlags():
            if len(type_.names) > types.FLAGS_MAX:
                raise errors.NotWasm(f"a type of {len(type_.names)} flags; at most {types.FLAGS_MAX}")
            return types.Flags(_unique(type_.names))
        case raw.RawEnum():
            return types.enum(_unique(type_.names))
        case raw.RawOption():
            return types.option(value(type_.some, scope))
        case raw.RawResult():
            ok, err = (None if ref is None else value(ref, scope) for ref in (type_.ok, type_.err))
            return types.result(ok, err)
    assert isinstance(type_, raw.RawHandle), type_
    resource = scope.get("type", type_.resource)
    if not isinstance(resource, ResourceType):
        raise errors.NotWasm("a handle of a type that is no resource")
    return types.Handle(type_.own, resource)


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise errors.NotWasm("a type that uses a name twice")
    return names
