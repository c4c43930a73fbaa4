"""Virtual time: it passes where a loop would sleep, and nowhere else."""

from __future__ import annotations

import asyncio
import time

import pytest

from lattice.testing import clock


def test_an_hour_passes_at_once() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(3600)
        return loop.time() - began

    began = time.monotonic()
    assert clock.run(main) == pytest.approx(3600)
    assert time.monotonic() - began < 60


def test_things_happen_in_the_order_of_their_times() -> None:
    happened = []

    async def at(after_s: float) -> None:
        await asyncio.sleep(after_s)
        happened.append((after_s, asyncio.get_running_loop().time()))

    async def main() -> None:
        await asyncio.gather(*(at(after_s) for after_s in (0.3, 0.1, 0.2, 60.0)))

    clock.run(main)
    assert [after_s for after_s, _ in happened] == [0.1, 0.2, 0.3, 60.0]
    assert [at for _, at in happened] == pytest.approx([0.1, 0.2, 0.3, 60.0])


def test_a_timeout_ends_a_wait() -> None:
    async def main() -> float:
        try:
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        except TimeoutError:
            return asyncio.get_running_loop().time()
        raise AssertionError("it cannot have been set")

    assert clock.run(main) == pytest.approx(5)


def test_a_wait_that_cannot_end_is_told() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(clock.NothingLeft):
        clock.run(main)


def test_work_without_an_end_at_one_moment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "TURNS_MAX", 1000)

    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(clock.NeverIdle):
        clock.run(main)
