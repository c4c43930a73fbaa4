"""A component run by the engine's own Python bindings, to compare with: `stock_component.py PORT ACTOR`.

As `serve_actor.py`, and everything but the component is the same: HTTP server, pipeline, pool, the functions of WASI.
Only how the component is instantiated and how values cross its border is the engine's. Its calls are synchronous: a
function of the host that would wait ends the guest.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from importlib.metadata import version
from inspect import iscoroutine
from pathlib import Path
from typing import Any

import uvloop
import wasmtime
from wasmtime import component as stock
from wasmtime.component._types import VariantLikeType

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from lattice.config import Limits  # noqa: E402  # needs the path above
from lattice.wasm.component.host import Err, Ok  # noqa: E402
from lattice.wasm.component.instantiate import Component, ComponentType  # noqa: E402
from lattice.wasm.component.plan import HostFunction, Lowered  # noqa: E402
from lattice.wasm.component.types import Handle, List, Primitive, Record, ValueType, Variant  # noqa: E402
from tests.benchmarks.serve_actor import ACTORS  # noqa: E402
from tests.benchmarks.serve_actor import main as serve  # noqa: E402

KEPT = ROOT / ".cache" / "actors" / "stock"
RENAMED = {"io-error": "error", "headers": "fields", "trailers": "fields"}
"""Resources that an interface uses under another name."""

Convert = Callable[["StockInstance", Any], Any]


class StockComponent:
    """The compiled code and its imports, made once."""

    def __init__(self, data: bytes) -> None:
        self.running: StockInstance | None = None
        self.plan = plan = ComponentType(data).plan
        self.engine = wasmtime.Engine()
        self.component = self._compiled(data)
        self.linker = stock.Linker(self.engine)
        self.numbers: dict[str, int] = {}
        self._exported: dict[tuple[str, str], Any] = {}
        functions = {
            (what.target.interface, what.target.name): what.target
            for what in plan.trampolines
            if isinstance(what, Lowered) and isinstance(what.target, HostFunction)
        }
        with self.linker.root() as root:
            for interface, extern in self.component.type.imports(self.engine).items():
                with root.add_instance(interface) as instance:
                    for name, item in extern.ty.exports(self.engine).items():
                        self._define(instance, interface.partition("@")[0], name, item.ty, functions)

    def _compiled(self, data: bytes) -> stock.Component:
        KEPT.mkdir(parents=True, exist_ok=True)
        kept = KEPT / f"{hashlib.sha256(data).hexdigest()[:16]}-{version('wasmtime')}.compiled"
        if not kept.exists():
            compiled = stock.Component(self.engine, data).serialize()
            kept.with_suffix(".new").write_bytes(compiled)
            kept.with_suffix(".new").rename(kept)
        return stock.Component.deserialize_file(self.engine, str(kept))

    def exported(self, interface: str, name: str) -> Any:
        """Where a function is exported, found once."""
        if (interface, name) not in self._exported:
            exports = self.component.type.exports(self.engine)
            full = next(export for export in exports if export.partition("@")[0] == interface)
            at = self.component.get_export_index(full)
            self._exported[interface, name] = self.component.get_export_index(name, at)
        return self._exported[interface, name]

    def number(self, resource: str) -> int:
        return self.numbers.setdefault(RENAMED.get(resource, resource), len(self.numbers))

    def _define(self, into: Any, interface: str, name: str, item: Any, functions: dict[Any, HostFunction]) -> None:
        if isinstance(item, stock.ResourceType):
            into.add_resource(name, stock.ResourceType.host(self.number(name)), self._dropped)
        elif isinstance(item, stock.FuncType):
            wanted = functions.get((interface, name))
            if wanted is not None:
                into.add_func(name, self._called(wanted, item))

    def _dropped(self, _store: Any, rep: int) -> None:
        if self.running is not None and rep in self.running.objects:
            self.running.host.drop("", "", self.running.objects.pop(rep))

    def _called(self, target: HostFunction, item: Any) -> Callable[..., Any]:
        takes = [taker(type_, kind) for type_, (_, kind) in zip(target.type.params, item.params, strict=True)]
        give = giver(self, target.type.result, item.result)

        def called(_store: Any, *values: Any) -> Any:
            instance = self.running
            assert instance is not None
            function = instance.host.function(target.interface, target.name)
            outcome = function(*[take(instance, value) for take, value in zip(takes, values, strict=True)])
            if iscoroutine(outcome):
                outcome.close()
                raise RuntimeError(f"{target.name} would wait")
            return give(instance, outcome)

        return called


class StockInstance:
    """One live instance, in the place of a `ComponentInstance`."""

    def __init__(self, component: StockComponent, host: Any) -> None:
        self._component = component
        self.host = host
        self.usable = True
        self.objects: dict[int, Any] = {}
        self._next = 0
        self.store = wasmtime.Store(component.engine)
        component.running = self
        self._instance = component.linker.instantiate(self.store, component.component)

    def own(self, resource: str, value: Any) -> Any:
        self._next += 1
        self.objects[self._next] = value
        return stock.ResourceHost.own(self._next, self._component.number(resource))

    async def call(self, interface: str, name: str, *arguments: Any, deadline: float = 0.0) -> Any:
        component, store = self._component, self.store
        function = self._instance.get_func(store, component.exported(interface, name))
        assert function is not None
        types = component.plan.exports[interface, name].type.params
        component.running = self
        given = [giver(component, type_, None)(self, value) for type_, value in zip(types, arguments, strict=True)]
        return function(store, *given)

    def close(self) -> None:
        self.store.close()


def taker(type_: ValueType, kind: Any) -> Convert:
    """From a value of the bindings to one of `host.py`."""
    if isinstance(type_, Handle):
        own = type_.own

        def take_handle(instance: StockInstance, value: Any) -> Any:
            with value.to_host(instance.store) as held:
                rep = held.rep
            value.close() if not own else None
            return instance.objects.pop(rep) if own else instance.objects[rep]

        return take_handle
    if isinstance(type_, List) and type_.element != Primitive("u8"):
        inner = taker(type_.element, kind.element)
        return lambda instance, value: [inner(instance, item) for item in value]
    if isinstance(type_, Record):
        fields = _fields(type_, kind)
        takes = [taker(field, of) for field, (_, of) in zip(type_.fields, fields, strict=True)]
        names = [name for name, _ in fields]
        if isinstance(names[0], int):
            return lambda instance, value: tuple(t(instance, v) for t, v in zip(takes, value, strict=True))
        return lambda instance, value: tuple(t(instance, getattr(value, n)) for t, n in zip(takes, names, strict=True))
    if not isinstance(type_, Variant) or type_.form == "enum":
        return lambda _instance, value: value
    cases = {
        tag: (index, None if case is None else taker(case, of))
        for index, (case, (tag, of)) in enumerate(zip(type_.cases, kind._cases(), strict=True))
    }

    def take_variant(instance: StockInstance, value: Any) -> Any:
        index, take = cases[value.tag]
        payload = take(instance, value.payload) if take is not None else None
        if type_.form == "result":
            return Err(payload) if index else Ok(payload)
        return payload if type_.form == "option" else (type_.names[index], payload)

    return take_variant


def giver(component: StockComponent, type_: ValueType | None, kind: Any) -> Convert:
    """The other way."""
    if isinstance(type_, Handle):
        resource = type_.resource.name
        return lambda instance, value: instance.own(resource, value)
    if isinstance(type_, List) and type_.element != Primitive("u8"):
        inner = giver(component, type_.element, kind.element)
        return lambda instance, value: [inner(instance, item) for item in value]
    if isinstance(type_, Record):
        fields = _fields(type_, kind)
        gives = [giver(component, field, of) for field, (_, of) in zip(type_.fields, fields, strict=True)]
        names = [name for name, _ in fields]

        def give_record(instance: StockInstance, value: Any) -> Any:
            given = [give(instance, item) for give, item in zip(gives, value, strict=True)]
            if isinstance(names[0], int):
                return tuple(given)
            record = stock.Record()
            record.__dict__.update(zip(names, given, strict=True))
            return record

        return give_record
    if not isinstance(type_, Variant) or type_.form == "enum":
        return lambda _instance, value: value
    variant = type_
    cases = [
        (tag, None if case is None else giver(component, case, of))
        for case, (tag, of) in zip(variant.cases, kind._cases(), strict=True)
    ]

    def give_variant(instance: StockInstance, value: Any) -> Any:
        if variant.form == "result":
            index, payload = int(isinstance(value, Err)), value.value
        elif variant.form == "option":
            index, payload = int(value is not None), value
        else:
            index, payload = variant.names.index(value[0]), value[1]
        tag, give = cases[index]
        return stock.Variant(tag, give(instance, payload) if give is not None else None)

    return give_variant


def _fields(type_: Record, kind: Any) -> list[tuple[Any, Any]]:
    """Names and kinds of a record's fields; numbers for a tuple's."""
    if isinstance(kind, stock.RecordType):
        return kind.fields
    return list(enumerate(kind.elements))


def replace_instances(image: Path) -> None:
    """From now on components of this process, which are all of this image, are the engine's."""
    made = StockComponent(image.read_bytes())

    async def instantiate(_self: Component, host: Any, _limits: Limits, _deadline: float = 0.0) -> StockInstance:
        return StockInstance(made, host)

    Component.instantiate = instantiate  # type: ignore[method-assign, assignment]  # for this process, to compare
    # The bindings leave out the case where the payload's class tells it.
    VariantLikeType._tagged = lambda _self: True  # type: ignore[method-assign]  # as above


if __name__ == "__main__":
    actor = sys.argv[2]
    replace_instances(ACTORS / actor / f"{actor}.wasm")
    uvloop.run(serve(int(sys.argv[1]), actor, "call"))
