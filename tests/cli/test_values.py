"""JSON that people write becomes the messages that actors take, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors, wire
from lattice.cli.values import to_json, to_payload
from lattice.contracts.httpserver import HttpRequest

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text().filter(lambda key: key != "base64"), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_goes_to_an_unknown_operation_and_back(value: Any) -> None:
    assert to_json(to_payload(json.dumps(value), "Some.Thing")) == value


@given(st.binary(max_size=200))
def test_any_reply_can_be_shown(reply: bytes) -> None:
    json.dumps(to_json(reply), allow_nan=False)
    json.dumps(to_json(reply, raw=True), allow_nan=False)


def test_bytes_travel_as_base64_where_they_are_no_text() -> None:
    assert wire.decode_any(to_payload('{"a": {"base64": "/w=="}}', "X")) == {"a": b"\xff"}
    assert to_json(wire.encode({"a": b"\xff", "b": b"text"})) == {"a": {"base64": "/w=="}, "b": "text"}


@pytest.mark.parametrize("body", ['"hi"', '{"base64": "aGk="}'])
def test_a_published_operation_knows_its_bytes(body: str) -> None:
    text = f'{{"method": "GET", "path": "/", "queryString": "", "header": {{}}, "body": {body}}}'
    request = wire.decoder(HttpRequest, "x")(to_payload(text, "HttpServer.HandleRequest"))
    assert request == HttpRequest(method="GET", path="/", query_string="", header={}, body=b"hi")


def test_nothing_is_an_empty_payload_and_an_empty_reply_is_null() -> None:
    assert to_payload("", "X") == b""
    assert to_json(b"") is None


@pytest.mark.parametrize(
    ("text", "operation", "says"),
    [
        ("{", "X", "not JSON"),
        ("[" * 100_000, "X", "not JSON"),
        ('{"base64": "*"}', "X", "not base64"),
        ('{"method": "GET"}', "HttpServer.HandleRequest", "missing required field"),
        ('{"method": 1}', "HttpServer.HandleRequest", "no request of HttpServer.HandleRequest"),
        (str(2**70), "X", "cannot be sent"),
        ('"\\ud800"', "X", "cannot be sent"),
    ],
)
def test_what_is_no_payload_is_refused_with_the_reason(text: str, operation: str, says: str) -> None:
    with pytest.raises(errors.MalformedMessage, match=says):
        to_payload(text, operation)
