"""Every SDK does the same: one actor in each language, asked the same by the same tests.

actors/sdk/README.md has the list of what it answers. A host is started once for each language, since that is what takes
the time; tests use keys of their own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lattice import errors
from tests.actors.applications import eventually
from tests.sdk.actors import SOURCES, Conformance, conformance

pytestmark = pytest.mark.asyncio(loop_scope="module")
WAIT_S = 30.0
"""For what happens by itself. It takes milliseconds, but machines are busy."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=sorted(SOURCES))
async def actor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Conformance]:
    async with conformance(request.param, tmp_path_factory.mktemp("sdk")) as running:
        yield running


# ---- requests


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "world"),
        ("?name=Ada", "Ada"),
        ("?x=1&name=a%20b%2Bc+d", "a b+c d"),
        ("?name=%C3%A9%22", 'é"'),
        ("?name=", ""),
    ],
)
async def test_a_query_is_decoded(actor: Conformance, query: str, name: str) -> None:
    assert await actor.get(f"/hello{query}") == {"hello": name}


async def test_bodies_and_headers_go_through(actor: Conformance) -> None:
    body = bytes(range(256)) * 300
    answer = await actor.ask("POST", "/echo", body, **{"X-Echo": "one; two"})
    assert (answer.status, answer.body) == (202, body)
    assert answer.headers["x-echo"] == "one; two"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert (await actor.ask("POST", "/echo", b"")).body == b""


async def test_paths_and_methods_that_there_are_not(actor: Conformance) -> None:
    for path in ("/", "/nowhere", "/people/", "/people/a/b", "/hello/"):
        answer = await actor.ask("GET", path)
        assert (answer.status, bool(answer.error)) == (404, True), path
    answer = await actor.ask("DELETE", "/people")
    assert (answer.status, answer.headers["allow"], bool(answer.error)) == (405, "POST", True)
    answer = await actor.ask("PUT", "/via")
    assert answer.status == 405
    assert {method.strip() for method in answer.headers["allow"].split(",")} == {"GET", "POST"}


async def test_a_path_that_is_no_text_is_the_visitors_mistake(actor: Conformance) -> None:
    assert (await actor.ask("GET", "/people/%ff")).status in (400, 404)


# ---- records


async def test_a_record_is_read_stored_and_answered(actor: Conformance) -> None:
    ada = {"name": "Ada é/ü 😀", "age": 36}
    answer = await actor.ask("POST", "/people", ada)
    assert (answer.status, answer.json) == (201, ada)
    assert json.loads(await actor.stored("people:Ada é/ü 😀")) == ada
    assert await actor.get(f"/people/{quote(str(ada['name']), safe='')}") == ada
    missing = await actor.ask("GET", "/people/nobody")
    assert (missing.status, bool(missing.error)) == (404, True)


WRONG: list[tuple[object, str]] = [
    ({"age": 36}, "name"),
    ({"name": "Ada"}, "age"),
    ({"name": 5, "age": 36}, "name"),
    ({"name": None, "age": 36}, "name"),
    ({"name": ["Ada"], "age": 36}, "name"),
    ({"name": "Ada", "age": "36"}, "age"),
    ({"name": "Ada", "age": 36.5}, "age"),
    ({"name": "Ada", "age": True}, "age"),
    ({"name": "Ada", "age": None}, "age"),
    ({"name": "Ada", "age": {}}, "age"),
    ({"name": "Ada", "age": -1}, "age"),
    (b'{"name": "Ada", "age": 1e400}', "age"),
    (b'{"name": "Ada", "age": 99999999999999999999999}', "age"),
    ([], "object"),
    ("text", "object"),
    (b"", "JSON"),
    (b"{", "JSON"),
    (b'{"name": "Ada", "age": 36', "JSON"),
    (b'{"name": "Ada", "age": 36}}', "JSON"),
    (b'{"name": "Ada", "age": 36,}', "JSON"),
    (b'{"name": "Ada", "age": 036}', "JSON"),
    (b'{"name": "\xff", "age": 36}', ""),
    (b'{"name": "\\ud800", "age": 36}', ""),
    (b"[" * 100_000, ""),
]


@pytest.mark.parametrize(("body", "named"), WRONG, ids=[repr(body)[:40] for body, _ in WRONG])
async def test_what_does_not_fit_is_400_and_says_what(actor: Conformance, body: object, named: str) -> None:
    answer = await actor.ask("POST", "/people", body)
    assert answer.status == 400, answer
    assert named in answer.error


EVERYTHING: dict[str, Any] = {"text": "t", "whole": 1, "number": 0.5, "truth": True, "list": ["a", "b"]}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"maybe": "there", "any": {"deep": [1, "two", None, {"three": 3.5}]}},
        {"text": 'a "b" \\ \n\x01 é 😀', "list": []},
        {"whole": 2**53 - 1},
        {"whole": -(2**53) + 1, "number": -1.25e-7, "truth": False},
        {"number": 3},
        {"number": 0.1},
        {"number": 1.7976931348623157e308},
        {"number": 2.2250738585072014e-308},
    ],
    ids=repr,
)
async def test_every_kind_of_member_comes_back(actor: Conformance, change: dict[str, Any]) -> None:
    sent = {**EVERYTHING, **change}
    assert await everything(actor, sent) == sent
    assert await everything(actor, {**sent, "other": [{"passed": "over"}]}) == sent
    assert await everything(actor, {"maybe": None, "any": None, **sent}) == sent


async def everything(actor: Conformance, sent: dict[str, Any]) -> dict[str, Any]:
    """The answer, without what is null: some languages write it, and some leave it out."""
    answer = await actor.post("/everything", sent)
    return {name: value for name, value in answer.items() if value is not None}


texts = st.text(max_size=40)
records = st.fixed_dictionaries(
    {
        "text": texts,
        "whole": st.integers(-(2**53) + 1, 2**53 - 1),
        "number": st.integers(-(2**30), 2**30).map(lambda eighths: eighths / 8),
        "truth": st.booleans(),
        "list": st.lists(texts, max_size=5),
        "any": st.recursive(
            st.booleans() | st.integers(-(2**31), 2**31) | texts,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
            max_leaves=6,
        ),
    },
    optional={"maybe": texts},
)


@given(records)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_record_comes_back(actor: Conformance, sent: dict[str, Any]) -> None:
    assert await everything(actor, sent) == sent


@pytest.mark.parametrize(
    ("member", "value"),
    [("text", 1), ("whole", "1"), ("number", "1"), ("truth", 1), ("list", "a"), ("list", ["a", 1]), ("maybe", 1)],
)
async def test_every_kind_of_member_is_checked(actor: Conformance, member: str, value: object) -> None:
    answer = await actor.ask("POST", "/everything", {**EVERYTHING, member: value})
    assert answer.status == 400
    assert member in answer.error


# ---- errors


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("invalid", 400),
        ("unauthorized", 401),
        ("forbidden", 403),
        ("not_found", 404),
        ("conflict", 409),
        ("too_large", 413),
        ("unavailable", 503),
        ("timeout", 504),
    ],
)
async def test_an_error_of_the_actor_becomes_an_answer_by_its_code(actor: Conformance, code: str, status: int) -> None:
    answer = await actor.ask("GET", f"/fail?code={code}")
    assert (answer.status, answer.error) == (status, "as you wish")


async def test_any_other_error_fails_the_call(actor: Conformance) -> None:
    answer = await actor.ask("GET", "/fail?code=odd")
    assert (answer.status, answer.error) == (502, "guest_error")
    assert "odd: as you wish" in answer.json["message"]


async def test_what_the_host_refuses_fails_the_call_with_its_code(actor: Conformance) -> None:
    answer = await actor.ask("GET", "/via?link=nowhere&key=k")
    assert (answer.status, answer.error) == (502, "guest_error")
    assert "not_linked: " in answer.json["message"]
    answer = await actor.ask("POST", "/call", {"actor": "nobody", "operation": "Op", "body": ""})
    assert (answer.status, answer.error) == (502, "guest_error")
    assert "target_unknown: " in answer.json["message"]
    assert await actor.get("/hello") == {"hello": "world"}


async def test_an_unknown_operation_is_an_error(actor: Conformance) -> None:
    with pytest.raises(errors.CallError, match=r"No\.Such"):
        await actor.running.call("actor", "No.Such", b"")


# ---- capabilities


async def test_values(actor: Conformance) -> None:
    async def kv(op: str, **members: object) -> Any:
        return await actor.post(f"/kv/{op}", {"key": "values", **members})

    assert await kv("get") == {"value": None}
    assert await kv("set", value="é 😀") == {}
    assert await kv("get") == {"value": "é 😀"}
    assert await kv("contains") == {"value": True}
    assert await kv("delete") == {"value": True}
    assert await kv("delete") == {"value": False}
    assert await kv("contains") == {"value": False}
    assert await kv("set", value="") == {}
    assert await kv("get") == {"value": ""}


async def test_counters_lists_and_sets(actor: Conformance) -> None:
    async def kv(op: str, key: str, **members: object) -> Any:
        return (await actor.post(f"/kv/{op}", {"key": key, **members}))["value"]

    assert [await kv("increment", "n"), await kv("increment", "n", by=70_000), await kv("increment", "n", by=-3)] == [
        1,
        70_001,
        69_998,
    ]
    assert [await kv("list-add", "l", value=value) for value in ("a", "b", "a")] == [1, 2, 3]
    assert await kv("list-range", "l") == ["a", "b", "a"]
    assert await kv("list-remove", "l", value="b") is True
    assert await kv("list-remove", "l", value="b") is False
    assert await kv("list-range", "no list") == []
    assert [await kv("set-add", "s", value=value) for value in ("a", "b", "a")] == [1, 1, 0]
    assert sorted(await kv("set-members", "s")) == ["a", "b"]
    assert [await kv("set-remove", "s", value="a"), await kv("set-remove", "s", value="a")] == [1, 0]


async def test_key_value_requests_are_checked(actor: Conformance) -> None:
    assert (await actor.ask("POST", "/kv/nothing", {"key": "k"})).status == 404
    answer = await actor.ask("POST", "/kv/set", {"key": "k"})
    assert (answer.status, "value" in answer.error) == (400, True)


async def test_a_link_has_its_own_store(actor: Conformance) -> None:
    assert await actor.post("/via", {"link": "other", "key": "via", "value": "there"}) == {}
    assert await actor.get("/via?link=other&key=via") == {"value": "there"}
    assert await actor.get("/via?link=default&key=via") == {"value": None}
    assert await actor.stored("via") is None, "the next call is back at the default"


async def test_messages_arrive(actor: Conformance) -> None:
    assert await actor.post("/publish", {"subject": "in.told.twice", "body": "é news"}) == {}

    async def arrived() -> bool:
        return bool(await actor.stored("message:in.told.twice") == "é news")

    await eventually(arrived, WAIT_S)


async def test_requests_are_answered(actor: Conformance) -> None:
    assert await actor.post("/request", {"subject": "in.asked", "body": "abc"}) == {"body": "cba"}


async def test_actors_are_called(actor: Conformance) -> None:
    sent = {"actor": "actor", "operation": "Conformance.Reverse", "body": "abc"}
    assert await actor.post("/call", sent) == {"body": "cba"}
    assert await actor.running.call("actor", "Conformance.Reverse", b"\x00\xff") == b"\xff\x00"
    assert await actor.running.call("actor", "Conformance.Reverse", b"") == b""


async def test_timers_tick(actor: Conformance) -> None:
    async def ticked() -> bool:
        return int(await actor.stored("tick:beat") or 0) >= 2

    await eventually(ticked, WAIT_S)


async def test_blobs(actor: Conformance) -> None:
    async def blob(op: str, name: str = "", **members: object) -> Any:
        return await actor.post(f"/blobs/{op}", {"container": "box", "name": name, **members})

    large = "é" * 150_000
    for name, text in (("one", "text"), ("two", large), ("empty", "")):
        assert await blob("put", name, text=text) == {}
        assert await blob("get", name) == {"text": text}
    assert await actor.post("/blobs/list", {"container": "box"}) == {"names": ["empty", "one", "two"]}
    assert await blob("delete", "two") == {}
    assert await blob("list") == {"names": ["empty", "one"]}
    answer = await actor.ask("POST", "/blobs/get", {"container": "box", "name": "two"})
    assert (answer.status, bool(answer.error)) == (404, True)


async def test_sql(actor: Conformance) -> None:
    async def execute(statement: str, **parameters: object) -> Any:
        return (await actor.post("/sql/execute", {"statement": statement, **parameters}))["affected"]

    await execute("CREATE TABLE books (title TEXT, pages INTEGER, weight REAL)")
    insert = "INSERT INTO books VALUES (?, ?, ?)"
    rows: list[list[Any]] = [["a", 1, 0.5], ["é '; --", -(2**40), 1e-7], ["", 2**53 - 1, -2.5]]
    for title, pages, weight in rows:
        assert await execute(insert, text=title, whole=pages, number=weight) == 1
    await execute("INSERT INTO books VALUES (NULL, NULL, NULL)")
    found = await actor.post("/sql/query", {"statement": "SELECT * FROM books ORDER BY rowid"})
    assert found == {"columns": ["title", "pages", "weight"], "rows": [*rows, [None, None, None]]}
    where = "SELECT pages FROM books WHERE title = ? AND pages >= ? AND weight > ?"
    found = await actor.post("/sql/query", {"statement": where, "text": "a"})
    assert found == {"columns": ["pages"], "rows": [[1]]}
    assert (await actor.post("/sql/query", {"statement": where, "text": "none"}))["rows"] == []
    assert await execute("DELETE FROM books") == 4
    answer = await actor.ask("POST", "/sql/query", {"statement": "SELECT * FROM nowhere"})
    assert (answer.status, answer.error) == (502, "guest_error")
    assert "sql: db" in answer.json["message"]
    assert "nowhere" in answer.json["message"]


async def test_fetch(actor: Conformance) -> None:
    assert await actor.post("/fetch", {"url": actor.page}) == {"status": 200, "body": "outside"}
    assert (await actor.post("/fetch", {"url": f"{actor.page}/not"}))["status"] == 404
    answer = await actor.ask("POST", "/fetch", {"url": "http://elsewhere.invalid/"})
    assert answer.status == 502
    assert "host_not_allowed: " in answer.json["message"]


async def test_time_and_random_numbers(actor: Conformance) -> None:
    now = (await actor.get("/now"))["now"]
    assert abs(now / 1000 - time.time()) < 60
    random = [await actor.get("/random") for _ in range(3)]
    assert all(0 <= each["random"] < 2**32 and len(each["guid"]) == 36 for each in random)
    assert len({each["random"] for each in random}) > 1
    assert len({each["guid"] for each in random}) == 3


async def test_lines_in_the_log(actor: Conformance, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for level in ("debug", "info", "warn", "error"):
            assert await actor.post("/log", {"level": level, "message": f"a line of {level} é"}) == {}
    logged = [(record.levelname, record.getMessage()) for record in caplog.records]
    for name, level in (("DEBUG", "debug"), ("INFO", "info"), ("WARNING", "warn"), ("ERROR", "error")):
        assert any(found == name and f"a line of {level} é" in text for found, text in logged)
    answer = await actor.ask("POST", "/log", {"level": "loud", "message": ""})
    assert (answer.status, "level" in answer.error) == (400, True)


async def test_many_requests_at_once(actor: Conformance) -> None:
    names = [f"n{number}" for number in range(50)]
    answers = await asyncio.gather(*(actor.get(f"/hello?name={name}") for name in names))
    assert [answer["hello"] for answer in answers] == names
