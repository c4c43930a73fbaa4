"""The core instances of a component in one store, and calls of their functions.

They are made before anything of them runs. The guest's realloc is called in the middle of lowering, from a callback or
from the loop, and never waits: it may not call the host, and is stopped after `REALLOC_TICKS`.
"""

from __future__ import annotations

import ctypes
import time
from ctypes import addressof
from typing import TYPE_CHECKING, Any

from lattice import errors
from lattice.config import Limits
from lattice.wasm import capi
from lattice.wasm.component.crossings import VALUE_BYTES, Values
from lattice.wasm.component.linear import LinearMemory
from lattice.wasm.component.memory import Crossing, HandleTable
from lattice.wasm.component.places import NONE, Options
from lattice.wasm.component.resources import Table
from lattice.wasm.fiber import ERROR, TRAP, Fiber, turn

if TYPE_CHECKING:
    from lattice.wasm.component.instantiate import Component

REALLOC_TICKS = 25
"""Ticks (2 ms) that the guest may take to make room for one value. It takes microseconds; a busy machine loses some."""
NO_DEADLINE = 1 << 62
REALLOC = "iiii->i"
TURN_S = 0.001
"""After so long others get a turn, between two core instances. Those of Python take some milliseconds together."""
ARGUMENTS_MAX = 17
"""Core values of one call: sixteen parameters and a pointer."""
# Made once: making an array type takes longer than anything else of a call.
CALL_BUFFER, FOUR_RAW = ctypes.c_char * ((ARGUMENTS_MAX + 1) * VALUE_BYTES), ctypes.c_uint64 * 8
RESULT_AT = ARGUMENTS_MAX * VALUE_BYTES
NO_VALUES, ONE_VALUE, FOUR_VALUES = Values(""), Values("i"), Values("iiii")


class CoreInstances(Fiber):
    """The part of a live component that the engine runs. Functions and memories are numbers: see `places`."""

    __slots__ = (
        "_active", "_call_buffers", "_memories", "_records", "_room", "_room_address", "_ticks_left", "component",
        "may_leave", "tables",
    )  # fmt: skip

    def __init__(self, component: Component, limits: Limits) -> None:
        plan, places = component.plan, component.places
        self.component = component
        # Before the store is there, which refers to it until it is gone.
        self._ticks_left = ctypes.c_uint64(0)
        super().__init__(component.engine, component.context(limits), max(1, len(plan.steps)), max(1, plan.memories))
        self._room = places.room()
        self._room_address = addressof(self._room)
        self._records = [0] * places.count
        self._memories: dict[int, LinearMemory] = {}
        self._call_buffers: list[Any] = []
        self._active: list[int] = []
        """The component instances that a call is in, the innermost last."""
        self.tables = [Table() for _ in range(plan.instances)]
        self.may_leave = True

    def _give_way_at_epochs(self) -> None:
        """Not as for other guests, because the engine makes no core instance once a store gives way by itself."""
        capi.set_epoch_callback(self._store, self.component.epoch_callback, addressof(self._ticks_left), None)

    async def start(self, deadline: float) -> None:
        """Makes the core instances in order. Raises `errors.UnsupportedGuest`, `errors.GuestTrapped`."""
        self.deadline = deadline
        cells, maker, starts = self._cells, self.component.maker, self.component.places.starts
        buffer = maker.take()
        began = time.perf_counter()
        for number in range(len(self.component.plan.steps)):
            # What runs here is initial values, which have no loops.
            capi.set_epoch_deadline(self.context, NO_DEADLINE)
            maker.make(number, self.context, self._room_address, buffer, cells)
            if cells.error or cells.trap:
                self._raise_not_made()
            if number in starts:
                await self._call_core(starts[number], NO_VALUES, NO_VALUES, ())
            elif time.perf_counter() - began > TURN_S:
                await turn()
                began = time.perf_counter()
        maker.give_back(buffer)

    def _raise_not_made(self) -> None:
        cells = self._cells
        trap, reason = capi.take_trap(cells.trap), capi.take_error(cells.error)
        cells.trap = cells.error = None
        if trap is not None:
            raise errors.GuestTrapped(f"the guest trapped at its start: {trap}")
        raise errors.UnsupportedGuest(f"the component's modules do not fit: {' '.join((reason or '').split())}")

    def _record(self, number: int) -> int:
        """Where the engine's record of a function or memory is."""
        record = self._records[number]
        if not record:
            record = self._records[number] = self.component.places.find(number, self.context, self._room_address)
        return record

    def core_signature(self, number: int) -> str:
        return capi.signature(self.context, self._record(number))

    def _crossing(self, options: Options, handles: HandleTable) -> Crossing:
        memory = None
        if options.memory != NONE:
            memory = self._memories.get(options.memory)
            if memory is None:
                record = self._record(options.memory)
                memory = self._memories[options.memory] = LinearMemory(self.context, record)
        realloc = options.realloc
        allocate = None if realloc == NONE else lambda alignment, size: self._realloc(realloc, alignment, size)
        return Crossing(memory, allocate, options.encoding, handles)

    def _realloc(self, number: int, alignment: int, size: int) -> int:
        """Calls the guest's realloc to its end, here and now."""
        record = self._record(number)
        # The call below checks nothing, and start functions run before the component is proven.
        if not self.component.proven and self.core_signature(number) != REALLOC:
            raise errors.UnsupportedGuest("a core function is used as realloc and has not its type")
        engine, may_leave = self.engine, self.may_leave
        nested = engine.running is self
        self.may_leave = False
        engine.ticker.polls += 1
        if engine.ticker.asleep:
            engine.ticker.wake()
        engine.running = self
        capi.set_epoch_deadline(self.context, 1)
        try:
            if nested:
                return self._realloc_on_fiber(record, alignment, size)
            return self._realloc_on_loop(record, alignment, size)
        except BaseException:
            self.usable = False
            raise
        finally:
            engine.running = self if nested else None
            self.may_leave = may_leave

    def _realloc_on_fiber(self, function: int, alignment: int, size: int) -> int:
        """From a callback, on the stack of the fiber that called the host: it must not be put to sleep there."""
        raw, trap = FOUR_RAW(), ctypes.c_void_p()
        raw[4], raw[6] = alignment, size
        self._ticks_left.value = REALLOC_TICKS
        error = capi.func_call_unchecked(self.context, function, addressof(raw), 4, addressof(trap))
        self._ticks_left.value = 0
        if error or trap.value:
            raise _realloc_failed(capi.take_error(error) or capi.take_trap(trap.value))
        return raw[0] & 0xFFFFFFFF

    def _realloc_on_loop(self, function: int, alignment: int, size: int) -> int:
        """On a fiber of its own: the engine aborts the process when a guest calls the host and there is none."""
        buffer = self._call_buffers.pop() if self._call_buffers else CALL_BUFFER()
        at = addressof(buffer)
        result_at = at + RESULT_AT
        FOUR_VALUES.write(at, (0, 0, alignment, size))
        cells = self._cells_address
        future = capi.func_call_async(self.context, function, at, 4, result_at, 1, cells + TRAP, cells + ERROR)
        try:
            for _ in range(REALLOC_TICKS):
                if capi.future_poll(future):
                    break
            else:
                raise _realloc_failed("it took too long")
        finally:
            capi.future_delete(future)
        found = self._cells
        if found.trap or found.error:
            reason = capi.take_trap(found.trap) or capi.take_error(found.error)
            found.trap = found.error = None
            raise _realloc_failed(reason)
        self._call_buffers.append(buffer)
        return int(ONE_VALUE.read(result_at)[0])

    async def _call_core(self, number: int, inputs: Values, outputs: Values, arguments: Any) -> tuple[Any, ...]:
        buffer, future = self._begin_core(number, inputs, outputs, arguments)
        await self._run(future)
        return self._end_core(outputs, buffer)

    def _begin_core(self, number: int, inputs: Values, outputs: Values, arguments: Any) -> tuple[Any, int]:
        """What the engine reads and writes until the call is over, which `_run` sees to, and the call."""
        buffer = self._call_buffers.pop() if self._call_buffers else CALL_BUFFER()
        at = addressof(buffer)
        inputs.write(at, arguments)
        capi.set_epoch_deadline(self.context, 1)
        cells = self._cells_address
        return buffer, capi.func_call_async(
            self.context,
            self._records[number] or self._record(number),
            *(at, inputs.count, at + RESULT_AT, outputs.count),
            *(cells + TRAP, cells + ERROR),
        )

    def _end_core(self, outputs: Values, buffer: Any) -> tuple[Any, ...]:
        self.usable = not self._active
        self._call_buffers.append(buffer)
        return outputs.read(addressof(buffer) + RESULT_AT) if outputs.count else ()

    def outgrown(self) -> bool:
        """Whether the guest came so close to the limit of its memory that it should have no other call: one that keeps
        a little of each would end in the middle of one."""
        limit = self.actor.limits.memory_bytes_max
        return any(2 * len(memory.look()) > memory.first_bytes + limit for memory in self._memories.values())

    def close(self) -> None:
        # What crosses refers to the instance, which would wait for the garbage collector.
        self._memories.clear()
        self.tables = []
        super().close()


def _realloc_failed(report: str | None) -> errors.GuestTrapped:
    lines = (report or "no reason given").strip().splitlines()
    return errors.GuestTrapped(f"the guest's realloc trapped: {lines[-1].strip()}")
