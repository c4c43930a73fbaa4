"""Handles: the small numbers by which a component names resources, and the rules of who owns and who borrows.

One table for each component instance. Source: the component model's "Canonical ABI Explainer", handles. What the guest
does wrong with a handle raises `errors.GuestProtocolError` and hurts only itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from lattice import errors
from lattice.wasm.component.host import GuestResource
from lattice.wasm.component.types import Handle, ResourceType

HANDLES_MAX = 65_536
"""Handles of one component instance at a time. Servers hold some tens; each may keep a Python object alive."""


class Entry(msgspec.Struct, eq=False):
    """What a handle stands for. `what` is the host's object, or the i32 that the guest represents its own by."""

    type: ResourceType
    what: Any
    own: bool
    call: CallHandles | None = None
    lends: int = 0


class Table:
    """The handles of one component instance. Numbers begin at 1, and freed ones are given again."""

    __slots__ = ("_free", "entries")

    def __init__(self) -> None:
        self.entries: list[Entry | None] = [None]
        self._free: list[int] = []

    def __iter__(self) -> Iterator[Entry]:
        return iter([entry for entry in self.entries if entry is not None] if len(self.entries) > 1 else ())

    def add(self, entry: Entry) -> int:
        if self._free:
            index = self._free.pop()
            self.entries[index] = entry
            return index
        if len(self.entries) > HANDLES_MAX:
            raise errors.GuestProtocolError(f"the guest holds {HANDLES_MAX} resources and takes one more")
        self.entries.append(entry)
        return len(self.entries) - 1

    def get(self, index: int, type_: ResourceType) -> Entry:
        entry = self.entries[index] if index < len(self.entries) else None
        if entry is None:
            raise errors.GuestProtocolError(f"the guest used the handle {index}, which stands for nothing")
        if entry.type is not type_ and entry.type != type_:
            raise errors.GuestProtocolError(f"the guest used the handle {index} as another type than it is of")
        return entry

    def remove(self, index: int, type_: ResourceType) -> Entry:
        entries = self.entries
        entry = entries[index] if index < len(entries) else None
        if entry is None or entry.type is not type_:
            entry = self.get(index, type_)
        if entry.lends:
            raise errors.GuestProtocolError(f"the guest gave away the handle {index} while it was lent")
        entries[index] = None
        self._free.append(index)
        return entry

    # For functions of the host that are known: nothing stays lent once their arguments are read.

    def lift(self, type_: Handle, index: int) -> Any:
        """As `CallHandles.lift`."""
        resource = type_.resource
        entry = self.remove(index, resource) if type_.own else self.get(index, resource)
        if type_.own and not entry.own:
            raise errors.GuestProtocolError(f"the guest gave away the handle {index}, which it only borrowed")
        return entry.what if resource.guest < 0 else GuestResource(entry.what)

    def lower(self, type_: Handle, value: Any) -> int:
        """A handle that the guest owns: no result holds a borrowed one."""
        resource = type_.resource
        if resource.guest >= 0:
            if not isinstance(value, GuestResource):
                raise TypeError(f"a resource of the guest is a GuestResource, not {type(value).__name__}")
            value = value.handle
        return self.add(Entry(resource, value, True))

    def new(self, type_: ResourceType, what: int) -> int:
        """A handle for a resource that the guest made itself."""
        return self.add(Entry(type_, what, True))


class CallHandles:
    """The handles that cross in one call, on the side of one component instance (`owner`)."""

    __slots__ = ("_lent", "_owner", "_table", "borrowed")

    def __init__(self, table: Table, owner: int) -> None:
        self._table = table
        self._owner = owner
        self._lent: list[Entry] | None = None
        self.borrowed = 0
        """Borrowed handles that this call gave to the instance and that it has not dropped."""

    def lift(self, type_: Handle, index: int) -> Any:
        resource = type_.resource
        if type_.own:
            entry = self._table.get(index, resource)
            if not entry.own:
                raise errors.GuestProtocolError(f"the guest gave away the handle {index}, which it only borrowed")
            self._table.remove(index, resource)
        else:
            entry = self._table.get(index, resource)
            if entry.own:
                entry.lends += 1
                if self._lent is None:
                    self._lent = []
                self._lent.append(entry)
        return entry.what if resource.guest < 0 else GuestResource(entry.what)

    def lower(self, type_: Handle, value: Any) -> int:
        resource = type_.resource
        if resource.guest >= 0:
            if not isinstance(value, GuestResource):
                raise TypeError(f"a resource of the guest is a GuestResource, not {type(value).__name__}")
            value = value.handle
            if not type_.own and resource.owner == self._owner:
                return int(value)
        if type_.own:
            return self._table.add(Entry(resource, value, True))
        index = self._table.add(Entry(resource, value, False, self))
        self.borrowed += 1
        return index

    def returned(self) -> None:
        """What the guest lent for its call of a host function is its own again."""
        for entry in self._lent or ():
            entry.lends -= 1
        self._lent = None

    def finish(self) -> None:
        """At the end of a call into the guest. Raises `errors.GuestProtocolError` when it kept what it borrowed."""
        if self.borrowed:
            raise errors.GuestProtocolError(f"the guest returned and kept {self.borrowed} borrowed resources")
