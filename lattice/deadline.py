"""A call with an end: runs it at once as far as it goes, and sets a timer only if it then waits."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

from lattice import errors

T = TypeVar("T")


@types.coroutine
def within(work: Coroutine[Any, Any, T], deadline: float, what: str) -> Generator[Any, Any, T]:
    """Awaits `work`, which is cancelled at `deadline` (a time of `time.monotonic()`, which is the loop's clock too).

    Raises `errors.DeadlineExceeded` then. Most calls never wait, and a timer would cost them a tenth of their time.
    """
    try:
        awaited = work.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # StopIteration is untyped
    return (yield from _with_timer(work, awaited, deadline, what).__await__())


async def _with_timer(work: Coroutine[Any, Any, T], awaited: Any, deadline: float, what: str) -> T:
    try:
        async with asyncio.timeout_at(deadline) as timer:
            return await _resume(work, awaited)
    except TimeoutError as error:
        if timer.expired():
            raise errors.DeadlineExceeded(f"{what} did not finish before its deadline") from error
        raise


@types.coroutine
def _resume(work: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """Goes on with a coroutine that has already yielded `awaited` to us."""
    while True:
        try:
            sent = yield awaited
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:
            failure: BaseException | None = error
        else:
            failure = None
        try:
            awaited = work.send(sent) if failure is None else work.throw(failure)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # StopIteration is untyped
