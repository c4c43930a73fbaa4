"""What the engine is asked while a component runs: where its memory is, and whether it goes on at an epoch."""

from __future__ import annotations

import ctypes
from typing import Any

from lattice.wasm import capi
from lattice.wasm.fiber import NO_MEMORY


class LinearMemory:
    """One of the guest's memories. It never moves, so that an older view is too short at worst."""

    __slots__ = ("_context", "_record", "first_bytes", "view")

    def __init__(self, context: int, record: int) -> None:
        self._context = context
        self._record = record
        self.view = NO_MEMORY
        self.first_bytes = 0
        """Its size when it was looked at for the first time."""

    def look(self) -> memoryview:
        record = self._record
        size: int = capi.memory_data_size(self._context, record)
        if size != len(self.view):
            self.first_bytes = self.first_bytes or size
            self.view = capi.view(capi.memory_data(self._context, record), size)
        return self.view


def epoch_callback() -> Any:
    """What every instance's store asks at its epoch deadline: a guest gives way, and one that makes room for the host
    goes on for as many ticks as its cell says."""

    def asked(_context: int, data: int, delta: int, kind: int) -> int | None:
        ticks = ctypes.c_uint64.from_address(data)
        ctypes.c_uint64.from_address(delta).value = 1
        if not ticks.value:
            ctypes.c_uint8.from_address(kind).value = capi.GIVE_WAY
            return None
        ticks.value -= 1
        if not ticks.value:
            error: int = capi.error_new(b"it took too long")
            return error
        ctypes.c_uint8.from_address(kind).value = capi.GO_ON
        return None

    return capi.EpochCallback(asked)
