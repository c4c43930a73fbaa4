"""Header fields are checked when they are set, kept in order, and bounded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi import http_fields
from lattice.wasm.wasi.http_fields import FIELD_BYTES_MAX, FIELDS_MAX, Fields
from tests.support.wasi import WasiGuest

TYPES = "wasi:http/types"
INVALID, FORBIDDEN, IMMUTABLE = (Err((case, None)) for case in ("invalid-syntax", "forbidden", "immutable"))


def fields(guest: WasiGuest, *entries: tuple[str, bytes]) -> Any:
    return guest.ok(TYPES, "[static]fields.from-list", list(entries))


def test_names_mean_the_same_in_any_case_and_order_is_kept() -> None:
    guest = WasiGuest()
    found = fields(guest, ("X-One", b"1"), ("Accept", b"a"), ("x-one", b"2"))
    assert guest.now(TYPES, "[method]fields.get", found, "X-ONE") == [b"1", b"2"]
    assert guest.now(TYPES, "[method]fields.has", found, "ACCEPT") is True
    assert guest.now(TYPES, "[method]fields.has", found, "not a token") is False
    assert guest.now(TYPES, "[method]fields.entries", found) == [("x-one", b"1"), ("accept", b"a"), ("x-one", b"2")]
    guest.ok(TYPES, "[method]fields.set", found, "x-one", [b"3"])
    guest.ok(TYPES, "[method]fields.append", found, "accept", b"b")
    assert guest.now(TYPES, "[method]fields.entries", found) == [("accept", b"a"), ("x-one", b"3"), ("accept", b"b")]
    guest.ok(TYPES, "[method]fields.delete", found, "Accept")
    assert guest.now(TYPES, "[method]fields.get", found, "accept") == []


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("", b"v", INVALID),
        ("a b", b"v", INVALID),
        ("a:", b"v", INVALID),
        ("naïve", b"v", INVALID),
        ("a", b"line\r\nbreak: 1", INVALID),
        ("a", b"\0", INVALID),
        ("Connection", b"close", FORBIDDEN),
        ("HOST", b"elsewhere", FORBIDDEN),
        ("transfer-encoding", b"chunked", FORBIDDEN),
    ],
)
def test_what_would_break_a_message_is_refused(name: str, value: bytes, error: Err) -> None:
    guest = WasiGuest()
    found = fields(guest)
    assert guest.now(TYPES, "[static]fields.from-list", [(name, value)]) == error
    assert guest.now(TYPES, "[method]fields.append", found, name, value) == error
    assert guest.now(TYPES, "[method]fields.set", found, name, [b"good", value]) == error
    assert guest.now(TYPES, "[method]fields.entries", found) == []


def test_fields_of_a_message_do_not_change_and_a_copy_does() -> None:
    guest = WasiGuest()
    response = guest.now(TYPES, "[constructor]outgoing-response", fields(guest, ("a", b"1")))
    headers = guest.now(TYPES, "[method]outgoing-response.headers", response)
    assert guest.now(TYPES, "[method]fields.set", headers, "a", []) == IMMUTABLE
    assert guest.now(TYPES, "[method]fields.delete", headers, "a") == IMMUTABLE
    assert guest.now(TYPES, "[method]fields.append", headers, "b", b"") == IMMUTABLE
    copy = guest.now(TYPES, "[method]fields.clone", headers)
    guest.ok(TYPES, "[method]fields.append", copy, "b", b"2")
    assert guest.now(TYPES, "[method]fields.entries", headers) == [("a", b"1")]


def test_fields_are_bounded_in_number_and_size() -> None:
    guest = WasiGuest()
    found = fields(guest)
    for _ in range(FIELDS_MAX):
        guest.ok(TYPES, "[method]fields.append", found, "a", b"")
    with pytest.raises(errors.GuestError, match="fields"):
        guest.now(TYPES, "[method]fields.append", found, "a", b"")
    with pytest.raises(errors.GuestError, match="bytes"):
        guest.now(TYPES, "[static]fields.from-list", [("a", bytes([65]) * FIELD_BYTES_MAX)])


entries = st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=12)), max_size=10)


@given(entries)
def test_whatever_is_accepted_can_be_sent_and_read_again(given_entries: list[tuple[str, bytes]]) -> None:
    guest = WasiGuest()
    result = guest.now(TYPES, "[static]fields.from-list", given_entries)
    if isinstance(result, Err):
        assert result in (INVALID, FORBIDDEN)
        return
    header = result.value.header()
    for name, values in header.items():
        assert http_fields.TOKEN.fullmatch(name)
        for value in values:
            assert not set(value) & set("\r\n\0")
    again = Fields.of(header)
    assert sorted(name for name, _ in again.entries) == sorted(name for name, _ in result.value.entries)


@given(st.lists(st.binary(max_size=6), max_size=3))
def test_a_content_length_is_a_number_or_none(values: list[bytes]) -> None:
    found = Fields(("content-length", value) for value in values)
    length = found.content_length()
    assert length is None or {str(length).encode()} == {value.lstrip(b"0") or b"0" for value in values}


def test_ok_is_what_a_change_answers() -> None:
    guest = WasiGuest()
    assert guest.now(TYPES, "[method]fields.set", fields(guest), "a", [b"1"]) == Ok()
