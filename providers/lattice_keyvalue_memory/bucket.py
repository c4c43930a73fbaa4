"""One namespace as a dictionary. Nothing waits here, so every operation is atomic."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lattice_keyvalue import Kind, Page, Swap, rules

Held = bytes | list[bytes] | set[bytes]
_KINDS: dict[type, Kind] = {bytes: Kind.VALUE, list: Kind.LIST, set: Kind.SET}


class MemoryBucket:
    """A `lattice_keyvalue.Bucket`. `now` is the time in seconds by which values expire."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._held: dict[str, Held] = {}
        self._ends: dict[str, float] = {}

    def held(self, key: str) -> Held | None:
        """What the key holds, of any kind."""
        ends = self._ends.get(key)
        if ends is not None and ends <= self._now():
            self.forget(key)
        return self._held.get(key)

    def put(self, key: str, held: Held, expires_s: float = 0) -> None:
        """Replaces whatever the key holds."""
        self._held[key] = held
        self._ends.pop(key, None)
        if expires_s:
            self._ends[key] = self._now() + expires_s

    def keys(self) -> list[str]:
        """Those that hold something, sorted."""
        return sorted(key for key in list(self._held) if self.held(key) is not None)

    def forget(self, key: str) -> None:
        """Removes what the key holds, if anything."""
        self._held.pop(key, None)
        self._ends.pop(key, None)

    def _value(self, key: str) -> bytes | None:
        held = self.held(key)
        if held is None or isinstance(held, bytes):
            return held
        raise rules.wrong_kind(key, Kind.VALUE)

    def _list(self, key: str) -> list[bytes]:
        held = self.held(key)
        if held is None or isinstance(held, list):
            return held or []
        raise rules.wrong_kind(key, Kind.LIST)

    def _set(self, key: str) -> set[bytes]:
        held = self.held(key)
        if held is None or isinstance(held, set):
            return held or set()
        raise rules.wrong_kind(key, Kind.SET)

    async def get(self, key: str) -> bytes | None:
        return self._value(key)

    async def set(self, key: str, value: bytes, expires_s: int = 0) -> None:
        self.put(key, value, expires_s)

    async def delete(self, key: str) -> bool:
        there = self.held(key) is not None
        self.forget(key)
        return there

    async def contains(self, key: str) -> bool:
        return self.held(key) is not None

    async def increment(self, key: str, delta: int, wide: bool = False) -> int:
        value = self._value(key)
        total = rules.added(key, b"0" if value is None else value, delta, wide)
        self._held[key] = b"%d" % total
        return total

    async def compare_and_swap(self, key: str, expected: bytes | None, value: bytes) -> Swap:
        held = self._value(key)
        if held == expected:
            self._held[key] = value
        return Swap(held == expected, held)

    async def list_keys(self, cursor: str | None) -> Page:
        """In order; a cursor is the last key of a page."""
        left = self.keys() if cursor is None else [key for key in self.keys() if key > cursor]
        keys = left[: rules.KEYS_PAGE_MAX]
        return Page(keys, keys[-1] if len(left) > len(keys) else None)

    async def list_add(self, key: str, value: bytes) -> int:
        items = self._list(key)
        items.append(value)
        self._held[key] = items
        return len(items)

    async def list_del(self, key: str, value: bytes) -> bool:
        items = self._list(key)
        left = [item for item in items if item != value]
        if left:
            self._held[key] = left
        elif items:
            self.forget(key)
        return len(left) < len(items)

    async def list_clear(self, key: str) -> bool:
        there = bool(self._list(key))
        self.forget(key)
        return there

    async def list_range(self, key: str, start: int, stop: int) -> list[bytes]:
        items = self._list(key)
        first, end = rules.span(len(items), start, stop)
        return rules.bounded(f"the list {key!r}", items[first:end])

    async def set_add(self, key: str, value: bytes) -> int:
        values = self._set(key)
        if value in values:
            return 0
        self._held[key] = values | {value}
        return 1

    async def set_del(self, key: str, value: bytes) -> int:
        values = self._set(key)
        if value not in values:
            return 0
        if len(values) == 1:
            self.forget(key)
        else:
            self._held[key] = values - {value}
        return 1

    async def set_union(self, keys: Sequence[str]) -> list[bytes]:
        found = set[bytes]().union(*(self._set(key) for key in keys))
        return rules.bounded("the union", sorted(found))

    async def set_intersection(self, keys: Sequence[str]) -> list[bytes]:
        sets = [self._set(key) for key in keys]
        return rules.bounded("the intersection", sorted(set.intersection(*sets))) if sets else []

    async def set_query(self, key: str) -> list[bytes]:
        return rules.bounded(f"the set {key!r}", sorted(self._set(key)))

    async def set_clear(self, key: str) -> bool:
        there = bool(self._set(key))
        self.forget(key)
        return there
