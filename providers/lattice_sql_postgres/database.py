"""One PostgreSQL database: a pool of connections that are made when needed, and made again when lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
from lattice_sql import Parameter, RowBuffer, SqlFailure

from lattice.contracts.sqldb import Column
from lattice_sql_postgres.codecs import set_codecs
from lattice_sql_postgres.failures import failure
from lattice_sql_postgres.statements import first_word

BATCH_ROWS = 100
"""Rows fetched at a time, so that a result too large is noticed before all of it is here."""
CLOSE_S_MAX = 5.0
"""From asking connections to end until they are cut."""

Result = TypeVar("Result")


class PostgresDatabase:
    """`timeout_s` is for each statement, its wait for a connection included."""

    def __init__(self, pool: Any, queue_max: int, timeout_s: float) -> None:
        self._pool = pool
        self._queue_max = queue_max
        self._timeout_s = timeout_s
        self._pending = 0

    async def execute(self, sql: str, parameters: list[Parameter]) -> int:
        async def work(connection: Any) -> int:
            statement = await prepare(connection, sql)
            if not statement.get_attributes():
                await statement.fetch(*parameters)
                return affected(statement.get_statusmsg())
            count = 0
            async with connection.transaction():
                cursor = await statement.cursor(*parameters)
                while batch := await cursor.fetch(BATCH_ROWS):
                    count += len(batch)
            return count

        return await self._run(work)

    async def query(self, sql: str, parameters: list[Parameter], rows: RowBuffer) -> list[Column]:
        async def work(connection: Any) -> list[Column]:
            statement = await prepare(connection, sql)
            attributes = statement.get_attributes()
            if not attributes:
                await statement.fetch(*parameters)
                return []
            # A cursor needs a transaction; an error in it, as of a result over its limit, undoes the statement.
            async with connection.transaction():
                cursor = await statement.cursor(*parameters)
                while batch := await cursor.fetch(BATCH_ROWS):
                    for row in batch:
                        rows.add(tuple(row))
            return [Column(ordinal=i, name=a.name, db_type=a.type.name) for i, a in enumerate(attributes)]

        return await self._run(work)

    async def check(self) -> None:
        async def work(connection: Any) -> None:
            await connection.fetchval("SELECT 1")

        await self._run(work)

    async def close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_S_MAX):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _run(self, work: Callable[[Any], Awaitable[Result]]) -> Result:
        if self._pending >= self._queue_max:
            raise SqlFailure("provider", f"{self._queue_max} statements are waiting (queue_max); try again later")
        self._pending += 1
        connected = False
        try:
            async with asyncio.timeout(self._timeout_s), self._pool.acquire() as connection:
                connected = True
                result = await work(connection)
                if connection.is_in_transaction():
                    await connection.execute("ROLLBACK")
                    raise SqlFailure(
                        "db", "a transaction over several statements is not possible; this one was rolled back"
                    )
                return result
        except TimeoutError as error:
            if connected:
                raise SqlFailure("provider", "the statement took too long (statement_timeout_s)") from error
            raise SqlFailure("io", "no connection to the server could be had in time") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            told = failure(error)
            assert told is not None, "every kind of error caught here has a failure"
            raise told from error
        finally:
            self._pending -= 1


async def prepare(connection: Any, sql: str) -> Any:
    if first_word(sql) == "copy":
        # The server would wait for the data, or send it, beside the statement; the connection would be lost over it.
        raise SqlFailure("db", "COPY is not possible here; use INSERT and SELECT")
    return await connection.prepare(sql)


def affected(status: str | None) -> int:
    """The count in a command's status, as in "INSERT 0 3" or "UPDATE 3"; 0 for commands without one."""
    last = (status or "").rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


async def open_pool(url: str, connections_max: int, connect_timeout_s: float, idle_s: float, timeout_s: float) -> Any:
    """A pool that connects when it must. Raises ValueError for a URL that cannot be one."""
    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=connections_max,
        timeout=connect_timeout_s,
        max_inactive_connection_lifetime=idle_s,
        init=set_codecs,
        server_settings={"application_name": "nanolattice", "statement_timeout": str(max(1, int(timeout_s * 1000)))},
    )
