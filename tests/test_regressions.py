"""Ways in which a guest, a token or a mistake once got further than it should."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from lattice import errors
from lattice.actors import ActorSpec
from lattice.config import Limits
from lattice.contracts.message import Contract, Operation
from lattice.control.manifest import parse
from lattice.deadline import SWEEP_S, Deadlines
from lattice.host import Host, HostSettings
from lattice.links import Link
from lattice.provider import Provider, Settings
from lattice.supervisor import Supervisor
from tests.support.hosts import GuestHost, answer_with_payload, guest_host, guest_wasm

LOOPS_WITH_HOST_CALLS = """(module
  (import "wapc" "__host_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 0) "nobody")
  (func (export "__guest_call") (param i32 i32) (result i32)
    (loop $again
      (drop (call $call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 6)
                        (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)))
      (br $again))
    (i32.const 1)))"""

NO_MEMORY = (
    """(module (func (export "memory")) (func (export "__guest_call") (param i32 i32) (result i32) i32.const 1))"""
)

LOGS_IN_ITS_START_FUNCTION = """(module
  (import "wapc" "__console_log" (func $log (param i32 i32)))
  (import "wapc" "__guest_response" (func $reply (param i32 i32)))
  (memory (export "memory") 1) (data (i32.const 0) "begun")
  (func $begin (call $log (i32.const 0) (i32.const 5)))
  (start $begin)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $reply (i32.const 0) (i32.const 5)) (i32.const 1)))"""


async def start_wat(guests: GuestHost, folder: Path, wat: str, key: str, alias: str = "", **limits: Any) -> None:
    path = folder / f"{key}.wasm"
    path.write_bytes(wasmtime.wat2wasm(wat))
    spec = ActorSpec(key=key, name=key, image=path, application="test", alias=alias, limits=Limits(**limits))
    await guests.host.actors.start(spec)


async def test_a_guest_whose_every_call_is_answered_at_once_cannot_hold_the_loop(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start_wat(guests, tmp_path, LOOPS_WITH_HOST_CALLS, "loop", time_s_max=0.5)
        await guests.start("echo")
        running = asyncio.create_task(guests.call("loop"))
        answered = 0
        while not running.done():
            assert await guests.call("echo", b"x") == b"x"
            answered += 1
            await asyncio.sleep(0)
        with pytest.raises(errors.DeadlineExceeded):
            await running
        assert answered > 10


async def test_an_export_called_memory_that_is_none_is_refused(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        with pytest.raises(errors.UnsupportedGuest, match="exports no memory"):
            await start_wat(guests, tmp_path, NO_MEMORY, "liar")


async def test_a_start_function_may_call_the_host(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with guest_host(tmp_path) as guests:
        with caplog.at_level("INFO", "lattice.actor.early"):
            await start_wat(guests, tmp_path, LOGS_IN_ITS_START_FUNCTION, "early")
        assert "begun" in caplog.messages
        assert await guests.call("early") == b"begun"


async def test_nobody_gets_another_ones_key_or_alias_or_a_contract_for_an_alias(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        guests.offer(answer_with_payload, "relay")
        await guests.start("relay", alias="first")
        for key, alias in (("provider-test:host", ""), ("first", ""), ("new", "relay"), ("new", "wasmcloud:keyvalue")):
            with pytest.raises(errors.ConfigError):
                await guests.start("echo", key=key, alias=alias)
        assert [actor.key for actor in guests.host.actors] == ["relay"]
        assert guests.host.engine.live_instances == 1


async def test_two_starts_of_one_key_at_once_leave_one_actor(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        results = await asyncio.gather(guests.start("echo"), guests.start("echo"), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["Actor", "ConfigError"]
        assert guests.host.engine.live_instances == 1


async def test_a_name_in_a_host_call_has_a_limit(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("relay")
        reply = await guests.call("relay", b"b" * 300 + b"\0wasmcloud:builtin:numbergen\0NumberGen.Random32\0")
        assert reply.startswith(b"0malformed_message: ")


async def test_a_compilation_that_nobody_waits_for_ends_before_the_engine_does(tmp_path: Path) -> None:
    functions = "".join(
        f"(func (param i32) (result i32) {'local.get 0 i32.const 7 i32.mul ' * 40} {'i32.add ' * 39})"
        for _ in range(800)
    )
    large = tmp_path / "large.wasm"
    large.write_bytes(
        wasmtime.wat2wasm(
            f'(module (memory (export "memory") 1) {functions} '
            '(func (export "__guest_call") (param i32 i32) (result i32) i32.const 1))'
        )
    )
    async with guest_host(tmp_path) as guests:
        starting = asyncio.create_task(guests.host.actors.start(ActorSpec(key="large", name="large", image=large)))
        await asyncio.sleep(0.01)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await guests.start("echo")
        assert await guests.call("echo", b"x") == b"x"


async def test_stopping_cuts_off_what_outlasts_the_drain(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("sleep")
        call = asyncio.create_task(guests.call("sleep", (8000).to_bytes(4, "little")))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        assert await guests.host.actors.drain("sleep", time.monotonic() + 0.1) is False
        await guests.host.actors.stop("sleep")
        assert time.monotonic() - began < 7, "the guest sleeps for eight"
        with pytest.raises(errors.DeadlineExceeded):
            await call


async def test_a_drain_that_is_given_up_harms_neither_the_calls_nor_the_next_drain(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        actor = await guests.start("sleep")
        call = asyncio.create_task(guests.call("sleep", (200).to_bytes(4, "little")))
        await asyncio.sleep(0.02)
        pool = actor.revision.pool
        drains = [asyncio.create_task(pool.drain(time.monotonic() + 5)) for _ in range(3)]
        await asyncio.sleep(0.02)
        drains[0].cancel()
        assert len(await call) == 12
        assert await asyncio.gather(*drains[1:]) == [True, True]


async def test_a_deadline_is_kept_however_long_the_first_step_took() -> None:
    deadlines = Deadlines()

    async def slow_first_step() -> None:
        time.sleep(0.1)
        await asyncio.sleep(60)

    async def waits() -> None:
        await asyncio.sleep(0.5)

    others = [asyncio.create_task(deadlines.within(waits(), time.monotonic() + at, "other")) for at in (20, 30)]
    with pytest.raises(errors.DeadlineExceeded):
        await asyncio.wait_for(deadlines.within(slow_first_step(), time.monotonic() + 0.01, "slow"), 2)
    await asyncio.gather(*others)
    deadlines.close()


async def test_a_cancellation_in_the_turn_of_the_deadline_is_not_swallowed() -> None:
    deadlines = Deadlines()
    due = time.monotonic() + 0.05

    async def work() -> None:
        async with asyncio.timeout_at(due + 10):
            await deadlines.within(asyncio.sleep(60), due, "work")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(due + 2 * SWEEP_S, task.cancel)
    time.sleep(0.2)  # now the deadline and the cancellation are both due in the loop's next turn
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    deadlines.close()


class Fragile(Provider[None, None]):
    """Fails in ways that the test sets."""

    name = "fragile"
    contract = Contract("test:fragile", operations=(Operation("Fragile.Do", "do", None, None),))
    running: list[Fragile] = []  # noqa: RUF012  # the test's view of every instance made
    fail_during_start = 0
    fail_stop = False

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.ticks = 0

    async def start(self) -> None:
        Fragile.running.append(self)
        if Fragile.fail_during_start:
            Fragile.fail_during_start -= 1
            self.context.spawn(self.crash(), "crash")
            await asyncio.sleep(0.01)
        self.context.spawn(self.tick(), "tick")

    async def crash(self) -> None:
        raise OSError("crashed while it started")

    async def tick(self) -> None:
        while True:
            self.ticks += 1
            await asyncio.sleep(0.005)

    async def do(self, _attached: None) -> None:
        return None

    async def stop(self) -> None:
        if Fragile.fail_stop:
            raise OSError("cannot stop")


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> type[Fragile]:
    Fragile.running, Fragile.fail_during_start, Fragile.fail_stop = [], 0, False
    monkeypatch.setattr("lattice.supervisor.BACKOFF_S_MIN", 0.02)
    return Fragile


async def test_a_failure_during_the_start_is_not_forgotten(tmp_path: Path, fragile: type[Fragile]) -> None:
    async with guest_host(tmp_path) as guests:
        fragile.fail_during_start = 1
        supervisor: Supervisor = guests.host.supervisor
        provider = await supervisor.start("fragile", "fragile", fragile, {})
        assert provider.status == "failed"
        while provider.status != "running":
            await asyncio.sleep(0.01)
        assert provider.restarts >= 1


async def test_the_tasks_of_a_provider_end_even_if_its_stop_fails(tmp_path: Path, fragile: type[Fragile]) -> None:
    async with guest_host(tmp_path) as guests:
        fragile.fail_stop = True
        await guests.host.supervisor.start("fragile", "fragile", fragile, {})
        await asyncio.sleep(0.02)
        await guests.host.supervisor.stop("fragile")
        ticks = fragile.running[0].ticks
        await asyncio.sleep(0.03)
        assert fragile.running[0].ticks == ticks > 0


async def test_a_provider_that_has_not_taken_a_link_says_so(tmp_path: Path, fragile: type[Fragile]) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.host.supervisor.start("fragile", "fragile", fragile, {})
        await guests.start("relay")
        guests.host.router.put_link(Link("relay", "fragile", "test:fragile"))
        reply = await guests.call("relay", b"default\0test:fragile\0Fragile.Do\0")
        assert reply == b"0provider_unavailable: fragile has not taken the link of relay"


MANIFEST = """
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: order}}
spec:
  components:
    - name: timer
      type: capability
      properties: {{image: builtin://cron}}
      traits:
        - type: link
          properties:
            target: actor
            namespace: lattice
            package: cron
            source_config: [{{name: t, properties: {{every: 1h}}}}]
    - name: actor
      type: component
      properties: {{image: "file://{image}"}}
      traits:
        - type: link
          properties: {{target: store, namespace: wasmcloud, package: keyvalue}}
    - name: store
      type: capability
      properties: {{image: builtin://keyvalue-sqlite}}
"""


async def test_routes_are_put_after_every_other_link(tmp_path: Path) -> None:
    image = tmp_path / "echo.wasm"
    image.write_bytes(guest_wasm("echo"))
    async with Host(HostSettings(data=tmp_path / "data")) as host:
        text = MANIFEST.format(image=image)
        deployment = await host.deploy(parse(text, file="m", folder=tmp_path, providers=host.installed))
        assert [link.contract for link in deployment.links] == ["wasmcloud:keyvalue", "lattice:cron"]


async def test_a_second_provider_of_a_built_in_is_refused(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        type_ = guests.host.installed.type("builtin-numbergen")
        with pytest.raises(errors.ConfigError, match="is there already"):
            await guests.host.supervisor.start("mine", "builtin-numbergen", type_, {})
        await guests.start("relay")
        reply = await guests.call("relay", b"default\0wasmcloud:builtin:numbergen\0NumberGen.Random32\0")
        assert reply.startswith(b"1")


async def test_a_log_line_cannot_forge_another(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("console")
        with caplog.at_level("INFO", "lattice.actor.console"):
            await guests.call("console", b"one\n18:00:00 ERROR two\x1b[31m\rthree")
        lines = [record.getMessage() for record in caplog.records if record.name == "lattice.actor.console"]
        assert lines == ["one", "18:00:00 ERROR two\\x1b[31m\\x0dthree"]
