"""Functions that are known before there is an instance: they mean what they do when each instance is asked for them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lattice import errors
from lattice.config import EngineSettings, Limits
from lattice.wasm.component import instantiate, types
from lattice.wasm.component.host import Err, KnownFunction, Ok
from lattice.wasm.component.instance import ComponentInstance
from lattice.wasm.component.instantiate import ComponentType
from lattice.wasm.component.trampolines import Known, nothing_known
from lattice.wasm.component.wiring import Wiring
from lattice.wasm.engine import Engine
from lattice.wasm.wasi.interfaces import INTERFACES, known
from lattice.wasm.wasi.table import waits
from tests.support.components import LIBC, Names, echo_component, same, value_types, values, wasm
from tests.wasm.test_component_calls import HOST_THINGS, LIMITS, WAITING, Imports, Thing, things
from tests.wasm.test_component_differential import ENCODINGS, OneFunction

THOROUGH = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine(EngineSettings(instances_max=100))
    yield engine
    assert engine.live_instances == 0, "an instance was left open"
    engine.close()


def all_known(imports: Any, *, may_wait: bool = False) -> Known:
    """What each instance would be asked for, as known. `may_wait` is what is said of all of it."""

    def found(interface: str, name: str) -> KnownFunction | None:
        function = imports.function(interface, name)
        return None if function is None else KnownFunction(function, of_instance=False, waits=may_wait)

    return found


Ways = tuple[str, Callable[[Any], Known]]
WAYS: tuple[Ways, ...] = (
    ("each is asked", lambda _imports: nothing_known),
    ("known", all_known),
    ("known, may wait", lambda imports: all_known(imports, may_wait=True)),
)


async def outcomes(engine: Engine, data: bytes, known: Known, imports: Any, calls: list[tuple[str, Any]]) -> list[Any]:
    """What each call returns, or the reason of the trap that ends it."""
    component = ComponentType.load(engine, data, known=known)
    instance = await component.instantiate(imports, LIMITS)
    found: list[Any] = []
    try:
        for name, argument in calls:
            found.append(await instance.call("", name, argument))  # those before a trap count
    except errors.GuestError as error:
        found.append(error.message)
    finally:
        instance.close()
        component.close()
    return found


@given(st.data())
@THOROUGH
def test_values_cross_alike(engine: Engine, data: st.DataObject) -> None:
    type_ = data.draw(value_types())
    argument, answer = data.draw(values(type_)), data.draw(values(type_))
    component = echo_component(type_, data.draw(st.sampled_from(ENCODINGS)))

    async def all_ways() -> list[Any]:
        found = []
        for _, way in WAYS:
            seen: list[Any] = []
            imports = OneFunction(lambda value, seen=seen: seen.append(value) or answer)  # type: ignore[misc]
            found.append([*await outcomes(engine, component, way(imports), imports, [("run", argument)]), *seen])
        return found

    first, *others = asyncio.run(all_ways())
    assert same(first, [answer, argument])
    for other in others:
        assert same(first, other)


@given(st.data())
@THOROUGH
def test_values_that_are_none_are_refused_alike(engine: Engine, data: st.DataObject) -> None:
    """`relay` hands bytes to the host's function as if they were a value of its type."""
    type_ = data.draw(value_types())
    params, _ = types.core_signature(types.FunctionType(("v",), (type_,), None), lowered=True)
    numbers = {"i": st.integers(0, 3) | st.integers(0, (1 << 31) - 1), "l": st.integers(0, 1 << 33)}
    floats = st.floats(width=32, allow_nan=False)
    given_ = [data.draw(numbers.get(letter, floats)) for letter in params]
    component = _relay(type_, params, given_)

    async def all_ways() -> list[Any]:
        found = []
        for _, way in WAYS:
            seen: list[Any] = []
            imports = OneFunction(seen.append)
            found.append([*await outcomes(engine, component, way(imports), imports, [("go", 1)]), *seen])
        return found

    first, *others = asyncio.run(all_ways())
    for other in others:
        assert same(first, other)


def _relay(type_: types.ValueType, params: str, given_: list[Any]) -> bytes:
    """A component whose `go` calls `f` with these core values."""
    core = {"i": "i32", "l": "i64", "f": "f32", "d": "f64"}
    constants = " ".join(f"({core[letter]}.const {value})" for letter, value in zip(params, given_, strict=True))
    names = Names()
    text = names.text(type_)
    defined = "".join(
        f'(type $d{n} {defined}) (export "t{n}" (type $t{n} (eq $d{n})))' for n, defined in enumerate(names.definitions)
    )
    return wasm(f"""(component
  (import "host" (instance $h {defined} (export "f" (func (param "v" {text})))))
  {LIBC}
  (core func $f (canon lower (func $h "f") (memory $memory) (realloc $realloc)))
  (core module $m (import "h" "f" (func $f (param {" ".join(core[letter] for letter in params)})))
    (func (export "go") (param i32) (call $f {constants})))
  (core instance $m (instantiate $m (with "h" (instance (export "f" (func $f))))))
  (func (export "go") (param "n" u32) (canon lift (core func $m "go"))))""")


LOANS: list[list[tuple[str, Any]]] = [
    [("new", 7), ("look", 1), ("take", 1), ("look", 1)],
    [("new", 7), ("drop", 1), ("take", 1)],
    [("new", 7), ("new", 8), ("drop", 1), ("new", 9), ("look", 1), ("look", 2)],
    [("look", 0)],
    [("look", 3)],
    [("take", 0xFFFFFFFF)],
    [("drop", 5)],
    [("borrows", Thing(11))],
    [("keep", Thing(1))],
    [("own", Thing(12)), ("look", 1), ("own", Thing(13)), ("take", 2), ("take", 1)],
]


@pytest.mark.parametrize("calls", LOANS)
async def test_handles_are_lent_given_and_misused_alike(engine: Engine, calls: list[tuple[str, Any]]) -> None:
    found = []
    for _, way in WAYS:
        imports = things()
        results = await outcomes(engine, wasm(HOST_THINGS), way(imports), imports, calls)
        found.append((results, [(name, thing.number) for _, name, thing in imports.dropped]))
    assert found[0] == found[1] == found[2]


BOTH = """(component
  (import "test:host/things" (instance $a (export "thing" (type $t (sub resource)))
    (export "[constructor]thing" (func (param "n" u32) (result (own $t))))
    (export "swap" (func (param "a" (borrow $t)) (param "b" (own $t)) (result (own $t))))))
  (alias export $a "thing" (type $thing))
  (core func $new (canon lower (func $a "[constructor]thing")))
  (core func $swap (canon lower (func $a "swap")))
  (core module $m
    (import "h" "new" (func $new (param i32) (result i32)))
    (import "h" "swap" (func $swap (param i32 i32) (result i32)))
    (func (export "new") (param i32) (result i32) (call $new (local.get 0)))
    (func (export "others") (param i32) (result i32) (call $swap (local.get 0) (i32.const 2)))
    (func (export "same") (param i32) (result i32) (call $swap (local.get 0) (local.get 0))))
  (core instance $m (instantiate $m (with "h" (instance (export "new" (func $new)) (export "swap" (func $swap))))))
  (func (export "new") (param "n" u32) (result u32) (canon lift (core func $m "new")))
  (func (export "others") (param "n" u32) (result u32) (canon lift (core func $m "others")))
  (func (export "same") (param "n" u32) (result u32) (canon lift (core func $m "same"))))"""


@pytest.mark.parametrize("last", ["others", "same"])
async def test_what_is_lent_cannot_be_given_away_in_the_same_call(engine: Engine, last: str) -> None:
    found = []
    for _, way in WAYS:
        imports = things()
        imports.functions["test:host/things", "swap"] = lambda _lent, given_: given_
        calls = [("new", 7), ("new", 8), (last, 1)]
        found.append(await outcomes(engine, wasm(BOTH), way(imports), imports, calls))
    assert found[0] == found[1] == found[2]
    assert found[0][2] == 2 if last == "others" else "while it was lent" in found[0][2]


async def test_a_known_function_that_may_wait_puts_the_guest_to_sleep(engine: Engine) -> None:
    gate = asyncio.Event()

    async def soon(text: str) -> Any:
        await gate.wait()
        return Ok(text.upper()) if text != "bad" else Err(text)

    imports = Imports({("test:host/wait", "soon"): soon})
    component = ComponentType.load(engine, wasm(WAITING), known=all_known(imports, may_wait=True))
    instances = [await component.instantiate(imports, LIMITS) for _ in range(5)]
    calls = [
        asyncio.create_task(instance.call("", "soon", text)) for instance, text in zip(instances, "abcde", strict=True)
    ]
    await asyncio.sleep(0)
    assert not any(call.done() for call in calls)
    gate.set()
    assert await asyncio.gather(*calls) == [Ok(letter) for letter in "ABCDE"]
    assert await instances[0].call("", "soon", "bad") == Err("bad")
    for instance in instances:
        instance.close()
    component.close()


async def test_one_that_waits_and_is_known_as_one_that_never_does_is_a_trap(engine: Engine) -> None:
    async def soon(text: str) -> Any:
        raise AssertionError("it is not begun")

    imports = Imports({("test:host/wait", "soon"): soon})
    (told,) = await outcomes(engine, wasm(WAITING), all_known(imports), imports, [("soon", "x")])
    assert "failed" in told


async def test_failures_of_the_host_are_traps_alike(engine: Engine) -> None:
    def refused(_text: str) -> Any:
        raise errors.Denied("not for you")

    for function, reason in (
        (refused, "not for you"),
        (lambda _text: 1 / 0, "failed"),
        (lambda _text: "text", "failed"),
    ):
        for _, way in WAYS:
            imports = Imports({("test:host/wait", "soon"): function})
            (told,) = await outcomes(engine, wasm(WAITING), way(imports), imports, [("soon", "x")])
            assert reason in told


async def test_imports_found_one_by_one_lead_to_the_same(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [("new", 7), ("look", 1), ("drop", 1), ("look", 1)]
    first = await outcomes(engine, wasm(HOST_THINGS), all_known(things()), things(), calls)
    monkeypatch.setattr(instantiate, "fits", lambda _plan: False)
    component = ComponentType.load(engine, wasm(HOST_THINGS))
    assert isinstance(component.maker, Wiring)
    component.close()
    assert await outcomes(engine, wasm(HOST_THINGS), all_known(things()), things(), calls) == first


async def test_an_instance_leaves_nothing_to_the_garbage_collector(engine: Engine) -> None:
    """Cycles would keep what a guest held until it comes by, and make it come by often."""
    imports = Imports({("test:host/wait", "soon"): lambda text: Ok(text)})

    def alive() -> int:
        return sum(type(found) is ComponentInstance for found in gc.get_objects())

    for _, way in WAYS:
        component = ComponentType.load(engine, wasm(WAITING), known=way(imports))
        gc.collect()
        before = alive()
        gc.disable()
        try:
            for _ in range(3):
                instance = await component.instantiate(imports, Limits())
                assert await instance.call("", "soon", "x") == Ok("x")
                instance.close()
            del instance
            assert alive() == before
        finally:
            gc.enable()
        component.close()


def test_whether_a_function_of_wasi_waits_is_read_from_what_it_returns() -> None:
    async def later() -> int:
        return 1

    def at_once() -> Ok | Err:
        return Ok()

    def maybe() -> Ok | Coroutine[Any, Any, Ok]:
        return Ok()

    def who_knows() -> Any:
        return None

    def says_nothing():  # type: ignore[no-untyped-def]  # what is tested
        return None

    assert [waits(f) for f in (later, maybe, who_knows, says_nothing, at_once, len)] == [True] * 4 + [False] * 2


def test_every_function_of_wasi_is_known_and_those_that_block_may_wait() -> None:
    for name, interface in INTERFACES.items():
        for function in (*interface.functions, *interface.plain):
            found = known(name, function)
            assert found is not None
            if "blocking" in function or function in ("poll", "[method]pollable.block"):
                assert found.waits, f"{name}#{function}"
    append = known("wasi:http/types", "[method]fields.append")
    assert append is not None
    assert not append.waits
    assert not append.of_instance
    assert known("wasi:http/types", "nothing") is None
    assert known("nobody:knows/this", "f") is None
