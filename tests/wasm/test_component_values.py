"""Values of every type through a memory of bytes, without an engine: what goes in comes out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lattice import errors
from lattice.wasm.component import memory, types
from lattice.wasm.component.host import GuestResource, Ok
from lattice.wasm.component.lift import lifter, loader
from lattice.wasm.component.lower import lowerer, storer
from lattice.wasm.component.memory import Crossing
from lattice.wasm.component.resources import HANDLES_MAX, CallHandles, Entry, Table
from lattice.wasm.component.types import Flags, Handle, List, Primitive, Record, ResourceType, ValueType
from tests.support.components import same, value_types, values

AREA = 4096
QUICK = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


class Bytes:
    """A memory with a realloc that never gives room back."""

    def __init__(self, size: int = 1 << 20) -> None:
        self.view = memoryview(bytearray(size))
        self.next = 2 * AREA

    def look(self) -> memoryview:
        return self.view

    def realloc(self, alignment: int, size: int) -> int:
        at = types.align_up(self.next, alignment)
        self.next = at + size
        return at


class NoHandles:
    def lift(self, type_: Handle, index: int) -> Any:
        raise AssertionError("there are no resources")

    def lower(self, type_: Handle, resource: Any) -> int:
        raise AssertionError("there are no resources")


def crossing(encoding: str = "utf8", data: Bytes | None = None) -> Crossing:
    data = data or Bytes()
    return Crossing(data, data.realloc, encoding, NoHandles())


@given(st.data(), st.sampled_from(["utf8", "utf16", "latin1+utf16"]))
@QUICK
def test_a_value_comes_out_of_memory_as_it_went_in(data: st.DataObject, encoding: str) -> None:
    type_ = data.draw(value_types())
    value = data.draw(values(type_))
    cx = crossing(encoding)
    at = types.align_up(AREA, types.alignment(type_))
    storer(type_)(cx, at, value)
    assert same(loader(type_)(cx, at), value)
    size = types.size(type_)
    assert not any(cx.view[:at]), "what lies before it is untouched"
    assert not any(cx.view[at + size : 2 * AREA]), "and what lies after it"


@given(st.data(), st.sampled_from(["utf8", "utf16", "latin1+utf16"]))
@QUICK
def test_a_value_comes_out_of_core_values_as_it_went_in(data: st.DataObject, encoding: str) -> None:
    type_ = data.draw(value_types().filter(lambda t: len(types.flatten(t)) <= types.PARAMS_FLAT_MAX))
    before, value = data.draw(st.integers(0, 3)), data.draw(values(type_))
    have = "l" * before + types.flatten(type_)
    cx = crossing(encoding)
    out: list[Any] = [0] * len(have)
    lowerer(type_, before, have)(cx, value, out)
    assert out[:before] == [0] * before
    for letter, core in zip(have, out, strict=True):
        assert isinstance(core, float) if letter in "fd" and core else 0 <= core < 1 << (32 if letter == "i" else 64)
    assert same(lifter(type_, before, have)(cx, out), value)


@given(value_types())
@QUICK
def test_the_layout_holds_together(type_: ValueType) -> None:
    size, alignment = types.size(type_), types.alignment(type_)
    assert size > 0
    assert size % alignment == 0
    assert alignment in (1, 2, 4, 8)
    assert set(types.flatten(type_)) <= set("ilfd")


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Primitive("u8"), 256),
        (Primitive("s8"), -129),
        (Primitive("u32"), -1),
        (Primitive("u64"), 1 << 64),
        (Primitive("char"), "ab"),
        (Primitive("char"), "\ud800"),
        (Primitive("string"), "\udfff"),
        (Primitive("string"), 3),
        (List(Primitive("u16")), [70000]),
        (List(Primitive("string")), [None]),
        (Record((Primitive("u8"), Primitive("u8"))), (1,)),
        (types.enum(("a", "b")), "c"),
        (types.result(None, None), "ok"),
        (Flags(("a",)), {"b"}),
    ],
)
def test_a_value_that_is_not_of_its_type_is_the_givers_mistake(type_: ValueType, value: Any) -> None:
    wrong = (TypeError, ValueError, AttributeError)
    with pytest.raises(wrong):
        storer(type_)(crossing(), AREA, value)
    have = types.flatten(type_)
    with pytest.raises(wrong):
        lowerer(type_, 0, have)(crossing(), value, [0] * len(have))


def test_a_small_memory_cannot_become_a_large_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LIFTED_BYTES_MAX", 1_000_000)
    data = Bytes(1 << 16)
    inner = (1 << 15).to_bytes(4, "little") + (1 << 14).to_bytes(4, "little")
    for at in range(0, 8 * 100, 8):
        data.view[at : at + 8] = inner
    cx = crossing(data=data)
    with pytest.raises(errors.GuestProtocolError, match="take more than"):
        lifter(List(List(Primitive("u8"))), 0, "ii")(cx, (0, 100))


def test_handles_are_bounded() -> None:
    table, type_ = Table(), ResourceType("a:b/c", "d")
    for _ in range(HANDLES_MAX):
        table.add(Entry(type_, None, True))
    with pytest.raises(errors.GuestProtocolError, match="takes one more"):
        table.add(Entry(type_, None, True))
    table.remove(7, type_)
    assert table.add(Entry(type_, None, True)) == 7


def test_what_is_lent_cannot_be_given_away_and_types_are_kept_apart() -> None:
    table, type_ = Table(), ResourceType("a:b/c", "d")
    handles = CallHandles(table, 0)
    index = handles.lower(Handle(True, type_), "thing")
    assert handles.lift(Handle(False, type_), index) == "thing"
    with pytest.raises(errors.GuestProtocolError, match="while it was lent"):
        handles.lift(Handle(True, type_), index)
    with pytest.raises(errors.GuestProtocolError, match="as another type"):
        handles.lift(Handle(False, ResourceType("a:b/c", "e")), index)
    handles.returned()
    assert handles.lift(Handle(True, type_), index) == "thing"
    borrowed = handles.lower(Handle(False, type_), "other")
    with pytest.raises(errors.GuestProtocolError, match="only borrowed"):
        handles.lift(Handle(True, type_), borrowed)
    with pytest.raises(errors.GuestProtocolError, match="kept 1 borrowed"):
        handles.finish()


def test_the_guest_gets_what_represents_its_own_resource() -> None:
    type_ = ResourceType(guest=0, owner=3)
    own, other = CallHandles(Table(), 3), CallHandles(Table(), 4)
    assert own.lower(Handle(False, type_), GuestResource(77)) == 77
    assert other.lower(Handle(False, type_), GuestResource(77)) == 1, "another component instance gets a handle"
    with pytest.raises(TypeError):
        own.lower(Handle(True, type_), 77)


def test_a_result_without_values_is_none_inside() -> None:
    assert lifter(types.result(None, None), 0, "i")(crossing(), (0,)) == Ok(None)
