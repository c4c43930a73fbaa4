"""Components as guests of the host. Made by `Component.guest`.

What a call means to a component, which export answers it and how the message becomes arguments, is the business of a
`Bridge`; what it may import comes from a maker of `HostInterfaces`. Both are given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from lattice import errors
from lattice.invocation import Invocation
from lattice.wasm.component.host import HostInterfaces
from lattice.wasm.component.instance import ComponentInstance
from lattice.wasm.component.reuse import Reuse
from lattice.wasm.guest import ActorContext, Resting

if TYPE_CHECKING:
    from lattice.wasm.component.instantiate import Component


IDLE_INSTANCES_MAX = 32
"""Of one component. Python's and JavaScript's take 13 MB each; more than so many calls that wait at the same time are
seldom, and cost a new instance."""
IDLE_S_MAX = 30.0
"""An instance that nobody called for so long is of a busy minute that is over."""


class InstanceImports(HostInterfaces, Protocol):
    def rest(self, held: list[object]) -> str:
        """A call was answered, and another may come: nothing of the one may be there for the other. `held` is what the
        guest still has handles of. Returns why the instance may not have another call; "" when it may."""
        ...

    def close(self) -> None:
        """The instance is gone."""
        ...


Call = Callable[..., Awaitable[Any]]
"""`call(interface, function, *arguments)`"""

Bridge = Callable[[Any, Collection[str], Call, Invocation, float], Awaitable[bytes | errors.CallError]]
"""(the imports of the instance, interfaces that the component exports, its exports, the call, deadline) -> reply.

A failure that the guest itself told, as its interface foresees, is returned: the instance is as good as before. What is
raised is the end of it."""


class ComponentGuestInstance:
    """One live component, with the imports that were made for it.

    It has another call only when nothing is left of the one before: no handle, no work beside it, no failure, and room
    in its memory."""

    __slots__ = ("_answered", "_bridge", "_exports", "_imports", "_instance", "_reuse", "usable")

    def __init__(
        self,
        instance: ComponentInstance,
        imports: InstanceImports,
        exports: frozenset[str],
        bridge: Bridge,
        reuse: Reuse,
    ) -> None:
        self._instance = instance
        self._imports = imports
        self._exports = exports
        self._bridge = bridge
        self._reuse = reuse
        self._answered = 0
        self.usable = True

    async def serve(self, invocation: Invocation, deadline: float) -> bytes:
        self.usable = False
        call = partial(self._instance.call, deadline=deadline)
        try:
            reply = await self._bridge(self._imports, self._exports, call, invocation, deadline)
        except (errors.GuestTrapped, errors.GuestProtocolError):
            if self._answered:
                self._reuse.failed_again()
            raise
        self._answered += 1
        if self._reuse.calls_max != 1:
            self._look_whether_usable()
        if isinstance(reply, errors.CallError):
            raise reply
        return reply

    def _look_whether_usable(self) -> None:
        if self._answered > 1:
            self._reuse.answered_again()
        if self._answered == self._reuse.calls_max or not self._instance.usable:
            return
        why = self._imports.rest(self._instance.held())
        if not why and self._instance.outgrown():
            why = "its memory has grown more than half the way to limits.memory"
        if why:
            self._reuse.ended(why)
        self.usable = not why

    def close(self) -> None:
        self._instance.close()
        self._imports.close()


class ComponentGuest:
    """One actor's component, ready to make instances.

    An instance serves `calls_max` calls, 0 for without end, unless the actor's limits say how many: JavaScript's fetch
    events break at the second, and programs may keep what they should not.
    """

    resting: Resting | None = Resting(IDLE_INSTANCES_MAX, IDLE_S_MAX)

    def __init__(
        self,
        component: Component,
        actor: ActorContext,
        imports: Callable[[ActorContext], InstanceImports],
        bridge: Bridge,
        *,
        calls_max: int = 1,
        in_pieces: frozenset[str] = frozenset(),
    ) -> None:
        self.in_pieces = in_pieces
        self._component = component
        self._actor = actor
        self._imports = imports
        self._bridge = bridge
        self._reuse = Reuse(actor, calls_max)
        self._exports = frozenset(interface for interface, _ in component.plan.exports)

    async def instantiate(self, deadline: float) -> ComponentGuestInstance:
        imports = self._imports(self._actor)
        try:
            instance = await self._component.instantiate(imports, self._actor.limits, deadline)
        except BaseException:
            imports.close()
            raise
        return ComponentGuestInstance(instance, imports, self._exports, self._bridge, self._reuse)

    def close(self) -> None:
        self._component.close()
