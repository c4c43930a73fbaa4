"""Components behind the protocol of all guests: pooled, one call an instance, closed with what was made for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import pytest

from lattice import errors
from lattice.config import EngineSettings, Limits
from lattice.invocation import EntityId, Invocation
from lattice.wasm.component.instantiate import ComponentType
from lattice.wasm.engine import Engine
from lattice.wasm.guest import ActorContext
from lattice.wasm.pool import Pool
from tests.support.components import wasm

COUNTER = """(component
  (import "test:host/a" (instance $h (export "next" (func (result u32)))))
  (core func $next (canon lower (func $h "next")))
  (core module $m (import "h" "next" (func $next (result i32)))
    (global $calls (mut i32) (i32.const 0))
    (func (export "run") (result i32)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (i32.add (i32.mul (call $next) (i32.const 10)) (global.get $calls))))
  (core instance $m (instantiate $m (with "h" (instance (export "next" (func $next))))))
  (func $run (result u32) (canon lift (core func $m "run")))
  (instance $counter (export "run" (func $run)))
  (export "test:guest/counter@0.1.0" (instance $counter)))"""


class Next:
    """Gives 7; counts how many of it were closed."""

    closed = 0

    def __init__(self, actor: ActorContext) -> None:
        self.actor = actor

    def function(self, interface: str, name: str) -> Callable[..., Any] | None:
        return (lambda: 7) if name == "next" else None

    def resource(self, interface: str, name: str) -> bool:
        return False

    def drop(self, interface: str, name: str, resource: object) -> None:
        raise AssertionError("there are no resources")

    def rest(self, held: list[object]) -> str:
        return f"it keeps {held}" if held else ""

    def close(self) -> None:
        Next.closed += 1


async def bridge(
    imports: Next, exports: Collection[str], call: Callable[..., Any], invocation: Invocation, deadline: float
) -> bytes:
    if invocation.operation not in exports:
        raise errors.OperationUnknown(f"{imports.actor.key} has no {invocation.operation}")
    return str(await call(invocation.operation, "run")).encode()


async def nowhere(invocation: Invocation) -> bytes:
    raise errors.TargetUnknown(invocation.operation)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(EngineSettings(instances_max=100))
    yield engine
    engine.close()


@pytest.mark.parametrize(
    ("calls_max", "found"), [(1, [b"71", b"71", b"71"]), (2, [b"71", b"72", b"71"]), (0, [b"71", b"72", b"73"])]
)
async def test_an_instance_serves_one_call_unless_more_are_known_to_be_safe(
    engine: Engine, calls_max: int, found: list[bytes]
) -> None:
    Next.closed = 0
    deadline = time.monotonic() + 5
    actor = ActorContext("counter", nowhere, Limits())
    component = ComponentType.load(engine, wasm(COUNTER))
    pool = Pool(component.guest(actor, Next, bridge, calls_max=calls_max), "counter", actor.limits)
    await pool.prove(deadline)

    def call(operation: str) -> Invocation:
        return Invocation(
            origin=EntityId("test"), contract="c", operation=operation, payload=b"", id="1", deadline=deadline
        )

    assert [await pool.serve(call("test:guest/counter"), deadline) for _ in range(3)] == found
    with pytest.raises(errors.OperationUnknown):
        await pool.serve(call("test:guest/other"), deadline)
    assert pool.live == 0, "one that failed is thrown away"
    assert Next.closed == {1: 4, 2: 2, 0: 1}[calls_max]
    pool.close()
    assert engine.live_instances == 0
