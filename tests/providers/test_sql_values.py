"""CBOR in SQL parameters and rows: what goes in comes out, hostile bytes do nothing, limits hold."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lattice_sql import RowBuffer, as_text, plain
from lattice_sql.values import DEPTH_MAX, REFUSED_TAGS, TooLarge, Undecodable, Unencodable, array_header, read_parameter

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=10
)


@given(VALUES)
def test_a_plain_value_is_read_as_it_was_written(value):
    assert read_parameter(cbor2.dumps(value)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.uuids() | st.datetimes(timezones=st.just(UTC)))
def test_decimals_uuids_and_times_are_read(value):
    assert read_parameter(cbor2.dumps(value)) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_refused(data):
    try:
        value = read_parameter(data)
    except Undecodable:
        return
    plain(value)


@given(SCALARS, st.binary(min_size=1, max_size=5))
def test_bytes_after_the_value_are_refused(value, rest):
    with pytest.raises(Undecodable, match="follow"):
        read_parameter(cbor2.dumps(value) + rest)


@pytest.mark.parametrize("tag", [*REFUSED_TAGS, 6, 42, 2**32])
def test_other_tags_are_refused_also_inside_a_value(tag):
    for inner in (1, "aa+", [1, 2], [[1], [2]], b"x"):
        with pytest.raises(Undecodable):
            read_parameter(cbor2.dumps([cbor2.CBORTag(tag, inner)]))


def test_values_nested_too_deeply_are_refused():
    deep: list[object] = []
    for _ in range(DEPTH_MAX + 1):
        deep = [deep]
    with pytest.raises(Undecodable, match="depth"):
        read_parameter(cbor2.dumps(deep))


@given(st.lists(st.lists(SCALARS, max_size=4), max_size=30))
def test_rows_come_out_as_one_cbor_array_of_arrays(rows):
    buffer = RowBuffer(1000, 1_000_000)
    for row in rows:
        buffer.add(tuple(row))
    assert cbor2.loads(buffer.encoded()) == rows
    assert buffer.count == len(rows)


@given(st.integers(0, 2**64 - 1))
def test_an_array_header_is_the_shortest_one(count):
    item = cbor2.dumps(count)
    assert array_header(count) == bytes([item[0] | 0x80]) + item[1:]


def test_a_buffer_refuses_what_is_over_its_limits_and_what_is_not_plain():
    buffer = RowBuffer(2, 20)
    buffer.add(["x" * 10])
    with pytest.raises(TooLarge, match="20 bytes"):
        buffer.add(["x" * 10])
    buffer.clear()
    buffer.add([1])
    buffer.add([2])
    with pytest.raises(TooLarge, match="2 rows"):
        buffer.add([3])
    assert cbor2.loads(buffer.encoded()) == [[1], [2]]
    with pytest.raises(Unencodable, match="object"):
        RowBuffer(1, 100).add([object()])


def test_tagged_values_have_a_text_that_databases_read():
    assert as_text(datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC)) == "2024-02-29 01:02:03+00:00"
    assert as_text(date(2024, 2, 29)) == "2024-02-29"
    assert as_text(Decimal("1.50")) == "1.50"
    key = uuid.UUID(int=1)
    assert plain({"a": [key, Decimal("0.1")], "b": 1}) == {"a": [str(key), "0.1"], "b": 1}
