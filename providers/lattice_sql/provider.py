"""The SQL contract over any `Database`. A backend subclasses `Sql` and says which databases a link has."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import ClassVar

import pydantic

from lattice.contracts.sqldb import CONTRACT, ExecuteResult, QueryResult, SqlDbError, Statement
from lattice.provider import Link, NoSettings, Provider, Settings
from lattice_sql.database import Database, SqlFailure
from lattice_sql.values import Parameter, RowBuffer, TooLarge, Undecodable, Unencodable, read_parameter

MIB = 1024 * 1024
DEFAULT_DATABASE = "default"
EMPTY_ROWS = RowBuffer(0, 0).encoded()
GRACE_S = 2.0
"""After the statement's own time, for the database to report that it gave up, before nobody waits any longer."""


class SqlSettings(Settings):
    """What every SQL provider can be told about a link."""

    statement_timeout_s: float = pydantic.Field(10.0, gt=0, le=3600)
    """The longest a statement may take, waiting for its turn included. Then it is stopped."""
    rows_max: int = pydantic.Field(10_000, ge=1)
    """Rows in one result, which is held in memory whole, here and in the guest."""
    result_bytes_max: int = pydantic.Field(4 * MIB, ge=1)
    """Bytes of rows in one result: well below the 16 MiB that an actor takes as one payload."""
    sql_bytes_max: int = pydantic.Field(256 * 1024, ge=1)
    """Bytes in the text of one statement. Longer ones are usually values that should be parameters."""
    parameters_max: int = pydantic.Field(1000, ge=1, le=32_000)
    """Parameters of one statement; databases end at 32,000."""


class Attached:
    """One link: its limits and its databases by name."""

    def __init__(self, settings: SqlSettings, databases: dict[str, Database]) -> None:
        self.settings = settings
        self.databases = databases


class Sql(Provider[Attached, None]):
    """Subclasses set `name` and `attach_settings_type` and write `open_databases`.

    What goes wrong with a statement is told in its result, as the contract has it; no operation raises for it.
    """

    contract = CONTRACT
    settings_type: ClassVar[type[Settings]] = NoSettings

    @abstractmethod
    async def open_databases(self, settings: SqlSettings) -> dict[str, Database]:
        """The databases of a link by name; "default" is for statements that name none. Raises `errors.ConfigError`."""

    async def attach(self, link: Link, settings: SqlSettings) -> Attached:
        return Attached(settings, await self.open_databases(settings))

    async def detach(self, link: Link, attached: Attached) -> None:
        await _close(attached)

    async def health(self) -> None:
        for attached in list(self._attached.values()):
            for database in attached.databases.values():
                await database.check()

    async def stop(self) -> None:
        for attached in list(self._attached.values()):
            await _close(attached)

    async def execute(self, attached: Attached, statement: Statement) -> ExecuteResult:
        try:
            database, parameters = prepared(attached, statement)
            async with asyncio.timeout(attached.settings.statement_timeout_s + GRACE_S):
                return ExecuteResult(rows_affected=await database.execute(statement.sql, parameters))
        except Exception as error:
            return ExecuteResult(rows_affected=0, error=self._told(error))

    async def query(self, attached: Attached, statement: Statement) -> QueryResult:
        rows = RowBuffer(attached.settings.rows_max, attached.settings.result_bytes_max)
        try:
            database, parameters = prepared(attached, statement)
            async with asyncio.timeout(attached.settings.statement_timeout_s + GRACE_S):
                columns = await database.query(statement.sql, parameters, rows)
            return QueryResult(num_rows=rows.count, columns=columns, rows=rows.encoded())
        except Exception as error:
            return QueryResult(num_rows=0, columns=[], rows=EMPTY_ROWS, error=self._told(error))

    def _told(self, error: Exception) -> SqlDbError:
        match error:
            case SqlFailure():
                return SqlDbError(code=error.code, message=error.message)
            case TooLarge():
                return SqlDbError(code="provider", message=str(error))
            case Unencodable():
                return SqlDbError(code="encoding", message=f"a result value cannot be sent: {error}; cast it to text")
            case TimeoutError():
                return SqlDbError(code="provider", message="the statement did not end in time (statement_timeout_s)")
        self.context.log.error("%s failed", self.name, exc_info=error)
        return SqlDbError(code="other", message=f"{type(error).__name__}: {error}")


def prepared(attached: Attached, statement: Statement) -> tuple[Database, list[Parameter]]:
    """The database that a statement means and its parameters. Raises `SqlFailure`."""
    name = statement.database or DEFAULT_DATABASE
    database = attached.databases.get(name)
    if database is None:
        known = ", ".join(sorted(attached.databases)) or "none"
        raise SqlFailure("config", f"the link has no database {name!r}; it has: {known}")
    limits = attached.settings
    size = len(statement.sql.encode())
    if size > limits.sql_bytes_max:
        raise SqlFailure(
            "provider", f"the statement has {size} bytes; {limits.sql_bytes_max} are allowed (sql_bytes_max)"
        )
    given = statement.parameters or []
    if len(given) > limits.parameters_max:
        raise SqlFailure("provider", f"{len(given)} parameters are more than {limits.parameters_max} (parameters_max)")
    return database, [_parameter(number, data) for number, data in enumerate(given, 1)]


def _parameter(number: int, data: bytes) -> Parameter:
    try:
        return read_parameter(data)
    except Undecodable as error:
        raise SqlFailure("decoding", f"parameter {number} is not one CBOR value that can be bound: {error}") from error


async def _close(attached: Attached) -> None:
    for database in attached.databases.values():
        await database.close()
