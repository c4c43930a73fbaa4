"""Time that passes when a test says so, or when a guest waits for it; and chance that is the same on every run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import NamedTuple

from lattice import errors
from lattice.wasm.nature import Alarm, Nature

START_S = 1_735_689_600.0
"""What time it is when a test begins: 2025-01-01 00:00:00 UTC."""
ALARM_GRACE_S = 0.02
"""A guest that waits for a time or for something else gets the other first, when it comes within so much real time."""


class End(NamedTuple):
    """When the call that is being made ends, and whose limit that is."""

    at_s: float
    key: str


class Clock:
    """`elapsed_s` since the start. Nothing moves it but `advance`, guests that sleep, and faults that are slow."""

    def __init__(self, start_s: float = START_S) -> None:
        self.start_s = start_s
        self.elapsed_s = 0.0
        self.end: ContextVar[End | None] = ContextVar("end", default=None)
        """Of the call that runs in this context."""
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []
        self._settle: Callable[[], Awaitable[None]] | None = None
        self._expire: Callable[[str], None] | None = None

    def join(self, settle: Callable[[], Awaitable[None]], expire: Callable[[str], None]) -> None:
        """`settle` returns when nothing is left to do; `expire` ends the calls of an actor, whose time is over."""
        self._settle, self._expire = settle, expire

    @property
    def now(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return self.start_s + self.elapsed_s

    async def advance(self, seconds: float) -> None:
        """Lets time pass: timers tick, values expire. Returns when what was due has been done."""
        if seconds < 0:
            raise ValueError(f"time passes forward, not by {seconds} s")
        assert self._settle is not None, "the host has joined it"
        await self._settle()
        until = self.elapsed_s + seconds
        while (due := min((when for when, _ in self._sleeping), default=until)) <= until and self._sleeping:
            self._move_to(due)
            await self._settle()
        self._move_to(until)
        await self._settle()

    def _move_to(self, elapsed_s: float) -> None:
        self.elapsed_s = max(self.elapsed_s, elapsed_s)
        due = [sleeper for when, sleeper in self._sleeping if when <= self.elapsed_s]
        self._sleeping = [(when, sleeper) for when, sleeper in self._sleeping if when > self.elapsed_s]
        for sleeper in due:
            if not sleeper.done():
                sleeper.set_result(None)

    async def take(self, seconds: float) -> None:
        """The call that is being made takes so long. What its actor has no time left for ends the actor's call."""
        if self.end.get() is None and seconds == float("inf"):
            raise errors.DeadlineExceeded("what never comes was waited for outside of a call")
        if self.passes(seconds):
            return
        await asyncio.get_running_loop().create_future()  # until the call is cancelled

    def passes(self, seconds: float) -> bool:
        """Lets time pass for the call that is being made; False when its end came first, and the call is ended."""
        end, until = self.end.get(), self.elapsed_s + max(0.0, seconds)
        if end is None or until < end.at_s:
            self._move_to(until)
            return True
        self._move_to(end.at_s)
        assert self._expire is not None, "the host has joined it"
        asyncio.get_running_loop().call_soon(self._expire, end.key)
        return False

    # As a provider of timers sees it.

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.elapsed_s

    async def sleep(self, seconds: float) -> None:
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (self.elapsed_s + seconds, sleeper)
        self._sleeping.append(entry)
        try:
            await sleeper
        finally:
            if entry in self._sleeping:
                self._sleeping.remove(entry)


MACHINE_STARTED_NS = 1_000_000_000
"""How long the machine has run when a guest first looks. Go's runtime takes a clock that stands at zero for a broken
one, and ends."""


class TestNature(Nature):
    """What guests find: the time of the clock, and random bytes from a seed."""

    __test__ = False  # pytest collects what begins with Test

    def __init__(self, clock: Clock, seed: str) -> None:
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311  # the same on every run is what it is for

    def monotonic_ns(self) -> int:
        return MACHINE_STARTED_NS + round(self._clock.elapsed_s * 1e9)

    def wall_ns(self) -> int:
        return round(self._clock.now * 1e9)

    def processor_ns(self) -> int:
        return round(self._clock.elapsed_s * 1e9)

    def random(self, size: int) -> bytes:
        return self._random.randbytes(size)

    async def sleep(self, seconds: float) -> None:
        await self._clock.take(seconds)

    def call_later(self, seconds: float, ring: Callable[[], None]) -> Alarm:
        """Time goes there when nothing else happens meanwhile."""
        until = self._clock.elapsed_s + seconds

        def pass_() -> None:
            if self._clock.passes(until - self._clock.elapsed_s):
                ring()

        return asyncio.get_running_loop().call_later(ALARM_GRACE_S, pass_)
