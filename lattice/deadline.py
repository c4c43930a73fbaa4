"""Calls with an end: each runs at once as far as it goes, and is watched only if it then waits.

One timer serves all waiting calls of a host. A timer of its own would cost each of them 5 microseconds, a third of a
call; the price is that a call ends up to `SWEEP_S` after its deadline. A guest that computes is not watched here: the
engine makes it give way, and it looks at its deadline itself.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

from lattice import errors

SWEEP_S = 0.02
"""How late a deadline may be noticed."""

T = TypeVar("T")


class Waiting:
    """One waiting call. `cancellations` are those its task had before, which are not ours to take back."""

    __slots__ = ("cancellations", "expired", "task", "what")

    def __init__(self, task: asyncio.Task[Any], what: str) -> None:
        self.task = task
        self.what = what
        self.cancellations = task.cancelling()
        self.expired = False


class Deadlines:
    """The waiting calls of one event loop, in buckets of `SWEEP_S` by their deadline."""

    def __init__(self) -> None:
        self._buckets: dict[int, set[Waiting]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._swept = 0

    @types.coroutine
    def within(self, work: Coroutine[Any, Any, T], deadline: float, what: str) -> Generator[Any, Any, T]:
        """Awaits `work`, which is cancelled at `deadline`, a time of `time.monotonic()` (the loop's own clock).

        Raises `errors.DeadlineExceeded` then. Must run in a task.
        """
        try:
            awaited = work.send(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # StopIteration is untyped
        task = asyncio.current_task()
        assert task is not None, "what may wait runs in a task"
        waiting = Waiting(task, what)
        bucket = self._watch(waiting, deadline)
        try:
            while True:
                failure: BaseException | None = None
                try:
                    sent = yield awaited
                except GeneratorExit:
                    work.close()
                    raise
                except BaseException as error:
                    failure = error
                try:
                    awaited = work.send(sent) if failure is None else work.throw(failure)
                except StopIteration as stop:
                    return stop.value  # type: ignore[no-any-return]  # StopIteration is untyped
        except asyncio.CancelledError:
            # Ours is taken back once, and only if no other cancellation came with it is it answered as a deadline.
            expired, waiting.expired = waiting.expired, False
            if expired and task.uncancel() <= waiting.cancellations:
                raise errors.DeadlineExceeded(f"{what} did not finish before its deadline") from None
            raise
        finally:
            bucket.discard(waiting)
            if waiting.expired:
                # Cancelled for its deadline and done in the same turn: the cancellation must not reach the caller.
                task.uncancel()

    def end(self, what: str) -> None:
        """Ends every waiting call of that name now, as if its deadline had come."""
        for bucket in self._buckets.values():
            for waiting in [waiting for waiting in bucket if waiting.what == what and not waiting.expired]:
                waiting.expired = True
                waiting.task.cancel()

    def close(self) -> None:
        """Stops watching. No call may be waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self, waiting: Waiting, deadline: float) -> set[Waiting]:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._swept = int(loop.time() / SWEEP_S)
            self._timer = loop.call_later(SWEEP_S, self._sweep)
        number = max(int(deadline / SWEEP_S), self._swept) + 1
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = set()
        bucket.add(waiting)
        return bucket

    def _sweep(self) -> None:
        """Cancels what is due; goes on while buckets are left, the latest of which is as far away as a deadline is."""
        loop = asyncio.get_running_loop()
        now = int(loop.time() / SWEEP_S)
        due = range(self._swept + 1, now + 1)
        self._swept = now
        for number in due if len(due) < len(self._buckets) else sorted(self._buckets):
            if number > now:
                break
            for waiting in self._buckets.pop(number, ()):
                if not waiting.expired:
                    waiting.expired = True
                    waiting.task.cancel()
        # Drop the buckets whose calls have all ended, so that an idle host has no timer.
        if not any(self._buckets.values()):
            self._buckets.clear()
        self._timer = loop.call_later(SWEEP_S, self._sweep) if self._buckets else None
