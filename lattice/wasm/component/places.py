"""Where the engine's records of one instance lie: one piece of memory, whose layout is worked out once.

In it are the records of the core instances, and of each function and memory of theirs that the host itself uses.
"""

from __future__ import annotations

import ctypes
from typing import Any

import msgspec

from lattice import errors
from lattice.wasm import capi
from lattice.wasm.component.plan import Canonical, CoreExport, Lowered, Plan

INSTANCE_BYTES: int = ctypes.sizeof(capi.InstanceStruct)
EXTERN_BYTES: int = ctypes.sizeof(capi.Extern)
NONE = -1
"""In place of a number, where there is no such thing."""


class Options(msgspec.Struct, frozen=True):
    """The options of a canonical function, what they name by its number among the places."""

    encoding: str
    memory: int
    realloc: int
    post_return: int
    owner: int


class Place(msgspec.Struct, frozen=True):
    """Where something of a core instance is found, and where its record is put."""

    item: CoreExport
    name: bytes
    instance: int
    record: int
    kind: int


class Places:
    """The layout for one plan. `starts` are the start functions, as exported."""

    def __init__(self, plan: Plan, starts: list[CoreExport]) -> None:
        self._numbers: dict[CoreExport, int] = {}
        self._places: list[Place] = []
        self._end = max(1, len(plan.steps)) * INSTANCE_BYTES
        self.options: dict[Canonical, Options] = {}
        canonicals = [lifted.canonical for lifted in plan.lifted]
        canonicals += [what.canonical for what in plan.trampolines if isinstance(what, Lowered)]
        for canonical in canonicals:
            if canonical not in self.options:
                self.options[canonical] = Options(
                    canonical.encoding,
                    self._number(canonical.memory, capi.EXTERN_MEMORY),
                    self._number(canonical.realloc),
                    self._number(canonical.post_return),
                    canonical.owner,
                )
        self.functions = [self._number(lifted.function) for lifted in plan.lifted]
        self.destructors = [self._number(destructor.function) for destructor in plan.destructors]
        self.starts = {start.step: self._number(start) for start in starts}
        self.count = len(self._places)
        self.room: Any = ctypes.c_char * self._end
        """The type of that piece of memory."""

    def _number(self, item: CoreExport | None, kind: int = capi.EXTERN_FUNCTION) -> int:
        if item is None:
            return NONE
        number = self._numbers.get(item)
        if number is None:
            number = self._numbers[item] = len(self._places)
            name = item.name.encode()
            self._places.append(Place(item, name, item.step * INSTANCE_BYTES, self._end, kind))
            self._end += EXTERN_BYTES
        return number

    def number(self, item: CoreExport) -> int:
        return self._numbers[item]

    def find(self, number: int, context: int, room: int) -> int:
        """Fills the record of a function or memory in the room at that address; where it is."""
        place = self._places[number]
        record = room + place.record
        found = capi.instance_export_get(context, room + place.instance, place.name, len(place.name), record)
        assert found, "the plan names only what there is"
        if ctypes.c_uint8.from_address(record).value != place.kind:
            raise errors.UnsupportedGuest(
                f"{place.item.name} is shared between threads, and guests of this host have one"
            )
        return record + capi.EXPORT_VALUE_OFFSET
