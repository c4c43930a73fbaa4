"""What every SQL provider does, whatever database is behind it: one suite over SQLite and a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import asyncpg
import cbor2
import pytest
from lattice_sql_postgres import SqlPostgres
from lattice_sql_sqlite import SqlSqlite

from lattice.contracts.sqldb import ExecuteResult, QueryResult, Statement
from lattice.testing import ProviderRig, provider_rig
from tests.support.postgres import postgres_server

FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@dataclass
class Database:
    """A provider with one link, and the contract in short calls. Statements are written with ? for both."""

    rig: ProviderRig
    kind: str
    config: dict[str, str]

    def statement(self, sql: str, *values: Any, database: str | None = None) -> Statement:
        if self.kind == "postgres":
            first, *rest = sql.split("?")
            sql = first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))
        return Statement(sql=sql, parameters=[cbor2.dumps(value) for value in values], database=database)

    async def execute(self, sql: str, *values: Any, database: str | None = None, **how: Any) -> ExecuteResult:
        return await self.rig.call("SqlDb.Execute", self.statement(sql, *values, database=database), **how)

    async def query(self, sql: str, *values: Any, database: str | None = None, **how: Any) -> QueryResult:
        result = await self.rig.call("SqlDb.Query", self.statement(sql, *values, database=database), **how)
        if result.error is not None:
            assert (result.num_rows, result.columns, cbor2.loads(result.rows)) == (0, [], [])
        return result

    async def rows(self, sql: str, *values: Any, database: str | None = None) -> list[list[Any]]:
        result = await self.query(sql, *values, database=database)
        assert result.error is None, result.error
        found = cbor2.loads(result.rows)
        assert len(found) == result.num_rows
        return found

    async def done(self, sql: str, *values: Any) -> int:
        result = await self.execute(sql, *values)
        assert result.error is None, result.error
        return result.rows_affected


@pytest.fixture(scope="module")
def postgres_urls() -> Iterator[list[str]]:
    """Two databases of one server, made once: making one takes longer than most tests."""

    async def make() -> None:
        admin = await asyncpg.connect(server.url)
        for name in ("one", "two"):
            await admin.execute(f"CREATE DATABASE {name}")
        await admin.close()

    with postgres_server() as server:
        with ThreadPoolExecutor(1) as thread:  # the first test that asks is already running a loop on this one
            thread.submit(asyncio.run, make()).result(timeout=30)
        yield [server.url.removesuffix("/postgres") + f"/{name}" for name in ("one", "two")]


@pytest.fixture(params=["sqlite", "postgres"])
async def db(request, tmp_path) -> AsyncIterator[Database]:
    """Two empty databases, "default" and "second"."""
    kind: Any = SqlSqlite
    if request.param == "postgres":
        kind = SqlPostgres
        urls = request.getfixturevalue("postgres_urls")
        for url in urls:
            admin = await asyncpg.connect(url)
            await admin.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            await admin.close()
        config = {"url": urls[0], "databases": f'{{"second": "{urls[1]}"}}'}
    else:
        config = {"path": "one.db", "databases": '{"second": "two.db"}'}
    async with provider_rig(kind, tmp_path) as rig:
        await rig.attach(**config)
        yield Database(rig, request.param, config)


async def people(db: Database) -> None:
    await db.done("CREATE TABLE people (name TEXT, age INTEGER)")
    assert await db.done("INSERT INTO people VALUES (?, ?), (?, ?)", "Ada", 36, "Grace", 85) == 2


async def test_statements_tell_how_many_rows_they_touched(db):
    assert await db.done("CREATE TABLE t (i INTEGER)") == 0
    assert await db.done("INSERT INTO t VALUES (1), (2), (3)") == 3
    assert await db.done("UPDATE t SET i = i + 10 WHERE i > ?", 1) == 2
    assert await db.done("INSERT INTO t VALUES (7), (8) RETURNING i") == 2
    assert await db.done("DELETE FROM t WHERE i = ?", 100) == 0
    assert await db.done("SELECT i FROM t") == 5
    assert await db.done("DELETE FROM t") == 5


async def test_a_query_gives_columns_and_rows(db):
    await people(db)
    result = await db.query("SELECT name, age, NULL AS absent FROM people ORDER BY age")
    assert result.error is None
    assert [(column.ordinal, column.name) for column in result.columns] == [(0, "name"), (1, "age"), (2, "absent")]
    assert [column.db_type.lower() for column in result.columns[:2]] == (
        ["text", "integer"] if db.kind == "sqlite" else ["text", "int4"]
    )
    assert cbor2.loads(result.rows) == [["Ada", 36, None], ["Grace", 85, None]]
    assert result.num_rows == 2


async def test_no_rows_are_an_empty_array_and_still_have_columns(db):
    await people(db)
    result = await db.query("SELECT name FROM people WHERE age > ?", 1000)
    assert (result.error, result.num_rows, cbor2.loads(result.rows)) == (None, 0, [])
    assert [column.name for column in result.columns] == ["name"]


@pytest.mark.parametrize(
    ("sql_type", "value"),
    [
        ("TEXT", "plain"),
        ("TEXT", ""),
        ("TEXT", "quote ' \" ; -- \\ % ? $1 ä 日本 🙂"),
        ("INTEGER", -(2**31)),
        ("BIGINT", 2**63 - 1),
        ("DOUBLE PRECISION", 1.5e300),
        ("DOUBLE PRECISION", -0.1),
        ("BYTES", b"\x00\xff bytes"),
        ("BYTES", b""),
        ("TEXT", None),
    ],
)
async def test_a_value_comes_back_as_it_was_bound(db, sql_type, value):
    sql_type = sql_type.replace("BYTES", "BLOB" if db.kind == "sqlite" else "BYTEA")
    await db.done(f"CREATE TABLE t (v {sql_type})")
    await db.done("INSERT INTO t VALUES (?)", value)
    assert await db.rows("SELECT v FROM t") == [[value]]


@pytest.mark.parametrize(
    "attack",
    [
        "'; DROP TABLE people; --",
        "Ada' OR '1'='1",
        '"; DELETE FROM people; --',
        "Ada\\'; DROP TABLE people; --",
        "?); DROP TABLE people; --",
        "$1; DROP TABLE people",
        "' UNION SELECT name, age FROM people --",
        "Ada/*",
    ],
)
async def test_a_parameter_that_holds_sql_is_only_data(db, attack):
    await people(db)
    assert await db.rows("SELECT name FROM people WHERE name = ?", attack) == []
    assert await db.done("UPDATE people SET age = 0 WHERE name = ?", attack) == 0
    assert await db.done("INSERT INTO people VALUES (?, ?)", attack, 1) == 1
    assert await db.rows("SELECT age FROM people WHERE name = ?", attack) == [[1]]
    assert await db.rows("SELECT count(*) FROM people") == [[3]]


async def test_several_statements_in_one_text_are_refused_and_none_runs(db):
    await people(db)
    for call in (db.execute, db.query):
        result = await call("SELECT 1; DROP TABLE people")
        assert result.error.code == "db"
    assert await db.rows("SELECT count(*) FROM people") == [[2]]


@pytest.mark.parametrize(
    "sql", ["SELEKT 1", "SELECT * FROM nowhere", "SELECT missing FROM people", "INSERT INTO people VALUES (1)", ""]
)
async def test_what_the_database_refuses_is_an_error_in_the_result(db, sql):
    await db.done("CREATE TABLE people (name TEXT, age INTEGER, CHECK (age > 0))")
    if not sql:
        sql = "INSERT INTO people VALUES ('x', -1)"
    if sql == "INSERT INTO people VALUES (1)":
        sql = "INSERT INTO people VALUES ('x', 1, 'too many')"
    executed, queried = await db.execute(sql), await db.query(sql)
    assert (executed.error.code, queried.error.code) == ("db", "db")
    assert executed.error.message
    assert executed.rows_affected == 0


async def test_a_wrong_number_of_parameters_is_an_error(db):
    for values in ((), (1, 2)):
        result = await db.query("SELECT ? + 1", *values)
        assert result.error.code == "db"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\x01\x02",
        b"\x5b" + b"\x7f" * 8,
        b"\xf7",
        b"\xd8\x23\x63a+b",
        b"\x81" * 5000 + b"\x00",
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\xa1\x01\x02",
        b"\xd8\x2a\x01",
    ],
)
async def test_a_parameter_that_is_not_one_plain_cbor_value_is_a_decoding_error(db, data):
    place = "?" if db.kind == "sqlite" else "$1"
    result = await db.rig.call("SqlDb.Query", Statement(sql=f"SELECT {place}", parameters=[data]))
    assert result.error.code == "decoding"
    assert "parameter 1" in result.error.message


async def test_a_statement_reaches_the_database_it_names(db):
    await db.done("CREATE TABLE only_here (i INTEGER)")
    assert await db.rows("SELECT count(*) FROM only_here", database="default") == [[0]]
    assert (await db.query("SELECT * FROM only_here", database="second")).error.code == "db"
    unknown = await db.execute("SELECT 1", database="third")
    assert unknown.error.code == "config"
    assert "default, second" in unknown.error.message


async def test_too_many_rows_or_bytes_are_refused_and_change_nothing(db):
    config = db.config | {"rows_max": "10", "result_bytes_max": "1000"}
    await db.rig.attach("limited", **config)
    await db.done("CREATE TABLE t (v TEXT)")
    for i in range(10):
        await db.done("INSERT INTO t VALUES (?)", "x" * 50)
        assert (await db.query("SELECT v FROM t", actor="limited")).num_rows == i + 1
    await db.done("INSERT INTO t VALUES (?)", "x")
    over = await db.query("SELECT v FROM t", actor="limited")
    assert (over.error.code, "rows_max" in over.error.message) == ("provider", True)
    over = await db.query("SELECT v || v || v FROM t LIMIT 7", actor="limited")
    assert (over.error.code, "result_bytes_max" in over.error.message) == ("provider", True)
    over = await db.query("DELETE FROM t RETURNING v", actor="limited")
    assert over.error.code == "provider"
    assert await db.rows("SELECT count(*) FROM t") == [[11]]


async def test_a_query_that_writes_writes_and_returns_rows(db):
    await db.done("CREATE TABLE t (i INTEGER)")
    assert await db.rows("INSERT INTO t VALUES (1), (2) RETURNING i * 10 AS ten") == [[10], [20]]
    assert await db.rows("SELECT i FROM t ORDER BY i") == [[1], [2]]
    assert (await db.query("CREATE TABLE u (i INTEGER)")).error is None
    assert await db.rows("SELECT * FROM u") == []


async def test_a_statement_that_takes_too_long_is_stopped_and_others_go_on(db):
    await db.rig.attach("hasty", **(db.config | {"statement_timeout_s": "0.3"}))
    started = time.monotonic()
    result = await db.query(FOREVER, actor="hasty")
    assert (result.error.code, "statement_timeout_s" in result.error.message) == ("provider", True)
    await db.done("CREATE TABLE t (i INTEGER)")
    result = await db.execute(f"INSERT INTO t {FOREVER}", actor="hasty")
    assert result.error.code == "provider"
    assert time.monotonic() - started < 20
    assert (await db.query("SELECT 1", actor="hasty")).error is None
    assert await db.rows("SELECT count(*) FROM t") == [[0]]


async def test_a_statement_whose_caller_has_gone_is_stopped(db):
    call = asyncio.create_task(db.execute(f"CREATE TABLE t AS {FOREVER}"))
    await asyncio.sleep(0.2)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    async with asyncio.timeout(20):
        assert await db.done("CREATE TABLE t (i INTEGER)") == 0


async def test_a_slow_query_does_not_hold_up_the_others(db):
    slow = asyncio.create_task(db.query(FOREVER))
    await asyncio.sleep(0.05)
    await db.done("CREATE TABLE t (i INTEGER)")
    assert await db.rows("SELECT count(*) FROM t") == [[0]]
    assert not slow.done()
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)


async def test_statements_over_the_queue_are_refused(db):
    await db.rig.attach("crowd", **(db.config | {"queue_max": "3"}))
    await db.done("CREATE TABLE t (i INTEGER)")
    calls = [db.execute("INSERT INTO t VALUES (?)", i, actor="crowd") for i in range(20)]
    codes = [result.error and result.error.code for result in await asyncio.gather(*calls)]
    assert codes.count(None) == 3
    assert codes.count("provider") == 17
    assert await db.rows("SELECT count(*) FROM t") == [[3]]


async def test_statement_and_parameters_have_limits(db):
    await db.rig.attach("small", **(db.config | {"sql_bytes_max": "100", "parameters_max": "2"}))
    long = await db.query("SELECT '" + "x" * 100 + "'", actor="small")
    assert (long.error.code, "sql_bytes_max" in long.error.message) == ("provider", True)
    many = await db.query("SELECT ?, ?, ?", 1, 2, 3, actor="small")
    assert (many.error.code, "parameters_max" in many.error.message) == ("provider", True)


async def test_transactions_over_several_statements_are_refused_and_leave_none_open(db):
    await db.done("CREATE TABLE t (i INTEGER)")
    for sql in ("BEGIN", "BEGIN; INSERT INTO t VALUES (1)"):
        assert (await db.execute(sql)).error.code == "db"
    for _ in range(5):
        await db.done("INSERT INTO t VALUES (1)")
    assert await db.rows("SELECT count(*) FROM t") == [[5]]
    await db.rig.attach("other", **db.config)
    assert (await db.query("SELECT i FROM t", actor="other")).num_rows == 5


async def test_concurrent_writers_lose_nothing(db):
    await db.done("CREATE TABLE counter (n INTEGER)")
    await db.done("INSERT INTO counter VALUES (0)")
    await db.rig.attach("another", **db.config)
    actors = ["actor", "another"] * 20
    results = await asyncio.gather(*(db.execute("UPDATE counter SET n = n + 1", actor=actor) for actor in actors))
    assert [result.error for result in results] == [None] * 40
    assert await db.rows("SELECT n FROM counter") == [[40]]


async def test_data_survives_a_restart_of_the_provider(db):
    await people(db)
    async with provider_rig(type(db.rig.provider), db.rig.provider.context.data) as again:
        await again.attach(**db.config)
        other = Database(again, db.kind, db.config)
        assert await other.rows("SELECT count(*) FROM people") == [[2]]


async def test_a_detached_link_gives_its_connections_back_and_a_working_one_is_healthy(db):
    link = await db.rig.attach("leaver", **db.config)
    assert (await db.query("SELECT 1", actor="leaver")).error is None
    await db.rig.provider.health()
    await db.rig.provider.detach_link(link)
    await db.rig.provider.health()
    assert await db.rows("SELECT 1") == [[1]]
