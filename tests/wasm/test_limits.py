"""What a guest cannot do to the others: hold the loop, take all memory, keep an instance, outlive its caller."""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from pathlib import Path

import pytest

from lattice import errors
from lattice.invocation import Invocation
from tests.support.hosts import CONTRACT, answer_with_payload, guest_host, u32


async def test_a_guest_that_loops_for_ever_is_stopped_at_its_deadline_while_others_answer(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("spin", time_s_max=0.5)
        await guests.start("echo")
        spinning = asyncio.create_task(guests.call("spin"))
        await asyncio.sleep(0)
        began = time.monotonic()
        answers_s = []
        while not spinning.done():
            asked = time.monotonic()
            assert await guests.call("echo", b"x") == b"x"
            answers_s.append(time.monotonic() - asked)
            await asyncio.sleep(0)
        with pytest.raises(errors.DeadlineExceeded):
            await spinning
        assert 0.4 < time.monotonic() - began < 20
        middle_s = sorted(answers_s)[len(answers_s) // 2]
        assert len(answers_s) > 20, "the other guest went on answering"
        assert middle_s < 0.1, f"the other guest: {middle_s * 1000:.1f} ms"
        assert guests.host.engine.live_instances == 1, "only echo's instance is left"


async def test_a_guest_that_never_starts_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lattice.actors.START_S_MAX", 0.2)
    async with guest_host(tmp_path) as guests:
        with pytest.raises(errors.DeadlineExceeded):
            await guests.start("spin_in_init")
        assert guests.host.engine.live_instances == 0


async def test_a_memory_bomb_gets_its_limit_and_no_more(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("memory_bomb", memory_bytes_max=4 * 1024 * 1024)
        pages = int.from_bytes(await guests.call("memory_bomb"), "little")
        assert pages == 4 * 1024 * 1024 // 65536


async def test_a_module_that_wants_more_memory_than_its_limit_is_refused(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        with pytest.raises(errors.LatticeError, match="exceeds memory limits"):
            await guests.start("memory_too_large")


async def test_a_table_bomb_gets_an_end(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("table_bomb")
        assert int.from_bytes(await guests.call("table_bomb"), "little") <= 100_000


async def test_a_guest_that_sleeps_in_wasi_does_not_hold_the_loop(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("sleep")
        began = time.monotonic()
        replies = await asyncio.gather(*(guests.call("sleep", u32(200)) for _ in range(50)))
        assert set(replies) == {u32(0) + u32(1) + u32(0)}
        assert 0.2 <= time.monotonic() - began < 9.0, "fifty sleeps of 200 ms side by side, not one after another"


async def test_a_guest_that_sleeps_past_its_deadline_is_stopped(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("sleep", time_s_max=0.2)
        began = time.monotonic()
        with pytest.raises(errors.DeadlineExceeded):
            await guests.call("sleep", u32(60_000))
        assert time.monotonic() - began < 20
        assert guests.host.engine.live_instances == 0


async def test_poll_oneoff_waits_for_the_first_of_two_clocks(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("sleep_two")
        assert await guests.call("sleep_two") == u32(1) + u32(1)


async def test_output_without_end_is_cut_in_the_log_and_the_guest_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("prints_forever", time_s_max=2)
        with caplog.at_level(logging.INFO, "lattice.actor.prints_forever"), pytest.raises(errors.DeadlineExceeded):
            await guests.call("prints_forever")
        logged = [record.getMessage() for record in caplog.records if record.name == "lattice.actor.prints_forever"]
        assert sum(map(len, logged)) < 2 * 64 * 1024
        assert "the rest of this call's output is dropped" in logged[-1]


async def test_output_reaches_the_log_line_by_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("prints")
        with caplog.at_level(logging.INFO, "lattice.actor.prints"):
            await guests.call("prints", b"hey")
        lines = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "lattice.actor.prints"]
        assert lines == [("INFO", "out: hey"), ("WARNING", "err: hey")]


async def test_wasi_gives_no_environment_and_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "canary")
    async with guest_host(tmp_path) as guests:
        await guests.start("environment")
        await guests.start("files")
        assert await guests.call("environment") == bytes(16)
        bad_descriptor = u32(8)
        assert await guests.call("files") == bad_descriptor * 3


async def test_clocks_and_random_bytes_are_real(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("clock_and_random")
        first, second = [await guests.call("clock_and_random") for _ in range(2)]
        assert abs(int.from_bytes(first[:8], "little") - time.time_ns()) < 5e9
        assert int.from_bytes(first[8:16], "little") < int.from_bytes(second[8:16], "little")
        assert first[16:] != second[16:]


async def test_leaving_in_the_middle_of_a_call_is_a_failure_of_that_call(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("proc_exit")
        with pytest.raises(errors.GuestTrapped, match="exited with code 3"):
            await guests.call("proc_exit", u32(3))
        with pytest.raises(errors.GuestTrapped, match="exited with code 0"):
            await guests.call("proc_exit", u32(0))


async def test_payloads_over_the_limit_are_refused_each_way(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        limit = 1000
        guests.offer(answer_with_payload, "relay")
        await guests.start("echo", payload_bytes_max=limit)
        await guests.start("huge_reply", payload_bytes_max=limit)
        await guests.start("relay", payload_bytes_max=limit)
        assert len(await guests.call("echo", bytes(limit))) == limit
        with pytest.raises(errors.PayloadTooLarge, match=r"limits\.payload"):
            await guests.call("echo", bytes(limit + 1))
        assert len(await guests.call("huge_reply", u32(limit))) == limit
        with pytest.raises(errors.PayloadTooLarge, match=r"limits\.payload"):
            await guests.call("huge_reply", u32(limit + 1))

        async def large(_invocation: Invocation) -> bytes:
            return bytes(limit + 1)

        guests.offer(large, "relay", contract="test:large")
        reply = await guests.call("relay", b"default\0test:large\0Op\0x")
        assert reply.startswith(b"0payload_too_large: ")
        assert await guests.call("relay", b"default\0" + CONTRACT.encode() + b"\0Op\0x") == b"1x", "it goes on"


async def test_the_queue_has_a_limit_and_is_served_in_order(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        gate = asyncio.Event()
        order: list[bytes] = []

        async def provider(invocation: Invocation) -> bytes:
            await gate.wait()
            order.append(invocation.payload)
            return b"ok"

        guests.offer(provider, "host_calls")
        actor = await guests.start("host_calls", instances_max=2, queue_max=3)
        calls = [asyncio.create_task(guests.call("host_calls", u32(1) + b"%d" % n)) for n in range(5)]
        await asyncio.sleep(0.05)
        assert (actor.revision.pool.live, actor.revision.pool.waiting) == (2, 3)
        with pytest.raises(errors.Overloaded, match="2 calls running and 3 waiting"):
            await guests.call("host_calls", u32(1) + b"late")
        gate.set()
        assert await asyncio.gather(*calls) == [b"ok"] * 5
        assert order == [b"0", b"1", b"2", b"3", b"4"]
        assert actor.revision.pool.live == 2


async def test_waiting_calls_that_are_cancelled_leave_no_gap(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        gate = asyncio.Event()

        async def provider(_invocation: Invocation) -> bytes:
            await gate.wait()
            return b"ok"

        guests.offer(provider, "host_calls")
        actor = await guests.start("host_calls", instances_max=1, queue_max=10)
        calls = [asyncio.create_task(guests.call("host_calls", u32(1))) for _ in range(6)]
        await asyncio.sleep(0.02)
        for call in (calls[0], calls[2], calls[4]):
            call.cancel()
        await asyncio.sleep(0.02)
        gate.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, False] * 3
        assert [result for result in results if isinstance(result, bytes)] == [b"ok"] * 3
        pool = actor.revision.pool
        assert (pool.live, pool.idle, pool.waiting, pool.active) == (1, 1, 0, 0)


async def test_cancelling_a_call_cancels_what_it_started_and_frees_its_instance(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        ended = asyncio.Event()

        async def provider(_invocation: Invocation) -> bytes:
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()
            return b""

        guests.offer(provider, "host_calls")
        actor = await guests.start("host_calls")
        call = asyncio.create_task(guests.call("host_calls", u32(1)))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert ended.is_set()
        assert (actor.revision.pool.live, actor.revision.pool.active) == (0, 0)


async def test_cancellations_do_not_grow_the_process(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:

        async def provider(_invocation: Invocation) -> bytes:
            await asyncio.sleep(60)
            return b""

        guests.offer(provider, "host_calls")
        await guests.start("host_calls", instances_max=100)

        async def cancelled_calls(count: int) -> None:
            for _ in range(count // 50):
                calls = [asyncio.create_task(guests.call("host_calls", u32(1))) for _ in range(50)]
                await asyncio.sleep(0)
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)

        await cancelled_calls(500)
        before = resident_bytes()
        await cancelled_calls(2000)
        assert guests.host.engine.live_instances == 0
        assert resident_bytes() - before < 4 * 1024 * 1024


async def test_ten_thousand_calls_suspended_at_once_all_complete(tmp_path: Path) -> None:
    count = 10_000
    async with guest_host(tmp_path) as guests:
        gate = asyncio.Event()
        asleep = 0

        async def provider(invocation: Invocation) -> bytes:
            nonlocal asleep
            asleep += 1
            await gate.wait()
            return invocation.payload

        guests.offer(provider, "host_calls")
        await guests.start("host_calls", instances_max=count, time_s_max=120)
        calls = [
            asyncio.create_task(guests.call("host_calls", u32(1) + b"%d" % n, timeout_s=120)) for n in range(count)
        ]
        deadline = time.monotonic() + 60
        while asleep < count and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        gate.set()
        assert guests.host.engine.instances_max >= count, "another engine of this process holds the address space"
        assert await asyncio.gather(*calls) == [b"%d" % n for n in range(count)]


async def test_the_process_has_a_limit_of_live_instances_with_an_error_of_its_own(tmp_path: Path) -> None:
    async with guest_host(tmp_path, instances_max=20) as guests:
        guests.offer(sleep_long, "host_calls")
        await guests.start("host_calls", instances_max=100)
        await guests.start("echo")
        calls = [asyncio.create_task(guests.call("host_calls", u32(1))) for _ in range(30)]
        await asyncio.sleep(0.1)
        failed = [call for call in calls if call.done()]
        assert len(failed) == 11, "19 beside echo's one"
        for call in failed:
            with pytest.raises(errors.Overloaded, match="the most this process can hold"):
                await call
        assert await guests.call("echo", b"x") == b"x"
        await end(calls)


async def test_isolation_per_call_keeps_nothing_between_calls(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("keeps_state", key="reused")
        fresh = await guests.start("keeps_state", key="fresh", isolation="call")
        assert [await guests.call("reused") for _ in range(3)] == [u32(1), u32(2), u32(3)]
        assert [await guests.call("fresh") for _ in range(3)] == [u32(1), u32(1), u32(1)]
        assert fresh.revision.pool.live == 0


async def test_two_calls_never_share_an_instance(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        guests.offer(answer_after_a_turn, "host_calls")
        actor = await guests.start("host_calls", instances_max=8)
        payloads = [u32(20) + b"call-%d" % n for n in range(200)]
        replies = await asyncio.gather(*(guests.call("host_calls", payload) for payload in payloads))
        assert replies == [payload[4:] for payload in payloads]
        assert actor.revision.pool.live <= 8


@pytest.mark.parametrize("name", ["call_then_spin", "call_then_trap"])
async def test_failing_after_a_host_call_ends_the_instance_only(tmp_path: Path, name: str) -> None:
    async with guest_host(tmp_path) as guests:
        guests.offer(answer_after_a_turn, name)
        actor = await guests.start(name, time_s_max=0.2)
        with pytest.raises((errors.DeadlineExceeded, errors.GuestTrapped)):
            await guests.call(name, b"x")
        assert actor.revision.pool.live == 0


async def test_a_provider_that_is_slow_is_cut_off_at_the_callers_deadline(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        guests.offer(sleep_long, "host_calls")
        await guests.start("host_calls")
        began = time.monotonic()
        with pytest.raises(errors.DeadlineExceeded):
            await guests.call("host_calls", u32(1), timeout_s=0.2)
        assert time.monotonic() - began < 20


async def test_a_call_whose_deadline_has_passed_does_not_run(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("keeps_state")
        with pytest.raises(errors.DeadlineExceeded):
            await guests.call("keeps_state", timeout_s=-1)
        assert await guests.call("keeps_state") == u32(1)


async def sleep_long(_invocation: Invocation) -> bytes:
    await asyncio.sleep(60)
    return b""


async def answer_after_a_turn(invocation: Invocation) -> bytes:
    await asyncio.sleep(0)
    return invocation.payload


async def end(calls: list[asyncio.Task[bytes]]) -> None:
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
