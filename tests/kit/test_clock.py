"""Virtual time: what passes it, in which order, and what ends with it."""

from __future__ import annotations

import asyncio

import pytest

from lattice import errors
from lattice.testing.kit.clock import Clock, End, TestNature


class Ended:
    """Plays the host: nothing is left to do, and calls that end are noted."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


def clock_of(ended: Ended) -> Clock:
    clock = Clock()
    clock.join(ended.settle, ended.keys.append)
    return clock


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    clock, woken = clock_of(Ended()), []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.elapsed_s))

    async with asyncio.TaskGroup() as group:
        for seconds in (3, 1, 2, 9):
            group.create_task(sleep(seconds))
        await clock.advance(5)
        assert woken == [(1, 1), (2, 2), (3, 3)]
        assert clock.elapsed_s == 5
        await clock.advance(4)
    assert woken[-1] == (9, 9)


async def test_a_sleeper_that_is_cancelled_is_forgotten() -> None:
    clock = clock_of(Ended())
    task = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await clock.advance(100)
    assert clock.elapsed_s == 100


async def test_what_takes_longer_than_its_call_has_ends_the_call_at_its_end() -> None:
    ended = Ended()
    clock = clock_of(ended)
    clock.end.set(End(5.0, "actor"))
    await clock.take(4)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await clock.take(2)
    assert (clock.elapsed_s, ended.keys) == (5, ["actor"])


async def test_what_never_comes_is_not_waited_for_outside_of_a_call() -> None:
    with pytest.raises(errors.DeadlineExceeded):
        await clock_of(Ended()).take(float("inf"))


async def test_an_alarm_rings_when_nothing_comes_before_it_and_time_is_there_then() -> None:
    clock = clock_of(Ended())
    nature = TestNature(clock, "seed")
    rung: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    began = nature.monotonic_ns()
    nature.call_later(30, lambda: rung.set_result(nature.monotonic_ns() - began))
    never = nature.call_later(7, lambda: pytest.fail("it was cancelled"))
    never.cancel()
    async with asyncio.timeout(20):
        assert await rung == 30_000_000_000
    assert nature.wall_ns() == round((clock.start_s + 30) * 1e9)


async def test_an_alarm_past_the_end_of_its_call_does_not_ring() -> None:
    ended = Ended()
    clock = clock_of(ended)
    clock.end.set(End(5.0, "actor"))
    TestNature(clock, "seed").call_later(30, lambda: pytest.fail("its call has ended"))
    async with asyncio.timeout(20):
        while not ended.keys:
            await asyncio.sleep(0.01)
    assert (ended.keys, clock.elapsed_s) == (["actor"], 5)


def test_chance_is_told_by_its_seed() -> None:
    clock = Clock()
    drawn = [TestNature(clock, seed).random(8) for seed in ("a", "a", "b")]
    assert drawn[0] == drawn[1] != drawn[2]
