"""What a test expects of an actor, and what it lets go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lattice import errors
from lattice.contracts.keyvalue import GetResponse, IncrementRequest, SetRequest
from lattice.contracts.sqldb import ExecuteResult, Statement
from lattice.testing import NotExpected, TestHost, host
from tests.kit.guests import COUNTER, Refused, decoded, guest, relayed

KEYVALUE = "wasmcloud:keyvalue"


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[TestHost]:
    async with host(guest(tmp_path, "relay")) as h:
        yield h


async def test_an_expected_call_is_answered_by_the_test(relay: TestHost) -> None:
    relay.expect(KEYVALUE, "Get", key="a").answers(value="1", exists=True)
    relay.expect(KEYVALUE, "KeyValue.Get", key="b").answers(GetResponse(value="2", exists=True))
    relay.expect(KEYVALUE, "Increment", key="n", value=lambda value: value > 5).answers(100)
    relay.expect(KEYVALUE, "Set", key="c").answers()
    assert decoded(await relayed(relay, KEYVALUE, "KeyValue.Get", "b")) == {"value": "2", "exists": True}
    assert decoded(await relayed(relay, KEYVALUE, "KeyValue.Get", "a")) == {"value": "1", "exists": True}
    assert decoded(await relayed(relay, KEYVALUE, "KeyValue.Increment", IncrementRequest(key="n", value=6))) == 100
    assert decoded(await relayed(relay, KEYVALUE, "KeyValue.Increment", IncrementRequest(key="n", value=5))) == 5
    assert await relayed(relay, KEYVALUE, "KeyValue.Set", SetRequest(key="c", value="v")) == b""
    assert "c" not in relay.keyvalue


async def test_an_expected_call_fails_as_the_test_says() -> None:
    async with host(COUNTER) as h:
        h.expect(KEYVALUE, "Increment", key="/hits").fails(errors.ProviderUnavailable("the store is down"))
        reply = await h.http("GET", "/hits")
        assert (reply.status, "the store is down" in reply.text) == (503, True)
        assert (await h.http("GET", "/hits")).json() == {"counter": 1}


async def test_an_expectation_without_an_answer_only_has_to_be_met(relay: TestHost) -> None:
    relay.expect(KEYVALUE, "Get").times(2)
    relay.expect("other", "Greet").answers(b"hello")
    relay.stand_in("other", {"Greet": b"not this"})
    for _ in range(2):
        assert decoded(await relayed(relay, KEYVALUE, "KeyValue.Get", "a"))["exists"] is False
    assert await relayed(relay, "other", "Greet") == b"hello"


async def test_what_is_wrong_about_an_expectation_is_told_when_it_is_made(relay: TestHost) -> None:
    with pytest.raises(errors.OperationUnknown, match="has no operation 'Incremnt'; it has Get, Set, Del"):
        relay.expect(KEYVALUE, "Incremnt")
    with pytest.raises(errors.ConfigError, match="has no field 'name'; it has key, value"):
        relay.expect(KEYVALUE, "Increment", name="x")
    with pytest.raises(errors.ConfigError, match="is no reply of KeyValue.Increment"):  # noqa: RUF043
        relay.expect(KEYVALUE, "Increment").answers("many")
    with pytest.raises(errors.ConfigError, match="KeyValue.Set answers nothing"):  # noqa: RUF043
        relay.expect(KEYVALUE, "Set").answers(1)
    with pytest.raises(errors.ConfigError, match="no contract that is known here"):
        relay.expect("other", "Greet", name="x")
    with pytest.raises(errors.ConfigError, match="the answer of other is bytes, not str"):
        relay.expect("other", "Greet").answers("text")
    with pytest.raises(errors.ConfigError, match="is one value"):
        relay.expect(KEYVALUE, "Get", key="a", other="b")
    relay._recorder.expectations.clear()


async def test_calls_that_come_too_often_or_never_are_told(tmp_path: Path) -> None:
    async with host(guest(tmp_path, "relay")) as h:
        h.expect(KEYVALUE, "Get").times(2)
        h.expect(KEYVALUE, "Del").at_least_once()
        await relayed(h, KEYVALUE, "KeyValue.Get", "a")
        with pytest.raises(NotExpected) as raised:
            h.require_expected()
        text = str(raised.value)
        assert "KeyValue.Get() 2 times, came 1 times" in text
        assert "KeyValue.Del() at least once\n    KeyValue.Del was never called" in text
        await relayed(h, KEYVALUE, "KeyValue.Get", "a")
        await relayed(h, KEYVALUE, "KeyValue.Del", "a")


async def test_the_nth_call_fails_and_the_others_do_not() -> None:
    async with host(COUNTER) as h:
        h.faults.fail(KEYVALUE, "Increment", nth=2)
        statuses = [(await h.http("GET", "/hits")).status for _ in range(3)]
        assert statuses == [200, 503, 200]
        assert h.keyvalue["/hits"] == "2"
        h.faults.fail(error=errors.Denied("not today"))
        assert (await h.http("GET", "/hits")).status >= 400
        h.faults.clear()
        assert (await h.http("GET", "/hits")).status == 200


async def test_a_call_whose_answer_is_lost_has_happened_and_ends_at_the_deadline() -> None:
    async with host(COUNTER) as h:
        h.faults.time_out(KEYVALUE, nth=1)
        reply = await h.http("GET", "/hits")
        assert (reply.status, reply.json()["error"]) == (504, "deadline_exceeded")
        assert h.clock.elapsed_s == 10  # limits.time, in no real time
        assert h.keyvalue["/hits"] == "1"
        assert (await h.http("GET", "/hits")).json() == {"counter": 2}


async def test_a_slow_call_takes_virtual_time_and_one_too_slow_is_ended() -> None:
    async with host(COUNTER) as h:
        slow = h.faults.slow(4, KEYVALUE, "Increment", nth=1)
        assert (await h.http("GET", "/hits")).status == 200
        assert (h.clock.elapsed_s, slow.seen) == (4, 1)
        h.faults.slow(60, KEYVALUE, "Increment")
        assert (await h.http("GET", "/hits")).status == 504
        assert h.clock.elapsed_s == 14


async def test_a_fault_is_for_a_contract_and_an_operation_that_there_are(relay: TestHost) -> None:
    with pytest.raises(errors.OperationUnknown, match="has no operation 'Gett'"):
        relay.faults.fail(KEYVALUE, "Gett")
    with pytest.raises(errors.ConfigError, match="counted from 1"):
        relay.faults.fail(KEYVALUE, nth=0)
    relay.faults.fail(operation="Get")
    with pytest.raises(Refused, match="provider_unavailable: made to fail"):
        await relayed(relay, KEYVALUE, "KeyValue.Get", "a")


async def test_calls_at_once_fail_in_the_order_in_which_they_come() -> None:
    async with host(COUNTER) as h:
        h.faults.fail(KEYVALUE, nth=3)
        replies = await asyncio.gather(*(h.http("GET", "/hits") for _ in range(5)))
        assert sorted(reply.status for reply in replies) == [200, 200, 200, 200, 503]


async def test_statements_run_on_a_database_that_the_test_sees(relay: TestHost) -> None:
    made = await relayed(relay, "wasmcloud:sqldb", "SqlDb.Execute", Statement(sql="CREATE TABLE t (n INTEGER)"))
    assert decoded(made) == {"rowsAffected": 0}
    relay.sql.execute("INSERT INTO t VALUES (?), (?)", 1, 2)
    await relayed(relay, "wasmcloud:sqldb", "SqlDb.Execute", Statement(sql="UPDATE t SET n = n * 10"))
    assert relay.sql.query("SELECT n FROM t WHERE n > ? ORDER BY n", 5) == [(10,), (20,)]
    await relayed(relay, "wasmcloud:sqldb", "SqlDb.Query", Statement(sql="SELECT n FROM t ORDER BY n"))
    assert relay.transcript.calls[-1].answer["rows"] == [[10], [20]]
    relay.expect("wasmcloud:sqldb", "Execute").answers(ExecuteResult(rows_affected=7))
    done = await relayed(relay, "wasmcloud:sqldb", "SqlDb.Execute", Statement(sql="DELETE FROM t"))
    assert decoded(done) == {"rowsAffected": 7}
