"""The Python SDK without a component around it: its codecs, records, routes and patterns, and what its clients send."""

from __future__ import annotations

import contextlib
import enum
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nanolattice import (
    Error,
    Message,
    Request,
    Response,
    Tick,
    actors,
    answering,
    cbor,
    fetch,
    guest,
    host,
    http,
    log,
    msgpack,
    not_found,
    numbergen,
    on_message,
    on_operation,
    on_timer,
    records,
    sql,
    timers,
)
from nanolattice import blobstore as blobs
from nanolattice import keyvalue as kv
from nanolattice import messaging as mail

from lattice import wire
from lattice.authoring import resources
from lattice.contracts import blobstore as blobstore_contract
from lattice.contracts import builtin, cron, httpclient, httpserver, keyvalue, messaging, sqldb
from lattice.contracts.message import Contract

INTEGERS = st.integers(-(2**63), 2**64 - 1)
PLAIN = st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False) | st.text() | st.binary()
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(-100, 100), inner), max_leaves=20
)


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    """What a test registers is its own."""
    yield
    for table in (http.routes, mail.handlers, timers.handlers, answering.handlers):
        table.clear()


# ---- codecs


@given(VALUES)
def test_messagepack_is_what_the_host_reads_and_writes(value: Any) -> None:
    assert msgspec.msgpack.decode(msgpack.pack(value), strict=False) == value
    assert msgpack.unpack(wire.encode(value)) == value


@pytest.mark.parametrize("size", [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536])
def test_messagepack_of_every_size(size: int) -> None:
    for value in ("x" * size, b"x" * size, [None] * size, {str(number): 1 for number in range(size)}):
        assert wire.decode_any(msgpack.pack(value)) == value
        assert msgpack.unpack(msgpack.pack(value)) == value
        assert msgpack.pack(value) == wire.encode(value)


@given(st.binary(max_size=60))
def test_bytes_of_strangers_are_a_value_or_malformed(data: bytes) -> None:
    for read, malformed in ((msgpack.unpack, msgpack.Malformed), (cbor.load, cbor.Malformed)):
        with contextlib.suppress(malformed):
            read(data)


def test_messagepack_has_ends() -> None:
    for data in (b"", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\xc0\xc0", b"\x91" * 100, b"\xa2\xff\xff", b"\x81\x90\xc0"):
        with pytest.raises(msgpack.Malformed):
            msgpack.unpack(data)
    for value in (2**64, object(), -(2**63) - 1):
        with pytest.raises(TypeError):
            msgpack.pack(value)


@given(PLAIN, st.lists(st.lists(PLAIN)))
def test_cbor_is_what_the_host_reads_and_writes(value: Any, rows: list[list[Any]]) -> None:
    assert cbor2.loads(cbor.dump(value)) == value
    assert cbor.load(cbor2.dumps(rows)) == rows
    assert cbor.load(cbor2.dumps(value, canonical=True)) == value


# ---- records


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


@dataclass
class Part:
    name: str
    parts: list[Part] = field(default_factory=list)


@dataclass
class Order:
    id: int
    price: float
    colour: Colour
    size: Literal["s", "m"]
    paid: bool
    note: str | None = None
    either: int | str = 0
    tags: dict[str, list[int]] = field(default_factory=dict)
    part: Part | None = None


GOOD: dict[str, Any] = {"id": 1, "price": 2, "colour": "red", "size": "m", "paid": False}


def test_a_record_comes_and_goes() -> None:
    order = records.decode(Order, {**GOOD, "part": {"name": "a", "parts": [{"name": "b"}]}, "other": 1}, "the body")
    assert order == Order(1, 2.0, Colour.RED, "m", False, part=Part("a", [Part("b")]))
    assert isinstance(order.price, float)
    again = json.loads(json.dumps(records.plain(order)))
    assert again["colour"] == "red"
    assert records.decode(Order, again, "the body") == order


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "1"}, "id is text, not a whole number"),
        ({"id": True}, "id is true, not a whole number"),
        ({"id": 1.5}, "id is the number 1.5, not a whole number"),
        ({"id": 2**63}, "id is a number of more than 64 bits"),
        ({"price": None}, "price is null, not a number"),
        ({"colour": "blue"}, 'colour is "blue", not one of "red", "green"'),
        ({"size": ["s"]}, "size is"),
        ({"note": 1}, "note is the number 1, not text"),
        ({"either": 1.5}, "either is the number 1.5"),
        ({"tags": {"a": [1, "2"]}}, "tags.a[1] is text, not a whole number"),
        ({"part": {"name": "a", "parts": [{"name": 1}]}}, "parts[0].name is the number 1, not text"),
        ({"part": {}}, "name is missing"),
        ({"part": []}, "part is a list, not an object"),
    ],
)
def test_a_mistake_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(Error) as caught:
        records.decode(Order, {**GOOD, **change}, "the body")
    assert caught.value.code == "invalid"
    assert said in caught.value.message


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[Infinity]", '"\\ud800"', b"\xff", "[" * 1000, '{"a":' * 70 + "1" + "}" * 70]
)
def test_what_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(Error, match=r"^invalid: the body is not JSON"):
        records.from_json(object, text, "the body")


def members(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from([*GOOD, "note", "either", "tags", "part", "name", "parts"]), inner)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | members(inner)
)


class Invalid(Exception):
    """An `Error` of that code."""


@contextlib.contextmanager
def refusals_as_invalid() -> Iterator[None]:
    """Lets through what is no `Error` "invalid"."""
    try:
        yield
    except Error as error:
        raise Invalid if error.code == "invalid" else error from error


@given(JSON)
def test_whatever_json_there_is_becomes_a_record_or_an_error_of_the_visitor(value: Any) -> None:
    text = json.dumps({**GOOD, **value} if isinstance(value, dict) else value)
    with contextlib.suppress(Invalid), refusals_as_invalid():
        order = records.from_json(Order, text, "the body")
        assert records.decode(Order, records.plain(order), "again") == order


@given(st.text(max_size=30), st.text(max_size=30), st.binary(max_size=30))
def test_whatever_request_there_is_gets_an_answer(path: str, query: str, body: bytes) -> None:
    if not http.routes:

        @http.route("*", "/{a}/{b}/{rest...}")
        def everything(a: int, b: str, rest: str, part: Part, q: float = 1.0, flag: bool = False) -> Any:
            return [a, b, rest, part, q, flag]

    found = guest.serve(
        "HttpServer.HandleRequest",
        msgpack.pack({"method": "GET", "path": f"/1/{path}", "queryString": query, "body": body}),
    )
    assert msgpack.unpack(found)["statusCode"] in (200, 400, 404)


def test_brackets_in_texts_and_side_by_side_are_not_depth() -> None:
    wide = [{"[[": ['{{"']} for _ in range(500)]
    assert records.from_json(list, json.dumps(wide), "x") == wide
    deep: Any = 1
    for _ in range(60):
        deep = [deep, '"[']
    assert records.from_json(list, json.dumps(deep), "x") == deep


@pytest.mark.parametrize("type_", [complex, set[int], dict[int, str], tuple[int, int], list[bytes]])
def test_types_that_json_does_not_have_are_told_at_once(type_: Any) -> None:
    for _ in range(2):
        with pytest.raises(TypeError):
            records.decoder(type_)


# ---- requests


def ask(method: str, path: str, body: bytes = b"", query: str = "") -> tuple[int, Any, dict[str, Any]]:
    request = httpserver.HttpRequest(method=method, path=path, query_string=query, header={"x": ["1"]}, body=body)
    reply = guest.serve("HttpServer.HandleRequest", wire.encode(request))
    response: httpserver.HttpResponse = wire.reply_decoder(httpserver.HANDLE_REQUEST)(reply)
    headers = response.header or {}
    content: Any = response.body
    if headers.get("content-type") == ["application/json"]:
        content = json.loads(response.body or b"")
    return response.status_code, content, dict(headers)


def test_parameters_are_pieces_of_the_path_values_of_the_query_and_the_body() -> None:
    @http.put("/shops/{shop}/{number}")
    def put(shop: str, number: int, part: Part, request: Request, loud: bool = False, limit: int | None = None) -> Any:
        return [shop, number, part.name, request.header("X"), loud, limit, request.values("limit")]

    good = b'{"name": "p"}'
    assert ask("PUT", "/shops/a%20b/7", good) == (200, ["a b", 7, "p", "1", False, None, []], ANY_HEADERS)
    assert ask("PUT", "/shops/a/7", good, "loud=yes&limit=3")[1][4:] == [True, 3, ["3"]]
    assert ask("PUT", "/shops/a/x", good)[1] == {"error": "number in the path is 'x', not a whole number"}
    assert ask("PUT", "/shops/a/7", good, "loud=maybe")[1] == {
        "error": "loud in the query is 'maybe', not true or false"
    }
    assert ask("PUT", "/shops/a/7", b"[]")[1] == {"error": "the body is a list, not an object"}


class _Anything:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]  # compared only


ANY_HEADERS = _Anything()


def test_a_list_is_a_body() -> None:
    @http.post("/sum")
    def total(numbers: list[int], times: int | None = None) -> dict[str, int]:
        return {"total": sum(numbers) * (times or 1)}

    assert ask("POST", "/sum", b"[1, 2]", "times=2")[1] == {"total": 6}
    assert ask("POST", "/sum", b'[1, "2"]')[1] == {"error": "the body[1] is text, not a whole number"}


def test_what_a_function_returns_is_the_answer() -> None:
    answers: dict[str, Any] = {
        "none": None,
        "text": "é",
        "bytes": b"\xff",
        "record": Part("a"),
        "response": http.html("<p>", 418, {"x": "y"}),
        "redirect": http.redirect("/there"),
    }

    @http.get("/{what}")
    def answer(what: str) -> Any:
        return answers[what]

    @http.post("/made", status=201)
    def made() -> Any:
        return [1]

    assert ask("GET", "/none")[:2] == (204, b"")
    assert ask("GET", "/text") == (200, "é".encode(), {"content-type": ["text/plain; charset=utf-8"]})
    assert ask("GET", "/bytes") == (200, b"\xff", {"content-type": ["application/octet-stream"]})
    assert ask("GET", "/record")[:2] == (200, {"name": "a", "parts": []})
    assert ask("GET", "/response") == (418, b"<p>", {"content-type": ["text/html; charset=utf-8"], "x": ["y"]})
    assert ask("GET", "/redirect") == (303, b"", {"location": ["/there"]})
    assert ask("POST", "/made")[:2] == (201, [1])
    assert ask("HEAD", "/text")[0] == 200


def test_the_first_route_that_fits_counts() -> None:
    @http.get("/a/b")
    def first() -> str:
        return "first"

    @http.get("/a/{x}")
    def second(x: str) -> str:
        return f"second {x}"

    @http.post("/{rest...}")
    def third(rest: str) -> str:
        return f"third {rest}"

    assert ask("GET", "/a/b")[1] == b"first"
    assert ask("GET", "/a/c")[1] == b"second c"
    assert ask("POST", "/a/c%2Fd/")[1] == b"third a/c/d/"
    assert ask("POST", "/")[1] == b"third "
    assert ask("GET", "/a/b/c")[0] == 405
    assert ask("DELETE", "/a/c")[2]["allow"] == ["GET, POST"]


def test_paths_that_there_are_not() -> None:
    @http.get("/a/{x}")
    def only(x: str) -> str:
        return x

    for path in ("/", "/a", "/a/", "/a/b/", "//a/b"):
        assert ask("GET", path)[0] == 404, path


def test_an_error_becomes_an_answer_or_fails_the_call() -> None:
    @http.get("/{code}")
    def fail(code: str) -> None:
        raise Error(code, "as you wish") if code != "own" else not_found("not here")

    assert ask("GET", "/conflict")[:2] == (409, {"error": "as you wish"})
    assert ask("GET", "/own")[:2] == (404, {"error": "not here"})
    with pytest.raises(Error) as caught:
        ask("GET", "/odd")
    assert caught.value.code == "odd"


def test_what_nobody_meant_to_raise_is_told_in_the_log_only(capsys: pytest.CaptureFixture[str]) -> None:
    @http.get("/")
    def broken() -> None:
        raise RuntimeError("the secret")

    with pytest.raises(Error) as caught:
        ask("GET", "/")
    assert caught.value.code == "exception"
    assert "secret" not in caught.value.message
    said = capsys.readouterr().err
    assert "test_python.py:" in said
    assert "in broken\nRuntimeError: the secret\n" in said
    assert "guest.py" not in said


@pytest.mark.parametrize("pattern", ["people", "", "{name}"])
def test_a_pattern_begins_with_a_slash(pattern: str) -> None:
    with pytest.raises(ValueError, match="does not begin with /"):
        http.get(pattern)(lambda: None)


def test_a_handler_that_wants_what_no_request_has_is_told_so() -> None:
    def many(*names: str) -> None: ...
    def part(name: list[str]) -> None: ...
    def set_of(names: set[str]) -> None: ...

    for handler in (many, part, set_of):
        with pytest.raises(TypeError):
            http.get("/{name}")(handler)
    assert not http.routes


# ---- messages, ticks, operations


def test_messages_go_to_the_first_pattern_that_fits() -> None:
    seen: list[tuple[str, Message]] = []

    @on_message("a.b")
    def exact(message: Message) -> None:
        seen.append(("exact", message))

    @on_message("a.*")
    def star(message: Message) -> None:
        seen.append(("star", message))

    @on_message("a.>")
    def rest(message: Message) -> None:
        seen.append(("rest", message))

    for subject in ("a.b", "a.c", "a.b.c"):
        send(subject)
    assert [name for name, _ in seen] == ["exact", "star", "rest"]
    for subject in ("a", "b.c", ""):
        with pytest.raises(Error, match="operation_unknown"):
            send(subject)


def send(subject: str, body: bytes = b"", reply_to: str | None = None) -> None:
    message = messaging.SubMessage(subject=subject, reply_to=reply_to, body=body)
    assert guest.serve("MessageSubscriber.HandleMessage", wire.encode(message)) == b""


def test_what_a_handler_of_messages_returns_goes_to_who_waits() -> None:
    @on_message()
    def double(message: Message) -> str:
        return message.text * 2

    calls = Calls()
    send("x", b"ab")
    assert calls.made == []
    send("x", b"ab", "inbox")
    assert calls.made == [("default", "Messaging.Publish", messaging.PubMessage(subject="inbox", body=b"abab"))]


def test_ticks_go_to_their_timer() -> None:
    seen: list[tuple[str, Tick]] = []
    on_timer("a")(lambda tick: seen.append(("a", tick)))
    tick = wire.encode(cron.Tick(timer="b", scheduled_ms=1, now_ms=2, missed=3))
    with pytest.raises(Error, match="no timer b"):
        guest.serve("Cron.HandleTick", tick)
    on_timer()(lambda tick: seen.append(("any", tick)))
    guest.serve("Cron.HandleTick", tick)
    guest.serve("Cron.HandleTick", wire.encode(cron.Tick(timer="a", scheduled_ms=1, now_ms=2)))
    assert seen == [("any", Tick("b", 1, 2, 3)), ("a", Tick("a", 1, 2, 0))]


def test_operations_and_health() -> None:
    on_operation("Shop.Buy")(lambda payload: payload[::-1])
    assert guest.serve("Shop.Buy", b"ab") == b"ba"
    assert wire.decode_any(guest.serve("Actor.HealthRequest", b"")) == {"healthy": True}
    for operation in ("Shop.Sell", "HttpServer.HandleRequest", "Cron.HandleTick", "MessageSubscriber.HandleMessage"):
        with pytest.raises(Error, match="operation_unknown"):
            guest.serve(operation, b"")
    http.get("/")(lambda: None)
    for payload in (b"", b"\xc1", b"\x90"):
        with pytest.raises(Error, match="malformed_message"):
            guest.serve("HttpServer.HandleRequest", payload)


def test_operations_stand_in_a_component_only_when_it_answers_them() -> None:
    """As `lattice.authoring.capabilities.takes_messages` sees it: the whole SDK is in every component."""
    for path in resources.sdk("python").glob("nanolattice/*.py"):
        for contract in (httpserver.CONTRACT, messaging.CONTRACT, cron.CONTRACT):
            for operation in contract.actor_operations:
                assert operation.name not in path.read_text(), path


def test_random_numbers_are_not_those_of_the_build() -> None:
    before = random.getstate()
    guest.reseed()
    assert random.getstate() != before


# ---- clients: what is sent is what the contract says


class Calls:
    """The host: notes calls, decoded by their contracts, and answers what it is told to."""

    CONTRACTS: tuple[Contract, ...] = (
        keyvalue.CONTRACT,
        messaging.CONTRACT,
        blobstore_contract.CONTRACT,
        sqldb.CONTRACT,
        httpclient.CONTRACT,
        builtin.LOGGING,
        builtin.NUMBERGEN,
    )

    def __init__(self, **answers: Any) -> None:
        self.made: list[tuple[str, str, Any]] = []
        self.answers = answers
        self.operations = {
            (contract.id, operation.name): operation for contract in self.CONTRACTS for operation in contract.operations
        }
        host.use(self)

    def __call__(self, link: str, target: str, operation: str, payload: bytes) -> bytes:
        known = self.operations[target, operation]
        self.made.append((link, operation, wire.request_decoder(known)(payload)))
        answer = self.answers.get(operation.partition(".")[2])
        if isinstance(answer, list) and known.reply is not list:
            answer = answer.pop(0)
        return wire.encoder(known.reply)(answer)


def test_key_value_calls() -> None:
    calls = Calls(Get=keyvalue.GetResponse(value="", exists=False), Increment=5, ListAdd=2, Del=True, SetAdd=0)
    assert kv.get("k") is None
    assert kv.get_json("k", Part) is None
    kv.open("cache").set("k", "v", 60)
    kv.set_json("k", Part("é"))
    assert (kv.increment("n"), kv.list_add("l", "v"), kv.delete("k"), kv.set_add("s", "v")) == (5, 2, True, False)
    assert calls.made[2:4] == [
        ("cache", "KeyValue.Set", keyvalue.SetRequest(key="k", value="v", expires=60)),
        ("default", "KeyValue.Set", keyvalue.SetRequest(key="k", value='{"name":"é","parts":[]}', expires=0)),
    ]
    calls.answers = {"Get": keyvalue.GetResponse(value='{"name": 1}', exists=True)}
    with pytest.raises(Error, match=r"^invalid: name is the number 1, not text"):
        kv.get_json("k", Part)


def test_message_calls() -> None:
    calls = Calls(Request=messaging.ReplyMessage(subject="r", body=b"[1]"))
    mail.publish("s", "é", reply_to="r", link="other")
    assert mail.request("s", b"x", timeout_s=0.5).json(list) == [1]
    assert calls.made == [
        ("other", "Messaging.Publish", messaging.PubMessage(subject="s", body="é".encode(), reply_to="r")),
        ("default", "Messaging.Request", messaging.RequestMessage(subject="s", body=b"x", timeout_ms=500)),
    ]


@pytest.mark.parametrize("size", [0, 1, blobs.PIECE, blobs.PIECE + 1, 3 * blobs.PIECE])
@pytest.mark.parametrize("chunk", [10_000, blobs.PIECE])
def test_objects_of_every_size_go_in_and_come_back(size: int, chunk: int) -> None:
    """Against a store that gives at most `chunk` bytes at once."""
    data = random.randbytes(size)
    stored = bytearray()

    def store(_link: str, _target: str, operation: str, payload: bytes) -> bytes:
        api = blobstore_contract
        known = next(each for each in api.CONTRACT.operations if each.name == operation)
        message = wire.request_decoder(known)(payload)
        if operation in ("Blobstore.PutObject", "Blobstore.PutChunk"):
            assert message.chunk.offset == len(stored)
            stored.extend(message.chunk.bytes)
            if message.chunk.is_last:
                assert len(stored) == size
                return wire.encode(api.PutObjectResponse()) if operation == "Blobstore.PutObject" else b""
            return wire.encode(api.PutObjectResponse(stream_id="s")) if operation == "Blobstore.PutObject" else b""
        if operation == "Blobstore.GetObjectInfo":
            return wire.encode(api.ObjectMetadata(object_id="o", container_id="c", content_length=size))
        assert operation == "Blobstore.GetObject"
        wanted = bytes(stored[message.range_start : message.range_end + 1])
        piece = api.Chunk(object_id="o", container_id="c", bytes=wanted[:chunk], offset=0, is_last=True)
        return wire.encode(api.GetObjectResponse(success=True, initial_chunk=piece, content_length=len(wanted)))

    host.use(store)
    box = blobs.container("c")
    box.put("o", data)
    assert box.get("o").data == data


def test_object_calls() -> None:
    api = blobstore_contract
    found = api.ListObjectsResponse(objects=[], is_last=True)
    calls = Calls(
        ContainerExists=False,
        GetObject=api.GetObjectResponse(success=False, content_length=0),
        ListObjects=found,
        RemoveObjects=[[api.ItemResult(key="o", success=False, error="busy")]],
    )
    box = blobs.container("c")
    box.create()
    assert [operation for _, operation, _ in calls.made] == ["Blobstore.ContainerExists", "Blobstore.CreateContainer"]
    with pytest.raises(Error, match="not_found"):
        box.get("o")
    assert box.list("a") == []
    assert calls.made[-1][2].start_with == "a"
    with pytest.raises(Error, match="busy"):
        box.delete("o")


def test_sql_calls() -> None:
    column = sqldb.Column(ordinal=0, name="name", db_type="TEXT")
    rows = sqldb.QueryResult(num_rows=1, columns=[column], rows=cbor2.dumps([["a"]]))
    calls = Calls(Query=rows, Execute=sqldb.ExecuteResult(rows_affected=3))
    assert list(sql.query("SELECT ?", 1, "é", None, b"x", 1.5, True)) == [{"name": "a"}]
    assert [cbor2.loads(value) for value in calls.made[0][2].parameters] == [1, "é", None, b"x", 1.5, True]
    assert sql.query("SELECT").of(Part) == [Part("a")]
    assert sql.open("other").execute("DELETE") == 3
    assert calls.made[-1][0] == "other"
    calls.answers = {"Execute": sqldb.ExecuteResult(rows_affected=0, error=sqldb.SqlDbError(code="db", message="no"))}
    with pytest.raises(Error, match=r"^sql: db: no$"):
        sql.execute("DROP")


def test_fetch_log_and_numbers() -> None:
    answer = httpclient.HttpResponse(status_code=201, header={"etag": ["1"]}, body=b"[1]")
    calls = Calls(Request=answer, GenerateGuid="g", RandomInRange=7, Random32=2**32 - 1)
    found = fetch("http://x/", method="PUT", headers={"A": "b"}, json={"c": math.pi})
    assert (found.status, found.header("ETag"), found.json(list)) == (201, "1", [1])
    sent = calls.made[0][2]
    assert sent.headers == {"a": ["b"], "content-type": ["application/json"]}
    assert json.loads(sent.body) == {"c": math.pi}
    with pytest.raises(Error, match="invalid"):
        fetch("http://x/", json=1, body="2")
    log.warn("careful")
    assert calls.made[-1] == ("default", "Logging.WriteLog", builtin.LogEntry(level="warn", text="careful"))
    assert (numbergen.guid(), numbergen.in_range(1, 9), numbergen.random_32()) == ("g", 7, 2**32 - 1)


def test_calls_of_actors() -> None:
    seen: list[tuple[str, ...]] = []

    def call(link: str, target: str, operation: str, payload: bytes) -> bytes:
        seen.append((link, target, operation, payload.decode()))
        return b'{"name": "p"}'

    host.use(call)
    assert actors.call("shop", "Shop.Buy", "é") == b'{"name": "p"}'
    assert actors.call_json("shop", "Shop.Buy", Part("a"), Part) == Part("p")
    assert seen == [("", "shop", "Shop.Buy", "é"), ("", "shop", "Shop.Buy", '{"name": "a", "parts": []}')]


def test_a_response_may_have_a_header_twice() -> None:
    http.get("/")(lambda: Response(headers={"set-cookie": ["a", "b"]}))
    assert ask("GET", "/")[2] == {"set-cookie": ["a", "b"]}
