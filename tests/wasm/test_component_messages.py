"""Values of every WIT type travel as MessagePack and come back; what does not fit is told by its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors, wire
from lattice.wasm.component import types, unpacking
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.component.messages import TOLD_CHARS_MAX, Signature, travels
from lattice.wasm.component.types import (
    Flags,
    FunctionType,
    Handle,
    List,
    Primitive,
    Record,
    ResourceType,
    ValueType,
    Variant,
)
from tests.support.components import LABELS, same, value_types, values

U8, U32, S64, F32, F64, BOOL, CHAR, STRING = (
    Primitive(name) for name in ("u8", "u32", "s64", "f32", "f64", "bool", "char", "string")
)
ORDER = Record((STRING, U32, types.option(U32)), ("item", "how-many", "rush-days"))
REFUSAL = Variant("variant", ("too-heavy", "unknown"), (U32, None))


def named(type_: ValueType) -> ValueType:
    """The same type with records in the place of tuples."""
    if isinstance(type_, Record):
        return Record(tuple(named(field) for field in type_.fields), LABELS[: len(type_.fields)])
    if isinstance(type_, Variant):
        cases = tuple(None if case is None else named(case) for case in type_.cases)
        return Variant(type_.form, type_.names, cases)
    return List(named(type_.element)) if isinstance(type_, List) else type_


def echo(type_: ValueType) -> Signature:
    return Signature("test:types/echo.f", FunctionType(("value",), (type_,), type_))


def read(type_: ValueType, message: Any) -> Any:
    return echo(type_).read_arguments(wire.encode([message]))[0]


def outcome(read: Callable[[bytes], Any], payload: bytes) -> Any:
    """What is read, or the error that says what of which function cannot be."""
    try:
        return read(payload)
    except (errors.MalformedMessage, errors.PayloadTooLarge) as error:
        if isinstance(error, errors.MalformedMessage) and "test:types/echo.f" not in error.message:
            raise
        return error


ANY_TYPE = value_types() | value_types().map(named)


@given(st.data())
def test_every_value_comes_back_the_same(data: st.DataObject) -> None:
    type_ = data.draw(ANY_TYPE)
    value = data.draw(values(type_))
    signature = echo(type_)
    assert same(signature.read_arguments(signature.write_arguments([value]))[0], value)
    assert same(signature.read_result(signature.write_result(value)), value)


@given(st.data())
def test_whatever_bytes_come_they_are_read_or_refused_by_name(data: st.DataObject) -> None:
    type_ = data.draw(ANY_TYPE)
    signature = echo(type_)
    message = bytearray(signature.write_arguments([data.draw(values(type_))]))
    for _ in range(data.draw(st.integers(0, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    del message[data.draw(st.integers(0, len(message))) :]
    for payload in (bytes(message), data.draw(st.binary(max_size=40))):
        found = outcome(signature.read_arguments, payload)
        if not isinstance(found, errors.CallError):
            assert same(signature.read_arguments(signature.write_arguments(found)), found)


@given(st.data())
def test_values_of_one_type_are_read_as_another_or_refused(data: st.DataObject) -> None:
    """Two components that mean different things by one name."""
    mine, theirs = echo(data.draw(ANY_TYPE)), data.draw(ANY_TYPE)
    payload = echo(theirs).write_result(data.draw(values(theirs)))
    outcome(mine.read_result, payload)


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        (STRING, "ß", "ß"),
        (CHAR, "ß", "ß"),
        (F64, 0.5, 0.5),
        (BOOL, True, True),
        (List(U8), b"\x00\xff", b"\x00\xff"),
        (List(U32), [1, 2], [1, 2]),
        (ORDER, ("tea", 2, None), {"item": "tea", "how-many": 2, "rush-days": None}),
        (Record((STRING, U32)), ("tea", 2), ["tea", 2]),
        (types.option(STRING), None, None),
        (types.option(types.option(STRING)), ("some", None), [None]),
        (types.option(types.option(STRING)), ("some", "tea"), ["tea"]),
        (REFUSAL, ("too-heavy", 5), {"too-heavy": 5}),
        (REFUSAL, ("unknown", None), "unknown"),
        (types.enum(("here", "there")), "there", "there"),
        (types.result(None, STRING), Ok(), "ok"),
        (types.result(None, STRING), Err("no"), {"err": "no"}),
        (types.result(ORDER, None), Ok(("tea", 2, 1)), {"ok": {"item": "tea", "how-many": 2, "rush-days": 1}}),
        (Flags(("fast", "safe", "cold")), frozenset({"cold", "fast"}), ["fast", "cold"]),
    ],
)
def test_how_each_type_looks(type_: ValueType, value: Any, message: Any) -> None:
    signature = echo(type_)
    assert wire.decode_any(signature.write_arguments([value])) == [message]
    assert read(type_, message) == value


@pytest.mark.parametrize(
    ("type_", "message", "value"),
    [
        (F64, 3, 3.0),
        (F32, 0.1, 0.10000000149011612),
        (List(U8), [0, 255], b"\x00\xff"),
        (List(F32), [1, 0.5], [1.0, 0.5]),
        (ORDER, {"item": "tea", "how-many": 2}, ("tea", 2, None)),
        (REFUSAL, {"unknown": None}, ("unknown", None)),
        (types.result(None, None), {"ok": None}, Ok()),
        (Flags(("fast", "safe")), ["safe", "fast"], frozenset({"safe", "fast"})),
    ],
)
def test_what_is_read_besides(type_: ValueType, message: Any, value: Any) -> None:
    """As people and other languages write it."""
    assert read(type_, message) == value


@pytest.mark.parametrize(
    ("type_", "message", "place"),
    [
        (U32, -1, "argument 'value': a u32 cannot be read"),
        (U32, 1.0, "got `float`"),
        (U8, 256, "<= 255"),
        (U8, True, "got `bool`"),
        (S64, 1 << 63, "a s64 cannot be read"),
        (F32, 1e300, "too large for an f32"),
        (CHAR, "ab", "a char cannot be read"),
        (STRING, b"ab", "a string cannot be read"),
        (STRING, None, "got `None`"),
        (List(U8), "text", "a list<u8> cannot be read"),
        (List(STRING), ["a", 1], r"\$\[1\]"),
        (ORDER, {"item": "tea"}, "missing required field `how-many`"),
        (ORDER, {"item": "tea", "how-many": "2"}, "argument 'value': field 'how-many': a u32 cannot be read"),
        (ORDER, {"item": "tea", "how-many": 2, "more": 1}, "unknown field `more`"),
        (ORDER, ["tea", 2, None], "got `array`"),
        (List(ORDER), [{"item": "a", "how-many": 1}, {"item": 1, "how-many": 1}], "item 1: field 'item': a string"),
        (Record((STRING, U32)), ["tea"], "an array of 1 where 2 are wanted"),
        (Record((STRING, U32)), ["tea", "2"], "part 1: a u32"),
        (types.option(types.option(STRING)), "tea", "an option of an option"),
        (REFUSAL, "too-heavy", "comes without its value"),
        (REFUSAL, {"unknown": 1}, "has no value, and one came"),
        (REFUSAL, "lost", "'lost' is none of the cases too-heavy, unknown"),
        (REFUSAL, {"lost": 1}, "'lost' is none of the cases"),
        (REFUSAL, {}, "this one has 0"),
        (REFUSAL, {"unknown": None, "too-heavy": 1}, "this one has 2"),
        (REFUSAL, {"too-heavy": "x"}, "case 'too-heavy': a u32"),
        (types.enum(("here",)), 0, "a case of a enum cannot be read"),
        (types.result(U32, None), {"error": None}, "'error' is none of the cases ok, err"),
        (Flags(("fast", "safe")), ["slow"], "'slow' is none of the flags fast, safe"),
        (Flags(("fast",)), ["fast", "fast"], "2 flags of a type that has 1"),
    ],
)
def test_what_does_not_fit_is_told_by_its_place(type_: ValueType, message: Any, place: str) -> None:
    with pytest.raises(errors.MalformedMessage, match=place) as raised:
        read(type_, message)
    assert raised.value.message.startswith("the arguments do not fit test:types/echo.f: ")
    assert raised.value.remedy == "send an array: value"
    with pytest.raises(errors.MalformedMessage, match=r"the result of test:types/echo\.f does not fit"):
        echo(type_).read_result(wire.encode(message))


def test_the_number_of_arguments_is_looked_at() -> None:
    two = Signature("a:b/c.f", FunctionType(("x", "y"), (U32, STRING), None))
    assert two.read_arguments(wire.encode([1, "a"])) == [1, "a"]
    for given_, told in (([1], "an array of 1 where 2"), ([1, "a", 2], "an array of 3 where 2"), (1, "got `int`")):
        with pytest.raises(errors.MalformedMessage, match=told):
            two.read_arguments(wire.encode(given_))
    with pytest.raises(errors.MalformedMessage, match="it takes 2, and none came") as raised:
        two.read_arguments(b"")
    assert raised.value.remedy == "send an array: x, y"


def test_nothing_is_no_bytes_in_both_directions() -> None:
    void = Signature("a:b/c.f", FunctionType((), (), None))
    assert void.read_arguments(b"") == []
    assert void.read_arguments(void.write_arguments([])) == []
    assert void.write_result(None) == b""
    assert void.read_result(b"") is None
    assert void.read_result(b"\xc0") is None
    with pytest.raises(errors.MalformedMessage, match=r"a result of a:b/c\.f came"):
        void.read_result(b"\x01")


def header(form: int, count: int) -> bytes:
    return bytes([form]) + count.to_bytes(4, "big")


@pytest.mark.parametrize(
    ("type_", "one", "values"),
    [
        (List(List(U32)), b"\x90", 1),
        (List(List(U8)), b"\x90", 1),
        (List(Record((U8, U8))), b"\x92\x00\x00", 3),
        (List(Record(tuple(types.option(U8) for _ in range(18)), LABELS)), b"\x80", 19),
        (List(types.option(types.option(U8))), b"\x91\x01", 2),
        (List(types.option(U8)), b"\xc0", 1),
        (List(Flags(LABELS)), b"\x91\xa1a", 2),
        (List(types.result(None, None)), b"\x81\xa2ok\xc0", 2),
        (List(types.enum(("a",))), b"\xa1a", 1),
    ],
)
def test_values_that_are_made_one_by_one_are_counted(type_: ValueType, one: bytes, values: int) -> None:
    """Small in bytes, and much to make; it is refused before."""
    most = unpacking.VALUES_MAX // values
    assert len(echo(type_).read_result(header(0xDD, most) + one * most)) == most
    with pytest.raises(errors.PayloadTooLarge, match="a message of more than 20000 values"):
        echo(type_).read_result(header(0xDD, most + 1) + one * (most + 1))


@pytest.mark.parametrize("type_", [List(F64), List(U8), List(STRING), List(List(U32))])
def test_a_message_takes_no_more_room_than_a_guest_may(type_: ValueType) -> None:
    """Bytes and numbers, which are made at once."""
    count = 128 * 1024 * 1024 // (8 if type_ == List(U8) else 64) + 1
    payload = header(0xDD, count) + b"\x01" * count
    if type_ == List(List(U32)):
        payload = b"\x91" + payload
    with pytest.raises(errors.PayloadTooLarge, match="take more than"):
        echo(type_).read_result(payload)


def test_a_count_that_lies_is_refused() -> None:
    for payload in (header(0xDD, 0xFFFF_FFFF), header(0xDD, 1000) + b"\x01", header(0xDF, 1), b"\xdd\x00", b"\xde"):
        for type_ in (List(U32), List(List(U8)), Record((U8,)), REFUSAL, ORDER):
            with pytest.raises((errors.MalformedMessage, errors.PayloadTooLarge)):
                echo(type_).read_result(payload)


def test_what_is_told_of_a_stranger_is_bounded() -> None:
    for message in ({"x" * 1_000_000: 1, "item": "", "how-many": 1}, {"x" * 1_000_000: 1}, "x" * 1_000_000):
        for type_ in (ORDER, REFUSAL, Flags(("fast",))):
            with pytest.raises(errors.MalformedMessage) as raised:
                read(type_, message)
            assert len(raised.value.message) < 2 * TOLD_CHARS_MAX


def test_deep_messages_do_not_break_the_reader() -> None:
    with pytest.raises(errors.MalformedMessage):
        echo(List(List(List(U8)))).read_result(b"\x91" * 1_000_000)


def test_resources_do_not_travel_wherever_they_are() -> None:
    handle = Handle(True, ResourceType("a:b/c", "r"))
    assert travels(FunctionType(("a",), (List(ORDER),), types.result(U32, REFUSAL)))
    assert travels(FunctionType((), (), None))
    for type_ in (handle, List(types.option(handle)), types.result(None, Record((handle,)))):
        assert not travels(FunctionType(("a",), (type_,), None))
        assert not travels(FunctionType((), (), type_))


def test_a_large_list_of_bytes_crosses_as_one_piece() -> None:
    data = bytes(16 * 1024 * 1024)
    signature = echo(List(U8))
    payload = signature.write_arguments([data])
    assert len(payload) < len(data) + 16
    assert signature.read_arguments(payload) == [data]
    assert msgspec.msgpack.decode(payload) == [data]
