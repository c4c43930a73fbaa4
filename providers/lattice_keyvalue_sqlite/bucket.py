"""The bucket of one link: which operation reads and which writes."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from lattice_keyvalue import Page, Swap

from lattice_keyvalue_sqlite.store import Store


class SqliteBucket:
    """A `Bucket`: one namespace of a `Store`. What a write did is committed when it returns."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    async def get(self, key: str) -> bytes | None:
        return self._store.read(self._store.snapshot.get, self._name, key)

    async def contains(self, key: str) -> bool:
        return self._store.read(self._store.snapshot.contains, self._name, key)

    async def list_keys(self, cursor: str | None) -> Page:
        return self._store.read(self._store.snapshot.list_keys, self._name, cursor)

    async def list_range(self, key: str, start: int, stop: int) -> list[bytes]:
        return self._store.read_whole(self._store.snapshot.list_range, self._name, key, start, stop)

    async def set_query(self, key: str) -> list[bytes]:
        return self._store.read_whole(self._store.snapshot.set_query, self._name, key)

    async def set_union(self, keys: Sequence[str]) -> list[bytes]:
        return self._store.read_whole(self._store.snapshot.set_union, self._name, keys)

    async def set_intersection(self, keys: Sequence[str]) -> list[bytes]:
        return self._store.read_whole(self._store.snapshot.set_intersection, self._name, keys)

    # Not `async def`: the store's coroutine is the answer, and one coroutine more costs on the busiest path.

    def set(self, key: str, value: bytes, expires_s: int = 0) -> Coroutine[Any, Any, None]:
        return self._store.write(self._store.tables.set, self._name, key, value, expires_s)

    def delete(self, key: str) -> Coroutine[Any, Any, bool]:
        return self._store.write(self._store.tables.delete, self._name, key)

    def increment(self, key: str, delta: int, wide: bool = False) -> Coroutine[Any, Any, int]:
        return self._store.write(self._store.tables.increment, self._name, key, delta, wide)

    def compare_and_swap(self, key: str, expected: bytes | None, value: bytes) -> Coroutine[Any, Any, Swap]:
        return self._store.write(self._store.tables.compare_and_swap, self._name, key, expected, value)

    def list_add(self, key: str, value: bytes) -> Coroutine[Any, Any, int]:
        return self._store.write(self._store.tables.list_add, self._name, key, value)

    def list_del(self, key: str, value: bytes) -> Coroutine[Any, Any, bool]:
        return self._store.write(self._store.tables.list_del, self._name, key, value)

    def list_clear(self, key: str) -> Coroutine[Any, Any, bool]:
        return self._store.write(self._store.tables.list_clear, self._name, key)

    def set_add(self, key: str, value: bytes) -> Coroutine[Any, Any, int]:
        return self._store.write(self._store.tables.set_add, self._name, key, value)

    def set_del(self, key: str, value: bytes) -> Coroutine[Any, Any, int]:
        return self._store.write(self._store.tables.set_del, self._name, key, value)

    def set_clear(self, key: str) -> Coroutine[Any, Any, bool]:
        return self._store.write(self._store.tables.set_clear, self._name, key)
