"""SQL on SQLite: an actor stays in its file and its limits, and the file outlives crashes and other users."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import cbor2
import pytest
from lattice_sql_sqlite import SqlSqlite

from lattice import errors
from lattice.contracts.sqldb import Statement
from lattice.testing import ProviderRig, provider_rig


async def run(rig: ProviderRig, sql: str, *values: Any, operation: str = "Query", actor: str = "actor") -> Any:
    statement = Statement(sql=sql, parameters=[cbor2.dumps(value) for value in values])
    return await rig.call(f"SqlDb.{operation}", statement, actor=actor)


async def rows(rig: ProviderRig, sql: str, *values: Any) -> list[list[Any]]:
    result = await run(rig, sql, *values)
    assert result.error is None, result.error
    return cbor2.loads(result.rows)


@pytest.fixture
async def rig(tmp_path) -> AsyncIterator[ProviderRig]:
    async with provider_rig(SqlSqlite, tmp_path / "data") as started:
        await started.attach()
        yield started


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH '{outside}' AS other",
        "ATTACH DATABASE '' AS other",
        "DETACH main",
        "VACUUM INTO '{outside}'",
        "VACUUM",
        "SELECT load_extension('x')",
        "PRAGMA query_only = 0",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA writable_schema = 1",
        "PRAGMA max_page_count = 1000000",
        "PRAGMA temp_store_directory = '/tmp'",
        "PRAGMA database_list",
        "SELECT * FROM pragma_database_list",
        "BEGIN IMMEDIATE",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT mine",
        "RELEASE mine",
        "CREATE TEMP TABLE t (i)",
        "CREATE TEMP VIEW v AS SELECT 1",
    ],
)
async def test_what_leads_out_of_the_file_or_past_the_statement_is_refused(rig, tmp_path, sql):
    outside = tmp_path / "outside.db"
    sqlite3.connect(outside).close()
    outside.unlink(missing_ok=True)
    for operation in ("Query", "Execute"):
        result = await run(rig, sql.format(outside=outside), operation=operation)
        assert (result.error.code, "not allowed" in result.error.message) == ("db", True), (operation, result.error)
    assert not outside.exists()
    assert await rows(rig, "SELECT 1") == [[1]]


async def test_the_schema_can_be_looked_at(rig):
    await run(rig, "CREATE TABLE t (i INTEGER PRIMARY KEY, name TEXT)", operation="Execute")
    assert [row[1] for row in await rows(rig, "PRAGMA table_info(t)")] == ["i", "name"]
    assert await rows(rig, "SELECT name FROM sqlite_schema WHERE type = 'table'") == [["t"]]


@pytest.mark.parametrize("path", ["../out.db", "a/../../out.db", ":memory:", "", "."])
async def test_a_path_that_is_no_file_of_the_data_folder_is_refused(rig, path):
    with pytest.raises(errors.ConfigError, match="path"):
        await rig.attach("another", path=path)


async def test_a_file_that_is_not_a_database_is_refused_with_the_link(rig, tmp_path):
    (tmp_path / "text.db").write_text("this is not a database, but long enough to look at" * 100)
    with pytest.raises(errors.ConfigError, match="not a database"):
        await rig.attach("another", path=str(tmp_path / "text.db"))
    with pytest.raises(errors.ConfigError):
        await rig.attach("another", path=str(tmp_path / "text.db" / "below.db"))
    for wrong in ("nonsense", "[]", '{"a": 1}', str({f"d{i}": "x" for i in range(17)}).replace("'", '"')):
        with pytest.raises(errors.ConfigError, match="databases"):
            await rig.attach("another", databases=wrong)


async def test_an_absolute_path_is_used_as_it_is(rig, tmp_path):
    await rig.attach("another", path=str(tmp_path / "elsewhere" / "x.db"))
    assert (tmp_path / "elsewhere" / "x.db").exists()
    assert (tmp_path / "data" / "default.db").exists()


async def test_the_size_of_the_file_is_limited(rig):
    await rig.attach("small", path="small.db", database_bytes_max=str(64 * 4096))
    await run(rig, "CREATE TABLE t (v BLOB)", operation="Execute", actor="small")
    result = await run(rig, "INSERT INTO t VALUES (?)", b"x" * 300_000, operation="Execute", actor="small")
    assert (result.error.code, "database_bytes_max" in result.error.message) == ("io", True)
    small = await run(rig, "INSERT INTO t VALUES (?)", b"x" * 1000, operation="Execute", actor="small")
    assert small.error is None


async def test_a_value_cannot_take_the_memory_of_the_host(rig):
    for sql in ("SELECT length(zeroblob(1000000000))", "SELECT length(hex(randomblob(40000000)))"):
        result = await run(rig, sql)
        assert result.error.code == "provider"
    pattern = "%a" * 5000
    assert (await run(rig, "SELECT ? LIKE ?", "a" * 10, pattern)).error is not None


async def test_times_decimals_and_uuids_are_stored_as_text_and_the_rest_refused(rig):
    when = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)
    key = uuid.UUID(int=7)
    values = await rows(rig, "SELECT ?, ?, ?, ?", when, Decimal("1.10"), key, True)
    assert values == [["2024-02-29 12:00:00+00:00", "1.10", str(key), 1]]
    for wrong in ([1], {"a": 1}, 2**63):
        assert (await run(rig, "SELECT ?", wrong)).error.code == "decoding"


async def test_the_type_of_a_column_is_that_of_its_first_value(rig):
    result = await run(rig, "SELECT NULL AS a, 1 AS b, NULL AS c UNION ALL SELECT 'x', 1.5, NULL ORDER BY 2")
    assert [column.db_type for column in result.columns] == ["TEXT", "INTEGER", "NULL"]


async def test_a_writer_in_another_process_is_waited_for_and_then_reported(rig, tmp_path):
    await rig.attach("hasty", statement_timeout_s="0.3")
    await run(rig, "CREATE TABLE t (i)", operation="Execute")
    other = sqlite3.connect(tmp_path / "data" / "default.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        result = await run(rig, "INSERT INTO t VALUES (1)", operation="Execute", actor="hasty")
        assert (result.error.code, "another connection" in result.error.message) == ("db", True)
        assert (await run(rig, "SELECT * FROM t", actor="hasty")).error is None
        waiting = asyncio.create_task(run(rig, "INSERT INTO t VALUES (2)", operation="Execute"))
        await asyncio.sleep(0.1)
        other.execute("COMMIT")
        assert (await waiting).error is None
    finally:
        other.close()


async def test_threads_end_with_the_link(tmp_path):
    async with provider_rig(SqlSqlite, tmp_path) as rig:
        link = await rig.attach()
        await rows(rig, "SELECT 1")
        slow = asyncio.create_task(
            run(rig, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT count(*) FROM n")
        )
        await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            await rig.provider.detach_link(link)
            assert (await slow).error.code == "provider"
            while any(thread.name.startswith("sql-sqlite") for thread in threading.enumerate()):
                await asyncio.sleep(0.01)
