"""What a component may import, as Python sees it: the seam between the canonical ABI and the interfaces of WASI.

How a WIT type looks here:

| WIT | Python |
|---|---|
| bool, integers, floats, string | bool, int, float, str |
| char | a str of one character |
| list<T> | list; list<u8> is bytes. Lowering takes bytearray and memoryview too |
| tuple, record | tuple, a record's in the order of its fields |
| option<T> | None or the value; where T is itself an option: None or ("some", value) |
| result | `Ok(value)` or `Err(value)`; None where there is no value |
| variant | (name of the case, payload or None) |
| enum, flags | name of the case; frozenset of names |
| own<R>, borrow<R> | the Python object itself if the host made R; `GuestResource` if the guest did |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from lattice.wasm.component.types import FunctionType


class Ok(msgspec.Struct, frozen=True):
    """The good case of a WIT result."""

    value: Any = None


class Err(msgspec.Struct, frozen=True):
    """The bad case of a WIT result: a failure that the interface foresees."""

    value: Any = None


class GuestResource(msgspec.Struct, frozen=True):
    """A resource that the guest made, as the host holds it; given back to the guest as an argument."""

    handle: int


class ByType(msgspec.Struct, frozen=True):
    """A function whose values differ between versions of its interface, which are not told apart by name: `made` gives
    the one for the type that the guest imports it with."""

    made: Callable[[FunctionType], Callable[..., Any]]


def of_type(function: Callable[..., Any] | ByType, type_: FunctionType) -> Callable[..., Any]:
    """The one for this type."""
    return function.made(type_) if isinstance(function, ByType) else function


class KnownFunction(msgspec.Struct, frozen=True):
    """A function that is the same for every instance. It gets the instance's `HostInterfaces` before the arguments if
    it is `of_instance`. One that `waits` may return a coroutine; any other never does."""

    function: Callable[..., Any] | ByType
    of_instance: bool
    waits: bool


class HostInterfaces(Protocol):
    """What one guest instance may import. Made for that instance and not shared.

    Interfaces are named without a version, as in "wasi:io/streams": a component mixes versions of one interface.
    """

    def function(self, interface: str, name: str) -> Callable[..., Any] | ByType | None:
        """The function of that name, or None if there is none here: a guest that calls it then traps.

        Names are those of the component encoding: "now", "[method]input-stream.read", "[constructor]fields",
        "[static]fields.from-list". The callable takes the lifted arguments in order. It returns the result, None where
        there is none, or a coroutine that returns it: the guest sleeps meanwhile. A foreseen failure is an `Err`; what
        is raised ends the guest.
        """
        ...

    def resource(self, interface: str, name: str) -> bool:
        """Whether the host makes resources of this type."""
        ...

    def drop(self, interface: str, name: str, resource: object) -> None:
        """The guest let go of a resource that it owned. Must not wait and must not fail."""
        ...
