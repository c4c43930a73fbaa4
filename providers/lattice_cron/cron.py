"""The provider: one task per link that sleeps until its actor is due."""

from __future__ import annotations

import asyncio
import time

from lattice.contracts.cron import CONTRACT, HANDLE_TICK, Tick
from lattice.errors import ConfigError, Draining, LatticeError
from lattice.provider import Context, Link, Provider, Settings
from lattice.tasks import end_all
from lattice_cron.clock import Clock, SystemClock
from lattice_cron.settings import CronSettings, TimerSettings

SLEEP_S_MAX = 10.0
"""The longest sleep: a clock that was set is noticed within this time."""
OVERLAP_MAX = 10
"""Ticks of one timer handled at once with `overlap: allow`. More means that the actor never catches up."""


class Timer:
    """One link's timer. `sent`, `failed` and `missed` count its ticks; each missed one is also told to the actor."""

    def __init__(self, context: Context, clock: Clock, link: Link, settings: TimerSettings) -> None:
        self._context = context
        self._clock = clock
        self._link = link
        self._settings = settings
        self._running: set[asyncio.Task[None]] = set()
        self.sent = self.failed = self.missed = 0
        self.loop = context.spawn(self._run(), f"timer {link.target} {link.name}")

    async def _run(self) -> None:
        """Never sends a burst: however late it is, what was due meanwhile becomes one tick and a number."""
        clock, schedule = self._clock, self._settings.schedule()
        wall, stopwatch = clock.wall(), clock.monotonic()
        due = wall if self._settings.at_start else schedule.next_after(wall)
        untold = 0
        while True:
            now, ran = clock.wall(), clock.monotonic()
            due = schedule.after_jump(due, now, (now - wall) - (ran - stopwatch))
            wall, stopwatch = now, ran
            if due > now:
                await clock.sleep(min(due - now, SLEEP_S_MAX))
                continue
            last, missed, due = schedule.catch_up(due, now)
            busy = len(self._running) >= (1 if self._settings.overlap == "skip" else OVERLAP_MAX)
            missed += busy
            self.missed += missed
            if missed and not untold:
                reason = "its actor is busy" if busy else "it is late"
                self._context.log.warning("timer of link %s misses ticks: %s", self._link, reason)
            untold += missed
            if not busy:
                self._send(last, now, untold)
                untold = 0

    def _send(self, scheduled: float, now: float, missed: int) -> None:
        tick = Tick(
            timer=self._link.name, scheduled_ms=round(scheduled * 1000), now_ms=round(now * 1000), missed=missed
        )
        task = self._context.spawn(self._call(tick), f"tick {self._link.target} {self._link.name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _call(self, tick: Tick) -> None:
        timeout_s = self._settings.timeout
        self.sent += 1
        try:
            async with asyncio.timeout(timeout_s):
                await self._context.call(self._link, HANDLE_TICK, tick, time.monotonic() + timeout_s)
        except (LatticeError, TimeoutError) as error:
            self.failed += 1
            reason = str(error) or f"no answer within {timeout_s:g} s"
            self._context.log.warning("timer of link %s: the tick failed: %s", self._link, reason)
        except Exception:
            # One timer's trouble must not end the others, whatever it is.
            self.failed += 1
            self._context.log.exception("timer of link %s: the tick failed", self._link)

    async def finish(self) -> None:
        """No further tick; returns when those sent are handled, which takes at most `timeout`."""
        await end_all((self.loop,))
        await asyncio.gather(*self._running, return_exceptions=True)


class Cron(Provider[None, Timer]):
    """Sends `Cron.HandleTick` along each link whose source it is. `clock` is for tests."""

    name = "cron"
    contract = CONTRACT
    settings_type = CronSettings
    route_settings_type = TimerSettings
    settings: CronSettings

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        super().__init__(settings)
        self._clock = clock or SystemClock()
        self._timers: set[Timer] = set()
        self._draining = False

    async def route(self, link: Link, settings: TimerSettings) -> Timer:
        if self._draining:
            raise Draining(f"{self.name} is stopping and takes no new links")
        if len(self._timers) >= self.settings.timers_max:
            raise ConfigError(
                f"link {link}: {self.name} already has {len(self._timers)} timers",
                remedy="raise timers_max of the provider, or start a second one",
            )
        timer = Timer(self.context, self._clock, link, settings)
        self._timers.add(timer)
        return timer

    async def unroute(self, link: Link, route: Timer) -> None:
        """A tick that the actor already handles is left to it."""
        self._timers.discard(route)
        route.loop.cancel()

    async def drain(self) -> None:
        self._draining = True
        await asyncio.gather(*(timer.finish() for timer in self._timers))
