"""Values, counters, lists and sets under keys: the contract wasmcloud:keyvalue.

The functions of this module go along the link "default"; `open("cache")` goes along another.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from nanolattice import host, records

CONTRACT = "wasmcloud:keyvalue"

T = TypeVar("T")


class Store:
    """The store at the end of one link. Every method raises `Error` when the store cannot do it."""

    def __init__(self, link: str = "default") -> None:
        self.link = link

    def _ask(self, operation: str, message: Any) -> Any:
        return host.ask(self.link, CONTRACT, f"KeyValue.{operation}", message)

    def get(self, key: str) -> str | None:
        """The value, or None."""
        found = self._ask("Get", key)
        return found["value"] if found["exists"] else None

    def set(self, key: str, value: str, expires_s: int = 0) -> None:
        """Sets the value; it goes away after so many seconds, 0 being never."""
        self._ask("Set", {"key": key, "value": value, "expires": expires_s})

    def get_json(self, key: str, type_: type[T]) -> T | None:
        """The value as a dataclass or whatever `type_` says, or None. Raises `Error` "invalid" for another."""
        text = self.get(key)
        return None if text is None else records.from_json(type_, text, f"the value of {key}")

    def set_json(self, key: str, value: object, expires_s: int = 0) -> None:
        """Stores a dataclass, a dict or a list as JSON."""
        self.set(key, json.dumps(records.plain(value), ensure_ascii=False, separators=(",", ":")), expires_s)

    def delete(self, key: str) -> bool:
        """Whether there was something to delete."""
        return bool(self._ask("Del", key))

    def contains(self, key: str) -> bool:
        return bool(self._ask("Contains", key))

    def increment(self, key: str, by: int = 1) -> int:
        """Adds to a counter, at once and whole whoever else counts, and returns the new number."""
        return int(self._ask("Increment", {"key": key, "value": by}))

    def list_add(self, key: str, value: str) -> int:
        """Appends, and returns the new length."""
        return int(self._ask("ListAdd", {"listName": key, "value": value}))

    def list_remove(self, key: str, value: str) -> bool:
        """Removes the value; whether it was there."""
        return bool(self._ask("ListDel", {"listName": key, "value": value}))

    def list_range(self, key: str, start: int = 0, stop: int = -1) -> list[str]:
        """Items from `start` to `stop`, both included; -1 is the last."""
        return list(self._ask("ListRange", {"listName": key, "start": start, "stop": stop}))

    def list_clear(self, key: str) -> bool:
        return bool(self._ask("ListClear", key))

    def set_add(self, key: str, value: str) -> bool:
        """Whether it is new in the set."""
        return bool(self._ask("SetAdd", {"setName": key, "value": value}))

    def set_remove(self, key: str, value: str) -> bool:
        """Whether it was there."""
        return bool(self._ask("SetDel", {"setName": key, "value": value}))

    def set_members(self, key: str) -> list[str]:
        return list(self._ask("SetQuery", key))

    def set_union(self, *keys: str) -> list[str]:
        return list(self._ask("SetUnion", keys))

    def set_intersection(self, *keys: str) -> list[str]:
        return list(self._ask("SetIntersection", keys))

    def set_clear(self, key: str) -> bool:
        return bool(self._ask("SetClear", key))


def open(link: str) -> Store:
    """The store at the end of the link with that name."""
    return Store(link)


_default = Store()
get = _default.get
set = _default.set
get_json = _default.get_json
set_json = _default.set_json
delete = _default.delete
contains = _default.contains
increment = _default.increment
list_add = _default.list_add
list_remove = _default.list_remove
list_range = _default.list_range
list_clear = _default.list_clear
set_add = _default.set_add
set_remove = _default.set_remove
set_members = _default.set_members
set_union = _default.set_union
set_intersection = _default.set_intersection
set_clear = _default.set_clear
