"""Components are bytes from strangers: whatever they are, they are read in bounded time or refused with a reason."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lattice import errors
from lattice.config import EngineSettings, Limits
from lattice.wasm.component import binary, linker, types
from lattice.wasm.component.coremodule import start_exported
from lattice.wasm.component.instantiate import ComponentType
from lattice.wasm.component.types import Flags, Handle, Primitive, Record, ResourceType
from lattice.wasm.engine import Engine
from tests.support.components import echo_component, wasm
from tests.wasm.test_component_calls import GUEST_THINGS, HOST_THINGS, WAITING, Imports

HEADER = b"\0asm\x0d\0\x01\0"
SEEDS = tuple(
    wasm(text) for text in (WAITING, HOST_THINGS, GUEST_THINGS, "(component)", "(component (component (component)))")
)
REFUSED = (errors.NotWasm, errors.UnsupportedGuest)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A component of which some bytes were changed, taken out, doubled or cut off."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(8, max(8, len(data) - 1)))
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 1:
                del data[at : at + draw(st.integers(1, 8))]
            case 2:
                data[at:at] = data[at : at + draw(st.integers(1, 40))]
            case _:
                del data[at:]
    return bytes(data)


@given(mutated() | st.binary(max_size=200).map(lambda tail: HEADER + tail))
@settings(max_examples=1500, deadline=None)
def test_any_bytes_are_planned_or_refused(data: bytes) -> None:
    with contextlib.suppress(*REFUSED):
        linker.plan_of(data)


@given(st.lists(mutated(), min_size=5, max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_planned_runs_or_is_refused(files: list[bytes]) -> None:
    engine = Engine(EngineSettings(instances_max=100))
    try:
        for data in files:
            asyncio.run(_run(engine, data))
        assert engine.live_instances == 0
    finally:
        engine.close()


async def _run(engine: Engine, data: bytes) -> None:
    try:
        component = ComponentType.load(engine, data)
    except REFUSED:
        return
    limits = Limits(time_s_max=0.2)
    for interface, name in component.plan.exports:
        try:
            instance = await component.instantiate(Imports(), limits)
        except (*REFUSED, errors.CallError, errors.InstancesExhausted):
            break
        arguments = [1] * len(component.plan.exports[interface, name].type.params)
        try:
            await instance.call(interface, name, *arguments)
        except (errors.CallError, errors.UnsupportedGuest, TypeError, ValueError, AttributeError):
            pass
        finally:
            instance.close()
    component.close()


def test_every_cut_is_planned_or_refused() -> None:
    for seed in SEEDS[:3]:
        for end in range(len(seed)):
            with contextlib.suppress(*REFUSED):
                linker.plan_of(seed[:end])


def section(kind: int, content: bytes) -> bytes:
    size, found = len(content), bytearray([kind])
    while size > 0x7F:
        found.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(found) + bytes([size]) + content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (section(7, b"\x01\x43\x00\x01\x00"), "async function, which belongs to WASI 0.3"),
        (section(7, b"\x01\x66\x00"), "streams, which belongs to WASI 0.3"),
        (section(7, b"\x01\x65\x00"), "futures, which belongs to WASI 0.3"),
        (section(8, b"\x01\x40\x00"), "threads"),
        (section(8, b"\x01\x05"), "WASI 0.3"),
        (section(8, b"\x01\x00\x00\x00\x01\x06\x00"), "asynchronous calls, which belongs to WASI 0.3"),
        (section(9, b"\x00\x00\x00"), "a start definition"),
    ],
)
def test_what_belongs_to_later_versions_is_refused_by_name(content: bytes, reason: str) -> None:
    with pytest.raises(errors.UnsupportedGuest, match=reason):
        linker.plan_of(HEADER + content)


def test_a_type_that_doubles_at_every_step_is_refused() -> None:
    doubling = b"".join(b"\x6f\x02" + bytes([n, n]) for n in range(40))
    content = section(7, bytes([41]) + b"\x7d" + doubling)
    with pytest.raises(errors.NotWasm, match="a type of"):
        linker.plan_of(HEADER + content)


def test_components_that_multiply_are_refused() -> None:
    text = "(component $c0)"
    for n in range(1, 20):
        text = f"(component $c{n} {text} (instance (instantiate $c{n - 1})) (instance (instantiate $c{n - 1})))"
    with pytest.raises(errors.UnsupportedGuest, match="more than 64 instances"):
        linker.plan_of(wasm(f"(component {text} (instance (instantiate $c19)))"))


def test_nesting_has_an_end() -> None:
    data = HEADER
    for _ in range(binary.NESTING_MAX + 1):
        data = HEADER + section(4, data)
    with pytest.raises(errors.NotWasm, match="nested deeper"):
        binary.parse(data)


def test_a_lie_about_a_count_costs_nothing() -> None:
    with pytest.raises(errors.NotWasm, match="a section says that it has"):
        binary.parse(HEADER + section(7, b"\xff\xff\xff\xff\x0f"))


def test_versions_of_an_interface_are_one() -> None:
    plan = linker.plan_of(wasm(HOST_THINGS))
    assert plan.imports == {"test:host/things", "test:host/uses"}
    handles = {what.resource for what in plan.trampolines if hasattr(what, "resource")}
    assert handles == {ResourceType("test:host/things", "thing")}


def test_a_start_function_becomes_an_export() -> None:
    text = '(module (func $a) (func $b) (start $b) (export "start 0" (func $a)))'
    data, name = start_exported(wasm(text))
    assert name == "start 1"
    again, none = start_exported(data)
    assert (again, none) == (data, "")
    alone, name = start_exported(wasm("(module (table 1 funcref) (func $b) (start $b) (elem (i32.const 0) $b))"))
    engine = Engine(EngineSettings(instances_max=20))
    try:
        for module in (data, alone):
            engine.compile(module).close()
    finally:
        engine.close()
    assert name == "start 0"


@pytest.mark.parametrize(
    ("type_", "size", "alignment", "flat"),
    [
        (Primitive("u8"), 1, 1, "i"),
        (Primitive("string"), 8, 4, "ii"),
        (Record((Primitive("u8"), Primitive("u64"), Primitive("u8"))), 24, 8, "ili"),
        (types.option(Primitive("u8")), 2, 1, "ii"),
        (types.option(Primitive("f64")), 16, 8, "id"),
        (types.result(Primitive("f32"), Primitive("u32")), 8, 4, "ii"),
        (types.result(Primitive("f32"), Primitive("u64")), 16, 8, "il"),
        (types.result(Primitive("f64"), Primitive("string")), 16, 8, "ili"),
        (types.result(None, None), 1, 1, "i"),
        (types.enum(tuple(f"n{n}" for n in range(257))), 2, 2, "i"),
        (Flags(tuple(f"n{n}" for n in range(9))), 2, 2, "i"),
        (Flags(tuple(f"n{n}" for n in range(32))), 4, 4, "i"),
        (Handle(True, ResourceType("a", "b")), 4, 4, "i"),
    ],
)
def test_sizes_and_core_values(type_: Any, size: int, alignment: int, flat: str) -> None:
    assert (types.size(type_), types.alignment(type_), types.flatten(type_)) == (size, alignment, flat)


def test_a_component_of_the_tests_is_planned_as_it_is() -> None:
    plan = linker.plan_of(echo_component(Primitive("string")))
    assert set(plan.exports) == {("", "run"), ("", "raw"), ("", "used")}
    assert (len(plan.steps), plan.instances, plan.memories) == (2, 1, 1)
