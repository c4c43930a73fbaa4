"""The timer provider, on a clock that the tests move: ticks, missed ticks, slow and failing actors, set clocks."""

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest
from lattice_cron import Cron
from lattice_cron.clock import SystemClock

from lattice import errors
from lattice.contracts.cron import Tick
from lattice.testing import provider_rig

START = 1_800_000_000.0  # a whole minute: 2027-01-15T08:00:00Z


class TestClock:
    """Stands still until `advance`; `set` moves the wall clock alone, as a person or NTP does."""

    __test__ = False

    def __init__(self):
        self.ahead = START
        self.ran = 0.0
        self.sleepers = []

    def wall(self):
        return self.ahead + self.ran

    def monotonic(self):
        return self.ran

    async def sleep(self, seconds):
        woken = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.ran + seconds, woken))
        await woken

    async def advance(self, seconds):
        await settle()
        end = self.ran + seconds
        while pending := [sleeper for sleeper in self.sleepers if not sleeper[1].done() and sleeper[0] <= end]:
            first = min(pending, key=lambda sleeper: sleeper[0])
            self.sleepers.remove(first)
            self.ran = max(self.ran, first[0])
            first[1].set_result(None)
            await settle()
        self.ran = end
        await settle()

    async def block(self, seconds):
        """Time goes by and nobody gets a turn: the process was stopped, or the loop was busy."""
        await settle()
        self.ran += seconds

    def set(self, seconds):
        self.ahead += seconds


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


class Actor:
    """Remembers its ticks; waits for `release` when `slow`, raises `error` when it is set."""

    def __init__(self):
        self.ticks = []
        self.slow = False
        self.release = asyncio.Event()
        self.error = None

    async def __call__(self, link, operation, message):
        assert operation == "Cron.HandleTick"
        assert isinstance(message, Tick)
        self.ticks.append(message)
        if self.slow:
            await self.release.wait()
        if self.error:
            raise self.error

    def seconds(self):
        return [tick.scheduled_ms / 1000 - START for tick in self.ticks]

    def missed(self):
        return [tick.missed for tick in self.ticks]


@asynccontextmanager
async def cron(tmp_path, **config):
    clock, actor = TestClock(), Actor()

    class Timed(Cron):
        def __init__(self, settings):
            super().__init__(settings, clock)

    async with provider_rig(Timed, tmp_path, actor, **config) as rig:
        try:
            yield rig, clock, actor
        finally:
            actor.release.set()
        assert rig.failures == []


async def test_an_actor_is_called_at_its_times(tmp_path):
    async with cron(tmp_path) as (rig, clock, actor):
        await rig.route(name="minutely", cron="* * * * *")
        await clock.advance(181)
    assert actor.seconds() == [60, 120, 180]
    assert [tick.now_ms for tick in actor.ticks] == [tick.scheduled_ms for tick in actor.ticks]
    assert {tick.timer for tick in actor.ticks} == {"minutely"}
    assert actor.missed() == [0, 0, 0]


async def test_an_interval_begins_with_the_link_and_does_not_drift(tmp_path):
    async with cron(tmp_path) as (rig, clock, actor):
        await clock.advance(3)
        _, timer = await rig.route(every="250ms")
        await clock.advance(100.1)
        assert timer.sent == 400
    assert actor.seconds() == pytest.approx([3 + 0.25 * n for n in range(1, 401)])


async def test_a_tick_at_start_when_the_link_says_so(tmp_path):
    async with cron(tmp_path) as (rig, clock, actor):
        await clock.advance(7)
        await rig.route(every="10s", at_start="true")
        await rig.route(actor="other", cron="* * * * *", at_start="true")
        await clock.advance(1)
        assert actor.seconds() == [7, 7]
        await clock.advance(10)
    assert actor.seconds() == [7, 7, 17]


async def test_a_busy_actor_misses_ticks_and_learns_how_many(tmp_path, caplog):
    async with cron(tmp_path) as (rig, clock, actor):
        _, timer = await rig.route(every="10s", timeout="600")
        actor.slow = True
        await clock.advance(45)
        assert actor.seconds() == [10]
        actor.slow = False
        actor.release.set()
        await clock.advance(20)
        assert timer.missed == 3
    assert actor.seconds() == [10, 50, 60]
    assert actor.missed() == [0, 3, 0]
    assert [r.message for r in caplog.records if "misses ticks: its actor is busy" in r.message] != []


async def test_overlapping_ticks_are_sent_when_allowed_up_to_a_limit(tmp_path):
    async with cron(tmp_path) as (rig, clock, actor):
        await rig.route(every="1s", overlap="allow", timeout="600")
        actor.slow = True
        await clock.advance(15)
        assert len(actor.ticks) == 10
        actor.release.set()
        await clock.advance(1)
    assert actor.missed() == [0] * 10 + [5]


async def test_a_stopped_process_sends_one_tick_and_no_burst(tmp_path):
    async with cron(tmp_path) as (rig, clock, actor):
        await rig.route(cron="* * * * *")
        await rig.route(actor="other", every="1m")
        await clock.advance(61)
        await clock.block(3600)
        await clock.advance(10)
        assert actor.seconds() == [60, 60, 3660, 3660]
        assert actor.missed() == [0, 0, 59, 59]
        await clock.advance(60)
    assert actor.seconds()[4:] == [3720, 3720]


async def test_a_clock_set_forward_sends_one_tick_at_once_and_keeps_to_the_new_time(tmp_path):
    async with cron(tmp_path) as (rig, clock, actor):
        await rig.route(cron="0 * * * *")
        await clock.advance(5)
        clock.set(3 * 3600 + 1800)
        await clock.advance(11)
        assert (actor.seconds(), actor.missed()) == ([3 * 3600], [2])
        await clock.advance(1800)
    assert actor.seconds() == [3 * 3600, 4 * 3600]


async def test_a_clock_set_back_a_little_repeats_no_tick(tmp_path):
    async with cron(tmp_path) as (rig, clock, actor):
        await rig.route(cron="* * * * *")
        await clock.advance(60.5)
        clock.set(-5)
        await clock.advance(70)
    assert actor.seconds() == [60, 120]


async def test_a_clock_set_far_back_does_not_silence_the_timer(tmp_path):
    async with cron(tmp_path) as (rig, clock, actor):
        await rig.route(cron="* * * * *")
        await clock.advance(61)
        clock.set(-7200)
        await clock.advance(121)
    assert actor.seconds() == [60, 60 - 7200 + 60, 120 - 7200 + 60]


async def test_setting_the_clock_does_not_touch_intervals(tmp_path):
    async with cron(tmp_path) as (rig, clock, actor):
        await rig.route(every="10s")
        for jump in (3600, -7200, 100_000, 0):
            clock.set(jump)
            await clock.advance(10)
    assert len(actor.ticks) == 4
    assert actor.missed() == [0, 0, 0, 0]


@pytest.mark.parametrize("error", [errors.GuestTrapped("unreachable"), errors.InstancesExhausted("full"), OSError("x")])
async def test_a_failing_actor_is_logged_counted_and_called_again(tmp_path, caplog, error):
    async with cron(tmp_path) as (rig, clock, actor):
        _, timer = await rig.route(every="10s")
        actor.error = error
        await clock.advance(21)
        assert (timer.sent, timer.failed, len(actor.ticks)) == (2, 2, 2)
    assert [r.levelno >= logging.WARNING for r in caplog.records if "the tick failed" in r.message] == [True, True]


async def test_an_actor_that_does_not_answer_is_given_up_after_the_timeout(tmp_path):
    async with cron(tmp_path) as (rig, clock, actor):
        _, timer = await rig.route(every="10s", timeout="0.05")
        actor.slow = True
        await clock.advance(11)
        async with asyncio.timeout(5):
            while not timer.failed:
                await asyncio.sleep(0.01)
        await clock.advance(10)
    assert len(actor.ticks) == 2


async def test_nothing_comes_after_unroute(tmp_path):
    async with cron(tmp_path) as (rig, clock, actor):
        link, timer = await rig.route(every="10s")
        await clock.advance(11)
        await rig.provider.unroute(link, timer)
        await clock.advance(100)
    assert actor.seconds() == [10]


async def test_drain_waits_for_the_tick_that_is_handled_and_sends_no_other(tmp_path):
    async with cron(tmp_path) as (rig, clock, actor):
        await rig.route(every="10s")
        actor.slow = True
        await clock.advance(11)
        drained = asyncio.create_task(rig.provider.drain())
        await clock.advance(60)
        assert not drained.done()
        actor.release.set()
        await asyncio.wait_for(drained, 5)
        with pytest.raises(errors.Draining):
            await rig.route(actor="late", every="1s")
    assert actor.seconds() == [10]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"cron": "61 * * * *"}, r"cron: .*'61 \* \* \* \*'"),
        ({"every": "soon"}, "every: .*'soon'"),
        ({"cron": "* * * * *", "timezone": "Mars/Base"}, "timezone: .*'Mars/Base'"),
        ({"cron": "* * * * *", "timezone": "../../etc/passwd"}, "timezone: "),
        ({"cron": "* * * * *", "every": "1s"}, "exactly one of cron and every"),
        ({}, "exactly one of cron and every"),
        ({"every": "1s", "overlap": "maybe"}, "overlap: "),
        ({"every": "1s", "timeout": "-1"}, "timeout: "),
        ({"evry": "1s"}, "evry: no such key"),
    ],
)
async def test_a_link_with_a_mistake_is_refused_with_its_key(tmp_path, config, message):
    async with cron(tmp_path) as (rig, _clock, _actor):
        with pytest.raises(errors.ConfigError, match=message):
            await rig.route(**config)


async def test_more_timers_than_the_limit_are_refused(tmp_path):
    async with cron(tmp_path, timers_max="2") as (rig, _clock, _actor):
        link, timer = await rig.route(actor="a", every="1s")
        await rig.route(actor="b", every="1s")
        with pytest.raises(errors.ConfigError, match="already has 2 timers"):
            await rig.route(actor="c", every="1s")
        await rig.provider.unroute(link, timer)
        await rig.route(actor="c", every="1s")


async def test_on_the_real_clock_ticks_come_at_their_interval(tmp_path):
    came, clock = asyncio.Queue(), SystemClock()

    async def actor(_link, _operation, tick):
        came.put_nowait((clock.wall(), tick))

    async with provider_rig(Cron, tmp_path, actor) as rig:
        await rig.route(every="20ms")
        ticks = [await asyncio.wait_for(came.get(), 5) for _ in range(5)]
    for at, tick in ticks:
        assert tick.scheduled_ms / 1000 - 0.002 <= at
