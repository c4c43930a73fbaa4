"""Ending tasks, also those that lose a cancellation."""

from __future__ import annotations

import asyncio
import logging

import pytest

from lattice.tasks import end_all


async def test_ends_what_waits_and_what_has_ended() -> None:
    async def fail() -> None:
        raise ValueError("told to nobody")

    waiting = asyncio.create_task(asyncio.Event().wait())
    failed = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await end_all([waiting, failed])
    assert waiting.cancelled()
    assert failed.done()
    await end_all([])


async def test_what_a_task_still_has_to_do_is_waited_for() -> None:
    done = []

    async def polite() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            done.append("good-bye")

    task = asyncio.create_task(polite())
    await asyncio.sleep(0)
    await end_all({task})
    assert done == ["good-bye"]


async def test_a_task_that_loses_its_cancellation_is_told_again() -> None:
    """As a loop around `asyncio.wait_for` does in Python 3.11 when its result comes in the same moment."""
    lost = 0

    async def loop() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    await end_all([task], again_s=0.01)
    assert task.cancelled()
    assert lost == 3


async def test_nobody_is_told_of_errors_that_come_while_ending(caplog: pytest.LogCaptureFixture) -> None:
    async def fails_at_its_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("while closing")

    task = asyncio.create_task(fails_at_its_end())
    await asyncio.sleep(0)
    with caplog.at_level(logging.ERROR, "asyncio"):
        await end_all([task])
        del task
    assert not caplog.records
