"""Interfaces of components' own: functions that one exports and others call, and those that it imports from others.

A call between the two is one like any other: the contract is the interface without its version, the operation the
function, the payload what `component.messages` says. Who calls an actor by its key or alias names both in the
operation, as in "lattice:parcels/postage.price".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any

from lattice import errors, wire
from lattice.contracts.interfaces import is_of_others, names_interface, split, without_version
from lattice.invocation import Invocation
from lattice.wasm.component.host import ByType, Err
from lattice.wasm.component.messages import Signature, travels
from lattice.wasm.component.plan import HostFunction, Lowered, Plan
from lattice.wasm.component.types import FunctionType, Primitive, Variant
from lattice.wasm.failures import failure
from lattice.wasm.guest import ActorContext
from lattice.wasm.wasi.bridges import ANSWERING, ANY, Call, serve
from lattice.wasm.wasi.instance import Grants
from lattice.wasm.wasi.interfaces import InstanceInterfaces

NAMES_TOLD_MAX = 10
"""Functions or interfaces named in an error: enough to see what was meant."""
NAME_CHARS_MAX = 100
INLINE_BYTES_MAX = 16 * 1024
"""Larger messages are read in a thread: what is in one takes up to forty milliseconds, and others want a turn."""


class OwnExports:
    """What others may call of one component, whatever its instance. `serve` is its `Bridge`."""

    def __init__(self, plan: Plan) -> None:
        self._types = {
            key: function.type for key, function in plan.exports.items() if key[0] and key[0] not in ANSWERING
        }
        self._signatures: dict[tuple[str, str], Signature] = {}

    def __bool__(self) -> bool:
        """Whether there is anything that can be called."""
        return any(travels(type_) for type_ in self._types.values())

    async def serve(
        self,
        instance: ComponentImports,
        exports: Collection[str],
        call: Call,
        invocation: Invocation,
        deadline: float,
    ) -> bytes | errors.CallError:
        """Answers one call, by a function of the component's own or by one that the host knows. Returns the failure
        that the guest tells, raises any other `errors.CallError`."""
        try:
            return await self._serve(instance, exports, call, invocation, deadline)
        except errors.GuestTrapped as error:
            if instance.ended_by is None:
                raise
            # What is over soon is so for who called the guest too, as when a waPC actor hands it on.
            text = wire.error_text(instance.ended_by).encode()
            found = failure(text, text)
            raise (error if type(found) is errors.GuestError else found) from error.__cause__

    async def _serve(
        self, instance: ComponentImports, exports: Collection[str], call: Call, invocation: Invocation, deadline: float
    ) -> bytes | errors.CallError:
        named = self._named(invocation)
        if named is None or (ANY[0] in exports and named not in self._types):
            return await serve(instance, exports, call, invocation, deadline)
        target = invocation.target
        for contract in (invocation.contract, "" if target is None else target.contract):
            # A contract has a colon, and is what claims and links were asked about; a key or an alias has none.
            if ":" in contract and named[0] != without_version(contract):
                raise errors.OperationUnknown(
                    f"{invocation.operation[:NAME_CHARS_MAX]} is no operation of {contract[:NAME_CHARS_MAX]}",
                    remedy="call it along a link for its own interface, or by the actor's key",
                )
        signature = self._signatures.get(named) or self._signature(instance.actor, *named)
        arguments = await _read(signature.read_arguments, invocation.payload)
        instance.begin(invocation, deadline)
        try:
            result = await call(*named, *arguments)
        finally:
            instance.end()
        reply = signature.write_result(result)
        if len(reply) > instance.actor.limits.payload_bytes_max:
            raise instance.too_large("a reply", len(reply))
        return reply

    @staticmethod
    def _named(invocation: Invocation) -> tuple[str, str] | None:
        if "/" in invocation.operation:
            return split(invocation.operation)
        if names_interface(invocation.contract):
            return without_version(invocation.contract), invocation.operation
        return None

    def _signature(self, actor: ActorContext, interface: str, function: str) -> Signature:
        type_ = self._types.get((interface, function))
        if type_ is None:
            raise self._unknown(actor.key, interface, function)
        if not travels(type_):
            raise errors.OperationUnknown(
                f"{interface}.{function} of {actor.key} takes or gives resources, and those stay in their component",
                remedy="export a function of plain values for others",
            )
        signature = self._signatures[interface, function] = Signature(f"{interface}.{function}", type_)
        return signature

    def _unknown(self, key: str, interface: str, function: str) -> errors.OperationUnknown:
        functions = sorted(name for of, name in self._types if of == interface)
        if functions:
            return errors.OperationUnknown(
                f"{key} has no function {function[:NAME_CHARS_MAX]!r} in {interface}",
                remedy=f"it has {_told(functions)}",
            )
        exported = sorted({of for of, _ in self._types})
        return errors.OperationUnknown(
            f"{key} does not export {interface[:NAME_CHARS_MAX]}",
            remedy=f"it exports {_told(exported)}" if exported else "it exports no interface of its own",
        )


class _Import:
    """A function that a component imports from others."""

    def __init__(self, interface: str, function: str, type_: FunctionType) -> None:
        self.type = type_
        self._interface = interface
        self._function = function
        self._signature: Signature | None = None
        self._texts = _fails_with_text(type_)

    def bind(self, instance: ComponentImports) -> Callable[..., Awaitable[Any]]:
        """Raises `errors.GuestError`, which ends the guest that calls it."""
        if self._signature is None:
            if not travels(self.type):
                raise errors.GuestError(
                    f"the guest called {self._interface}.{self._function}, which takes or gives resources: those of"
                    " other components cannot be used"
                )
            self._signature = Signature(f"{self._interface}.{self._function}", self.type)
        return partial(self._call, instance, self._signature)

    async def _call(self, instance: ComponentImports, signature: Signature, *arguments: Any) -> Any:
        try:
            reply = await instance.pass_on(
                "default", self._interface, self._function, signature.write_arguments(arguments)
            )
            return await _read(signature.read_result, reply)
        except errors.CallError as error:
            text = wire.error_text(error)
            if self._texts:
                return Err(text)
            instance.ended_by = error
            raise errors.GuestError(f"the call of {self._interface}.{self._function} failed: {text}") from error


class OwnImports:
    """What a component imports that is none of the host's interfaces."""

    def __init__(self, plan: Plan) -> None:
        self._functions: dict[tuple[str, str], _Import] = {}
        self._ambiguous: set[tuple[str, str]] = set()
        for trampoline in plan.trampolines:
            target = trampoline.target if isinstance(trampoline, Lowered) else None
            if isinstance(target, HostFunction) and is_of_others(target.interface):
                self._add(target)

    def _add(self, target: HostFunction) -> None:
        key = target.interface, target.name
        known = self._functions.setdefault(key, _Import(*key, target.type))
        if known.type != target.type:
            self._ambiguous.add(key)

    def function(self, instance: ComponentImports, interface: str, name: str) -> Callable[..., Any] | None:
        """Raises `errors.GuestError`."""
        found = self._functions.get((interface, name))
        if found is None:
            return None
        if (interface, name) in self._ambiguous:
            raise errors.GuestError(
                f"the guest imports {interface}.{name} in two versions with different types, and versions are not"
                " told apart"
            )
        return found.bind(instance)


class ComponentImports(InstanceInterfaces):
    """Everything that one instance imports: the interfaces of the host, and those of other actors."""

    __slots__ = ("_own", "ended_by")

    def __init__(self, actor: ActorContext, grants: Grants, own: OwnImports) -> None:
        super().__init__(actor, grants)
        self._own = own
        self.ended_by: errors.CallError | None = None
        """Why the call failed for which the guest had no place."""

    def function(self, interface: str, name: str) -> Callable[..., Any] | ByType | None:
        return super().function(interface, name) or self._own.function(self, interface, name)


async def _read(read: Callable[[bytes], Any], message: bytes) -> Any:
    return read(message) if len(message) <= INLINE_BYTES_MAX else await asyncio.to_thread(read, message)


def _fails_with_text(type_: FunctionType) -> bool:
    """Whether a failed call can be told to the guest: the result is one, and its error a string."""
    result = type_.result
    return isinstance(result, Variant) and result.form == "result" and result.cases[1] == Primitive("string")


def _told(names: list[str]) -> str:
    more = len(names) - NAMES_TOLD_MAX
    return ", ".join(names[:NAMES_TOLD_MAX]) + (f" and {more} more" if more > 0 else "")
