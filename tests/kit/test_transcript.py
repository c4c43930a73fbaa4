"""Transcripts as text: written, read back, compared; and messages as people read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors, wire
from lattice.contracts.messaging import PubMessage
from lattice.contracts.sqldb import Statement
from lattice.testing import Call, Transcript, host
from lattice.testing.kit import shown, transcript
from tests.kit.guests import COUNTER

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text(max_size=20)
CALLS = st.builds(
    Call,
    at_s=st.integers(0, 10**7).map(lambda ms: ms / 1000),
    depth=st.integers(0, 5),
    origin=NAMES,
    target=NAMES,
    operation=NAMES,
    request=VALUES,
    outcome=st.sampled_from("=!"),
    answer=VALUES,
)


@given(st.lists(CALLS, max_size=5))
def test_what_is_written_is_read_back(calls: list[Call]) -> None:
    written = Transcript(calls)
    assert Transcript.parse(written.text()).calls == calls
    assert written.difference(Transcript(list(calls))) == ""


@given(st.text())
def test_any_text_is_read_as_it_is_written_or_refused(text: str) -> None:
    try:
        found = Transcript.parse(text)
    except errors.ConfigError:
        return
    assert Transcript.parse(found.text()) == found


@given(st.binary(max_size=300), st.sampled_from([*sorted(shown.OPERATIONS), "Nobody.Knows"]))
def test_any_bytes_can_be_shown(payload: bytes, operation: str) -> None:
    names = shown.Names()
    for one in (shown.request(operation, payload, names), shown.reply(operation, payload, names)):
        assert json.loads(json.dumps(one)) == one


def test_messages_are_shown_with_their_names_text_and_numbers() -> None:
    names = shown.Names()
    message = wire.encode(PubMessage(subject="a", body=b'{"n": 1}', reply_to="_INBOX.deadbeef01"))
    seen = shown.request("Messaging.Publish", message, names)
    assert seen == {"subject": "a", "replyTo": "_INBOX.1", "body": '{"n": 1}'}
    other = wire.encode(PubMessage(subject="_INBOX.cafe", body=b"\xff\x00"))
    assert shown.request("Messaging.Publish", other, names) == {"subject": "_INBOX.2", "body": {"base64": "/wA="}}
    statement = wire.encode(Statement(sql="SELECT ?", parameters=[cbor2.dumps(["a", 1.5])]))
    assert shown.request("SqlDb.Query", statement, names) == {"sql": "SELECT ?", "parameters": [["a", 1.5]]}
    assert shown.request("KeyValue.Get", b"\xc1", names)["bytes"] == {"base64": "wQ=="}
    assert shown.request("Mine", msgspec.msgpack.encode({"a": b"x"}), names) == {"a": "x"}


def test_what_is_long_is_told_by_its_beginning_and_a_digest() -> None:
    text = "x" * (shown.TEXT_CHARS_MAX + 1)
    seen = shown.request("Mine", text.encode(), shown.Names())
    assert seen.startswith("x" * 100)
    assert f"({len(text)} characters, sha256 " in seen
    data = shown.request("Mine", b"\xff" * 5000, shown.Names())
    assert data["bytes"] == 5000


def call(operation: str, **more: Any) -> Call:
    return Call(0.0, 0, "test", "actor", operation, None, "=", more or None)


def test_a_difference_shows_what_was_and_what_is() -> None:
    recorded = Transcript([call("One"), call("Two"), call("Three")])
    now = Transcript([call("One"), call("Two", n=1), call("Three")])
    lines = now.difference(recorded).splitlines()
    assert "-+0.000 test > actor Two null = null" in lines
    assert '++0.000 test > actor Two null = {"n": 1}' in lines
    many = Transcript([call(f"Op{number}") for number in range(1000)])
    assert "more lines)" in many.difference(recorded)


def test_a_transcript_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "CALLS_MAX", 2)
    found = Transcript([call("One"), call("Two")])
    with pytest.raises(errors.Overloaded, match="2 calls at most"):
        found.add(call("Three"))


async def test_a_recorded_run_is_compared_with_a_later_one(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "counter.txt"
    async with host(COUNTER) as h:
        await h.http("GET", "/hits")
        h.transcript.write(path)
    async with host(COUNTER) as h:
        await h.http("GET", "/hits")
        h.transcript.require_same(path)
        await h.http("GET", "/other")
        with pytest.raises(AssertionError, match=r"the calls are not those recorded in .*\n.*recorded(?s:.*)/other"):
            h.transcript.require_same(path)
    with pytest.raises(errors.ConfigError, match="cannot be read"):
        Transcript.read(tmp_path / "none.txt")
    path.write_text("+0.000 nonsense")
    with pytest.raises(errors.ConfigError, match=r"counter\.txt:1: not a line of a transcript"):
        Transcript.read(path)


async def test_a_host_that_does_not_record_keeps_nothing() -> None:
    async with host(COUNTER, record=False) as h:
        assert (await h.http("GET", "/hits")).status == 200
        assert len(h.transcript) == 0
