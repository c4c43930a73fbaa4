"""A command that goes on for ever hurts itself only, and nothing of one is left when it has ended."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest
import wasmtime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lattice import errors
from lattice.wasm.preview1.codes import PARAMETERS
from tests.support.commands import HELLO, ask, granted, start, text
from tests.support.hosts import GuestHost, guest_host

MIB = 1024 * 1024


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    "action", ["compute-for-ever", "sleep&1000000", "yield&2000000000", "open-for-ever&/data/file", "print-for-ever"]
)
async def test_what_goes_on_for_ever_ends_and_others_are_answered(tmp_path: Path, action: str) -> None:
    (tmp_path / "granted").mkdir()
    (tmp_path / "granted" / "file").touch()
    async with guest_host(tmp_path) as guests:
        await start(guests, around=granted(tmp_path / "granted"), time_s_max=0.5, payload_bytes_max=200 * MIB)
        await start(guests, HELLO, key="hello")
        before = open_files()
        running = [asyncio.create_task(ask(guests, action)) for _ in range(3)]
        answered = 0
        while not all(task.done() for task in running):
            assert (await ask(guests, key="hello")).body == b"hello"
            answered += 1
            await asyncio.sleep(0)
        for task in running:
            with pytest.raises((errors.DeadlineExceeded, errors.PayloadTooLarge)):
                await task
        assert answered > 5, "the other command went on answering"
        await until_quiet(guests, before)


async def until_quiet(guests: GuestHost, files: int) -> None:
    """What was on its way in a thread may end a moment after its call."""
    async with asyncio.timeout(10):
        while open_files() > files or guests.host.engine.live_instances:
            await asyncio.sleep(0.01)


async def test_output_has_the_limit_of_a_reply(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await start(guests, payload_bytes_max=MIB)
        with pytest.raises(errors.PayloadTooLarge, match=r"output of probe is over limits\.payload"):
            await ask(guests, "print-for-ever")


async def test_memory_has_its_limit(tmp_path: Path) -> None:
    image = tmp_path / "bomb.wasm"
    image.write_bytes(
        bytes(
            wasmtime.wat2wasm(
                """(module (memory (export "memory") 1)
                  (func (export "_start") (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
                    (if (i32.gt_u (memory.size) (i32.const 16)) (then (unreachable)))))"""
            )
        )
    )
    async with guest_host(tmp_path) as guests:
        await start(guests, image, memory_bytes_max=MIB)
        assert (await ask(guests)).status_code == 500, "it ended, and printed nothing"


EXECUTOR_THREADS_MAX = min(32, (os.cpu_count() or 1) + 4)
"""Of `asyncio.to_thread`, as the standard library has it."""


async def test_hundreds_of_instances_leave_nothing_behind(tmp_path: Path) -> None:
    data = tmp_path / "granted"
    data.mkdir()
    (data / "file").write_text("content")

    async def many(guests: GuestHost, count: int) -> None:
        for number in range(count):
            if number % 3 == 0:
                assert await text(guests, "cat", "/data/file") == "content"
            elif number % 3 == 1:
                assert await text(guests, "open-many", "/data/file") == "32, errno 33"
            else:
                with pytest.raises(errors.GuestTrapped):
                    await ask(guests, "abort")

    async with guest_host(tmp_path) as guests:
        await start(guests, around=granted(data))
        await many(guests, 100)
        files, memory, threads = open_files(), resident_bytes(), threading.active_count()
        await many(guests, 400)
        assert open_files() == files
        # The loop's own executor starts its threads as it needs them, and keeps them.
        assert threading.active_count() <= threads + EXECUTOR_THREADS_MAX
        assert guests.host.engine.live_instances == 0
        # One instance touches some 100 KiB: kept ones would be 40 MB.
        assert resident_bytes() - memory < 8 * MIB


async def test_cancelled_requests_free_everything(tmp_path: Path) -> None:
    data = tmp_path / "granted"
    data.mkdir()
    (data / "file").write_text("content")
    async with guest_host(tmp_path) as guests:
        before = open_files()
        actor = await start(guests, around=granted(data))
        assert await text(guests, "cat", "/data/file") == "content"
        files = open_files()
        for turns in range(60):
            action = ("sleep&100000", "open-for-ever&/data/file", "compute-for-ever")[turns % 3]
            task = asyncio.create_task(ask(guests, action))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await until_quiet(guests, files)
        assert (actor.revision.pool.live, actor.revision.pool.active) == (0, 0)
        await guests.host.actors.stop("probe")
        assert open_files() == before, "the granted folder was let go"


def calls(arguments: dict[str, list[int]]) -> bytes:
    """A command that calls each of these functions once with these arguments, whatever comes of it."""
    imports, body = [], []
    for name, values in arguments.items():
        types = ["i64" if letter == "l" else "i32" for letter in PARAMETERS[name]]
        result = "" if name == "proc_exit" else " (result i32)"
        imports.append(f'(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {" ".join(types)}){result}))')
        given_ = " ".join(f"({type_}.const {value})" for type_, value in zip(types, values, strict=True))
        call = f"(call ${name} {given_})"
        body.append(f"(drop {call})" if result else call)
    module = f'(module {" ".join(imports)} (memory (export "memory") 2) (func (export "_start") {" ".join(body)}))'
    return bytes(wasmtime.wat2wasm(module))


NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 5, 8, 64, 100, 1000, 65536, 131071, 131072, 2**31 - 1, -1, -2, -(2**31)])
LONG = st.one_of(NUMBERS, st.sampled_from([2**63 - 1, -(2**63), 2**40]))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_arguments_of_any_function_break_the_host(tmp_path: Path, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(PARAMETERS)), min_size=1, max_size=6, unique=True))
    arguments = {name: [data.draw(LONG if letter == "l" else NUMBERS) for letter in PARAMETERS[name]] for name in names}
    folder = tmp_path / "granted"
    folder.mkdir(exist_ok=True)
    image = tmp_path / "calls.wasm"
    image.write_bytes(calls(arguments))
    (tmp_path / "outside").mkdir(exist_ok=True)

    async def run() -> None:
        async with guest_host(tmp_path, instances_max=20) as guests:
            await start(guests, image, around=granted(folder, writable=True), time_s_max=5)
            try:
                response = await ask(guests)
            except (errors.GuestError, errors.PayloadTooLarge):
                pass
            else:
                assert response.status_code == 500
            assert guests.host.engine.live_instances == 0

    asyncio.run(run())
    assert not list((tmp_path / "outside").iterdir())
