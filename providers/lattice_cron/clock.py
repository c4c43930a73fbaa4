"""Time as the timers see it, so that a test can be another time."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def wall(self) -> float:
        """Seconds since 1970-01-01 UTC; may be set forward and back."""

    def monotonic(self) -> float:
        """Seconds that only ever grow, at the pace of a stopwatch."""

    async def sleep(self, seconds: float) -> None:
        """Returns after so many monotonic seconds."""


class SystemClock:
    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
