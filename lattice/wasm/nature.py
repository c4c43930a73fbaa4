"""What every guest finds: the time, waiting for it, random bytes. A test gives its guests another one."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Protocol


class Alarm(Protocol):
    def cancel(self) -> None: ...


class Nature:
    """The system's own. A subclass keeps to the same promises."""

    def monotonic_ns(self) -> int:
        """Only ever grows."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """Since 1970-01-01 UTC."""
        return time.time_ns()

    def processor_ns(self) -> int:
        """Of work that was done."""
        return time.process_time_ns()

    def random(self, size: int) -> bytes:
        return os.urandom(size)

    async def sleep(self, seconds: float) -> None:
        """Returns when so much of the monotonic clock has passed."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, ring: Callable[[], None]) -> Alarm:
        """Calls `ring` when so much of the monotonic clock has passed, unless it is cancelled before."""
        return asyncio.get_running_loop().call_later(seconds, ring)
