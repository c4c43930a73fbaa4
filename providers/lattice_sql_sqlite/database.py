"""One SQLite file: a connection that writes, and a few that only read and so never wait for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from lattice_sql import Parameter, RowBuffer, SqlFailure, as_text

from lattice.contracts.sqldb import Column
from lattice_sql_sqlite.connection import Connection

BUSY_S_MAX = 5.0
"""The longest wait for another process that writes to the same file, within the statement's own time."""
STORAGE = {int: "INTEGER", float: "REAL", str: "TEXT", bytes: "BLOB"}


class SqliteDatabase:
    """`timeout_s` is for each statement, its wait included."""

    def __init__(
        self, path: Path, pragmas: dict[str, str | int], readers: int, queue_max: int, timeout_s: float
    ) -> None:
        busy_s = min(timeout_s, BUSY_S_MAX)
        self._timeout_s = timeout_s
        self._writer = Connection(path, True, pragmas, busy_s, queue_max)
        self._readers = [Connection(path, False, {"query_only": 1}, busy_s, queue_max) for _ in range(readers)]

    async def open(self) -> None:
        """Makes the file if it is not there. Raises `SqlFailure`."""
        await self._writer.run(_version, self._timeout_s)

    async def execute(self, sql: str, parameters: list[Parameter]) -> int:
        values = bindable(parameters)

        def work(connection: sqlite3.Connection) -> int:
            cursor = connection.execute(sql, values)
            try:
                # The rows are of no interest here, but SQLite ends a statement only after its last one.
                found = sum(1 for _ in cursor)
                return found if cursor.rowcount < 0 else cursor.rowcount
            finally:
                cursor.close()

        return await self._writer.run(work, self._timeout_s)

    async def query(self, sql: str, parameters: list[Parameter], rows: RowBuffer) -> list[Column]:
        values = bindable(parameters)
        reader = min(self._readers, key=lambda connection: connection.load)
        try:
            return await reader.run(lambda connection: read_all(connection, sql, values, rows), self._timeout_s)
        except SqlFailure as error:
            cause = error.__cause__
            # A reader refuses to write before anything has happened. What writes and returns rows goes to the writer.
            if getattr(cause, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_READONLY:
                raise
        rows.clear()
        savepoint = self._writer.savepoint

        def work(connection: sqlite3.Connection) -> list[Column]:
            connection.execute(f"SAVEPOINT {savepoint}")
            # Without a release, as after a result over its limit, the connection rolls all of it back.
            columns = read_all(connection, sql, values, rows)
            connection.execute(f"RELEASE {savepoint}")
            return columns

        return await self._writer.run(work, self._timeout_s)

    async def check(self) -> None:
        await self._writer.run(_version, self._timeout_s)

    async def close(self) -> None:
        for connection in (*self._readers, self._writer):
            await connection.close()


def _version(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def read_all(connection: sqlite3.Connection, sql: str, values: Sequence[Any], rows: RowBuffer) -> list[Column]:
    cursor = connection.execute(sql, values)
    try:
        names = [column[0] for column in cursor.description or ()]
        # SQLite has types of values, not of columns: the first value that is not null stands for its column.
        types = ["NULL"] * len(names)
        unknown = set(range(len(names)))
        for row in cursor:
            rows.add(row)
            for index in [index for index in unknown if row[index] is not None]:
                types[index] = STORAGE[type(row[index])]
                unknown.discard(index)
        return [Column(ordinal=i, name=name, db_type=types[i]) for i, name in enumerate(names)]
    finally:
        cursor.close()


def bindable(parameters: list[Parameter]) -> list[Any]:
    """Parameters as SQLite takes them; times, decimals and UUIDs become text. Raises `SqlFailure`."""
    values = []
    for number, value in enumerate(parameters, 1):
        if isinstance(value, (list, dict)):
            raise SqlFailure("decoding", f"parameter {number} is an array or map, which SQLite cannot store")
        values.append(as_text(value) if isinstance(value, (date, Decimal, UUID)) else value)
    return values
