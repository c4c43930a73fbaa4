"""From the definitions of a component to its plan: every index followed, every instance in it made on paper.

Invariant: nothing runs here. Definitions are gone through once for each component instance, with values that stand for
what there will be: an item of a core instance, a function of the host, a type. A name is taken as it is, without the
version at its end: one component mixes versions of an interface, and their types are the same here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lattice import errors, wasmfile
from lattice.wasm.component import binary, plan, types
from lattice.wasm.component import definitions as raw
from lattice.wasm.component.binding import Scope, ScopeType, resolve
from lattice.wasm.component.plan import CoreExport, HostFunction, LiftedFunction, Plan
from lattice.wasm.component.types import FunctionType, ResourceType

INSTANCES_MAX = 64
"""Component instances, and core instances, of one component. Shared libraries each take one: Python has fourteen."""
WORK_MAX = 1_000_000
"""Definitions gone through. A component may be instantiated often, and so may those in it."""
FUNCTIONS_MAX = 10_000
"""Functions lifted and lowered, of all instances. Bindings for all of WASI have some hundreds."""


class CoreBag(msgspec.Struct, frozen=True):
    """A core instance that is only names for items that are there."""

    items: dict[str, tuple[str, plan.CoreItem]]


class CoreInstance(msgspec.Struct, frozen=True):
    step: int
    exports: dict[str, str]


class InstanceValue(msgspec.Struct, frozen=True):
    items: dict[str, tuple[str, Any]]


class ComponentValue(msgspec.Struct, frozen=True):
    definition: raw.Component
    scope: Scope


class Code(msgspec.Struct, frozen=True):
    number: int
    imports: tuple[wasmfile.Import, ...]
    exports: dict[str, str]
    memories: int
    tables: int


def plan_of(data: bytes) -> Plan:
    """Reads a component and works out its plan. Raises `errors.NotWasm`, `errors.UnsupportedGuest`."""
    definition = binary.parse(data)
    return _Linker(data).finished(definition)


def without_version(name: str) -> str:
    return name.partition("@")[0]


class _Linker:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._work = 0
        self._codes: dict[int, Code] = {}
        self._modules: list[plan.CoreCode] = []
        self._steps: list[plan.Step] = []
        self._used: list[Code] = []
        self._trampolines: list[plan.Lowered | plan.ResourceCall] = []
        self._lifted: list[plan.Lifted] = []
        self._destructors: list[plan.Destructor] = []
        self._instances = 0
        self._imports: set[str] = set()

    def finished(self, definition: raw.Component) -> Plan:
        items = self._instantiate(ComponentValue(definition, Scope()), None)
        exports: dict[tuple[str, str], LiftedFunction] = {}
        resources: dict[tuple[str, str], ResourceType] = {}
        for name, (sort, value) in items.items():
            interface = without_version(name)
            found = value.items if sort == "instance" else {name: (sort, value)}
            for inner, (_, item) in found.items():
                key = (interface if sort == "instance" else "", inner)
                if isinstance(item, LiftedFunction):
                    exports[key] = item
                elif isinstance(item, ResourceType):
                    resources[key] = item
        return Plan(
            tuple(self._modules),
            tuple(self._steps),
            tuple(self._trampolines),
            tuple(self._lifted),
            tuple(self._destructors),
            exports,
            resources,
            frozenset(self._imports),
            self._instances,
            sum(code.memories for code in self._used),
            sum(code.tables for code in self._used),
        )

    def _spend(self) -> None:
        self._work += 1
        if self._work > WORK_MAX:
            raise errors.NotWasm(
                f"the component has more than {WORK_MAX} definitions, counted as often as they are used"
            )

    def _instantiate(
        self, component: ComponentValue, arguments: dict[str, tuple[str, Any]] | None
    ) -> dict[str, tuple[str, Any]]:
        """The exports of a new instance. Without arguments it is the outermost one, and the host gives what it
        imports."""
        if self._instances >= INSTANCES_MAX:
            raise errors.UnsupportedGuest(f"the component has more than {INSTANCES_MAX} instances in it")
        owner = self._instances
        self._instances += 1
        scope = Scope(component.scope)
        exports: dict[str, tuple[str, Any]] = {}
        for definition in component.definition.definitions:
            self._spend()
            match definition:
                case raw.Import():
                    scope.add(definition.described.kind, self._imported(definition, scope, arguments))
                case raw.Export():
                    value = scope.get(definition.sort, definition.index)
                    exports[definition.name] = (definition.sort, value)
                    scope.add(definition.sort, value)
                case raw.TypeDefinition():
                    scope.add("type", self._type(definition.type, scope, owner))
                case raw.ExportAlias():
                    scope.add(definition.sort, self._alias(definition, scope))
                case raw.OuterAlias():
                    scope.add(definition.sort, scope.outer(definition))
                case raw.Component():
                    scope.add("component", ComponentValue(definition, scope))
                case raw.InstanceOf():
                    items = {n: (s, scope.get(s, i)) for n, s, i in definition.items}
                    scope.add("instance", InstanceValue(items))
                case raw.Instantiate():
                    inner = scope.get("component", definition.component)
                    given = {n: (s, scope.get(s, i)) for n, s, i in definition.arguments}
                    scope.add("instance", InstanceValue(self._instantiate(inner, given)))
                case raw.Lift():
                    scope.add("func", self._lift(definition, scope, owner))
                case _:
                    self._core(definition, scope, owner)
        return exports

    def _core(self, definition: Any, scope: Scope, owner: int) -> None:
        match definition:
            case raw.CoreModule():
                scope.add("core module", definition)
            case raw.CoreType():
                scope.add("core type", None)
            case raw.CoreInstanceOf():
                items = {n: (s, scope.get(s, i)) for n, s, i in definition.items}
                scope.add("core instance", CoreBag(items))
            case raw.CoreInstantiate():
                scope.add("core instance", self._step(definition, scope))
            case raw.Lower():
                target = scope.get("func", definition.function)
                canonical = self._canonical(definition.options, scope, owner)
                _need(target.type, canonical)
                scope.add("core func", self._trampoline(plan.Lowered(target, canonical)))
            case raw.ResourceFunction():
                resource = scope.get("type", definition.resource)
                if not isinstance(resource, ResourceType):
                    raise errors.NotWasm("a resource function of a type that is no resource")
                if definition.operation != "drop" and resource.owner != owner:
                    raise errors.NotWasm(f"resource.{definition.operation} of a resource that another component made")
                scope.add("core func", self._trampoline(plan.ResourceCall(definition.operation, resource, owner)))

    def _trampoline(self, what: plan.Lowered | plan.ResourceCall) -> plan.Trampoline:
        self._count_functions()
        self._trampolines.append(what)
        return plan.Trampoline(len(self._trampolines) - 1)

    def _count_functions(self) -> None:
        if len(self._trampolines) + len(self._lifted) >= FUNCTIONS_MAX:
            raise errors.UnsupportedGuest(f"the component has more than {FUNCTIONS_MAX} functions at its borders")

    def _imported(self, import_: raw.Import, scope: Scope, arguments: dict[str, tuple[str, Any]] | None) -> Any:
        kind, index = import_.described.kind, import_.described.index
        if arguments is not None:
            given = arguments.get(import_.name)
            if given is None or given[0] != kind:
                raise errors.NotWasm(f"a component in the component is not given the {kind} {import_.name}")
            return given[1]
        name = without_version(import_.name)
        if kind == "instance":
            self._imports.add(name)
            return self._offered(name, scope.get("type", index), depth=0)
        if kind == "func":
            return HostFunction("", name, _function(scope.get("type", index)))
        if kind == "type":
            return ResourceType("", name) if index < 0 else scope.get("type", index)
        raise errors.UnsupportedGuest(f"the component imports the {kind} {import_.name}: this host gives no code")

    def _offered(self, interface: str, type_: Any, depth: int) -> InstanceValue:
        """An instance of the host's, as the component describes it."""
        if not isinstance(type_, ScopeType) or type_.raw.kind != "instance" or depth > binary.NESTING_MAX:
            raise errors.NotWasm(f"the import {interface} is not described as an instance")
        scope = Scope(type_.scope)
        items: dict[str, tuple[str, Any]] = {}
        for declaration in type_.raw.declarations:
            self._spend()
            match declaration:
                case raw.TypeDefinition():
                    scope.add("type", self._type(declaration.type, scope, -1))
                case raw.OuterAlias():
                    scope.add(declaration.sort, scope.outer(declaration))
                case raw.ExportAlias():
                    scope.add(declaration.sort, self._alias(declaration, scope))
                case raw.CoreType():
                    scope.add("core type", None)
                case raw.ExportDeclaration():
                    kind, index = declaration.described.kind, declaration.described.index
                    value: Any
                    if kind == "func":
                        value = HostFunction(interface, declaration.name, _function(scope.get("type", index)))
                    elif kind == "instance":
                        value = self._offered(declaration.name, scope.get("type", index), depth + 1)
                    elif kind == "type":
                        value = ResourceType(interface, declaration.name) if index < 0 else scope.get("type", index)
                    else:
                        raise errors.UnsupportedGuest(f"the component imports a {kind} in {interface}")
                    scope.add(kind, value)
                    items[declaration.name] = (kind, value)
                case _:
                    raise errors.NotWasm("an import inside the type of an instance")
        return InstanceValue(items)

    def _type(self, type_: Any, scope: Scope, owner: int) -> Any:
        if isinstance(type_, raw.RawResource):
            if owner < 0:
                raise errors.NotWasm("a resource defined in the type of an instance")
            function = None if type_.destructor is None else scope.get("core func", type_.destructor)
            self._destructors.append(plan.Destructor(_own_code(function, "destructor"), owner))
            self._count_functions()
            return ResourceType(guest=len(self._destructors) - 1, owner=owner)
        return resolve(type_, scope)

    def _alias(self, alias: raw.ExportAlias, scope: Scope) -> Any:
        if alias.sort.startswith("core "):
            return self._item(scope.get("core instance", alias.instance), alias.name, alias.sort)
        found = scope.get("instance", alias.instance).items.get(alias.name)
        if found is None or found[0] != alias.sort:
            raise errors.NotWasm(f"an alias of {alias.name}, and there is no such {alias.sort}")
        return found[1]

    def _item(self, instance: CoreBag | CoreInstance, name: str, sort: str) -> plan.CoreItem:
        if isinstance(instance, CoreBag):
            found = instance.items.get(name)
            if found is not None and found[0] == sort:
                return found[1]
        elif instance.exports.get(name) == sort:
            return CoreExport(instance.step, name)
        raise errors.NotWasm(f"a core instance has no {sort.removeprefix('core ')} called {name}")

    def _code(self, module: raw.CoreModule) -> Code:
        known = self._codes.get(module.start)
        if known is not None:
            return known
        file = wasmfile.describe(self._data[module.start : module.end])
        if file.format != "module":
            raise errors.NotWasm("a core module in the component is none")
        starts = any(section.id == 8 for section in file.sections)
        names = tuple((entry.module, entry.name) for entry in file.imports)
        self._modules.append(plan.CoreCode(module.start, module.end, starts, names))
        exports = {entry.name: f"core {entry.kind}" for entry in file.exports}
        tables = sum(1 for section in file.sections if section.id == 4)
        own = sum(1 for memory in file.memories if not memory.imported)
        code = Code(len(self._modules) - 1, file.imports, exports, own, tables)
        self._codes[module.start] = code
        return code

    def _step(self, definition: raw.CoreInstantiate, scope: Scope) -> CoreInstance:
        code = self._code(scope.get("core module", definition.module))
        if len(self._steps) >= INSTANCES_MAX:
            raise errors.UnsupportedGuest(f"the component has more than {INSTANCES_MAX} core instances")
        given = {name: scope.get("core instance", index) for name, index in definition.arguments}
        items = []
        for entry in code.imports:
            self._spend()
            if entry.module not in given:
                raise errors.NotWasm(f"a core module imports from {entry.module!r}, which it is not given")
            items.append(self._item(given[entry.module], entry.name, f"core {entry.kind}"))
        self._steps.append(plan.Step(code.number, tuple(items)))
        self._used.append(code)
        return CoreInstance(len(self._steps) - 1, code.exports)

    def _canonical(self, options: raw.Options, scope: Scope, owner: int) -> plan.Canonical:
        def found(sort: str, index: int | None, what: str) -> CoreExport | None:
            return None if index is None else _own_code(scope.get(sort, index), what)

        return plan.Canonical(
            options.encoding,
            found("core memory", options.memory, "memory"),
            found("core func", options.realloc, "realloc"),
            found("core func", options.post_return, "post-return"),
            owner,
        )

    def _lift(self, definition: raw.Lift, scope: Scope, owner: int) -> LiftedFunction:
        self._count_functions()
        type_ = _function(scope.get("type", definition.type))
        function = _own_code(scope.get("core func", definition.function), "exported function")
        assert function is not None
        canonical = self._canonical(definition.options, scope, owner)
        _need(type_, canonical)
        self._lifted.append(plan.Lifted(function, type_, canonical))
        return LiftedFunction(len(self._lifted) - 1, type_)


def _need(type_: FunctionType, canonical: plan.Canonical) -> None:
    """Raises `errors.NotWasm` when the options lack what values of this type need."""
    if canonical.memory is None and types.crosses_memory(type_):
        raise errors.NotWasm("a function whose values lie in memory, and no memory is named")


def _function(type_: Any) -> FunctionType:
    if not isinstance(type_, FunctionType):
        raise errors.NotWasm("a function whose type is none of a function")
    return type_


def _own_code(item: plan.CoreItem | None, what: str) -> CoreExport | None:
    if isinstance(item, plan.Trampoline):
        raise errors.UnsupportedGuest(f"the component uses a function of the host as its {what}")
    return item
