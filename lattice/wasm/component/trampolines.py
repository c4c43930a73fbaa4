"""The host's functions as core code calls them, made once for all instances of a component.

Most are known before there is an instance, and most of those never wait: they cross the border in a callback that the
engine gives its values without types, for a quarter of the price. What a guest lends to such a function it cannot take
back meanwhile, because it stands still, so nothing has to be noted of that.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import CoroutineType
from typing import TYPE_CHECKING, TypeAlias

from lattice import errors
from lattice.wasm.component.crossings import RAW_BYTES, Outward
from lattice.wasm.component.host import KnownFunction
from lattice.wasm.component.memory import LIFTED_BYTES_MAX
from lattice.wasm.component.plan import Canonical, HostFunction, Lowered, Plan, ResourceCall
from lattice.wasm.component.types import FunctionType, handles_of
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
        if found.waits:
            waiting = _waiting(found, outward, group)
            return lambda linker, module, name: linker.define_typed(module, name, parameters, results, waiting)
        at_once = _at_once(found, outward, group)
        return lambda linker, module, name: linker.define_raw(module, name, parameters, results, at_once)


def _simple(type_: FunctionType) -> bool:
    """Whether no call can give away what it lends at the same time, which would have to be found out, nor get what is
    only lent to it."""
    given = {handle.own for param in type_.params for handle in handles_of(param)}
    got = handles_of(type_.result) if type_.result is not None else ()
    return len(given) < 2 and all(handle.own for handle in got)


def _at_once(known: KnownFunction, outward: Outward, group: int) -> Callable[[ComponentInstance, int], None]:
    function, of_instance = known.function, known.of_instance
    arguments_of, give, read = outward.arguments, outward.give_raw, outward.read_raw
    room = ctypes.c_char * max(RAW_BYTES, RAW_BYTES * len(outward.parameters))
    at = room.from_address

    def called(instance: ComponentInstance, address: int) -> None:
        if not instance.may_leave:
            raise _may_not_leave()
        cx = instance.crossings[group] or instance.crossing(group)
        cx.budget = LIFTED_BYTES_MAX
        raw = at(address)
        values = read(raw)
        if of_instance:
            outcome = function(instance.host, *arguments_of(cx, values))
        else:
            outcome = function(*arguments_of(cx, values))
        if type(outcome) is CoroutineType:
            outcome.close()
            raise TypeError("the function waits, and is known as one that never does")
        give(cx, values, outcome, raw)

    return called


def _waiting(known: KnownFunction, outward: Outward, group: int) -> Callable[[ComponentInstance, int, int], None]:
    function, of_instance = known.function, known.of_instance
    arguments_of, give, read = outward.arguments, outward.give, outward.values_in.read

    def called(instance: ComponentInstance, address: int, results: int) -> None:
        if not instance.may_leave:
            raise _may_not_leave()
        cx = instance.crossings[group] or instance.crossing(group)
        cx.budget = LIFTED_BYTES_MAX
        values = read(address)
        if of_instance:
            outcome = function(instance.host, *arguments_of(cx, values))
        else:
            outcome = function(*arguments_of(cx, values))
        if type(outcome) is CoroutineType:
            instance.sleep(instance.answered(outward, cx, None, values, results, outcome))
            return
        give(cx, values, outcome, results)

    return called


def _may_not_leave() -> errors.GuestProtocolError:
    return errors.GuestProtocolError("the guest called the host where it may not, from realloc or post-return")


def _resource_call(what: ResourceCall) -> Define:
    """new, drop or rep. Dropping one of the guest's own runs its destructor, which may do anything, also wait."""
    owner, resource = what.owner, what.resource
    if what.operation == "drop" and resource.guest >= 0:

        def own_dropped(instance: ComponentInstance, arguments: int, _results: int) -> None:
            instance.own_resource_dropped(what, arguments)

        return lambda linker, module, name: linker.define_typed(module, name, "i", "", own_dropped)
    if what.operation == "drop":

        def dropped(instance: ComponentInstance, address: int) -> None:
            instance.dropped(instance.handles(owner).remove(_word(address).value, resource))

        return lambda linker, module, name: linker.define_raw(module, name, "i", "", dropped)

    def handled(instance: ComponentInstance, address: int) -> None:
        value = _word(address)
        table = instance.handles(owner)
        if what.operation == "new":
            value.value = table.new(resource, value.value)
        else:
            value.value = table.get(value.value, resource).what

    return lambda linker, module, name: linker.define_raw(module, name, "i", "i", handled)
