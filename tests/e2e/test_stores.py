"""The counter in front of real stores: the same answers from each, and a store that dies and comes back."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import count, counting, provider, serving
from tests.providers.http_server_client import get
from tests.support.servers import nats_server, redis_server

UNAVAILABLE_S_MAX = 2.5
"""The store's own timeout is 2 s; a refused connection is known at once."""
BACK_S_MAX = 10.0
PATHS = ("/a", "/a", "/b", "/deeper/path", "/a", "/%C3%A9?q=1", "/b")
TOGETHER = 20


@pytest.fixture(params=["sqlite", "redis", "nats"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The line of the manifest that says which store, with its server running."""
    if request.param == "sqlite":
        yield provider("store", "keyvalue-sqlite")
    elif request.param == "redis":
        with redis_server(tmp_path) as redis:
            yield provider("store", "keyvalue-redis", url=redis.url)
    else:
        with nats_server(tmp_path) as nats:
            yield provider("store", "keyvalue-nats", url=nats.url)


async def test_another_store_is_another_line_in_the_manifest_and_the_same_answers(tmp_path: Path, store: str) -> None:
    expected: Counter[str] = Counter()
    for _host in range(2):  # the second one goes on where the first one ended
        with serving(counting(tmp_path, store), "counting") as served:
            async with served.client() as client:
                for path in PATHS:
                    expected[path] += 1
                    response = await client.ask(get(path))
                    assert response.header("content-type") == "application/json"
                    assert response.body == b'{"counter":%d}\n' % expected[path]
                refused = await client.ask(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
                assert (refused.status, refused.header("allow")) == (405, "GET")
            many = await asyncio.gather(*(served.ask("/many") for _ in range(TOGETHER)))
            before = expected["/many"]
            expected["/many"] += TOGETHER
            assert sorted(map(count, many)) == list(range(before + 1, expected["/many"] + 1))


async def test_a_store_killed_under_load_is_503_at_once_and_served_again_when_it_is_back(tmp_path: Path) -> None:
    done = asyncio.Event()
    statuses: Counter[tuple[int, str]] = Counter()
    acknowledged: dict[str, int] = {}
    slowest = 0.0

    with redis_server(tmp_path) as redis:
        path = counting(tmp_path, provider("store", "keyvalue-redis", url=redis.url))

        async def ask_on_and_on(number: int) -> None:
            nonlocal slowest
            async with served.client() as client:
                while not done.is_set():
                    asked = time.monotonic()
                    response = await client.ask(get(f"/{number}"))
                    slowest = max(slowest, time.monotonic() - asked)
                    if response.status == 200:
                        statuses[200, ""] += 1
                        acknowledged[f"/{number}"] = count(response)
                    else:
                        statuses[response.status, response.code] += 1
                        assert response.header("retry-after") == "1"
                        await asyncio.sleep(0.02)

        async def reach(key: tuple[int, str], more: int) -> None:
            wanted = statuses[key] + more
            async with asyncio.timeout(BACK_S_MAX):
                while statuses[key] < wanted:
                    await asyncio.sleep(0.01)

        with serving(path, "counting") as served:
            async with asyncio.TaskGroup() as group:
                for number in range(4):
                    group.create_task(ask_on_and_on(number))
                for _ in range(2):
                    await reach((200, ""), 40)
                    redis.kill()
                    await reach((503, "provider_unavailable"), 20)
                    redis.start()
                    await reach((200, ""), 40)
                done.set()
            assert set(statuses) == {(200, ""), (503, "provider_unavailable")}
            assert slowest < UNAVAILABLE_S_MAX
            assert served.up.process.poll() is None
            for key, last in acknowledged.items():
                # An increment that redis had made when it died was not acknowledged; one each time.
                assert last < count(await served.ask(key)) <= last + 1
