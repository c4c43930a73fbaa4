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
from lattice.wasm.guest import ActorContext

if TYPE_CHECKING:
    from lattice.wasm.component.instantiate import Component


class InstanceImports(HostInterfaces, Protocol):
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
    """One live component, with the imports that were made for it."""

    __slots__ = ("_bridge", "_exports", "_imports", "_instance", "_reuse", "usable")

    def __init__(
        self,
        instance: ComponentInstance,
        imports: InstanceImports,
        exports: frozenset[str],
        bridge: Bridge,
        reuse: bool,
    ) -> None:
        self._instance = instance
        self._imports = imports
        self._exports = exports
        self._bridge = bridge
        self._reuse = reuse
        self.usable = True

    async def serve(self, invocation: Invocation, deadline: float) -> bytes:
        self.usable = False
        call = partial(self._instance.call, deadline=deadline)
        reply = await self._bridge(self._imports, self._exports, call, invocation, deadline)
        self.usable = self._reuse and self._instance.usable
        if isinstance(reply, errors.CallError):
            raise reply
        return reply

    def close(self) -> None:
        self._instance.close()
        self._imports.close()


class ComponentGuest:
    """One actor's component, ready to make instances.

    An instance serves one call unless `reuse` says that the component is known to take more: JavaScript's handlers of
    HTTP break at the second, and programs may keep what they should not.
    """

    def __init__(
        self,
        component: Component,
        actor: ActorContext,
        imports: Callable[[ActorContext], InstanceImports],
        bridge: Bridge,
        *,
        reuse: bool = False,
        in_pieces: frozenset[str] = frozenset(),
    ) -> None:
        self.in_pieces = in_pieces
        self._component = component
        self._actor = actor
        self._imports = imports
        self._bridge = bridge
        self._reuse = reuse
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
