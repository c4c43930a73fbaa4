"""The interface of a backend: one namespace of keys whose values are bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol


class Kind(IntEnum):
    """What a key holds. The numbers are stored: they never change."""

    VALUE = 0
    LIST = 1
    SET = 2


class Page(NamedTuple):
    """Some keys, and what to ask the next ones with; None when these are the last."""

    keys: list[str]
    cursor: str | None


class Swap(NamedTuple):
    """Whether it was done, and what the key held before (None: nothing)."""

    swapped: bool
    held: bytes | None


class Bucket(Protocol):
    """Values, counters, lists and sets under string keys of at most `rules.KEY_BYTES_MAX` bytes, as Redis has them.

    A key holds one kind at a time; an operation for another kind raises `errors.ProviderError` and changes nothing.
    A list or set that loses its last item is gone. Every method is atomic, and what it did is kept when it returns.
    All raise `errors.ProviderUnavailable` when the store cannot be used; then a write may or may not have happened,
    unless the backend says more.
    """

    def get(self, key: str) -> Awaitable[bytes | None]:
        """The value, None when there is none."""

    def set(self, key: str, value: bytes, expires_s: int = 0) -> Awaitable[None]:
        """Replaces whatever the key holds, its expiry included; 0 means that it never expires."""

    def delete(self, key: str) -> Awaitable[bool]:
        """Removes a key of any kind; says whether it was there."""

    def contains(self, key: str) -> Awaitable[bool]:
        """Whether the key holds anything, of any kind."""

    def increment(self, key: str, delta: int, wide: bool = False) -> Awaitable[int]:
        """Adds to a decimal integer and returns the sum; a missing key counts as 0, an expiry is kept.

        Raises `errors.ProviderError` when the value is no integer or the sum does not fit into 32 bits, 64 if `wide`.
        """

    def compare_and_swap(self, key: str, expected: bytes | None, value: bytes) -> Awaitable[Swap]:
        """Puts `value` in place of `expected` (None: of nothing) and keeps the expiry; changes nothing when the key
        holds something else by then. Values are compared: one that was changed and changed back is the same."""

    def list_keys(self, cursor: str | None) -> Awaitable[Page]:
        """Keys of any kind, some `rules.KEYS_PAGE_MAX` of them, in no order; those that no actor can name are left out.

        A key that is there all the while is on a page; one that is changed meanwhile may be on two, or on none.
        Raises `errors.ProviderError` for a cursor that is none.
        """

    def list_add(self, key: str, value: bytes) -> Awaitable[int]:
        """Appends; returns the new length."""

    def list_del(self, key: str, value: bytes) -> Awaitable[bool]:
        """Removes every occurrence of the value; says whether there was one."""

    def list_clear(self, key: str) -> Awaitable[bool]:
        """Removes the list; says whether it was there."""

    def list_range(self, key: str, start: int, stop: int) -> Awaitable[list[bytes]]:
        """The items from `start` to `stop`, both included; negative indexes count from the end."""

    def set_add(self, key: str, value: bytes) -> Awaitable[int]:
        """Returns the number of values added: 0 when it was there already."""

    def set_del(self, key: str, value: bytes) -> Awaitable[int]:
        """Returns the number of values removed."""

    def set_union(self, keys: Sequence[str]) -> Awaitable[list[bytes]]:
        """What is in any of the sets, sorted."""

    def set_intersection(self, keys: Sequence[str]) -> Awaitable[list[bytes]]:
        """What is in all of the sets, sorted; nothing when no set is named."""

    def set_query(self, key: str) -> Awaitable[list[bytes]]:
        """What is in the set, sorted."""

    def set_clear(self, key: str) -> Awaitable[bool]:
        """Removes the set; says whether it was there."""
