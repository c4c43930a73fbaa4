"""The host's functions as core code calls them, made once for all instances of a component.

Most are known before there is an instance, and most of those never wait: they cross the border in a callback that the
engine gives its values without types, for a quarter of the price. What a guest lends to such a function it cannot take
back meanwhile, because it stands still, so nothing has to be noted of that.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from lattice.wasm.component.crossings import Outward
from lattice.wasm.component.host import KnownFunction
from lattice.wasm.component.plan import Canonical, HostFunction, Lowered, Plan, ResourceCall
from lattice.wasm.component.types import FunctionType, handles_of
from lattice.wasm.component.written import function_for
from lattice.wasm.engine import Linker

if TYPE_CHECKING:
    from lattice.wasm.component.instance import ComponentInstance

Known: TypeAlias = Callable[[str, str], KnownFunction | None]
"""By interface and name, as `HostInterfaces.function`."""
Define: TypeAlias = Callable[[Linker, str, str], None]
"""Puts a function into a linker, under a module's name and its own."""

_word = ctypes.c_uint32.from_address


def nothing_known(_interface: str, _name: str) -> None:
    return None


class Trampolines:
    """The trampolines of a plan. `groups` are the options of those that are known, for `instance.crossing`."""

    def __init__(self, plan: Plan, known: Known) -> None:
        self._plan = plan
        self._known = known
        self._made: dict[int, Define] = {}
        self._groups: dict[Canonical, int] = {}

    @property
    def groups(self) -> list[Canonical]:
        return list(self._groups)

    def define(self, linker: Linker, module: str, name: str, number: int) -> None:
        """Puts the function of that number into a linker."""
        made = self._made.get(number)
        if made is None:
            what = self._plan.trampolines[number]
            made = self._lowered(number, what) if isinstance(what, Lowered) else _resource_call(what)
            self._made[number] = made
        made(linker, module, name)

    def _lowered(self, number: int, what: Lowered) -> Define:
        outward = Outward(what.target.type)
        parameters, results = outward.parameters, outward.results
        found = None
        if isinstance(what.target, HostFunction) and _simple(what.target.type):
            found = self._known(what.target.interface, what.target.name)
        if found is None:

            def called(instance: ComponentInstance, arguments: int, results: int) -> None:
                instance.called(number, outward, arguments, results)

            return lambda linker, module, name: linker.define_typed(module, name, parameters, results, called)
        group = self._groups.setdefault(what.canonical, len(self._groups))
        written = function_for(found, what.target.type, outward, what.canonical, group)
        if found.waits:
            return lambda linker, module, name: linker.define_typed(module, name, parameters, results, written)
        return lambda linker, module, name: linker.define_raw(module, name, parameters, results, written)


def _simple(type_: FunctionType) -> bool:
    """Whether no call can give away what it lends at the same time, which would have to be found out, nor get what is
    only lent to it."""
    given = {handle.own for param in type_.params for handle in handles_of(param)}
    got = handles_of(type_.result) if type_.result is not None else ()
    return len(given) < 2 and all(handle.own for handle in got)


def _resource_call(what: ResourceCall) -> Define:
    """new, drop or rep. Dropping one of the guest's own runs its destructor, which may do anything, also wait."""
    owner, resource = what.owner, what.resource
    if what.operation == "drop" and resource.guest >= 0:

        def own_dropped(instance: ComponentInstance, arguments: int, _results: int) -> None:
            instance.own_resource_dropped(what, arguments)

        return lambda linker, module, name: linker.define_typed(module, name, "i", "", own_dropped)
    if what.operation == "drop":
        interface, name = resource.interface, resource.name

        def dropped(instance: ComponentInstance, address: int) -> None:
            entry = instance.handles(owner).remove(_word(address).value, resource)
            if entry.call is None:
                instance.host.drop(interface, name, entry.what)
            else:
                entry.call.borrowed -= 1

        return lambda linker, module, name: linker.define_raw(module, name, "i", "", dropped)

    def handled(instance: ComponentInstance, address: int) -> None:
        value = _word(address)
        table = instance.handles(owner)
        if what.operation == "new":
            value.value = table.new(resource, value.value)
        else:
            value.value = table.get(value.value, resource).what

    return lambda linker, module, name: linker.define_raw(module, name, "i", "i", handled)
