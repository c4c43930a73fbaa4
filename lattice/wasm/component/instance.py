"""A live component: its core instances in one store, its handles, and calls in both directions.

Core instances are made by the engine's synchronous call, before anything of them runs. A call into the component is a
fiber as any guest's. A call out of it arrives in a callback on the fiber's stack: what returns at once is answered
there, what is a coroutine puts the guest to sleep.

The guest's realloc is called in the middle of lowering, from the callback or from the loop, and never waits: it may not
call the host, and is stopped after `REALLOC_TICKS`.
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Callable, Coroutine
from ctypes import addressof
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeAlias

from lattice import errors
from lattice.config import Limits
from lattice.wasm import capi
from lattice.wasm.component.crossings import VALUE_BYTES, Outward, Values
from lattice.wasm.component.host import GuestResource, HostInterfaces
from lattice.wasm.component.linear import LinearMemory
from lattice.wasm.component.memory import Crossing, HandleTable
from lattice.wasm.component.plan import Canonical, CoreExport, HostFunction, LiftedFunction, Lowered, ResourceCall
from lattice.wasm.component.resources import CallHandles, Entry, Table
from lattice.wasm.component.types import ResourceType
from lattice.wasm.component.wiring import find
from lattice.wasm.fiber import ERROR, TRAP, Fiber, turn

if TYPE_CHECKING:
    from lattice.wasm.component.instantiate import Component

_log = logging.getLogger("lattice.component")

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

Ready: TypeAlias = tuple[Callable[..., Any], Crossing, CallHandles]


class ComponentInstance(Fiber):
    """One live instance of a component. One call at a time; useless after any failure. Made by `Component.instantiate`.

    `close` frees everything, and gives the host back what resources of its the guest still owned.
    """

    __slots__ = (
        "_active", "_call_buffers", "_core", "_extern", "_functions", "_memories", "_raw", "_ready", "_records",
        "_ticks_left", "component", "crossings", "host", "may_leave", "tables",
    )  # fmt: skip

    def __init__(self, component: Component, host: HostInterfaces, limits: Limits) -> None:
        plan = component.plan
        self.component = component
        # Before the store is there, which refers to it until it is gone.
        self._ticks_left = ctypes.c_uint64(0)
        super().__init__(component.engine, component.context(limits), max(1, len(plan.steps)), max(1, plan.memories))
        self.host = host
        self._core = component.core_records()
        self._extern = capi.Extern()
        self._raw = FOUR_RAW()
        self._records: dict[CoreExport, Any] = {}
        self._memories: dict[CoreExport, LinearMemory] = {}
        self._functions: dict[int, Callable[..., Any]] = {}
        self._ready: dict[int, Ready] = {}
        self.crossings: list[Crossing | None] = [None] * len(component.groups)
        """For known functions, by their options: `crossing` makes those that are not there."""
        self._call_buffers: list[Any] = []
        self._active: list[int] = []
        self.tables = [Table() for _ in range(plan.instances)]
        self.may_leave = True

    def _give_way_at_epochs(self) -> None:
        """Not as for other guests, because the engine makes no core instance once a store gives way by itself."""
        capi.set_epoch_callback(self._store, self.component.epoch_callback, addressof(self._ticks_left), None)

    async def start(self, deadline: float) -> None:
        """Makes the core instances in order. Raises `errors.UnsupportedGuest`, `errors.GuestTrapped`."""
        self.deadline = deadline
        component, cells = self.component, self._cells
        maker = component.maker
        buffer = maker.take()
        core = addressof(self._core)
        began = time.perf_counter()
        for number, step in enumerate(component.plan.steps):
            # What runs here is initial values, which have no loops.
            capi.set_epoch_deadline(self.context, NO_DEADLINE)
            maker.make(number, self.context, core, buffer, cells)
            if cells.error or cells.trap:
                self._raise_not_made()
            start = component.codes[step.module].start
            if start:
                await self._call_core(CoreExport(number, start), NO_VALUES, NO_VALUES, ())
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

    def _record(self, item: CoreExport, kind: Any) -> Any:
        """The engine's record of a function or memory, kept."""
        record = self._records.get(item)
        if record is None:
            extern = addressof(self._extern)
            find(item, self.context, addressof(self._core), extern)
            if self._extern.kind != (capi.EXTERN_MEMORY if kind is capi.Memory else capi.EXTERN_FUNCTION):
                raise errors.UnsupportedGuest(
                    f"{item.name} is shared between threads, and guests of this host have one"
                )
            record = self._records[item] = kind()
            ctypes.memmove(addressof(record), extern + capi.EXPORT_VALUE_OFFSET, ctypes.sizeof(kind))
        return record

    def core_signature(self, item: CoreExport) -> str:
        return capi.signature(self.context, addressof(self._record(item, capi.Func)))

    def crossing(self, group: int) -> Crossing:
        """Makes what known functions with these options cross by, for all their calls in this instance."""
        canonical = self.component.groups[group]
        made = self.crossings[group] = self._crossing(canonical, self.tables[canonical.owner])
        return made

    def _crossing(self, canonical: Canonical, handles: HandleTable) -> Crossing:
        memory = None
        if canonical.memory is not None:
            memory = self._memories.get(canonical.memory)
            if memory is None:
                record = self._record(canonical.memory, capi.Memory)
                memory = self._memories[canonical.memory] = LinearMemory(self.context, record)
        realloc = canonical.realloc
        allocate = None if realloc is None else lambda alignment, size: self._realloc(realloc, alignment, size)
        return Crossing(memory, allocate, canonical.encoding, handles)

    def _realloc(self, item: CoreExport, alignment: int, size: int) -> int:
        """Calls the guest's realloc to its end, here and now."""
        record = self._record(item, capi.Func)
        if item not in self.component.reallocs:  # once for each component: the call below checks nothing
            if self.core_signature(item) != REALLOC:
                raise errors.UnsupportedGuest(f"the core function {item.name} cannot be used as realloc")
            self.component.reallocs.add(item)
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
                return self._realloc_on_fiber(addressof(record), alignment, size)
            return self._realloc_on_loop(addressof(record), alignment, size)
        except BaseException:
            self.usable = False
            raise
        finally:
            engine.running = self if nested else None
            self.may_leave = may_leave

    def _realloc_on_fiber(self, function: int, alignment: int, size: int) -> int:
        """From a callback, on the stack of the fiber that called the host: it must not be put to sleep there."""
        raw, trap = self._raw, ctypes.c_void_p()
        raw[0] = raw[2] = 0
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
        result_at = at + ARGUMENTS_MAX * VALUE_BYTES
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

    async def _call_core(self, item: CoreExport, inputs: Values, outputs: Values, arguments: Any) -> tuple[Any, ...]:
        record = self._record(item, capi.Func)
        buffer = self._call_buffers.pop() if self._call_buffers else CALL_BUFFER()
        at = addressof(buffer)
        result_at = at + ARGUMENTS_MAX * VALUE_BYTES
        inputs.write(at, arguments)
        cells = self._cells_address
        count, results = inputs.size // VALUE_BYTES, outputs.size // VALUE_BYTES
        capi.set_epoch_deadline(self.context, 1)
        # The engine writes into the buffer until the future is gone, which `_run` sees to.
        await self._run(
            capi.func_call_async(
                self.context, addressof(record), at, count, result_at, results, cells + TRAP, cells + ERROR
            )
        )
        self.usable = not self._active
        values = outputs.read(result_at)
        self._call_buffers.append(buffer)
        return values

    async def call(  # type: ignore[override]  # by names and values, where a module is called with cells
        self, interface: str, name: str, *arguments: Any, deadline: float = 0.0
    ) -> Any:
        """Calls an exported function; interfaces are named without version, "" for functions of the world itself.

        Raises `errors.OperationUnknown`, `errors.GuestTrapped` and other `errors.GuestError`, and `TypeError` or
        `ValueError` for arguments that are not of its types. `deadline` is a time of `time.monotonic()`.
        """
        found = self.component.plan.exports.get((interface, name))
        if found is None:
            raise errors.OperationUnknown(f"the component exports no function {interface or 'world'}#{name}")
        self._begin(deadline)
        return await self._call_lifted(found.number, arguments)

    def _begin(self, deadline: float) -> None:
        if self._active:
            raise errors.GuestProtocolError("the component is in a call, and serves one at a time")
        self.deadline = deadline or time.monotonic() + self.actor.limits.time_s_max

    async def _call_lifted(self, number: int, arguments: Any) -> Any:
        lifted, inward = self.component.plan.lifted[number], self.component.inward[number]
        canonical = lifted.canonical
        owner = canonical.owner
        if not self.usable and not self._active:
            raise errors.GuestTrapped("the guest failed before and cannot be called again")
        if owner in self._active:
            raise errors.GuestProtocolError("the component was called while it was in a call already")
        handles = CallHandles(self.tables[owner], owner)
        self._active.append(owner)
        try:
            core = inward.arguments(self._crossing(canonical, handles), arguments)
            values = await self._call_core(lifted.function, inward.values_in, inward.values_out, core)
            result = inward.result(self._crossing(canonical, handles), values)
            if canonical.post_return is not None:
                self.may_leave = False
                await self._call_core(canonical.post_return, inward.values_out, NO_VALUES, values)
                self.may_leave = True
            handles.finish()
        except BaseException:
            self.usable = False
            raise
        finally:
            self._active.pop()
        self.usable = not self._active
        return result

    # Calls out of the guest: from the callback, on the fiber's stack.

    def called(self, number: int, outward: Outward, arguments: int, results: int) -> None:
        """Core code called a function of the host, or of another component instance."""
        if not self.may_leave:
            raise errors.GuestProtocolError("the guest called the host where it may not, from realloc or post-return")
        function, cx, handles = self._ready.get(number) or self._made_ready(number)
        values = outward.values_in.read(arguments)
        outcome = function(*outward.arguments(cx.renew(), values))
        if type(outcome) is CoroutineType:
            del self._ready[number]  # while the guest sleeps, what was made ready is this call's
            self.sleep(self.answered(outward, cx, handles, values, results, outcome))
            return
        handles.returned()
        outward.give(cx, values, outcome, results)

    async def answered(
        self, outward: Outward, cx: Crossing, handles: CallHandles | None, values: Any, results: int, work: Any
    ) -> None:
        """The guest sleeps until the work is done, and finds the result where it looks for it."""
        try:
            outcome = await work
            if handles is not None:
                handles.returned()
            outward.give(cx, values, outcome, results)
        except errors.LatticeError as error:
            raise errors.GuestTrapped(f"the guest trapped: {error.message}") from error
        except Exception as error:
            _log.exception("a host function failed")
            raise errors.GuestTrapped("the guest trapped: a host function failed") from error

    def _made_ready(self, number: int) -> Ready:
        """What calls of that function take, kept for the next one."""
        what = self.component.plan.trampolines[number]
        assert isinstance(what, Lowered)
        canonical = what.canonical
        handles = CallHandles(self.tables[canonical.owner], canonical.owner)
        function = self._functions.get(number)
        if function is None:
            function = self._functions[number] = self._bound(what.target)
        ready = self._ready[number] = function, self._crossing(canonical, handles), handles
        return ready

    def _bound(self, target: HostFunction | LiftedFunction) -> Callable[..., Any]:
        if isinstance(target, HostFunction):
            found = self.host.function(target.interface, target.name)
            if found is None:
                raise errors.GuestProtocolError(
                    f"the guest called {target.interface or 'world'}#{target.name}, which this host does not have"
                )
            return found

        def function(*given: Any) -> Coroutine[Any, Any, Any]:
            return self._call_lifted(target.number, given)

        return function

    def own_resource_dropped(self, what: ResourceCall, arguments: int) -> None:
        """Core code called resource.drop for a resource of the guest's: its destructor may do anything, also wait."""
        entry = self.handles(what.owner).remove(ONE_VALUE.read(arguments)[0], what.resource)
        if not self.dropped(entry) and self.component.plan.destructors[what.resource.guest].function is not None:
            self.sleep(self._destroy(what.resource, entry.what))

    def handles(self, owner: int) -> Table:
        if not self.may_leave:
            raise errors.GuestProtocolError("the guest handled resources where it may not, in realloc or post-return")
        return self.tables[owner]

    def dropped(self, entry: Entry) -> bool:
        """False if it was a resource of the guest's, with a destructor to call."""
        if entry.call is not None:
            entry.call.borrowed -= 1
        elif entry.type.guest < 0:
            self.host.drop(entry.type.interface, entry.type.name, entry.what)
        else:
            return False
        return True

    async def _destroy(self, resource: ResourceType, what: int) -> None:
        destructor = self.component.plan.destructors[resource.guest]
        if destructor.function is not None:
            await self._call_core(destructor.function, ONE_VALUE, NO_VALUES, (what,))

    async def drop(self, interface: str, name: str, resource: GuestResource, deadline: float = 0.0) -> None:
        """The host lets go of a resource of the guest's that it owned. Raises as `call`."""
        type_ = self.component.plan.resources.get((interface, name))
        if type_ is None or type_.guest < 0:
            raise errors.OperationUnknown(f"the component exports no resource {interface or 'world'}#{name}")
        self._begin(deadline)
        await self._destroy(type_, resource.handle)

    def close(self) -> None:
        for table in self.tables:
            for entry in table:
                if entry.own and entry.type.guest < 0:
                    self.host.drop(entry.type.interface, entry.type.name, entry.what)
        self.tables = []
        # What crosses refers to the instance, which would wait for the garbage collector.
        self.crossings = []
        self._ready.clear()
        self._functions.clear()
        self._memories.clear()
        super().close()


NO_VALUES, ONE_VALUE, FOUR_VALUES = Values(""), Values("i"), Values("iiii")


def _realloc_failed(report: str | None) -> errors.GuestTrapped:
    lines = (report or "no reason given").strip().splitlines()
    return errors.GuestTrapped(f"the guest's realloc trapped: {lines[-1].strip()}")
