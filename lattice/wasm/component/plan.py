"""What has to be done for each instance of a component, worked out once: records only, made by `linker.py`."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from lattice.wasm.component.types import FunctionType, ResourceType


class CoreExport(msgspec.Struct, frozen=True):
    """What step number `step` gave, under a name."""

    step: int
    name: str


class Trampoline(msgspec.Struct, frozen=True):
    """The host's function of that number."""

    number: int


CoreItem: TypeAlias = CoreExport | Trampoline


class Step(msgspec.Struct, frozen=True):
    """One core instance: of which module, and what it imports, in the order of the module's imports."""

    module: int
    imports: tuple[CoreItem, ...]


class Canonical(msgspec.Struct, frozen=True):
    """How values cross one function: the options of the canonical ABI, their indices followed. `owner` is the component
    instance on whose side this is; handles are kept for each."""

    encoding: str
    memory: CoreExport | None
    realloc: CoreExport | None
    post_return: CoreExport | None
    owner: int


class HostFunction(msgspec.Struct, frozen=True):
    """A function that the component imports."""

    interface: str
    name: str
    type: FunctionType


class LiftedFunction(msgspec.Struct, frozen=True):
    """A function that a component instance offers: number in `Plan.lifted`."""

    number: int
    type: FunctionType


class Lowered(msgspec.Struct, frozen=True):
    """A host function as core code calls it: one that is imported, or another component instance's."""

    target: HostFunction | LiftedFunction
    canonical: Canonical


class ResourceCall(msgspec.Struct, frozen=True):
    """One of the functions that handle handles: new, drop or rep."""

    operation: str
    resource: ResourceType
    owner: int


class Lifted(msgspec.Struct, frozen=True):
    function: CoreExport
    type: FunctionType
    canonical: Canonical


class Destructor(msgspec.Struct, frozen=True):
    """What is called when an owned resource of the guest's goes, if anything."""

    function: CoreExport | None
    owner: int


class CoreCode(msgspec.Struct, frozen=True):
    """A core module: `data[start:end]` of the file. `starts` says that it has a start function; `imports` are the names
    (module, name) of what it imports."""

    start: int
    end: int
    starts: bool
    imports: tuple[tuple[str, str], ...]


class Plan(msgspec.Struct, frozen=True):
    modules: tuple[CoreCode, ...]
    steps: tuple[Step, ...]
    trampolines: tuple[Lowered | ResourceCall, ...]
    lifted: tuple[Lifted, ...]
    destructors: tuple[Destructor, ...]
    exports: dict[tuple[str, str], LiftedFunction]
    """By (interface without version or "", function)."""
    resources: dict[tuple[str, str], ResourceType]
    """Exported resource types."""
    imports: frozenset[str]
    """Interfaces, without version."""
    instances: int
    """Component instances: the outermost one and those in it."""
    memories: int
    tables: int
    """Of all core modules of the steps together."""
