"""Core instances from imports that were resolved when the component was loaded.

Most modules of most components import from the host alone. Such a module is made ready once, and an instance of it is
one call: 3 microseconds, where finding a hundred imports one by one took 92. A module that also imports a little from
others has a linker of the host's functions, which is copied for each instance and gets the rest.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import addressof

import msgspec

from lattice.wasm import capi
from lattice.wasm.component.places import EXTERN_BYTES, INSTANCE_BYTES
from lattice.wasm.component.plan import CoreExport, Plan, Trampoline
from lattice.wasm.component.wiring import TRAP, Define
from lattice.wasm.engine import Engine, Linker, Module, Prepared

CORE_IMPORTS_MAX = 64
"""With more imports from each other, as Python's libraries have thousands, finding them one by one costs less than
putting each into a linker."""

ERROR: int = capi.Cells.error.offset


class _Item(msgspec.Struct, frozen=True):
    """What one core instance imports from another: where it is, and what it is called there and here."""

    instance: int
    export: bytes
    module: bytes
    name: bytes


class _Made(msgspec.Struct, frozen=True):
    """How a step is made: of what is ready, or else by a copy of `linker` and the items."""

    module: int
    ready: int
    linker: int
    items: tuple[_Item, ...]


def fits(plan: Plan) -> bool:
    """Whether this is the better way for a component."""
    items = sum(isinstance(item, CoreExport) for step in plan.steps for item in step.imports)
    return items <= CORE_IMPORTS_MAX


class Linked:
    """Makes the core instances of a plan. `close` after the instances and before the modules."""

    def __init__(self, engine: Engine, plan: Plan, modules: Sequence[Module], define: Define) -> None:
        """Raises `errors.UnsupportedGuest` for imports that do not fit."""
        self._engine = engine
        self._linkers: list[Linker] = []
        self._ready: list[Prepared] = []
        self._steps: list[_Made] = []
        self._extern = ctypes.create_string_buffer(EXTERN_BYTES)
        try:
            for step in plan.steps:
                self._prepare(plan, step.module, step.imports, modules[step.module], define)
        except BaseException:
            self.close()
            raise

    def _prepare(self, plan: Plan, number: int, imports: Sequence[object], module: Module, define: Define) -> None:
        linker = self._engine.linker()
        self._linkers.append(linker)
        items: list[_Item] = []
        for (from_, name), item in zip(plan.modules[number].imports, imports, strict=True):
            if isinstance(item, CoreExport):
                items.append(_Item(item.step * INSTANCE_BYTES, item.name.encode(), from_.encode(), name.encode()))
            elif isinstance(item, Trampoline) and (from_, name) not in linker.names:
                define(linker, from_, name, item.number)
        ready = 0
        if not items:
            self._ready.append(linker.prepare(module))
            ready = self._ready[-1].address
        self._steps.append(_Made(module.address, ready, linker.address, tuple(items)))

    def take(self) -> None:
        """As `Wiring.take`: nothing is kept from one step to the next."""

    def give_back(self, _buffer: None) -> None:
        """As `take`."""

    def make(self, number: int, context: int, instances: int, _buffer: None, cells: capi.Cells) -> None:
        """Makes the core instance of a step, into the records at `instances`; `cells` tell what went wrong."""
        step = self._steps[number]
        at = addressof(cells)
        made, trap, error = instances + number * INSTANCE_BYTES, at + TRAP, at + ERROR
        if step.ready:
            _finish(capi.instance_pre_instantiate_async(step.ready, context, made, trap, error))
            return
        linker = capi.linker_clone(step.linker)
        extern = addressof(self._extern)
        for item in step.items:
            found = capi.instance_export_get(context, instances + item.instance, item.export, len(item.export), extern)
            assert found, "the plan names only what there is"
            # What is imported twice by one name is one thing; the second time it is refused, and is there already.
            capi.take_error(
                capi.linker_define_item(
                    linker, context, item.module, len(item.module), item.name, len(item.name), extern
                )
            )
        _finish(capi.linker_instantiate_async(linker, context, step.module, made, trap, error))
        capi.linker_delete(linker)

    def close(self) -> None:
        for ready in self._ready:
            ready.close()
        for linker in self._linkers:
            if linker.address:
                self._engine.forget(linker)
        self._ready.clear()
        self._linkers.clear()


def _finish(future: int) -> None:
    """Nothing in it sleeps: start functions are called later."""
    done = capi.future_poll(future)
    capi.future_delete(future)
    assert done, "a core instance is made at once"
