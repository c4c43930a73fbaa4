"""The database file and the three connections to it: one writes, one reads, one moves the log into the file.

Everything here may wait for the disk and belongs on a thread, except the two connections that `store.py` uses.

A commit appends to the log (`-wal`). The log may be started over only when all of it is in the database file and that
is on disk, and the first commit after that must flush the new head of the log: without it a loss of power could bring
pages of the old log back into the newer file. `start_log` does both, so that no commit on the event loop ever flushes.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from lattice.errors import ConfigError
from lattice_keyvalue_sqlite.tables import SCHEMA, SCHEMA_VERSION

MOVE_BUSY_S = 0.1
"""How long starting the log over waits for readers, while writers wait too. Then it is left for the next time."""
STATEMENTS_MAX = 64
"""Prepared statements kept per connection; the provider has about 25."""


class DatabaseFile:
    """One file with one owner at a time; `writer` and `reader` are there after `open`."""

    writer: sqlite3.Connection
    reader: sqlite3.Connection

    def __init__(self, path: Path, flush_commits: bool) -> None:
        self.path = path
        self._log_path = path.with_name(path.name + "-wal")
        self._synchronous = "FULL" if flush_commits else "NORMAL"
        self._opened: list[sqlite3.Connection] = []

    def open(self) -> None:
        """Opens or creates the file. Raises `ConfigError` that says why it cannot be used."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._own()
            self.writer = self._connect(self._synchronous)
            self._check_schema()
            self.reader = self._connect("NORMAL")
            self.reader.execute("PRAGMA query_only = ON")
            self._mover = self._connect("NORMAL")
            self._mover.execute(f"PRAGMA busy_timeout = {int(MOVE_BUSY_S * 1000)}")
            self.start_log()
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise ConfigError(
                f"the key-value file {self.path} cannot be opened: {error}",
                remedy="check the folder, its permissions and its free space, or set another path",
            ) from error
        except ConfigError:
            self.close()
            raise

    def _own(self) -> None:
        """Keeps other providers out: two writers would wait for each other on their event loops.

        The lock is SQLite's own, on a file beside, so it ends with the process however that ends, and the database can
        still be looked into.
        """
        owner = sqlite3.connect(f"{self.path}-owner", timeout=0, isolation_level=None, check_same_thread=False)
        self._opened.append(owner)
        try:
            owner.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise ConfigError(
                f"the key-value file {self.path} is in use by another provider",
                remedy="stop that one, give each its own path, or let the actors share one provider with links",
            ) from error

    def _connect(self, synchronous: str) -> sqlite3.Connection:
        # No time to wait for a lock: these connections are used on the event loop.
        connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS_MAX
        )
        self._opened.append(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        return connection

    def _check_schema(self) -> None:
        (version,) = self.writer.execute("PRAGMA user_version").fetchone()
        (tables,) = self.writer.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version == 0 and tables == 0:
            self.writer.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            raise ConfigError(
                f"{self.path} is not a key-value file of this version: user_version is {version}, not {SCHEMA_VERSION}",
                remedy="set another path",
            )

    def log_bytes(self) -> int:
        """How much the log holds, or held since it was last started over."""
        try:
            return self._log_path.stat().st_size
        except FileNotFoundError:
            return 0

    def flush(self) -> None:
        """Brings every commit so far to disk. Raises `OSError`."""
        log = os.open(self._log_path, os.O_RDONLY)
        try:
            os.fsync(log)
        finally:
            os.close(log)

    def move_log(self) -> None:
        """Copies the log into the database file as far as it goes, while others read and write."""
        self._mover.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def start_log(self) -> bool:
        """Moves what is left of the log and starts it over, while nobody writes. False when a reader was in the way."""
        (busy, _pages, _moved) = self._mover.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            return False
        self.writer.execute("UPDATE log_starts SET count = count + 1")
        return True

    def close(self) -> None:
        """Lets go of the file; the last connection moves the log into it."""
        # The owner's connection was opened first and must go last.
        for connection in reversed(self._opened):
            connection.close()
        self._opened.clear()
