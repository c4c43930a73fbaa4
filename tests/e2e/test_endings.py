"""A host that ends under load, at once or in order: what was acknowledged is there, what was begun is answered."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

from tests.cli.conftest import Up
from tests.e2e.running import connect, count, counting, provider, serving
from tests.providers.http_server_client import get

CLIENTS = 6
BEFORE = 25
"""Answers to each client before the host is ended."""
STORE = provider("store", "keyvalue-sqlite")


async def count_until_it_ends(port: int, number: int, warm: asyncio.Semaphore) -> int:
    """Counts on a path of its own until the host is gone; the last number that was answered."""
    last = 0
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            client = await connect(port)
            try:
                while True:
                    response = await client.ask(get(f"/{number}"))
                    if response.status == 503:  # the last moment before the listener is closed
                        assert response.code == "draining"
                        break
                    assert count(response) == last + 1
                    last += 1
                    if last == BEFORE:
                        warm.release()
                    if response.header("connection") == "close":
                        break
            finally:
                await client.close()
    return last


async def end_under_load(port: int, up: Up, how: signal.Signals) -> tuple[int, list[int]]:
    """The exit code, and what each client was answered last."""
    warm = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(count_until_it_ends(port, number, warm)) for number in range(CLIENTS)]
        for _ in clients:
            await warm.acquire()
        code = await asyncio.to_thread(up.end, how)
    return code, [client.result() for client in clients]


async def counted(path: Path) -> list[int]:
    """How often each client counted, as the next host with the same data knows it."""
    with serving(path, "counting") as served:
        return [count(await served.ask(f"/{number}")) - 1 for number in range(CLIENTS)]


async def test_every_acknowledged_increment_is_there_after_kill_9(tmp_path: Path) -> None:
    path = counting(tmp_path, STORE)
    with serving(path, "counting") as served:
        code, answered = await end_under_load(served.port, served.up, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert min(answered) >= BEFORE
    for stored, last in zip(await counted(path), answered, strict=True):
        assert last <= stored <= last + 1, "the one more had no answer yet"


async def test_every_request_that_was_served_was_answered_when_sigterm_came_under_load(tmp_path: Path) -> None:
    path = counting(tmp_path, STORE)
    with serving(path, "counting") as served:
        code, answered = await end_under_load(served.port, served.up, signal.SIGTERM)
        assert served.up.out.endswith("stopped\n")
    assert code == 0, served.up.err
    assert await counted(path) == answered
