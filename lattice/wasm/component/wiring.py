"""What each core instance of a component imports, found for one instance of the component after the other.

An item is looked up once, whoever imports it: Python's libraries import some two thousand from each other, and each
look-up takes a microsecond.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import addressof, memmove
from typing import Any, TypeAlias

from lattice.wasm import capi
from lattice.wasm.component.places import EXTERN_BYTES, INSTANCE_BYTES
from lattice.wasm.component.plan import CoreItem, Plan, Trampoline
from lattice.wasm.engine import Engine, Linker, Module

TRAP: int = capi.Cells.trap.offset
Define: TypeAlias = Callable[[Linker, str, str, int], None]
"""(linker, module, name, number): makes a trampoline what is imported by that name."""
IDLE_BUFFERS_MAX = 4
"""Buffers kept for the next instance; more are in use only while start functions of as many instances wait."""


class Wiring:
    """The imports of a plan, as places in a buffer of the engine's extern records."""

    def __init__(self, engine: Engine, plan: Plan, modules: Sequence[Module], define: Define) -> None:
        self._engine = engine
        self._linker = engine.linker()
        self._steps = [(modules[step.module].address, len(step.imports)) for step in plan.steps]
        self._idle: list[Any] = []
        self._offered: list[list[tuple[bytes, int, int]]] = []
        self._exported: list[list[tuple[int, bytes, int, int]]] = []
        self._copied: list[list[tuple[int, int]]] = []
        self.places: list[int] = []
        """Where the imports of each step begin."""
        known: dict[CoreItem, int] = {}
        at = 0
        for step in plan.steps:
            offered, exported, copied = [], [], []
            self.places.append(at)
            for item in step.imports:
                if item in known:
                    copied.append((known[item], at))
                elif isinstance(item, Trampoline):
                    name = b"%d" % item.number
                    define(self._linker, "", str(item.number), item.number)
                    offered.append((name, len(name), at))
                else:
                    name = item.name.encode()
                    exported.append((item.step * INSTANCE_BYTES, name, len(name), at))
                known.setdefault(item, at)
                at += EXTERN_BYTES
            self._offered.append(offered)
            self._exported.append(exported)
            self._copied.append(copied)
        self._size = at

    def take(self) -> Any:
        """A buffer for one instance; `give_back` it once all steps are done."""
        return self._idle.pop() if self._idle else ctypes.create_string_buffer(max(1, self._size))

    def give_back(self, buffer: Any) -> None:
        if len(self._idle) < IDLE_BUFFERS_MAX:
            self._idle.append(buffer)

    def make(self, number: int, context: int, instances: int, buffer: Any, cells: capi.Cells) -> None:
        """Makes the core instance of a step, into the records at `instances`; `cells` tell what went wrong."""
        imports = self._fill(number, context, instances, buffer)
        at = addressof(cells)
        module, count = self._steps[number]
        cells.error = capi.instance_new(context, module, imports, count, instances + number * INSTANCE_BYTES, at + TRAP)

    def _fill(self, number: int, context: int, instances: int, buffer: Any) -> int:
        """Finds the imports of a step, from `instances` (the engine's records, one for each step); their address."""
        base = addressof(buffer)
        linker, get, export_get = self._linker.address, capi.linker_get, capi.instance_export_get
        found = True
        for name, length, at in self._offered[number]:
            found &= get(linker, context, b"", 0, name, length, base + at)
        for step, name, length, at in self._exported[number]:
            found &= export_get(context, instances + step, name, length, base + at)
        assert found, "the plan names only what there is"
        for source, at in self._copied[number]:
            memmove(base + at, base + source, EXTERN_BYTES)
        return base + self.places[number]

    def close(self) -> None:
        """After the instances."""
        if self._linker.address:
            self._engine.forget(self._linker)
