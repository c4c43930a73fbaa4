"""Components called and calling: resources, waiting, traps, limits, what is left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lattice import errors
from lattice.config import EngineSettings, Limits
from lattice.wasm.component.host import Err, GuestResource, Ok
from lattice.wasm.component.instance import ComponentInstance
from lattice.wasm.component.instantiate import Component, ComponentType
from lattice.wasm.engine import Engine
from tests.support.components import LIBC, wasm

LIMITS = Limits(time_s_max=5.0)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(EngineSettings(instances_max=100))
    yield engine
    assert engine.live_instances == 0, "an instance was left open"
    engine.close()


class Thing:
    """A resource of the host's."""

    def __init__(self, number: int) -> None:
        self.number = number


class Imports:
    """Functions by (interface, name); remembers what was dropped."""

    def __init__(self, functions: dict[tuple[str, str], Callable[..., Any]] | None = None) -> None:
        self.functions = functions or {}
        self.dropped: list[object] = []

    def function(self, interface: str, name: str) -> Callable[..., Any] | None:
        return self.functions.get((interface, name))

    def resource(self, interface: str, name: str) -> bool:
        return True

    def drop(self, interface: str, name: str, resource: object) -> None:
        self.dropped.append((interface, name, resource))


async def started(engine: Engine, text: str, imports: Imports) -> tuple[Component, ComponentInstance]:
    component = ComponentType.load(engine, wasm(text))
    return component, await component.instantiate(imports, LIMITS)


HOST_THINGS = f"""(component
  (import "test:host/things@0.2.1" (instance $a (export "thing" (type $t (sub resource)))
    (export "[constructor]thing" (func (param "n" u32) (result (own $t))))))
  (alias export $a "thing" (type $thing))
  (import "test:host/uses@0.2.9" (instance $b (alias outer 1 $thing (type $o)) (export "thing" (type $t (eq $o)))
    (export "look" (func (param "t" (borrow $t)) (result u32)))
    (export "take" (func (param "t" (own $t))))))
  {LIBC}
  (core func $new (canon lower (func $a "[constructor]thing")))
  (core func $look (canon lower (func $b "look")))
  (core func $take (canon lower (func $b "take")))
  (core func $drop (canon resource.drop $thing))
  (core module $m
    (import "h" "new" (func $new (param i32) (result i32)))
    (import "h" "look" (func $look (param i32) (result i32)))
    (import "h" "take" (func $take (param i32)))
    (import "h" "drop" (func $drop (param i32)))
    (func (export "new") (param i32) (result i32) (call $new (local.get 0)))
    (func (export "look") (param i32) (result i32) (call $look (local.get 0)))
    (func (export "take") (param i32) (call $take (local.get 0)))
    (func (export "drop") (param i32) (call $drop (local.get 0)))
    (func (export "keep") (param i32))
    (func (export "borrows") (param i32) (result i32) (call $look (local.get 0)) (call $drop (local.get 0))))
  (core instance $m (instantiate $m (with "h" (instance
    (export "new" (func $new)) (export "look" (func $look))
    (export "take" (func $take)) (export "drop" (func $drop))))))
  (func (export "new") (param "n" u32) (result u32) (canon lift (core func $m "new")))
  (func (export "look") (param "n" u32) (result u32) (canon lift (core func $m "look")))
  (func (export "take") (param "n" u32) (canon lift (core func $m "take")))
  (func (export "drop") (param "n" u32) (canon lift (core func $m "drop")))
  (func (export "keep") (param "t" (borrow $thing)) (canon lift (core func $m "keep")))
  (func (export "borrows") (param "t" (borrow $thing)) (result u32) (canon lift (core func $m "borrows")))
  (func (export "own") (param "t" (own $thing)) (canon lift (core func $m "keep"))))"""


def things() -> Imports:
    return Imports(
        {
            ("test:host/things", "[constructor]thing"): Thing,
            ("test:host/uses", "look"): lambda thing: thing.number,
            ("test:host/uses", "take"): lambda thing: None,
        }
    )


async def test_resources_of_the_host_are_its_own_objects_whatever_interface_names_them(engine: Engine) -> None:
    imports = things()
    component, instance = await started(engine, HOST_THINGS, imports)
    first, second = await instance.call("", "new", 7), await instance.call("", "new", 8)
    assert (first, second) == (1, 2)
    assert await instance.call("", "look", second) == 8
    await instance.call("", "drop", first)
    assert [thing.number for _, _, thing in imports.dropped] == [7]
    assert await instance.call("", "new", 9) == first, "numbers are given again"
    await instance.call("", "take", second)
    assert await instance.call("", "borrows", Thing(11)) == 11
    await instance.call("", "own", Thing(12))
    assert [thing.number for _, _, thing in imports.dropped] == [7], "what was given away is not dropped"
    instance.close()
    assert [thing.number for _, _, thing in imports.dropped] == [7, 9, 12], "what it still owned goes with it"
    component.close()


@pytest.mark.parametrize(
    ("name", "argument", "reason"),
    [
        ("look", 0, "stands for nothing"),
        ("look", 1, "stands for nothing"),
        ("take", 0xFFFFFFFF, "stands for nothing"),
        ("drop", 5, "stands for nothing"),
        ("keep", Thing(1), "kept 1 borrowed"),
    ],
)
async def test_a_guest_that_misuses_a_handle_hurts_only_itself(
    engine: Engine, name: str, argument: Any, reason: str
) -> None:
    component, instance = await started(engine, HOST_THINGS, things())
    with pytest.raises(errors.GuestError, match=reason):
        await instance.call("", name, argument)
    assert not instance.usable
    with pytest.raises(errors.GuestTrapped, match="failed before"):
        await instance.call("", "new", 1)
    instance.close()
    component.close()


GUEST_THINGS = """(component
  (core module $d (global $gone (mut i32) (i32.const 0))
    (func (export "gone") (result i32) global.get $gone)
    (func (export "dtor") (param i32) (global.set $gone (i32.add (global.get $gone) (local.get 0)))))
  (core instance $d (instantiate $d))
  (type $thing' (resource (rep i32) (dtor (core func $d "dtor"))))
  (export $thing "thing" (type $thing'))
  (core func $new (canon resource.new $thing'))
  (core func $rep (canon resource.rep $thing'))
  (core func $drop (canon resource.drop $thing'))
  (core module $m
    (import "h" "new" (func $new (param i32) (result i32)))
    (import "h" "rep" (func $rep (param i32) (result i32)))
    (import "h" "drop" (func $drop (param i32)))
    (func (export "make") (param i32) (result i32) (call $new (local.get 0)))
    (func (export "both") (param i32 i32) (result i32) (i32.add (call $rep (local.get 0)) (local.get 1)))
    (func (export "drop") (param i32) (call $drop (local.get 0))))
  (core instance $m (instantiate $m (with "h" (instance
    (export "new" (func $new)) (export "rep" (func $rep)) (export "drop" (func $drop))))))
  (func (export "make") (param "n" u32) (result (own $thing)) (canon lift (core func $m "make")))
  (func (export "both") (param "a" (own $thing)) (param "b" (borrow $thing)) (result u32)
    (canon lift (core func $m "both")))
  (func (export "drop") (param "a" (own $thing)) (canon lift (core func $m "drop")))
  (func (export "gone") (result u32) (canon lift (core func $d "gone"))))"""


async def test_resources_of_the_guest_go_out_and_in_and_are_destroyed(engine: Engine) -> None:
    component, instance = await started(engine, GUEST_THINGS, Imports())
    first, second, third = [await instance.call("", "make", number) for number in (100, 20, 3)]
    assert (first, second) == (GuestResource(100), GuestResource(20))
    assert await instance.call("", "both", first, second) == 120
    await instance.call("", "drop", second)
    assert await instance.call("", "gone") == 20, "the guest dropped it and its destructor ran"
    await instance.drop("", "thing", third)
    assert await instance.call("", "gone") == 23
    instance.close()
    component.close()


WAITING = f"""(component
  (import "test:host/wait" (instance $h
    (export "soon" (func (param "s" string) (result (result string (error string)))))
    (export "now" (func (result (list u8))))))
  {LIBC}
  (core func $soon (canon lower (func $h "soon") (memory $memory) (realloc $realloc)))
  (core func $now (canon lower (func $h "now") (memory $memory) (realloc $realloc)))
  (core module $m
    (import "h" "soon" (func $soon (param i32 i32 i32)))
    (import "h" "now" (func $now (param i32)))
    (func (export "soon") (param i32 i32) (result i32) 
      (call $soon (local.get 0) (local.get 1) (i32.const 64)) (i32.const 64))
    (func (export "now") (result i32) (call $now (i32.const 64)) (i32.const 64))
    (func (export "spin") (loop br 0)))
  (core instance $m (instantiate $m (with "h" (instance (export "soon" (func $soon)) (export "now" (func $now))))))
  (func (export "soon") (param "s" string) (result (result string (error string)))
    (canon lift (core func $m "soon") (memory $memory) (realloc $realloc)))
  (func (export "now") (result (list u8)) (canon lift (core func $m "now") (memory $memory) (realloc $realloc)))
  (func (export "spin") (canon lift (core func $m "spin"))))"""


async def test_a_guest_sleeps_while_the_host_works_and_many_do_at_once(engine: Engine) -> None:
    gate = asyncio.Event()

    async def soon(text: str) -> Any:
        await gate.wait()
        return Err(text) if text == "bad" else Ok(text.upper())

    imports = Imports({("test:host/wait", "soon"): soon, ("test:host/wait", "now"): lambda: memoryview(b"abc")})
    component = ComponentType.load(engine, wasm(WAITING))
    instances = [await component.instantiate(imports, LIMITS) for _ in range(10)]
    calls = [
        asyncio.create_task(instance.call("", "soon", "bad" if n == 3 else f"n{n}"))
        for n, instance in enumerate(instances)
    ]
    await asyncio.sleep(0)
    gate.set()
    found = await asyncio.gather(*calls)
    assert found == [Err("bad") if n == 3 else Ok(f"N{n}") for n in range(10)]
    assert await instances[0].call("", "now") == b"abc"
    for instance in instances:
        instance.close()
    component.close()


async def test_a_guest_that_computes_gives_way_and_meets_its_deadline(engine: Engine) -> None:
    component, instance = await started(engine, WAITING, Imports())
    spinning = asyncio.create_task(instance.call("", "spin", deadline=time.monotonic() + 0.5))
    turns = 0
    while not spinning.done():
        await asyncio.sleep(0)
        turns += 1
    with pytest.raises(errors.DeadlineExceeded):
        await spinning
    assert turns > 5, "others had their turns"
    instance.close()
    component.close()


async def test_a_call_that_is_cancelled_leaves_nothing(engine: Engine) -> None:
    ended: list[str] = []

    async def soon(text: str) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(text)

    component, instance = await started(engine, WAITING, Imports({("test:host/wait", "soon"): soon}))
    call = asyncio.create_task(instance.call("", "soon", "x"))
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert ended == ["x"]
    assert not instance.usable
    instance.close()
    component.close()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (None, "test:host/wait#now, which this host does not have"),
        (lambda: 1 / 0, "the host function 0*1 failed|failed"),
        (lambda: "text", "failed"),
    ],
)
async def test_what_the_host_lacks_or_does_wrong_is_a_trap_with_the_reason(
    engine: Engine, function: Callable[..., Any] | None, reason: str
) -> None:
    imports = Imports({("test:host/wait", "now"): function} if function else {})
    component, instance = await started(engine, WAITING, imports)
    with pytest.raises(errors.GuestTrapped, match=reason):
        await instance.call("", "now")
    instance.close()
    component.close()


async def test_an_error_of_the_host_is_the_reason_of_the_trap(engine: Engine) -> None:
    def refused() -> None:
        raise errors.Denied("not for you")

    async def later(_text: str) -> None:
        raise errors.Denied("not for you either")

    imports = Imports({("test:host/wait", "now"): refused, ("test:host/wait", "soon"): later})
    component = ComponentType.load(engine, wasm(WAITING))
    for name, arguments in (("now", ()), ("soon", ("x",))):
        instance = await component.instantiate(imports, LIMITS)
        with pytest.raises(errors.GuestTrapped, match="not for you"):
            await instance.call("", name, *arguments)
        instance.close()
    component.close()


REALLOC = """(component
  (import "test:host/a" (instance $h (export "f" (func))))
  (core func $f (canon lower (func $h "f")))
  (core module $m
    (import "h" "f" (func $f))
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) BODY)
    (func (export "run") (param i32 i32)))
  (core instance $m (instantiate $m (with "h" (instance (export "f" (func $f))))))
  (func (export "run") (param "s" string)
    (canon lift (core func $m "run") (memory (core memory $m "memory")) (realloc (core func $m "realloc")))))"""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("(loop br 0) unreachable", "realloc trapped: .*too long"),
        ("unreachable", "realloc trapped"),
        ("(call $f) (i32.const 0)", "called the host where it may not"),
        ("(i32.const -1)", "outside its memory"),
        ("(i32.const 65536)", "outside its memory"),
    ],
)
async def test_a_realloc_that_misbehaves_ends_the_call_and_not_the_host(engine: Engine, body: str, reason: str) -> None:
    component, instance = await started(engine, REALLOC.replace("BODY", body), Imports())
    with pytest.raises(errors.GuestError, match=reason):
        await instance.call("", "run", "text")
    assert not instance.usable
    instance.close()
    component.close()


async def test_start_functions_run_in_order_and_may_sleep(engine: Engine) -> None:
    seen: list[int] = []

    async def note(number: int) -> None:
        await asyncio.sleep(0)
        seen.append(number)

    module = """(core module $m{n} (import "h" "note" (func $note (param i32)))
      (func $go (call $note (i32.const {n}))) (start $go) {export})
      (core instance $i{n} (instantiate $m{n} (with "h" (instance (export "note" (func $note))))))"""
    first, second = module.format(n=1, export=""), module.format(n=2, export='(func (export "start 0"))')
    text = f"""(component (import "test:host/a" (instance $h (export "note" (func (param "n" u32)))))
      (core func $note (canon lower (func $h "note"))) {first} {second})"""
    component, instance = await started(engine, text, Imports({("test:host/a", "note"): note}))
    assert seen == [1, 2]
    instance.close()
    component.close()


async def test_one_component_in_another_calls_through_the_host(engine: Engine) -> None:
    text = f"""(component
      (import "test:host/a" (instance $h (export "f" (func (param "s" string) (result string)))))
      (component $inner
        (import "f" (func $f (param "s" string) (result string)))
        {LIBC}
        (core func $g (canon lower (func $f) (memory $memory) (realloc $realloc)))
        (core module $m (import "h" "g" (func $g (param i32 i32 i32)))
          (func (export "run") (param i32 i32) (result i32)
            (call $g (local.get 0) (local.get 1) (i32.const 64)) (i32.const 64)))
        (core instance $m (instantiate $m (with "h" (instance (export "g" (func $g))))))
        (func (export "run") (param "s" string) (result string)
          (canon lift (core func $m "run") (memory $memory) (realloc $realloc))))
      (instance $one (instantiate $inner (with "f" (func $h "f"))))
      (instance $two (instantiate $inner (with "f" (func $one "run"))))
      (export "run" (func $two "run")))"""

    async def function(value: str) -> str:
        await asyncio.sleep(0)
        return value[::-1]

    component, instance = await started(engine, text, Imports({("test:host/a", "f"): function}))
    assert await instance.call("", "run", "abcü") == "ücba"
    assert await instance.call("", "run", "again") == "niaga", "and it may be called again"
    instance.close()
    component.close()


async def test_many_instances_do_not_grow_the_process(engine: Engine) -> None:
    import resource

    component = ComponentType.load(engine, wasm(WAITING))
    imports = Imports({("test:host/wait", "now"): lambda: bytes(100_000)})

    async def some(count: int) -> int:
        for _ in range(count):
            instance = await component.instantiate(imports, LIMITS)
            assert len(await instance.call("", "now")) == 100_000
            instance.close()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = await some(200)
    after = await some(600)
    assert after - before < 8 * 1024, f"{after - before} KiB more"
    component.close()


async def test_more_instances_than_fit_are_refused_before_anything_is_made(engine: Engine) -> None:
    component = ComponentType.load(engine, wasm(WAITING))
    instances = [await component.instantiate(Imports(), LIMITS) for _ in range(50)]
    with pytest.raises(errors.InstancesExhausted):
        await component.instantiate(Imports(), LIMITS)
    for instance in instances:
        instance.close()
    component.close()
