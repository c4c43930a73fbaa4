"""The service of docs/comparison, written the usual way and as an actor, asked the same."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support.servers import redis_server

COMPARISON = Path(__file__).parents[2] / "docs" / "comparison"
START_S = STOP_S = 30.0
COUNTED_S = 20.0


@contextmanager
def usual_way(folder: Path) -> Iterator[str]:
    with redis_server(folder) as redis:
        settings = {"LINKS_REDIS_URL": redis.url, "LINKS_PORT": "0", "PYTHONPATH": str(COMPARISON)}
        command = [sys.executable, "-m", "usual_way"]
        with subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True) as service:
            try:
                assert service.stdout is not None
                line = service.stdout.readline()
                assert line.startswith("serving on http://"), line
                yield line.removeprefix("serving on ").strip()
            finally:
                service.terminate()
                assert service.wait(STOP_S) == 0


@pytest.fixture(scope="module", params=[usual_way])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with request.param(tmp_path_factory.mktemp("service")) as url:
        yield url


@pytest.fixture
async def session(service: str) -> Iterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(service, timeout=aiohttp.ClientTimeout(20)) as session:
        yield session


async def test_a_link_is_made_shown_followed_counted_and_forgotten(session: aiohttp.ClientSession) -> None:
    url = "https://example.org/a/long/address"
    async with session.post("/links", json={"url": url, "code": "try"}) as made:
        assert (made.status, made.headers["location"]) == (201, "/links/try")
        assert await made.json() == {"code": "try", "url": url, "clicks": 0}
    for _ in range(3):
        async with session.get("/try", allow_redirects=False) as followed:
            assert (followed.status, followed.headers["location"]) == (302, url)
            assert followed.headers["cache-control"] == "no-store"
    deadline = time.monotonic() + COUNTED_S
    shown = {"clicks": 0}
    while shown["clicks"] < 3 and time.monotonic() < deadline:
        async with session.get("/links/try") as answer:
            shown = await answer.json()
    assert shown == {"code": "try", "url": url, "clicks": 3}
    async with session.delete("/links/try") as gone:
        assert gone.status == 204
    for method, path in (("GET", "/links/try"), ("DELETE", "/links/try"), ("GET", "/try")):
        async with session.request(method, path) as answer:
            assert (answer.status, await answer.json()) == (404, {"error": "there is no such link"})


async def test_without_a_wish_the_code_is_a_new_one(session: aiohttp.ClientSession) -> None:
    codes = set()
    for _ in range(5):
        async with session.post("/links", json={"url": "http://example.org"}) as made:
            assert made.status == 201
            codes.add((await made.json())["code"])
    assert len(codes) == 5
    assert {len(code) for code in codes} == {7}


async def test_a_code_is_given_once(session: aiohttp.ClientSession) -> None:
    statuses = []
    for _ in range(2):
        async with session.post("/links", json={"url": "http://example.org", "code": "once"}) as made:
            statuses.append(made.status)
            answer = await made.json()
    assert statuses == [201, 409]
    assert answer == {"error": "this code is taken"}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"no json", ""),
        (b"[]", ""),
        (b"{}", "url"),
        (b'{"url": 5}', "url"),
        (b'{"url": "ftp://example.org"}', "url"),
        (b'{"url": "http://example.org", "code": "a b"}', "code"),
        (b'{"url": "http://example.org", "code": 5}', "code"),
    ],
)
async def test_a_mistake_is_named(session: aiohttp.ClientSession, body: bytes, named: str) -> None:
    async with session.post("/links", data=body) as answer:
        assert answer.status == 400
        assert named in (await answer.json())["error"]


async def test_another_method_is_refused(session: aiohttp.ClientSession) -> None:
    async with session.put("/links", data=b"") as answer:
        assert answer.status == 405
        assert "POST" in answer.headers["allow"]
