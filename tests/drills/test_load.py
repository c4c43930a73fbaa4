"""Load counts what it sent and what came back, also when nothing does; the proxy cuts without a word; reports judge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from lattice.drills.load import Entry, Load
from lattice.drills.proxy import Proxy
from lattice.drills.report import Check, DrillReport, as_document, as_text
from tests.support.servers import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    test_server = TestServer(app, host="127.0.0.1", skip_url_asserts=True)
    await test_server.start_server()
    try:
        yield f"http://127.0.0.1:{test_server.port}"
    finally:
        await test_server.close()


async def well(_request: web.Request) -> web.Response:
    return web.Response(text="well")


async def test_answers_are_counted_and_writes_remembered() -> None:
    async with server(well) as url:
        load = Load([Entry("one", url), Entry("two", url)], 500, "/read", "/write")
        await load.start()
        await asyncio.sleep(0.5)
        await load.stop()
    one, two = (entry.report(load.began, load.ended) for entry in load.entries)
    assert one.sent == one.answered > 50
    assert abs(one.sent - two.sent) <= 1
    assert (one.failed, one.failed_by_kind) == (0, {})
    assert one.sent // 10 - 1 <= len([path for path in load.acknowledged if int(path.split("/")[-1]) % 2 == 0])
    assert all(path.startswith("/write/") for path in load.acknowledged)
    assert 0 < one.longest_gap_s < 0.5
    assert 0 < one.p50_ms <= one.p99_ms


async def test_a_failure_has_its_kind_and_what_was_said() -> None:
    async def badly(_request: web.Request) -> web.Response:
        return web.json_response({"error": "unreachable", "message": "no host has it"}, status=503)

    async with server(badly) as url, aiohttp.ClientSession() as session:
        entry = Entry("bad", url)
        assert not await entry.get(session, "/")
        assert not await entry.put(session, "/", b"x")
    report = entry.report(0, 1)
    assert report.failed_by_kind == {"status 503 unreachable": 1, "write: status 503 unreachable": 1}
    assert "no host has it" in report.examples["status 503 unreachable"]
    assert report.longest_gap_s == 1


async def test_who_has_two_addresses_takes_the_other() -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    async with server(well) as url, aiohttp.ClientSession() as session:
        both, one = Entry("both", nowhere, (url,)), Entry("one", nowhere)
        assert await both.get(session, "/")
        assert not await one.get(session, "/")
    assert one.report(0, 1).failed_by_kind == {"connection refused": 1}


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[Proxy, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A proxy before a server that answers each line with itself, and a connection through it."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    listening = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy(listening.sockets[0].getsockname()[1])
    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield proxy, reader, writer
    finally:
        writer.close()
        await proxy.stop()
        listening.close()
        await listening.wait_closed()


async def test_a_cut_holds_bytes_and_ends_and_healing_delivers_them() -> None:
    async with proxied() as (proxy, reader, writer):
        writer.write(b"one\n")
        assert await reader.readline() == b"one\n"
        proxy.cut()
        writer.write(b"two\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await reader.readline()
        assert proxy.is_cut
        proxy.heal()
        assert await asyncio.wait_for(reader.readline(), 5) == b"two\n"
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_slow_way_adds_its_delay_in_each_direction() -> None:
    async with proxied() as (proxy, reader, writer):
        proxy.delay_s = 0.1
        loop = asyncio.get_running_loop()
        began = loop.time()
        writer.write(b"one\n")
        await reader.readline()
        assert loop.time() - began >= 0.2


def test_a_broken_promise_is_seen_in_the_page_and_the_document() -> None:
    entry = Entry("east", "http://nowhere")
    entry.refuse("not sent")
    report = DrillReport(
        name="lose-host",
        sent=1,
        answered=0,
        failed=1,
        failed_by_kind={"not sent": 1},
        longest_gap_s=1.0,
        noticed_s=2.0,
        replaced_s=None,
        returned_s=None,
        acknowledged=3,
        acknowledged_lost=1,
        state_equal=False,
        entries=(entry.report(0, 1),),
        checks=(Check(promise="all is well", kept=False, found="it is not"),),
    )
    text = as_text(report)
    for part in (
        "PROMISES BROKEN",
        "1 x not sent",
        "noticed after 2.00 s",
        "DIFFERENT",
        "BROKEN  all is well: it is not",
    ):
        assert part in text
    assert "replaced" not in text
    assert as_document(report)["kept"] is False
    mended = msgspec.structs.replace(report, checks=(Check(promise="all is well", kept=True, found="it is"),))
    assert "every promise kept" in as_text(mended)
    assert as_document(mended)["kept"] is True
