"""A host for tests: what a test can do with an actor, arrange around it, and see of it."""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lattice import errors
from lattice.contracts.builtin import LogEntry, RangeLimit
from lattice.contracts.cron import Tick
from lattice.contracts.httpclient import HttpRequest
from lattice.contracts.keyvalue import IncrementRequest, ListAddRequest, SetAddRequest, SetRequest
from lattice.contracts.messaging import PubMessage, RequestMessage
from lattice.testing import NotExpected, TestHost, host
from tests.kit.guests import ACTORS, COUNTER, Refused, decoded, guest, relayed

KEYVALUE = "wasmcloud:keyvalue"
MESSAGING = "wasmcloud:messaging"


def manifest(folder: Path, actor: str, traits: tuple[str, ...] = (), limits: str = "") -> Path:
    """One actor of tests/guests, with links to a key-value store: `traits` are what such a link says besides."""
    guest(folder, actor)
    link = "{type: link, properties: {target: store, namespace: wasmcloud, package: keyvalue, %s}}"
    lines = [
        "apiVersion: core.oam.dev/v1beta1",
        "kind: Application",
        f"metadata: {{name: {actor}}}",
        "spec:",
        "  components:",
        f"    - name: {actor}",
        "      type: component",
        f"      properties: {{image: file://{actor}.wasm{limits}}}",
        *(["      traits:"] if traits else []),
        *(f"        - {link % said}" for said in traits),
        *(
            ["    - {name: store, type: capability, properties: {image: 'builtin://keyvalue-sqlite'}}"]
            if traits
            else []
        ),
    ]
    path = folder / "app.yaml"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[TestHost]:
    async with host(guest(tmp_path, "relay")) as h:
        yield h


async def test_a_request_goes_through_the_http_server_to_the_guest_and_back() -> None:
    async with host(COUNTER) as h:
        reply = await h.http("GET", "/hits?x=1")
        assert (reply.status, reply.json(), reply.headers["content-type"]) == (200, {"counter": 1}, "application/json")
        assert reply.text == '{"counter":1}\n'
        assert (await h.http("GET", "/hits?x=1")).json() == {"counter": 2}


async def test_what_is_arranged_is_what_the_actor_finds() -> None:
    async with host(COUNTER) as h:
        h.keyvalue["/hits"] = 41
        assert (await h.http("GET", "/hits")).json() == {"counter": 42}
        assert h.keyvalue["/hits"] == "42"
        del h.keyvalue["/hits"]
        assert "/hits" not in h.keyvalue
        assert len(h.keyvalue) == 0


async def test_every_kind_of_value_can_be_arranged_and_seen(relay: TestHost) -> None:
    await relayed(relay, KEYVALUE, "KeyValue.ListAdd", ListAddRequest(list_name="l", value="a"))
    await relayed(relay, KEYVALUE, "KeyValue.SetAdd", SetAddRequest(set_name="s", value="b"))
    await relayed(relay, KEYVALUE, "KeyValue.Set", SetRequest(key="v", value='{"n": 1}'))
    assert dict(relay.keyvalue) == {"l": ["a"], "s": {"b"}, "v": '{"n": 1}'}
    assert relay.keyvalue.json("v") == {"n": 1}
    relay.keyvalue["l2"] = ["x", "y"]
    relay.keyvalue["s2"] = {"y", "x"}
    relay.keyvalue["d"] = {"a": 1}
    assert decoded(await relayed(relay, KEYVALUE, "KeyValue.SetQuery", "s2")) == ["x", "y"]
    assert decoded(await relayed(relay, KEYVALUE, "KeyValue.Get", "d")) == {"value": '{"a": 1}', "exists": True}
    with pytest.raises(KeyError, match="there are 'd', 'l', 'l2'"):
        relay.keyvalue["none"]
    with pytest.raises(AssertionError, match="'l' holds a list"):
        relay.keyvalue.json("l")
    with pytest.raises(errors.ConfigError, match="a object cannot be kept"):
        relay.keyvalue["o"] = object()  # type: ignore[assignment]


async def test_values_expire_when_time_passes(relay: TestHost) -> None:
    await relayed(relay, KEYVALUE, "KeyValue.Set", SetRequest(key="k", value="v", expires=60))
    relay.keyvalue.put("mine", "v", expires_s=30)
    await relay.clock.advance(59)
    assert list(relay.keyvalue) == ["k"]
    await relay.clock.advance(1)
    assert list(relay.keyvalue) == []


async def test_the_clocks_of_a_guest_are_those_of_the_test_and_chance_repeats(tmp_path: Path) -> None:
    async def seen(seed: int) -> list[tuple[int, int, bytes]]:
        found = []
        async with host(guest(tmp_path, "clock_and_random"), seed=seed, start_s=1000.5) as h:
            for _ in range(2):
                wall, monotonic, chance = struct.unpack("<QQ16s", await h.call("Any"))
                found.append((wall, monotonic, chance))
                await h.clock.advance(2)
        return found

    first = await seen(7)
    assert [wall for wall, _, _ in first] == [1000_500_000_000, 1002_500_000_000]
    assert first[1][1] - first[0][1] == 2_000_000_000
    assert first[0][1] > 0  # some runtimes take a clock at zero for a broken one
    assert first[0][2] != first[1][2]
    assert await seen(7) == first
    assert await seen(8) != first


async def test_a_guest_that_sleeps_takes_no_real_time(tmp_path: Path) -> None:
    async with host(guest(tmp_path, "sleep")) as h:
        reply = await h.call("Sleep", struct.pack("<I", 9_000))
        assert struct.unpack("<III", reply)[0] == 0
        assert h.clock.elapsed_s == 9


async def test_a_guest_that_sleeps_past_its_deadline_is_ended_at_it(tmp_path: Path) -> None:
    async with host(guest(tmp_path, "sleep")) as h:
        with pytest.raises(errors.DeadlineExceeded):
            await h.call("Sleep", struct.pack("<I", 3_600_000))
        assert h.clock.elapsed_s == 10  # limits.time


async def test_a_guest_that_computes_for_ever_is_ended_all_the_same(tmp_path: Path) -> None:
    async with host(manifest(tmp_path, "spin", limits=", limits: {time: 200ms}")) as h:
        with pytest.raises(errors.DeadlineExceeded):
            await h.call("Any")


async def test_numbers_from_the_host_are_the_same_on_every_run(tmp_path: Path) -> None:
    async def drawn() -> list[object]:
        async with host(guest(tmp_path, "relay"), seed="one") as h:
            numbers = "wasmcloud:builtin:numbergen"
            return [
                decoded(await relayed(h, numbers, "NumberGen.Random32")),
                decoded(await relayed(h, numbers, "NumberGen.RandomInRange", RangeLimit(min=1, max=6))),
                decoded(await relayed(h, numbers, "NumberGen.GenerateGuid")),
            ]

    assert await drawn() == await drawn()


async def test_log_lines_are_kept_with_their_levels(relay: TestHost) -> None:
    for level in ("debug", "error"):
        entry = LogEntry(level=level, text=f"a line of {level}")  # type: ignore[arg-type]
        await relayed(relay, "wasmcloud:builtin:logging", "Logging.WriteLog", entry)
    assert [(line.actor, line.level, line.text) for line in relay.logs] == [
        ("relay", "debug", "a line of debug"),
        ("relay", "error", "a line of error"),
    ]


async def test_messages_are_published_seen_and_answered(relay: TestHost) -> None:
    heard = []

    def answer(subject: str, body: bytes) -> bytes:
        heard.append((subject, body))
        return body[::-1]

    await relay.on_message("work.>", answer)
    await relayed(relay, MESSAGING, "Messaging.Publish", PubMessage(subject="work.one", body=b'{"n": 1}'))
    assert heard == [("work.one", b'{"n": 1}')]
    [published] = relay.published
    assert (published.subject, published.json(), published.by) == ("work.one", {"n": 1}, "relay")
    reply = await relayed(
        relay, MESSAGING, "Messaging.Request", RequestMessage(subject="work.two", body=b"abc", timeout_ms=20_000)
    )
    assert decoded(reply)["body"] == b"cba"
    assert await relay.request("work.three", "xyz") == b"zyx"
    with pytest.raises(errors.TargetUnknown, match=r"nobody subscribes to 'elsewhere'"):
        await relay.request("elsewhere")


async def test_everything_a_message_caused_is_done_when_publish_returns() -> None:
    async with host(ACTORS / "demo" / "app.yaml") as h:
        made = await h.http("POST", "/links", json={"url": "https://example.org/", "code": "mine"})
        assert made.status == 201
        for _ in range(3):
            assert (await h.http("GET", "/mine")).status == 302
        assert (await h.http("GET", "/links/mine")).json()["clicks"] == 3
        await h.publish("links.clicked", h.published[-1].body)
        assert (await h.http("GET", "/links/mine")).json()["clicks"] == 4


async def test_timers_tick_when_time_passes_and_when_they_are_told_to() -> None:
    async with host(ACTORS / "demo" / "app.yaml") as h:
        ticks = [call.at_s for call in h.transcript.of("HandleTick")]
        assert ticks == [0]  # at_start
        await h.clock.advance(12)
        assert [call.at_s for call in h.transcript.of("HandleTick")] == [0, 5, 10]
        await h.tick("mine", actor="report", missed=2)
        assert h.transcript.of("HandleTick")[-1].request == {
            "timer": "mine",
            "scheduledMs": 1735689612000,
            "nowMs": 1735689612000,
            "missed": 2,
        }
        assert b"<h1>Links of the last week" in h.blobs["reports", "report.html"]


async def test_objects_can_be_arranged_and_seen() -> None:
    async with host(ACTORS / "demo" / "app.yaml") as h:
        h.blobs["reports", "report.html"] = "<p>mine"
        assert (await h.http("GET", "/report")).text == "<p>mine"
        assert h.blobs.text("reports", "report.html") == "<p>mine"
        assert ("reports", "report.html") in h.blobs
        del h.blobs["reports", "report.html"]
        assert (await h.http("GET", "/report")).status == 404
        with pytest.raises(KeyError, match="there is no object"):
            h.blobs["reports", "report.html"]


async def test_servers_that_an_actor_asks_are_played(relay: TestHost) -> None:
    async def fetch(url: str) -> dict[str, object]:
        reply = decoded(
            await relayed(relay, "wasmcloud:httpclient", "HttpClient.Request", HttpRequest(method="GET", url=url))
        )
        assert isinstance(reply, dict)
        return reply

    relay.web.answers("GET", "https://api.example.org/x", json={"a": 1}, status=201, headers={"X-Way": "so"})
    reply = await fetch("https://api.example.org/x")
    assert (reply["statusCode"], reply["body"]) == (201, b'{"a":1}')
    assert reply["header"] == {"x-way": ["so"], "content-type": ["application/json"]}
    relay.web.fails("GET", "https://down.example.org/")
    with pytest.raises(Refused, match=r"provider_unavailable: cannot connect to https://down\.example\.org/"):
        await fetch("https://down.example.org/")
    with pytest.raises(Refused, match=r"no server answers GET https://other\.example\.org/ in this test"):
        await fetch("https://other.example.org/")
    assert [request.url for request in relay.web.requests][-1] == "https://other.example.org/"


async def test_other_actors_are_played_or_real(relay: TestHost) -> None:
    relay.stand_in("fixed", {"Greet": b"hello"})
    relay.stand_in("shouts", lambda operation, payload: payload.upper())

    async def slowly(_operation: str, payload: bytes) -> bytes:
        await asyncio.sleep(0)
        return payload * 2

    relay.stand_in("doubles", slowly)
    assert await relayed(relay, "fixed", "Greet") == b"hello"
    assert await relayed(relay, "shouts", "Any", b"abc") == b"ABC"
    assert await relayed(relay, "doubles", "Any", b"ab") == b"abab"
    with pytest.raises(Refused, match="operation_unknown: the stand-in fixed has no operation 'Part'"):
        await relayed(relay, "fixed", "Part")
    with pytest.raises(errors.ConfigError, match="the key fixed is taken"):
        relay.stand_in("fixed", {})
    async with host(ACTORS / "pinger" / "app.yaml") as h:
        assert (await h.http("GET", "/?message=hello")).status == 200
        assert {call.target for call in h.transcript} >= {"pinger", "ponger"}


async def test_an_operation_of_a_contract_takes_and_gives_its_messages() -> None:
    async with host(COUNTER) as h:
        reply = await h.call(
            "HttpServer.HandleRequest", {"method": "GET", "path": "/a", "query_string": "", "header": {}, "body": b""}
        )
        assert reply.body == b'{"counter":1}\n'
        with pytest.raises(errors.ConfigError, match=r"is no message of HttpServer\.HandleRequest"):
            await h.call("HttpServer.HandleRequest", {"method": 5})
        with pytest.raises(errors.ConfigError, match="of no known contract"):
            await h.call("Mine", {"a": 1})


async def test_failures_are_answers_as_clients_get_them(tmp_path: Path) -> None:
    async with host(guest(tmp_path, "trap")) as h:
        reply = await h.http("GET", "/")
        assert (reply.status, reply.json()["error"]) == (502, "guest_trapped")
        with pytest.raises(errors.GuestTrapped):
            await h.call("Any")


async def test_what_a_route_does_not_take_is_refused_as_by_the_server() -> None:
    async with host(ACTORS / "demo" / "app.yaml") as h:
        assert (await h.http("TRACE", "/")).status in (404, 405)
        assert (await h.http("GET", "http://127.0.0.1:8080/report/links.csv")).status == 200
        with pytest.raises(errors.ConfigError, match="the path of a request begins with /"):
            await h.http("GET", "report")
        with pytest.raises(errors.ConfigError, match="json or body"):
            await h.http("POST", "/links", json={}, body=b"")


async def test_large_requests_and_replies_come_whole() -> None:
    async with host(ACTORS / "echo" / "app.yaml") as h:
        body = b"x" * 300_000
        assert (await h.http("POST", "/echo", body=body)).body == body


async def test_what_an_actor_is_not_linked_to_is_refused_as_on_every_host(tmp_path: Path) -> None:
    async with host(manifest(tmp_path, "relay")) as h:
        with pytest.raises(Refused, match="not_linked: relay-relay has no link for wasmcloud:keyvalue"):
            await relayed(h, KEYVALUE, "KeyValue.Get", "k")
        with pytest.raises(errors.ConfigError, match="the application has no provider of wasmcloud:keyvalue"):
            h.keyvalue["k"]
        with pytest.raises(errors.ConfigError, match="no provider of wasmcloud:httpserver"):
            await h.http("GET", "/")


async def test_requests_at_once_are_all_answered() -> None:
    async with host(COUNTER) as h:
        replies = await asyncio.gather(*(h.http("GET", "/hits") for _ in range(20)))
        assert sorted(reply.json()["counter"] for reply in replies) == list(range(1, 21))


async def test_links_have_names_and_each_has_its_bucket(tmp_path: Path) -> None:
    named = ("name: cache, target_config: {bucket: cache}", "name: other, target_config: {bucket: other}")
    async with host(manifest(tmp_path, "relay", named)) as h:
        await relayed(h, KEYVALUE, "KeyValue.Increment", IncrementRequest(key="n", value=3), link="other")
        assert (dict(h.bucket("cache")), dict(h.bucket("other"))) == ({}, {"n": "3"})
        assert "relay > wasmcloud:keyvalue@other KeyValue.Increment" in h.transcript.text()
        with pytest.raises(errors.ConfigError, match="uses the buckets cache, other"):
            h.keyvalue["n"]


async def test_a_mistake_in_a_link_is_one_here_too(tmp_path: Path) -> None:
    wrong = manifest(tmp_path, "relay", ("target_config: {bukket: a}",))
    with pytest.raises(errors.ConfigError, match="bukket: no such key; known keys: bucket"):
        async with host(wrong):
            pass


# What is wrong use.


async def test_a_module_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(errors.ArtifactUnreadable, match="there is no file") as raised:
        async with host(tmp_path / "build" / "shop.wasm"):
            pass
    assert "lattice build" in raised.value.remedy
    with pytest.raises(errors.ConfigError, match="is not an actor's project"):
        async with host(tmp_path):
            pass


async def test_what_was_not_awaited_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=re.escape("http('GET', '/hits') was never awaited")):
        async with host(COUNTER) as h:
            h.http("GET", "/hits")  # type: ignore[unused-coroutine]
    with pytest.raises(AttributeError) as raised:
        async with host(COUNTER) as h:
            h.http("GET", "/hits").status  # type: ignore[attr-defined]  # noqa: B018
    assert any("http('GET', '/hits') was never awaited" in note for note in raised.value.__notes__)


async def test_an_operation_that_the_actor_does_not_have_is_its_own_error() -> None:
    async with host(COUNTER) as h:
        with pytest.raises(errors.CallError, match=r"Nothing\.OfThis"):
            await h.call("Nothing.OfThis", b"")


async def test_the_actor_has_to_be_named_where_there_are_several() -> None:
    async with host(ACTORS / "demo" / "app.yaml") as h:
        with pytest.raises(errors.ConfigError, match="the application has several actors"):
            await h.tick()
        with pytest.raises(errors.ConfigError, match="there is no actor 'http'; there are clicks, report, shortener"):
            await h.tick(actor="http")


async def test_a_failing_test_is_told_with_calls_and_log(tmp_path: Path) -> None:
    async def fails() -> None:
        async with host(guest(tmp_path, "relay")) as h:
            await relayed(h, "wasmcloud:builtin:logging", "Logging.WriteLog", LogEntry(level="info", text="here"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as raised:
        await fails()
    [note] = raised.value.__notes__
    assert "calls of relay:" in note
    assert "relay > wasmcloud:builtin:logging Logging.WriteLog" in note
    assert "info    relay: here" in note


async def test_time_does_not_pass_backwards(relay: TestHost) -> None:
    with pytest.raises(ValueError, match="forward"):
        await relay.clock.advance(-1)


async def test_an_unmet_expectation_ends_the_test(tmp_path: Path) -> None:
    async def expects() -> None:
        async with host(COUNTER) as h:
            h.expect(KEYVALUE, "Increment", key="other")
            await h.http("GET", "/hits")

    with pytest.raises(NotExpected) as raised:
        await expects()
    text = str(raised.value)
    assert "expected, and did not come:\n  wasmcloud:keyvalue KeyValue.Increment(key='other')" in text
    assert (
        'came instead: +0.000   counter > wasmcloud:keyvalue KeyValue.Increment {"key": "/hits", "value": 1} = 1'
        in text
    )


async def test_ticks_are_messages_too(relay: TestHost) -> None:
    with pytest.raises(errors.ConfigError, match=r"no message of Cron\.HandleTick"):
        await relay.call("Cron.HandleTick", Tick)
