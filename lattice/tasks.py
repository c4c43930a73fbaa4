"""Tasks are ended by whoever began them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_S = 5.0
"""Long enough for what a task still does once it was told, such as saying good-bye."""


async def end_all(tasks: Iterable[asyncio.Future[Any]], again_s: float = AGAIN_S) -> None:
    """Cancels `tasks` and returns when each has ended, however it did.

    Who does not end is told again every `again_s` seconds: `asyncio.wait_for` of Python 3.11 loses a cancellation that
    comes in the moment of its result, and a loop around it would go on for ever (nats-py has such loops).
    """
    ending = set(tasks)
    while ending:
        for task in ending:
            task.cancel()
        ended, ending = await asyncio.wait(ending, timeout=again_s)
        for task in ended:
            if not task.cancelled():
                task.exception()  # looked at: what it would have told nobody waits for
