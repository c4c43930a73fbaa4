"""What values are read from and written to while they cross a component's border: memory, and tables of handles.

Reading is bounded by `Crossing.budget`, because a list can name the same bytes again and again: a guest of some
megabytes could make the host build gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from lattice import errors
from lattice.wasm.component.types import Handle

LIFTED_BYTES_MAX = 128 * 1024 * 1024
"""What one call may make of the guest's memory here, in bytes of strings and byte lists; the largest payload is 16 MiB
unless a manifest says otherwise."""
ELEMENT_BYTES = 64
"""What an element of another list counts: about what Python takes for a small object and its place in a list."""

WALKED_BYTES = 1024
"""And one that is no number, which is made by itself. It takes less room, but about a microsecond, in which nobody else
has a turn: a call may have some hundred thousand."""
BYTES_PER_BYTE = 16
"""What each byte of such an element counts too: a field of two bytes becomes an integer and its place in a tuple."""

NOTHING = memoryview(b"")


class GuestMemory(Protocol):
    """One linear memory, and the guest's own function that makes room in it."""

    view: memoryview

    def look(self) -> memoryview:
        """Renews `view`: the guest may have grown its memory since. Older views stay good, but are shorter."""
        ...


class HandleTable(Protocol):
    def lift(self, type_: Handle, index: int) -> Any:
        """The resource behind a handle of the guest's. Raises `errors.GuestProtocolError`."""
        ...

    def lower(self, type_: Handle, resource: Any) -> int:
        """A handle for the guest."""
        ...


class Crossing:
    """One way of values across the border: those of one call, in one direction."""

    __slots__ = ("_memory", "_realloc", "budget", "encoding", "handles", "view")

    def __init__(
        self,
        memory: GuestMemory | None,
        realloc: Callable[[int, int], int] | None,
        encoding: str,
        handles: HandleTable,
    ) -> None:
        self._memory = memory
        self._realloc = realloc
        self.view = memory.view if memory is not None else NOTHING
        self.encoding = encoding
        self.handles = handles
        self.budget = LIFTED_BYTES_MAX

    def spend(self, cost: int) -> None:
        self.budget -= cost
        if self.budget < 0:
            raise errors.GuestProtocolError(f"the guest's values take more than {LIFTED_BYTES_MAX} bytes here")

    def inside(self, at: int, alignment: int, size: int) -> int:
        """The address, if what is there may be read or written. Raises `errors.GuestProtocolError`."""
        if at & (alignment - 1):
            raise errors.GuestProtocolError(f"the guest named a value at {at}, which is not a multiple of {alignment}")
        if at + size > len(self.view) and (self._memory is None or at + size > len(self._look())):
            raise errors.GuestProtocolError(f"the guest named {size} bytes at {at}, outside its memory")
        return at

    def allocate(self, alignment: int, size: int) -> int:
        """Room in the guest's memory, made by the guest. Raises `errors.GuestProtocolError`, `errors.GuestTrapped`."""
        if self._realloc is None or self._memory is None:
            raise errors.GuestProtocolError("the guest takes values in memory and offers no way to make room for them")
        return self.inside(self._realloc(alignment, size), alignment, size)

    def _look(self) -> memoryview:
        """Only when the view is too short: memory grows seldom, and asking costs as much as reading."""
        assert self._memory is not None
        self.view = self._memory.look()
        return self.view

    def renew(self) -> Crossing:
        """Ready for the next call of the same function."""
        self.budget = LIFTED_BYTES_MAX
        return self
