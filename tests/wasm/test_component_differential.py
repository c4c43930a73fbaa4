"""The canonical ABI of this host against the engine's own: the same components, types and bytes give the same values,
the same traps and the same use of the guest's memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import wasmtime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lattice import errors
from lattice.config import EngineSettings, Limits
from lattice.wasm.component import types
from lattice.wasm.component.instantiate import ComponentType
from lattice.wasm.component.types import List, Primitive, Record, ValueType
from lattice.wasm.engine import Engine
from tests.support.components import Stock, echo_component, same, value_types, values

ENCODINGS = ("utf8", "utf16", "latin1+utf16")
THOROUGH = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine(EngineSettings(instances_max=100))
    yield engine
    engine.close()


class OneFunction:
    """The interface `host` with the function `f`."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def function(self, interface: str, name: str) -> Callable[..., Any] | None:
        return self._function if (interface, name) == ("host", "f") else None

    def resource(self, interface: str, name: str) -> bool:
        return False

    def drop(self, interface: str, name: str, resource: object) -> None:
        raise AssertionError("there are no resources")


async def ours(engine: Engine, data: bytes, function: Callable[[Any], Any], calls: list[tuple[str, Any]]) -> list[Any]:
    """What each call returns, and the room used at the end; "trap" ends it."""
    component = ComponentType.load(engine, data)
    try:
        instance = await component.instantiate(OneFunction(function), Limits())
        try:
            found: list[Any] = [await instance.call("", name, argument) for name, argument in calls]
            found.append(await instance.call("", "used"))
        except errors.GuestError:
            found = ["trap"]
        finally:
            instance.close()
        return found
    finally:
        component.close()


def theirs(data: bytes, type_: ValueType, function: Callable[[Any], Any], calls: list[tuple[str, Any]]) -> list[Any]:
    stock = Stock(data, type_, function)
    try:
        found = [stock.run(argument) if name == "run" else stock.raw(argument) for name, argument in calls]
        return [*found, stock.used()]
    except (wasmtime.Trap, wasmtime.WasmtimeError):
        return ["trap"]


@given(st.data())
@THOROUGH
def test_values_go_in_and_out_as_by_the_engine_itself(engine: Engine, data: st.DataObject) -> None:
    type_ = data.draw(value_types())
    argument, answer = data.draw(values(type_)), data.draw(values(type_))
    encoding = data.draw(st.sampled_from(ENCODINGS))
    seen: list[Any] = []

    def function(value: Any) -> Any:
        seen.append(value)
        return answer

    wasm = echo_component(type_, encoding)
    mine = asyncio.run(ours(engine, wasm, function, [("run", argument)]))
    stock = theirs(wasm, type_, function, [("run", argument)])
    assert same(seen[0], argument)
    assert same(seen[1], argument)
    assert same(mine[0], answer)
    assert same(mine[0], stock[0])
    # The engine makes room for the longest a string may become in UTF-16, and gives back what is left.
    assert mine[1] == stock[1] or encoding != "utf8"


@given(st.data())
@THOROUGH
def test_any_bytes_are_read_as_by_the_engine_itself(engine: Engine, data: st.DataObject) -> None:
    type_ = data.draw(value_types())
    size = types.size(Record((type_, type_)))
    few = st.integers(0, 3) | st.integers(0, 255)
    raw = bytes(data.draw(st.lists(few, min_size=size, max_size=size + 8)))
    wasm = echo_component(type_, data.draw(st.sampled_from(ENCODINGS)))
    calls = [("raw", raw)]
    mine = asyncio.run(ours(engine, wasm, lambda v: v, calls))
    assert same(mine, theirs(wasm, type_, lambda v: v, calls))


@pytest.mark.parametrize(
    ("element", "raw"),
    [
        (Primitive("string"), b"\xed\xa0\x80"),
        (List(Primitive("char")), b"\x00\xd8\x00\x00"),
        (List(Primitive("char")), b"\x00\x00\x11\x00"),
        (List(Primitive("u64")), b"\0" * 8),
    ],
)
@pytest.mark.parametrize("pointer", [8208, 8209, 262143, 262144, 262145, 0xFFFFFFFF])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 0x80000001, 0xFFFFFFFF])
def test_pointers_and_lengths_are_checked_as_by_the_engine_itself(
    engine: Engine, element: ValueType, raw: bytes, pointer: int, length: int
) -> None:
    pair = pointer.to_bytes(4, "little") + length.to_bytes(4, "little")
    wasm = echo_component(element)
    # What is given first lies at 8192, where realloc begins: two empty lists, and then the bytes to point at.
    calls = [("raw", bytes(16) + raw), ("raw", pair + pair)]
    mine = asyncio.run(ours(engine, wasm, lambda v: v, calls))
    assert same(mine, theirs(wasm, element, lambda v: v, calls))
