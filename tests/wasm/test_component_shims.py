"""Shims between a component's modules are seen through where that changes nothing, and only there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lattice import errors
from lattice.config import EngineSettings, Limits
from lattice.wasm.component import linker, shims
from lattice.wasm.component.instantiate import ComponentType
from lattice.wasm.component.plan import CoreExport, Plan, Trampoline
from lattice.wasm.engine import Engine
from tests.support.components import wasm
from tests.wasm.test_component_calls import Imports

HELLO = Path(__file__).resolve().parents[2] / "actors" / "hello-component" / "hello-component.wasm"
LIMITS = Limits(time_s_max=1.0)

SHIM = """(core module $shim
    (type $t (func (param i32 i32) (result i32)))
    (type $u (func (param i32)))
    (table (export "$imports") 2 2 funcref)
    (func (export "0") (type $t) local.get 0 local.get 1 i32.const 0 call_indirect (type $t))
    (func (export "1") (type $u) local.get 0 i32.const 1 call_indirect (type $u)))"""
FILL = """(core module $fill
    (type $t (func (param i32 i32) (result i32)))
    (type $u (func (param i32)))
    (import "" "0" (func (type $t)))
    (import "" "1" (func (type $u)))
    (import "" "$imports" (table 2 2 funcref))
    (elem (i32.const 0) func 0 1))"""
MAIN = """(core module $main
    (import "h" "add" (func $add (param i32 i32) (result i32)))
    (import "h" "see" (func $see (param i32)))
    (memory (export "memory") 1)
    (func (export "run") (param i32) (result i32)
      (call $see (local.get 0)) (call $add (local.get 0) (i32.const 30))))"""
GIVEN = """(core instance $fills (instantiate $fill (with "" (instance
    (export "0" (func $add)) (export "1" (func $see)) (export "$imports" (table $shims "$imports"))))))"""


def component(shim: str = SHIM, fill: str = FILL, main: str = MAIN, given_: str = GIVEN, between: str = "") -> bytes:
    """A component put together as wit-component does it; `add` and `see` go through a shim."""
    return wasm(f"""(component
  (import "test:host/sums" (instance $h
    (export "add" (func (param "a" u32) (param "b" u32) (result u32)))
    (export "see" (func (param "a" u32)))))
  {shim}
  {fill}
  {main}
  (core instance $shims (instantiate $shim))
  (core instance $m (instantiate $main (with "h" (instance
    (export "add" (func $shims "0")) (export "see" (func $shims "1"))))))
  {between}
  (core func $add (canon lower (func $h "add")))
  (core func $see (canon lower (func $h "see")))
  {given_}
  (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run"))))""")


class Sums(Imports):
    def __init__(self) -> None:
        self.seen: list[int] = []
        super().__init__(
            {("test:host/sums", "add"): lambda a, b: (a + b) & 0xFFFFFFFF, ("test:host/sums", "see"): self.seen.append}
        )


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine(EngineSettings(instances_max=100))
    yield engine
    assert engine.live_instances == 0
    engine.close()


async def run(engine: Engine, data: bytes, plan: Plan) -> list[Any]:
    """What a component does by one of its plans, until it traps or is refused."""
    component_type = ComponentType(data)
    component_type.plan = plan
    imports = Sums()
    try:
        component = component_type.compile(engine)
    except errors.LatticeError as error:
        return [type(error)]
    found: list[Any] = []
    try:
        instance = await component.instantiate(imports, LIMITS)
        try:
            for number in (1, 2):
                found.append(await instance.call("", "run", number))  # noqa: PERF401  # those before a trap count
        finally:
            instance.close()
    except errors.LatticeError as error:
        found.append(type(error))
    finally:
        component.close()
    return [*found, *imports.seen]


def both(engine: Engine, data: bytes) -> tuple[Plan, Plan]:
    """The plan as it is written and the one that is used, which do the same."""
    written = linker.plan_of(data)
    used = shims.see_through(written, data)
    assert asyncio.run(run(engine, data, written)) == asyncio.run(run(engine, data, used))
    return written, used


def test_a_shim_for_the_host_alone_is_gone(engine: Engine) -> None:
    data = component()
    written, used = both(engine, data)
    assert (len(written.steps), len(used.steps), len(used.modules)) == (3, 1, 1)
    assert used.steps[0].imports == (Trampoline(0), Trampoline(1))
    assert used.lifted[0].function == CoreExport(0, "run")
    assert asyncio.run(run(engine, data, used)) == [31, 32, 1, 2]


def test_the_committed_component_needs_one_core_instance() -> None:
    assert len(ComponentType(HELLO.read_bytes()).plan.steps) == 1


def test_what_another_module_fills_in_keeps_the_shim_for_itself_alone(engine: Engine) -> None:
    """As with WASI preview 1: an adapter needs the memory of the module that calls it."""
    adapter = """(core module $adapter (import "m" "memory" (memory 1))
      (func (export "see") (param i32) (i32.store (i32.const 0) (local.get 0))))
    (core instance $adapts (instantiate $adapter (with "m" (instance (export "memory" (memory $m "memory"))))))"""
    given_ = GIVEN.replace("(func $see)", '(func $adapts "see")')
    data = component(given_=given_, between=adapter)
    _, used = both(engine, data)
    assert len(used.steps) == 4
    assert used.steps[1].imports == (Trampoline(0), CoreExport(0, "1")), (
        "one import is the host's, one goes the long way"
    )
    assert asyncio.run(run(engine, data, used)) == [31, 32]


OTHERS: dict[str, dict[str, str]] = {
    "slots the other way round": {"fill": FILL.replace("func 0 1)", "func 1 0)")},
    "a slot that stays empty": {"fill": FILL.replace("func 0 1)", "func 0)")},
    "a segment that begins later": {"fill": FILL.replace("(i32.const 0) func 0 1", "(i32.const 1) func 1")},
    "two segments": {"fill": FILL.replace("func 0 1)", "func 0) (elem (i32.const 1) func 1)")},
    "a filler with code": {"fill": FILL[:-1] + '(func (export "f")))'},
    "a filler that starts": {"fill": FILL[:-1] + "(func $f) (start $f))"},
    "a table that may grow": {"shim": SHIM.replace("2 2 funcref", "2 funcref"), "fill": FILL.replace("2 2", "2")},
    "another slot than its own": {"shim": SHIM.replace("i32.const 1 call", "i32.const 0 call")},
    "parameters in another order": {"shim": SHIM.replace("local.get 0 local.get 1", "local.get 1 local.get 0")},
    "a function that does more": {"shim": SHIM.replace("local.get 0 i32.const 1", "nop local.get 0 i32.const 1")},
    "a function that calls nothing": {"shim": SHIM.replace("local.get 0 i32.const 1 call_indirect (type $u)", "")},
    "a shim that starts": {"shim": SHIM[:-1] + "(func $f) (start $f))"},
    "a shim with a memory": {"shim": SHIM[:-1] + "(memory 1))"},
    "a main module that starts": {"main": MAIN[:-1] + "(func $f) (start $f))"},
    "one that calls before": {
        "main": MAIN[:-1] + "(func $f (call $see (i32.const 1))) (start $f))",
    },
    "a table that another has too": {
        "between": """(core module $other (import "" "t" (table 2 2 funcref)))
          (core instance (instantiate $other (with "" (instance (export "t" (table $shims "$imports"))))))"""
    },
}
PARTLY = {"a table that may grow": 1, "a slot that stays empty": 3}
"""Those that are seen through all the same, as far as it goes, and how many core instances are left."""


@pytest.mark.parametrize("name", OTHERS)
def test_anything_else_works_as_it_is_written(engine: Engine, name: str) -> None:
    written, used = both(engine, component(**OTHERS[name]))
    if name in PARTLY:
        assert len(used.steps) == PARTLY[name]
        assert used.steps != written.steps
    else:
        assert used == written


SEEDS = (component(), HELLO.read_bytes())


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """One of the components, with some bytes of its shim or what fills it changed."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    plan = linker.plan_of(bytes(data))
    small = [code for code in plan.modules if code.end - code.start < 400]
    code = draw(st.sampled_from(small))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(code.start + 8, code.end - 1))
        data[at] = draw(st.integers(0, 255) | st.just(data[at] ^ 1))
    return bytes(data)


@given(mutated())
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_the_bytes_of_a_shim_are_what_is_used_does_the_same(engine: Engine, data: bytes) -> None:
    with contextlib.suppress(errors.NotWasm, errors.UnsupportedGuest):
        written = linker.plan_of(data)
        used = shims.see_through(written, data)
        if used == written:
            return
        first, second = (asyncio.run(run(engine, data, plan)) for plan in (written, used))
        assert first == second
