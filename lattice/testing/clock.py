"""An event loop whose time is not the machine's: when nothing is left to do, it is the time of the next timer at once.

An hour of waiting takes as long as what is done in it. Nothing may run in threads or wait for files: the loop would not
wait for them.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

TURNS_MAX = 200_000
"""Of the loop, before time has to pass."""
Result = TypeVar("Result")


class NothingLeft(RuntimeError):
    """Everything waits and no timer runs: what is waited for can never come."""


class NeverIdle(RuntimeError):
    """Something is done again and again at one moment: with real time it would keep a processor busy."""


class _Skipping(selectors.SelectSelector):
    """Where a loop would sleep, the time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            self._turns += 1
            if self._turns > TURNS_MAX:
                self._turns = 0
                raise NeverIdle(f"{TURNS_MAX} turns of the loop at {self.now:.6f} s")
            return ready
        self._turns = 0
        if timeout is None:
            raise NothingLeft("every task waits, and no timer runs that would wake one")
        self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` begins at 0. Raises `NothingLeft` and `NeverIdle`."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


def run(main: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Runs a coroutine function to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())
