"""What a component is made of, as it was written: with indices that nobody has followed yet. Records only."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

ValueRef: TypeAlias = str | int
"""The name of a primitive type, or an index of the type space."""


class RawPrimitive(msgspec.Struct, frozen=True):
    name: str


class RawRecord(msgspec.Struct, frozen=True):
    fields: tuple[tuple[str, ValueRef], ...]


class RawVariant(msgspec.Struct, frozen=True):
    cases: tuple[tuple[str, ValueRef | None], ...]


class RawList(msgspec.Struct, frozen=True):
    element: ValueRef


class RawTuple(msgspec.Struct, frozen=True):
    elements: tuple[ValueRef, ...]


class RawFlags(msgspec.Struct, frozen=True):
    names: tuple[str, ...]


class RawEnum(msgspec.Struct, frozen=True):
    names: tuple[str, ...]


class RawOption(msgspec.Struct, frozen=True):
    some: ValueRef


class RawResult(msgspec.Struct, frozen=True):
    ok: ValueRef | None
    err: ValueRef | None


class RawHandle(msgspec.Struct, frozen=True):
    own: bool
    resource: int


class RawFunction(msgspec.Struct, frozen=True):
    params: tuple[tuple[str, ValueRef], ...]
    result: ValueRef | None


class RawResource(msgspec.Struct, frozen=True):
    """A resource of the guest, represented by an i32; `destructor` is a core function."""

    destructor: int | None


class RawScope(msgspec.Struct, frozen=True):
    """The type of an instance or of a component: declarations with index spaces of their own."""

    kind: str
    declarations: tuple[Any, ...]


class Described(msgspec.Struct, frozen=True):
    """What an import or export is said to be. `index` is -1 for a type that is only said to be some resource."""

    kind: str
    index: int


class CoreModule(msgspec.Struct, frozen=True):
    start: int
    end: int


class CoreType(msgspec.Struct, frozen=True):
    """A core type; only its place in the index space counts."""


class CoreInstantiate(msgspec.Struct, frozen=True):
    module: int
    arguments: tuple[tuple[str, int], ...]


class CoreInstanceOf(msgspec.Struct, frozen=True):
    """An instance made up of items that are there already."""

    items: tuple[tuple[str, str, int], ...]


class Instantiate(msgspec.Struct, frozen=True):
    component: int
    arguments: tuple[tuple[str, str, int], ...]


class InstanceOf(msgspec.Struct, frozen=True):
    items: tuple[tuple[str, str, int], ...]


class ExportAlias(msgspec.Struct, frozen=True):
    sort: str
    instance: int
    name: str


class OuterAlias(msgspec.Struct, frozen=True):
    sort: str
    levels: int
    index: int


class TypeDefinition(msgspec.Struct, frozen=True):
    type: Any


class Options(msgspec.Struct, frozen=True):
    """How values cross one function; indices of core memories and functions."""

    encoding: str = "utf8"
    memory: int | None = None
    realloc: int | None = None
    post_return: int | None = None


class Lift(msgspec.Struct, frozen=True):
    function: int
    options: Options
    type: int


class Lower(msgspec.Struct, frozen=True):
    function: int
    options: Options


class ResourceFunction(msgspec.Struct, frozen=True):
    """`operation` is new, drop or rep."""

    operation: str
    resource: int


class Import(msgspec.Struct, frozen=True):
    name: str
    described: Described


class Export(msgspec.Struct, frozen=True):
    name: str
    sort: str
    index: int


class ExportDeclaration(msgspec.Struct, frozen=True):
    """Inside a type."""

    name: str
    described: Described


class Component(msgspec.Struct, frozen=True):
    definitions: tuple[Any, ...]
