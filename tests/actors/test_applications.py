"""The small applications do what their pages say, over HTTP, with the real providers."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.actors.applications import ACTORS, application


async def test_echo_greets_describes_and_sends_back(tmp_path: Path) -> None:
    async with application(ACTORS / "echo" / "app.yaml", tmp_path) as echo:
        assert await echo.text("/") == "hello\n"
        async with echo.http.get("/a%20b?c=1") as response:
            assert await response.json() == {"method": "GET", "path": "/a%20b", "query": "c=1"}
        body = bytes(range(256)) * 1000
        async with echo.http.post("/", data=body, headers={"content-type": "application/x-thing"}) as response:
            assert await response.read() == body
            assert response.headers["content-type"] == "application/x-thing"


async def test_echo_answers_any_operation_with_its_payload(tmp_path: Path) -> None:
    async with application(ACTORS / "echo" / "app.yaml", tmp_path) as echo:
        for payload in (b"", b"x", bytes(1_000_000), b"y"):
            assert await echo.call("echo", "Any.Operation", payload) == payload


async def test_counter_counts_each_path_and_every_request(tmp_path: Path) -> None:
    async with application(ACTORS / "counter" / "app.yaml", tmp_path) as counter:

        async def count(path: str) -> int:
            async with counter.http.get(path) as response:
                return int((await response.json())["counter"])

        assert sorted(await asyncio.gather(*(count("/a") for _ in range(50)))) == list(range(1, 51))
        assert await count("/b") == 1
        async with counter.http.post("/a") as response:
            assert (response.status, response.headers["allow"]) == (405, "GET")
        assert await count("/a") == 51


async def test_pinger_calls_ponger_which_calls_back(tmp_path: Path) -> None:
    async with application(ACTORS / "pinger" / "app.yaml", tmp_path) as pinger:
        async with pinger.http.get("/", params={"message": 'h"é'}) as response:
            assert await response.json() == {"reply": 'pong: h"é'}
        async with pinger.http.get("/bounce/4") as response:
            assert await response.json() == {"reply": "pinger > ponger > pinger > ponger > pinger"}
        async with pinger.http.get("/bounce/many") as response:
            assert response.status == 400


async def test_too_many_bounces_end_at_the_depth_limit_and_say_so(tmp_path: Path) -> None:
    async with application(ACTORS / "pinger" / "app.yaml", tmp_path) as pinger:
        async with pinger.http.get("/bounce/999999") as response:
            assert response.status == 502
            assert "call_depth_exceeded" in (await response.json())["error"]
        async with pinger.http.get("/bounce/1") as response:
            assert response.status == 200, "the failure is over with its call"
