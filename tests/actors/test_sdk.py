"""The two SDKs: everything they have functions for works with the real providers, and both say the same."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from lattice import errors
from lattice.contracts.actor import HealthCheckResponse
from lattice.contracts.cron import Tick
from lattice.contracts.httpserver import HttpRequest, HttpResponse
from tests.actors.applications import ACTORS, RunningApplication, application, eventually

LANGUAGES = ("c", "as")
encode = msgspec.msgpack.encode
on_one_host = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""The probes keep nothing between calls, so that all examples may use the same ones."""


@pytest.fixture
async def probes(tmp_path: Path) -> AsyncIterator[RunningApplication]:
    async with application(ACTORS / "probe_c" / "app.yaml", tmp_path) as running:
        yield running


async def ask(probes: RunningApplication, language: str, path: str, query: str = "", body: bytes = b"") -> str:
    request = HttpRequest(method="GET", path=path, query_string=query, header={}, body=body)
    reply = await probes.call(f"probe-{language}", "HttpServer.HandleRequest", encode(request))
    response = msgspec.msgpack.decode(reply, type=HttpResponse)
    assert response.status_code == 200
    assert response.body is not None
    return response.body.decode()


async def test_requests_reach_the_actors_over_http(probes: RunningApplication) -> None:
    for language in LANGUAGES:
        url = URL(f"/{language}?q=a%20b%2b+c&x=1", encoded=True)
        async with probes.http.post(url, headers={"x-probe": "one"}, data="body") as response:
            assert await response.text() == (
                f"method=POST\npath=/{language}\nquery=q=a%20b%2b+c&x=1\nq=a b+ c\nx-probe=one\nbody=body\n"
            )


@pytest.mark.parametrize("language", LANGUAGES)
async def test_key_value(probes: RunningApplication, language: str) -> None:
    assert await ask(probes, language, "/keyvalue") == (
        "get=value é\nexists=true\nmissing=false\ncontains=true\ndelete=true\ndelete again=false\n"
        "increment=70000\ndecrement=-70000\nlist add=1\nlist add=2\nlist range=a b \nlist remove=true\n"
        "list clear=true\nset add=1\nset add=1\nset members=x y \nset union=x y z \nset intersection=y \n"
        "set remove=1\nset clear=true\n"
    )


@pytest.mark.parametrize("language", LANGUAGES)
async def test_messages_are_published_asked_and_answered(probes: RunningApplication, language: str) -> None:
    assert await ask(probes, language, "/messages", language) == "reply=answer to question\n"

    async def heard() -> bool:
        return "heard=told\n" in await ask(probes, language, "/heard")

    await eventually(heard)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_ticks_arrive_with_their_times(probes: RunningApplication, language: str) -> None:
    async def ticked() -> bool:
        return f"timer=timer-{language}\nlate by=0\n" in await ask(probes, language, "/heard")

    await eventually(ticked)
    tick = Tick(timer="by hand", scheduled_ms=1_700_000_000_000, now_ms=1_700_000_120_000, missed=3)
    assert await probes.call(f"probe-{language}", "Cron.HandleTick", encode(tick)) == b""


@pytest.mark.parametrize("language", LANGUAGES)
async def test_blobs_of_any_size_come_back_as_they_went(probes: RunningApplication, language: str) -> None:
    for query, size in (("", 0), ("00", 1), ("1", 262_144), ("10", 262_145), ("2", 524_288)):
        assert await ask(probes, language, "/blobs", query) == (
            f"found=true\ncontent type=text/x-probe\nsize={size}\nsame=true\nfound after delete=false\n"
        )


@pytest.mark.parametrize("language", LANGUAGES)
async def test_built_ins(probes: RunningApplication, language: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert await ask(probes, language, "/builtins") == (
            "random numbers differ=true\nin range=true\nguid size=36\nclock=true\n"
        )
    logged = [(record.levelname, record.getMessage()) for record in caplog.records]
    for level, text in (
        ("DEBUG", "a debug line"),
        ("INFO", "an info line"),
        ("WARNING", "a warning"),
        ("ERROR", "an error"),
    ):
        assert any(level == name and text in message for name, message in logged)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_errors_stick_until_they_are_taken(probes: RunningApplication, language: str) -> None:
    assert await ask(probes, language, "/failures") == (
        "failed=true\nis not_linked=true\nis not=false\nerror starts=true\nfailed after take=false\n"
        "was incremented=false\nis target_unknown=true\n"
    )


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_error_that_is_not_taken_fails_the_call_with_its_text(
    probes: RunningApplication, language: str
) -> None:
    with pytest.raises(errors.GuestError, match="not_linked: "):
        await ask(probes, language, "/fail")
    assert "method=GET" in await ask(probes, language, "/again"), "the instance lives on"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_unknown_operations_and_unreadable_requests_are_errors(probes: RunningApplication, language: str) -> None:
    with pytest.raises(errors.GuestError, match=r"no operation No\.Such"):
        await probes.call(f"probe-{language}", "No.Such", b"")
    with pytest.raises(errors.GuestError, match="malformed_message"):
        await probes.call(f"probe-{language}", "HttpServer.HandleRequest", b"\x85not a request")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_actors_say_that_they_are_healthy(probes: RunningApplication, language: str) -> None:
    reply = await probes.call(f"probe-{language}", "Actor.HealthRequest", encode({}))
    assert msgspec.msgpack.decode(reply, type=HealthCheckResponse) == HealthCheckResponse(healthy=True)


async def test_html_is_escaped(probes: RunningApplication) -> None:
    escaped = await ask(probes, "c", "/html", body=b"""<a href="x" id='y'>&</a>""")
    assert escaped == "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;&lt;/a&gt;"


words = st.text(max_size=40).filter(lambda word: word.isprintable())
requests = st.fixed_dictionaries(
    {
        "method": st.text(max_size=300),
        "path": st.just("/x"),
        "query_string": words,
        "header": st.dictionaries(words, st.lists(words, min_size=1, max_size=3), max_size=40),
        "body": st.text(max_size=70_000).map(str.encode),
    }
)


@given(requests)
@on_one_host
async def test_any_request_is_read_as_it_was_written(probes: RunningApplication, fields: dict[str, Any]) -> None:
    message = encode(HttpRequest(**fields))
    for language in LANGUAGES:
        reply = await probes.call(f"probe-{language}", "HttpServer.HandleRequest", message)
        response = msgspec.msgpack.decode(reply, type=HttpResponse)
        assert response.body is not None
        text = response.body.decode()
        assert text.startswith(f"method={fields['method']}\npath=/x\nquery={fields['query_string']}\n")
        assert text.endswith(f"x-probe={fields['header'].get('x-probe', [''])[0]}\nbody={fields['body'].decode()}\n")


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20), max_leaves=40
)


@given(values, st.data())
@on_one_host
async def test_any_messagepack_value_is_passed_over_and_no_part_of_one(
    probes: RunningApplication, value: Any, data: st.DataObject
) -> None:
    message = encode(value)
    part = message[: data.draw(st.integers(0, len(message) - 1))]
    for language in LANGUAGES:
        assert await probes.call(f"probe-{language}", "Probe.Skip", message) == b"one value"
        assert await probes.call(f"probe-{language}", "Probe.Skip", part) == b"bad"


@given(st.binary(max_size=60))
@on_one_host
async def test_no_bytes_break_the_readers(probes: RunningApplication, message: bytes) -> None:
    for language in LANGUAGES:
        assert await probes.call(f"probe-{language}", "Probe.Skip", message) in (b"bad", b"one value")
        with contextlib.suppress(errors.GuestError):
            await probes.call(f"probe-{language}", "HttpServer.HandleRequest", message)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(["a", "b", "ü", 'q"']) | st.text(max_size=5), json_values, max_size=5)


@st.composite
def json_texts(draw: st.DrawFn) -> str:
    """A JSON object, and half the time with a small mistake in it."""
    text = json.dumps(draw(objects), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(text) - 1))
        put = draw(st.sampled_from(["", "0", ",", "}", '"', "\\", "\n", "\x01", "e", "-", ".", "[", " "]))
        text = text[:at] + put + text[at + draw(st.integers(0, 1)) :]
    return text


def text_member(text: str, field: str) -> str | None:
    """What Python's own reader finds, without what it allows beyond JSON."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        found = json.loads(text, parse_constant=refuse)
    except ValueError:
        return None
    value = found.get(field) if isinstance(found, dict) else None
    return value if isinstance(value, str) else None


@given(json_texts(), st.sampled_from(["a", "b", "ü"]))
@on_one_host
async def test_json_is_read_as_python_reads_it(probes: RunningApplication, text: str, field: str) -> None:
    expected = text_member(text, field)
    for language in LANGUAGES:
        reply = await ask(probes, language, "/json", f"field={field}", text.encode())
        assert (None if reply == "none" else json.loads(reply)) == expected


async def test_integers_are_read_from_json(probes: RunningApplication) -> None:
    for text, expected in (
        ('{"n":1795370334989}', 1795370334989),
        ('{"n": -3.9e1}', -39),
        ('{"n": 1e300}', -1),
        ('{"n": "5"}', -1),
        ('{"m": 5}', -1),
        ('{"n": 5', -1),
    ):
        assert await ask(probes, "as", "/integer", body=text.encode()) == f"integer={expected}\n"


async def test_json_that_is_nested_too_deep_is_refused(probes: RunningApplication) -> None:
    for depth, expected in ((30, '"x"'), (40, "none"), (100_000, "none")):
        body = '{"a":"x","b":' + "[" * depth + "]" * depth + "}"
        for language in LANGUAGES:
            assert await ask(probes, language, "/json", "field=a", body.encode()) == expected
