"""The operations as SQL, run at once on one connection. No waiting, no transactions: `store.py` knows when.

Invariant: a method finds out that it must refuse before it writes anything, so a refusal leaves the transaction as it
was.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from lattice_keyvalue import Kind, Page, Swap, rules

from lattice import errors

SCHEMA_VERSION = 1
"""Kept in the file as `PRAGMA user_version`."""

# Rows are found by key alone and are mostly small, so every table is its own index (WITHOUT ROWID).
SCHEMA = """
CREATE TABLE entries (
    bucket TEXT NOT NULL, key TEXT NOT NULL, kind INTEGER NOT NULL,
    value,                 -- of a value its bytes; of a list or set how many items it has
    expires_ms INTEGER,    -- of a value, since 1970; NULL means never
    PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
CREATE INDEX entries_by_expiry ON entries (expires_ms) WHERE expires_ms IS NOT NULL;
CREATE TABLE items (
    bucket TEXT NOT NULL, key TEXT NOT NULL, position INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (bucket, key, position)
) WITHOUT ROWID;
CREATE TABLE members (
    bucket TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (bucket, key, value)
) WITHOUT ROWID;
CREATE TABLE log_starts (count INTEGER NOT NULL);
INSERT INTO log_starts VALUES (0);
"""

FIND = "SELECT kind, value, expires_ms FROM entries WHERE bucket = ? AND key = ?"
KEYS = "SELECT key, expires_ms FROM entries WHERE bucket = ? AND key > ? ORDER BY key LIMIT ?"
KEYS_FIRST = "SELECT key, expires_ms FROM entries WHERE bucket = ? ORDER BY key LIMIT ?"
PUT = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)"
CHANGE = "UPDATE entries SET value = ? WHERE bucket = ? AND key = ?"
DROP = "DELETE FROM entries WHERE bucket = ? AND key = ?"
ITEM_LAST = "SELECT max(position) FROM items WHERE bucket = ? AND key = ?"
ITEM_ADD = "INSERT INTO items VALUES (?, ?, ?, ?)"
ITEM_DEL = "DELETE FROM items WHERE bucket = ? AND key = ? AND value = ?"
ITEM_RANGE = "SELECT value FROM items WHERE bucket = ? AND key = ? ORDER BY position LIMIT ? OFFSET ?"
MEMBER_ADD = "INSERT OR IGNORE INTO members VALUES (?, ?, ?)"
MEMBER_DEL = "DELETE FROM members WHERE bucket = ? AND key = ? AND value = ?"
MEMBER_ALL = "SELECT value FROM members WHERE bucket = ? AND key = ? ORDER BY value"
CLEAR = {
    Kind.LIST: "DELETE FROM items WHERE bucket = ? AND key = ?",
    Kind.SET: "DELETE FROM members WHERE bucket = ? AND key = ?",
}
SWEEP = "DELETE FROM entries WHERE (bucket, key) IN (SELECT bucket, key FROM entries WHERE expires_ms <= ? LIMIT ?)"


class Tables:
    """One connection's view of the file. Methods raise `errors.ProviderError` to refuse, and `sqlite3.Error`.

    `items_max` bounds a list or set. `bucket` is the namespace of the link in every method.
    """

    def __init__(self, connection: sqlite3.Connection, items_max: int) -> None:
        self._run = connection.execute
        self._items_max = items_max

    def _find(self, bucket: str, key: str) -> tuple[int, bytes, int | None] | None:
        """(kind, value, expires_ms) of a key that is there and has not expired."""
        row: tuple[int, bytes, int | None] | None = self._run(FIND, (bucket, key)).fetchone()
        if row is not None and row[2] is not None and row[2] <= time.time() * 1000:
            return None
        return row

    def _length(self, bucket: str, key: str, wanted: Kind) -> int:
        """How many items a list or set has; 0 when there is none. Refuses a key of another kind."""
        row = self._find(bucket, key)
        if row is None:
            return 0
        if row[0] != wanted:
            raise rules.wrong_kind(key, wanted)
        return int(row[1])

    def get(self, bucket: str, key: str) -> bytes | None:
        row = self._find(bucket, key)
        if row is None:
            return None
        if row[0] != Kind.VALUE:
            raise rules.wrong_kind(key, Kind.VALUE)
        return row[1]

    def contains(self, bucket: str, key: str) -> bool:
        return self._find(bucket, key) is not None

    def set(self, bucket: str, key: str, value: bytes, expires_s: int) -> None:
        expires_ms = int(time.time() * 1000) + expires_s * 1000 if expires_s else None
        self._clear_items(bucket, key, self._find(bucket, key))
        self._run(PUT, (bucket, key, Kind.VALUE, value, expires_ms))

    def delete(self, bucket: str, key: str) -> bool:
        row = self._find(bucket, key)
        self._clear_items(bucket, key, row)
        self._run(DROP, (bucket, key))
        return row is not None

    def _clear_items(self, bucket: str, key: str, row: tuple[int, bytes, int | None] | None) -> None:
        if row is not None and row[0] != Kind.VALUE:
            self._run(CLEAR[Kind(row[0])], (bucket, key))

    def increment(self, bucket: str, key: str, delta: int, wide: bool) -> int:
        row = self._find(bucket, key)
        if row is None:
            total = rules.added(key, b"0", delta, wide)
            self._run(PUT, (bucket, key, Kind.VALUE, b"%d" % total, None))
            return total
        if row[0] != Kind.VALUE:
            raise rules.wrong_kind(key, Kind.VALUE)
        total = rules.added(key, row[1], delta, wide)
        self._run(CHANGE, (b"%d" % total, bucket, key))
        return total

    def compare_and_swap(self, bucket: str, key: str, expected: bytes | None, value: bytes) -> Swap:
        held = self.get(bucket, key)
        if held != expected:
            return Swap(False, held)
        if held is None:
            self._run(PUT, (bucket, key, Kind.VALUE, value, None))
        else:
            self._run(CHANGE, (value, bucket, key))
        return Swap(True, held)

    def list_keys(self, bucket: str, cursor: str | None) -> Page:
        """In order; a cursor is the last key that was looked at, which may have expired."""
        most = rules.KEYS_PAGE_MAX
        after = (KEYS_FIRST, (bucket, most)) if cursor is None else (KEYS, (bucket, cursor, most))
        rows = self._run(*after).fetchall()
        now_ms = time.time() * 1000
        keys = [key for key, expires_ms in rows if expires_ms is None or expires_ms > now_ms]
        return Page(keys, rows[-1][0] if len(rows) == most else None)

    def _resize(self, bucket: str, key: str, kind: Kind, length: int) -> None:
        if length:
            self._run(PUT, (bucket, key, kind, length, None))
        else:
            self._run(DROP, (bucket, key))

    def list_add(self, bucket: str, key: str, value: bytes) -> int:
        length = self._length(bucket, key, Kind.LIST)
        self._check_room(key, length)
        (last,) = self._run(ITEM_LAST, (bucket, key)).fetchone()
        self._run(ITEM_ADD, (bucket, key, 0 if last is None else last + 1, value))
        self._resize(bucket, key, Kind.LIST, length + 1)
        return length + 1

    def list_del(self, bucket: str, key: str, value: bytes) -> bool:
        length = self._length(bucket, key, Kind.LIST)
        removed = self._run(ITEM_DEL, (bucket, key, value)).rowcount if length else 0
        if removed:
            self._resize(bucket, key, Kind.LIST, length - removed)
        return removed > 0

    def list_clear(self, bucket: str, key: str) -> bool:
        return self._clear(bucket, key, Kind.LIST)

    def list_range(self, bucket: str, key: str, start: int, stop: int) -> list[bytes]:
        first, end = rules.span(self._length(bucket, key, Kind.LIST), start, stop)
        return self._values(f"the list {key!r}", ITEM_RANGE, (bucket, key, end - first, first))

    def set_add(self, bucket: str, key: str, value: bytes) -> int:
        length = self._length(bucket, key, Kind.SET)
        self._check_room(key, length)
        added = self._run(MEMBER_ADD, (bucket, key, value)).rowcount
        if added:
            self._resize(bucket, key, Kind.SET, length + 1)
        return added

    def set_del(self, bucket: str, key: str, value: bytes) -> int:
        length = self._length(bucket, key, Kind.SET)
        removed = self._run(MEMBER_DEL, (bucket, key, value)).rowcount if length else 0
        if removed:
            self._resize(bucket, key, Kind.SET, length - 1)
        return removed

    def set_query(self, bucket: str, key: str) -> list[bytes]:
        if not self._length(bucket, key, Kind.SET):
            return []
        return self._values(f"the set {key!r}", MEMBER_ALL, (bucket, key))

    def set_union(self, bucket: str, keys: Sequence[str]) -> list[bytes]:
        found: set[bytes] = set()
        room = rules.REPLY_BYTES_MAX
        for key in keys:
            for value in self.set_query(bucket, key):
                if value not in found:
                    found.add(value)
                    room -= len(value)
            if room < 0:
                raise rules.reply_too_large("the union")
        return sorted(found)

    def set_intersection(self, bucket: str, keys: Sequence[str]) -> list[bytes]:
        found: set[bytes] | None = None
        for key in keys:
            members = self.set_query(bucket, key)
            found = set(members) if found is None else found.intersection(members)
        return sorted(found or ())

    def _values(self, what: str, sql: str, parameters: tuple[object, ...]) -> list[bytes]:
        rows = self._run(sql, parameters)
        try:
            return rules.bounded(what, (value for (value,) in rows))
        finally:
            # A statement left half read would keep its snapshot, and with it the log from starting over.
            rows.close()

    def set_clear(self, bucket: str, key: str) -> bool:
        return self._clear(bucket, key, Kind.SET)

    def _clear(self, bucket: str, key: str, kind: Kind) -> bool:
        if not self._length(bucket, key, kind):
            return False
        self._run(CLEAR[kind], (bucket, key))
        self._run(DROP, (bucket, key))
        return True

    def sweep(self, count: int) -> int:
        """Removes up to `count` expired values; returns how many."""
        return self._run(SWEEP, (int(time.time() * 1000), count)).rowcount

    def _check_room(self, key: str, length: int) -> None:
        if length >= self._items_max:
            raise errors.ProviderError(
                f"{key!r} has {length} items, the limit of one list or set; nothing was changed",
                remedy="spread the items over several keys, or raise items_max in the provider's settings",
            )
