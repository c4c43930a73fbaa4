"""What a database must be able to do for the SQL contract."""

from __future__ import annotations

from typing import Literal, Protocol

from lattice.contracts.sqldb import Column
from lattice_sql.values import Parameter, RowBuffer

Code = Literal["config", "db", "io", "notFound", "encoding", "decoding", "provider", "other"]


class SqlFailure(Exception):
    """A statement failed, with the contract's code for the reason:

    config: no database of that name. db: the database refused it. io: the database cannot be reached or its disk
    fails. decoding: a parameter cannot be read or has a type that the database does not take there. encoding: a
    result value has no CBOR form. provider: a limit of the provider - time, rows, bytes, statements that wait.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Database(Protocol):
    """One database of one link. Every method raises `SqlFailure`.

    Each statement is a transaction of its own: one that fails, also by a limit, has changed nothing. Statements that
    begin or end transactions are refused, because the next statement may run on another connection.
    """

    async def execute(self, sql: str, parameters: list[Parameter]) -> int:
        """Runs a statement; returns how many rows it inserted, changed or deleted, or just found."""

    async def query(self, sql: str, parameters: list[Parameter], rows: RowBuffer) -> list[Column]:
        """Runs a statement, puts its rows into `rows` and returns the columns."""

    async def check(self) -> None:
        """Raises when the database cannot be used."""

    async def close(self) -> None:
        """Ends what runs and closes the connections."""
