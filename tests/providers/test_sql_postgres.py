"""SQL on PostgreSQL: types, lost connections, and passwords that are not told."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import cbor2
import pytest
from lattice_sql import SqlFailure
from lattice_sql_postgres import SqlPostgres
from lattice_sql_postgres.database import affected
from lattice_sql_postgres.provider import PostgresSettings
from lattice_sql_postgres.statements import first_word

from lattice import errors
from lattice.contracts.sqldb import Statement
from lattice.provider import validated
from lattice.testing import ProviderRig, provider_rig
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.servers import free_port


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture
async def rig(server, tmp_path) -> AsyncIterator[ProviderRig]:
    async with provider_rig(SqlPostgres, tmp_path) as started:
        await started.attach(url=server.url)
        yield started


async def run(rig: ProviderRig, sql: str, *values: Any, operation: str = "Query", actor: str = "actor") -> Any:
    statement = Statement(sql=sql, parameters=[cbor2.dumps(value) for value in values])
    return await rig.call(f"SqlDb.{operation}", statement, actor=actor)


async def rows(rig: ProviderRig, sql: str, *values: Any) -> list[list[Any]]:
    result = await run(rig, sql, *values)
    assert result.error is None, result.error
    return cbor2.loads(result.rows)


@pytest.mark.parametrize(
    ("type_", "bound", "told"),
    [
        ("boolean", True, True),
        ("smallint", -5, -5),
        ("real", 1.5, 1.5),
        ("numeric", "123456789012345678901234567890.5", "123456789012345678901234567890.5"),
        ("numeric", Decimal("1.50"), "1.50"),
        ("numeric", 2**70, str(2**70)),
        ("uuid", uuid.UUID(int=7), str(uuid.UUID(int=7))),
        ("uuid", str(uuid.UUID(int=7)), str(uuid.UUID(int=7))),
        ("date", "2024-02-29", "2024-02-29"),
        ("date", "infinity", "infinity"),
        ("timestamptz", datetime(2024, 2, 29, 12, 0, tzinfo=UTC), "2024-02-29 12:00:00+00"),
        ("timestamp", "2024-02-29 12:00:00.5", "2024-02-29 12:00:00.5"),
        ("interval", "1 day 02:00:00", "1 day 02:00:00"),
        ("inet", "10.0.0.1", "10.0.0.1"),
        ("jsonb", {"a": [1, None, "x"]}, '{"a": [1, null, "x"]}'),
        ("json", '{"a":1}', '{"a":1}'),
        ("integer[]", [1, 2, None], [1, 2, None]),
        ("text[]", ["a", "'"], ["a", "'"]),
        ("numeric[]", ["1.5", "2"], ["1.5", "2"]),
        ("bytea", b"\x00\x01", b"\x00\x01"),
    ],
)
async def test_a_value_of_each_type_goes_in_and_comes_out_exactly(rig, type_, bound, told):
    await run(rig, "SET TIME ZONE 'UTC'", operation="Execute")
    result = await run(rig, f"SELECT $1::{type_} AS v", bound)
    assert result.error is None, result.error
    assert cbor2.loads(result.rows) == [[told]]


async def test_a_parameter_of_the_wrong_type_and_a_result_without_a_form_are_told_apart(rig):
    wrong = await run(rig, "SELECT $1::integer", "not a number")
    assert (wrong.error.code, "$1" in wrong.error.message) == ("decoding", True)
    assert (await run(rig, "SELECT $1::date", [1])).error.code == "decoding"
    range_ = await run(rig, "SELECT '[1,2)'::int4range")
    assert (range_.error.code, "cast it to text" in range_.error.message) == ("encoding", True)
    assert await rows(rig, "SELECT '[1,2)'::int4range::text") == [["[1,2)"]]


async def test_what_a_statement_changes_in_its_session_is_gone_with_the_next(rig, server):
    await rig.attach("single", url=server.url, connections_max="1")
    await run(rig, "SET statement_timeout = 0", operation="Execute", actor="single")
    await run(rig, "SELECT set_config('search_path', 'nowhere', false)", actor="single")
    result = await run(
        rig, "SELECT current_setting('statement_timeout'), current_setting('search_path')", actor="single"
    )
    assert cbor2.loads(result.rows) == [["10s", '"$user", public']]


async def test_a_statement_that_switches_its_timeout_off_is_stopped_all_the_same(rig, server):
    await rig.attach("sly", url=server.url, statement_timeout_s="0.3")
    sql = "DO $$ BEGIN PERFORM set_config('statement_timeout', '0', false); PERFORM pg_sleep(30); END $$"
    started = time.monotonic()
    result = await run(rig, sql, operation="Execute", actor="sly")
    assert result.error.code == "provider"
    assert (await run(rig, "SELECT 1", actor="sly")).error is None
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("sql", ["COPY copied FROM STDIN", "--x\n /* /* */ */copy copied TO STDOUT"])
async def test_copying_from_and_to_the_client_is_refused(rig, sql):
    await run(rig, "CREATE TABLE IF NOT EXISTS copied (i integer)", operation="Execute")
    for operation in ("Execute", "Query"):
        result = await run(rig, sql, operation=operation)
        assert (result.error.code, "COPY is not possible" in result.error.message) == ("db", True)
        assert (await run(rig, "SELECT 1")).error is None


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("Select 1", "select"),
        (" \n\t-- copy\n/* a /* b */ copy */ COPY t", "copy"),
        ("/*/ x */copy", "copy"),
        ("/* never closed copy", ""),
        ("-- nothing", ""),
        ("", ""),
        ("(SELECT 1)", ""),
        ("copying", "copying"),
    ],
)
def test_the_first_word_is_found_past_comments(sql, word):
    assert first_word(sql) == word


async def test_a_lost_server_is_an_io_error_in_the_result_and_comes_back(tmp_path):
    with postgres_server() as server:
        async with provider_rig(SqlPostgres, tmp_path) as rig:
            await rig.attach(url=server.url, connect_timeout_s="1")
            assert await rows(rig, "SELECT 1") == [[1]]
            sleeping = asyncio.create_task(run(rig, "SELECT pg_sleep(30)"))
            await asyncio.sleep(0.1)
            server.stop()
            async with asyncio.timeout(10):
                assert (await sleeping).error.code == "io"
                for operation in ("Query", "Execute"):
                    assert (await run(rig, "SELECT 1", operation=operation)).error.code == "io"
                with pytest.raises(SqlFailure):
                    await rig.provider.health()
            server.start()
            await rig.provider.health()
            assert await rows(rig, "SELECT 1") == [[1]]


async def test_a_connection_that_the_server_ends_is_an_error_once(rig, server):
    await rig.attach("single", url=server.url, connections_max="1")
    ended = await run(rig, "SELECT pg_terminate_backend(pg_backend_pid())", actor="single")
    assert ended.error.code == "io"
    assert (await run(rig, "SELECT 1", actor="single")).error is None


async def test_a_server_that_is_not_there_does_not_stop_the_link(tmp_path):
    async with provider_rig(SqlPostgres, tmp_path) as rig:
        await rig.attach(url=f"postgresql://nobody@127.0.0.1:{free_port()}/x", connect_timeout_s="1")
        assert (await run(rig, "SELECT 1")).error.code == "io"


async def test_an_unknown_database_is_a_config_error(rig, server):
    await rig.attach("lost", url=server.url.removesuffix("/postgres") + "/nowhere")
    assert (await run(rig, "SELECT 1", actor="lost")).error.code == "config"


@pytest.mark.parametrize(
    "url", ["", "mysql://u:hidden@h/d", "postgresql://u:hidden@h:port/d", "hidden", "postgresql:///hidden"]
)
async def test_a_url_that_cannot_be_is_refused_without_being_told(tmp_path, url, caplog):
    caplog.set_level(logging.DEBUG)
    async with provider_rig(SqlPostgres, tmp_path) as rig:
        with pytest.raises(errors.ConfigError) as caught:
            await rig.attach(url=url)
    assert "hidden" not in str(caught.value) + caught.value.remedy + caplog.text


def test_settings_do_not_show_passwords():
    url = "postgresql://u:hidden@h/d"
    settings = validated(PostgresSettings, {"url": url, "databases": f'{{"a": "{url}"}}'}, "the link")
    assert settings.databases["a"].get_secret_value() == url
    assert "hidden" not in repr(settings)
    assert "hidden" not in settings.model_dump_json()
    with pytest.raises(errors.ConfigError) as caught:
        validated(PostgresSettings, {"url": url, "databases": f'{{"a": "{url}"'}, "the link")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "count"), [("INSERT 0 3", 3), ("UPDATE 0", 0), ("CREATE TABLE", 0), ("", 0), (None, 0), ("COPY 7", 7)]
)
def test_the_count_in_a_status_is_read(status, count):
    assert affected(status) == count
