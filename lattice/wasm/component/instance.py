"""A live component: its handles, and calls in both directions.

A call into the component is a fiber as any guest's. A call out of it arrives in a callback on the fiber's stack: what
returns at once is answered there, what is a coroutine puts the guest to sleep.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeAlias

from lattice import errors
from lattice.config import Limits
from lattice.wasm.component.core import NO_VALUES, ONE_VALUE, CoreInstances
from lattice.wasm.component.crossings import Outward
from lattice.wasm.component.host import GuestResource, HostInterfaces, of_type
from lattice.wasm.component.memory import Crossing
from lattice.wasm.component.places import NONE
from lattice.wasm.component.plan import HostFunction, LiftedFunction, Lowered, ResourceCall
from lattice.wasm.component.resources import CallHandles, Entry, Table
from lattice.wasm.component.types import ResourceType

if TYPE_CHECKING:
    from lattice.wasm.component.instantiate import Component

_log = logging.getLogger("lattice.component")

Ready: TypeAlias = tuple[Callable[..., Any], Crossing, CallHandles]


class ComponentInstance(CoreInstances):
    """One live instance of a component. One call at a time; useless after any failure. Made by `Component.instantiate`.

    `close` frees everything, and gives the host back what resources of its the guest still owned.
    """

    __slots__ = ("_functions", "_ready", "crossings", "host")

    def __init__(self, component: Component, host: HostInterfaces, limits: Limits) -> None:
        super().__init__(component, limits)
        self.host = host
        self._functions: dict[int, Callable[..., Any]] = {}
        self._ready: dict[int, Ready] = {}
        self.crossings: list[Crossing | None] = [None] * len(component.groups)
        """For known functions, by their options: `crossing` makes those that are not there."""

    def crossing(self, group: int) -> Crossing:
        """Makes what known functions with these options cross by, for all their calls in this instance."""
        options = self.component.groups[group]
        made = self.crossings[group] = self._crossing(options, self.tables[options.owner])
        return made

    def call(  # type: ignore[override]  # by names and values, where a module is called with cells
        self, interface: str, name: str, *arguments: Any, deadline: float = 0.0
    ) -> Coroutine[Any, Any, Any]:
        """Calls an exported function; interfaces are named without version, "" for functions of the world itself.

        Raises `errors.OperationUnknown`, `errors.GuestTrapped` and other `errors.GuestError`, and `TypeError` or
        `ValueError` for arguments that are not of its types. `deadline` is a time of `time.monotonic()`.
        """
        found = self.component.plan.exports.get((interface, name))
        if found is None:
            raise errors.OperationUnknown(f"the component exports no function {interface or 'world'}#{name}")
        self._begin(deadline)
        return self._call_lifted(found.number, arguments)

    def _begin(self, deadline: float) -> None:
        if self._active:
            raise errors.GuestProtocolError("the component is in a call, and serves one at a time")
        self.deadline = deadline or time.monotonic() + self.actor.limits.time_s_max

    async def _call_lifted(self, number: int, arguments: Any) -> Any:
        inward, function, options = self.component.calls[number]
        owner = options.owner
        if not self.usable and not self._active:
            raise errors.GuestTrapped("the guest failed before and cannot be called again")
        if owner in self._active:
            raise errors.GuestProtocolError("the component was called while it was in a call already")
        table = self.tables[owner]
        handles = CallHandles(table, owner) if inward.lends else table
        self._active.append(owner)
        try:
            cx = self._crossing(options, handles)
            core = inward.arguments(cx, arguments)
            buffer, future = self._begin_core(function, inward.values_in, inward.values_out, core)
            await self._run(future)
            values = self._end_core(inward.values_out, buffer)
            result = inward.result(cx, values)
            if options.post_return != NONE:
                self.may_leave = False
                await self._call_core(options.post_return, inward.values_out, NO_VALUES, values)
                self.may_leave = True
            if isinstance(handles, CallHandles):
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
        options = self.component.places.options[what.canonical]
        handles = CallHandles(self.tables[options.owner], options.owner)
        function = self._functions.get(number)
        if function is None:
            function = self._functions[number] = self._bound(what.target)
        ready = self._ready[number] = function, self._crossing(options, handles), handles
        return ready

    def _bound(self, target: HostFunction | LiftedFunction) -> Callable[..., Any]:
        if isinstance(target, HostFunction):
            found = self.host.function(target.interface, target.name)
            if found is None:
                raise errors.GuestProtocolError(
                    f"the guest called {target.interface or 'world'}#{target.name}, which this host does not have"
                )
            return of_type(found, target.type)

        def function(*given: Any) -> Coroutine[Any, Any, Any]:
            return self._call_lifted(target.number, given)

        return function

    def own_resource_dropped(self, what: ResourceCall, arguments: int) -> None:
        """Core code called resource.drop for a resource of the guest's: its destructor may do anything, also wait."""
        entry = self.handles(what.owner).remove(ONE_VALUE.read(arguments)[0], what.resource)
        if not self.dropped(entry) and self.component.places.destructors[what.resource.guest] != NONE:
            self.sleep(self._destroy(what.resource, entry.what))

    def handles(self, owner: int) -> Table:
        if not self.may_leave:
            raise errors.GuestProtocolError("the guest handled resources where it may not, in realloc or post-return")
        return self.tables[owner]

    def held(self) -> list[object]:
        """The host's resources that the guest has handles of."""
        return [entry.what for table in self.tables for entry in table if entry.type.guest < 0]

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
        destructor = self.component.places.destructors[resource.guest]
        if destructor != NONE:
            await self._call_core(destructor, ONE_VALUE, NO_VALUES, (what,))

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
        # What crosses refers to the instance, which would wait for the garbage collector.
        self.crossings = []
        self._ready.clear()
        self._functions.clear()
        super().close()
