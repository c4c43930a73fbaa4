"""The demo application: links are made, followed, counted and reported by three actors and five providers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.actors.applications import ACTORS, RunningApplication, application, eventually

URL = "https://example.org/a?b=1&c=%3C"


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[RunningApplication]:
    async with application(ACTORS / "demo" / "app.yaml", tmp_path, sooner="every: 5s -> every: 200ms") as running:
        yield running


async def post(demo: RunningApplication, json: Any) -> tuple[int, dict[str, Any]]:
    async with demo.http.post("/links", json=json) as response:
        return response.status, await response.json()


async def follow(demo: RunningApplication, code: str) -> tuple[int, str]:
    async with demo.http.get(f"/{code}", allow_redirects=False) as response:
        return response.status, response.headers.get("location", "")


async def clicks(demo: RunningApplication, code: str) -> int:
    async with demo.http.get(f"/links/{code}") as response:
        assert response.status == 200
        return int((await response.json())["clicks"])


async def test_a_link_is_made_followed_and_counted(demo: RunningApplication) -> None:
    status, link = await post(demo, {"url": URL})
    assert status == 201
    assert re.fullmatch("[0-9A-Za-z]{7}", link["code"])
    assert link["url"] == URL
    assert link["short"].endswith("/" + link["code"])
    assert await clicks(demo, link["code"]) == 0
    for _ in range(3):
        assert await follow(demo, link["code"]) == (302, URL)

    async def counted() -> bool:
        return await clicks(demo, link["code"]) == 3

    await eventually(counted)


async def test_a_wished_code_is_given_to_one_of_many_who_ask_at_once(demo: RunningApplication) -> None:
    replies = await asyncio.gather(*(post(demo, {"url": f"{URL}&n={n}", "code": "mine"}) for n in range(20)))
    assert sorted(status for status, _ in replies) == [201] + [409] * 19
    [winner] = [link for status, link in replies if status == 201]
    assert await follow(demo, "mine") == (302, winner["url"])


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        [],
        {"url": 5},
        {"url": ""},
        {"url": "ftp://example.org/"},
        {"url": "https:///path"},
        {"url": "javascript:alert(1)"},
        {"url": "https://example.org/ space"},
        {"url": "https://example.org/\r\nset-cookie: a=b"},
        {"url": "https://example.org/é"},
        {"url": "https://example.org/" + "x" * 2000},
        {"url": URL, "code": "ab"},
        {"url": URL, "code": "x" * 33},
        {"url": URL, "code": "a/b"},
        {"url": URL, "code": "links"},
    ],
)
async def test_what_cannot_be_a_link_is_refused_with_a_reason(demo: RunningApplication, wrong: Any) -> None:
    status, reply = await post(demo, wrong)
    assert status == 400
    assert len(reply["error"]) > 20


async def test_a_deleted_link_leads_nowhere_and_its_code_is_not_given_again(demo: RunningApplication) -> None:
    await post(demo, {"url": URL, "code": "gone"})
    async with demo.http.delete("/links/gone") as response:
        assert response.status == 204
    assert (await follow(demo, "gone"))[0] == 404
    assert (await post(demo, {"url": URL, "code": "gone"}))[0] == 409
    async with demo.http.delete("/links/gone") as response:
        assert response.status == 404


async def test_other_methods_are_refused_with_what_is_allowed(demo: RunningApplication) -> None:
    for method, path, allowed in (
        ("PUT", "/links", "POST"),
        ("POST", "/links/abc", "GET, DELETE"),
        ("PUT", "/x", "GET"),
    ):
        async with demo.http.request(method, path) as response:
            assert (response.status, response.headers["allow"]) == (405, allowed)


async def test_the_report_shows_the_most_followed_links_first(demo: RunningApplication) -> None:
    for code, count in (("few", 1), ("most", 3), ("none", 0)):
        assert (await post(demo, {"url": f"{URL}&code={code}", "code": code}))[0] == 201
        for _ in range(count):
            await follow(demo, code)

    async def reported() -> bool:
        async with demo.http.get("/report/links.csv") as response:
            return response.status == 200 and "most" in (rows := await response.text()) and rows.count("\r\n") == 3

    await eventually(reported)
    rows = await demo.text("/report/links.csv")
    assert rows == f'code,url,clicks\r\nmost,"{URL}&code=most",3\r\nfew,"{URL}&code=few",1\r\n'

    async def page_is_written() -> bool:
        return '<a href="/most">' in await demo.text("/report")

    await eventually(page_is_written)
    page = await demo.text("/report")
    assert page.index("/most") < page.index("/few")
    assert "b=1&amp;c=%3C" in page, "addresses are escaped"


async def test_pages_are_html_with_their_style_inside(demo: RunningApplication) -> None:
    async with demo.http.get("/") as response:
        page = await response.text()
        assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert page.startswith("<!doctype html>")
    assert "<style>" in page
    assert 'src="' not in page, "nothing is loaded from elsewhere"
