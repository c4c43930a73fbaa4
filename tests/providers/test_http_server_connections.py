"""Connections over time: order, back-pressure, slowness, hanging up, draining, and every limit."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from unittest.mock import patch

from lattice.contracts.httpserver import HttpRequest, HttpResponse
from lattice.links import Link
from tests.providers.http_server_client import WAIT_S, get, on_both_loops, post, serving, until

MIB = 1024 * 1024


class Gate:
    """An actor that answers when it is let."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, _link: Link, request: HttpRequest) -> HttpResponse:
        await self.open.wait()
        return HttpResponse(body=request.path.encode())


async def slower_first(_link: Link, request: HttpRequest) -> HttpResponse:
    """The earlier a request, the longer its answer takes."""
    await asyncio.sleep(0.02 / (1 + int(request.path[1:])))
    return HttpResponse(body=request.path.encode())


@on_both_loops
async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    async with serving(tmp_path, slower_first) as served:
        client = await served.connect()
        client.send(b"".join(get(f"/{number}") for number in range(20)))
        assert [(await client.response()).body for _ in range(20)] == [b"/%d" % number for number in range(20)]


@on_both_loops
async def test_requests_with_bodies_cut_at_every_byte_are_answered_in_order(tmp_path: Path) -> None:
    async def answer(_link: Link, request: HttpRequest) -> HttpResponse:
        return HttpResponse(body=request.path.encode() + request.body)

    chunked = b"PUT /3 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    stream = get("/1") + post(b"body", path="/2") + chunked + get("/4")
    async with serving(tmp_path, answer) as served:
        client = await served.connect()
        for cut in range(1, len(stream)):
            client.send(stream[:cut])
            await asyncio.sleep(0)
            client.send(stream[cut:])
            assert [(await client.response()).body for _ in range(4)] == [b"/1", b"/2body", b"/3abc", b"/4"]


@on_both_loops
async def test_ten_thousand_requests_in_one_go_wait_outside(tmp_path: Path) -> None:
    gate, count = Gate(), 10_000
    async with serving(tmp_path, gate, pipelined_max="8") as served:
        client = await served.connect(limit=8 * MIB)
        client.send(get() * count)
        await until(lambda: served.running == 1)
        await asyncio.sleep(0.05)
        (connection,) = served.service.connections
        assert len(connection._queue) < 8 + 160
        gate.open.set()
        for _ in range(count):
            assert (await client.response()).status == 200


@on_both_loops
async def test_queued_bodies_stop_the_reading(tmp_path: Path) -> None:
    gate = Gate()
    async with serving(tmp_path, gate, body_bytes_max=str(MIB)) as served:
        client = await served.connect()
        client.send(post(bytes(MIB)) * 12)
        await until(lambda: served.running == 1)
        await asyncio.sleep(0.1)
        assert served.service.bodies_bytes <= 4 * MIB
        gate.open.set()
        for _ in range(12):
            assert (await client.response()).status == 200
        assert served.service.bodies_bytes == 0


@on_both_loops
async def test_a_slow_head_is_408(tmp_path: Path) -> None:
    async with serving(tmp_path, header_timeout="0.2") as served:
        client = await served.connect()
        for byte in get() + b"GET / HTTP/1.1\r\nHost: te":
            client.send(bytes([byte]))
        assert (await client.response()).status == 200
        assert (await client.response()).code == "http_too_slow"
        assert await client.ended() == b""


@on_both_loops
async def test_a_slow_body_is_408(tmp_path: Path) -> None:
    async with serving(tmp_path, body_timeout="0.2") as served:
        client = await served.connect()
        client.send(post(bytes(100))[:-1])
        assert (await client.response()).code == "http_too_slow"
        assert await client.ended() == b""
        assert served.service.bodies_bytes == 0


@on_both_loops
async def test_silent_connections_are_closed(tmp_path: Path) -> None:
    async with serving(tmp_path, header_timeout="0.2", idle_timeout="0.2") as served:
        silent, served_once = await served.connect(), await served.connect()
        assert (await served_once.ask(get())).status == 200
        for client in (silent, served_once):
            assert await client.ended() == b""
            await client.close()
        await until(lambda: not served.service.connections)


@on_both_loops
async def test_a_client_that_reads_nothing_is_cut_off(tmp_path: Path) -> None:
    async def answer(_link: Link, _request: HttpRequest) -> HttpResponse:
        return HttpResponse(body=bytes(8 * MIB))

    async with serving(tmp_path, answer, write_timeout="0.3") as served:
        client = await served.connect(limit=1)
        client.send(get() * 3)
        await until(lambda: bool(served.calls))
        await until(lambda: not served.service.connections)
        assert len(served.calls) == 1


@on_both_loops
async def test_a_slow_reader_gets_everything(tmp_path: Path) -> None:
    async def answer(_link: Link, _request: HttpRequest) -> HttpResponse:
        return HttpResponse(body=bytes(8 * MIB))

    async with serving(tmp_path, answer, write_timeout="0.3") as served:
        client = await served.connect(limit=MIB // 8)
        client.send(get("/", "Connection: close"))
        received = 0
        started = time.monotonic()
        while data := await client.reader.read(MIB // 4):
            received += len(data)
            await asyncio.sleep(0.03)
        assert time.monotonic() - started > 0.6
        assert received > 8 * MIB


@on_both_loops
async def test_a_body_that_trickles_in_is_408(tmp_path: Path) -> None:
    with patch("lattice_http_server.connection.RATE_GRACE_S", 0.3):
        async with serving(tmp_path, body_timeout="0.4", rate_bytes_min="1000") as served:
            client = await served.connect()
            client.send(post(bytes(10_000))[:-10_000])
            answer = asyncio.create_task(client.response())
            while not answer.done():
                client.send(b"x")
                await asyncio.sleep(0.02)
            assert (await answer).code == "http_too_slow"
            assert not served.calls


@on_both_loops
async def test_a_client_that_reads_in_sips_is_cut_off(tmp_path: Path) -> None:
    async def answer(_link: Link, _request: HttpRequest) -> HttpResponse:
        return HttpResponse(body=bytes(16 * MIB))

    with patch("lattice_http_server.writing.RATE_GRACE_S", 0.3):
        async with serving(tmp_path, answer, write_timeout="0.8", rate_bytes_min=str(64 * MIB)) as served:
            client = await served.connect(limit=MIB // 8)
            client.send(get())
            received = 0
            with contextlib.suppress(ConnectionError):
                while data := await client.reader.read(MIB // 4):
                    received += len(data)
                    await asyncio.sleep(0.03)
            assert received < 16 * MIB
            assert not served.service.connections


@on_both_loops
async def test_hanging_up_cancels_the_call(tmp_path: Path) -> None:
    async with serving(tmp_path, Gate()) as served:
        client = await served.connect()
        client.send(post(bytes(1000)) + get() + post(bytes(100))[:-50])
        await until(lambda: served.running == 1)
        await client.close()
        await until(lambda: served.cancelled == 1)
        await until(lambda: not served.service.connections)
        assert served.running == 0
        assert served.service.bodies_bytes == 0


@on_both_loops
async def test_a_call_over_its_time_is_504_and_the_connection_goes_on(tmp_path: Path) -> None:
    async def answer(_link: Link, request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(60 if request.path == "/slow" else 0)
        return HttpResponse(status_code=200)

    async with serving(tmp_path, answer, {"actor": {"timeout": "0.1"}}, write_timeout="0.2") as served:
        client = await served.connect()
        response = await client.ask(get("/slow"))
        assert (response.status, response.code) == (504, "deadline_exceeded")
        assert served.cancelled == 1
        assert (await client.ask(get())).status == 200


@on_both_loops
async def test_a_hundred_megabytes_are_refused_before_they_come(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        client = await served.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 104857600\r\n\r\n")
        assert (await client.response()).code == "http_body_too_large"
        started = time.monotonic()
        client.send(bytes(8 * MIB))  # a client that does not look at the answer may still send, and can still read
        assert await client.ended() == b""
        assert time.monotonic() - started < WAIT_S
        assert not served.calls


@on_both_loops
async def test_an_endless_chunked_body_is_413_at_the_limit(tmp_path: Path) -> None:
    async with serving(tmp_path, Gate(), {"actor": {"body_bytes_max": "1000"}}) as served:
        client = await served.connect()
        client.send(
            b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1ff\r\n%b\r\n" % bytes(511) * 2
        )
        assert (await client.response()).code == "http_body_too_large"
        assert served.service.bodies_bytes == 0
        assert not served.calls


@on_both_loops
async def test_chunk_extensions_for_their_own_sake_are_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, header_bytes_max="4096") as served:
        for flood in (b"1;" + b"x" * MIB, b"0\r\nX: " + b"x" * MIB, b"0\r\n" + b"X: y\r\n" * 100_000):
            client = await served.connect()
            client.send(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + flood)
            assert (await client.response()).code == "http_malformed"
        assert not served.calls


@on_both_loops
async def test_heads_over_the_limits_are_refused(tmp_path: Path) -> None:
    settings = {"header_bytes_max": "16384", "target_bytes_max": "1000", "header_count_max": "20"}
    async with serving(tmp_path, **settings) as served:
        for data, status in (
            (get("/" + "a" * 999), 404),
            (get("/" + "a" * 1000), 414),
            (get("/" + "a" * 200_000), 414),
            (get("/x", *["X: y"] * 19), 404),
            (get("/", *["X: y"] * 20), 431),
            (get("/", "X: " + "y" * 200_000), 431),
            (get("/", "X" * 200_000 + ": y"), 431),
            (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000, 431),
        ):
            client = await served.connect()
            client.send(data)
            response = await client.response()
            assert response.status == (200 if status == 404 else status)


@on_both_loops
async def test_one_connection_too_many_is_503(tmp_path: Path) -> None:
    async with serving(tmp_path, connections_max="2") as served:
        first, second = await served.connect(), await served.connect()
        assert (await first.ask(get())).status == (await second.ask(get())).status == 200
        third = await served.connect()
        response = await third.response()
        assert (response.status, response.code) == (503, "overloaded")
        assert response.header("retry-after") is not None
        assert await third.ended() == b""
        await first.close()
        await third.close()
        await until(lambda: len(served.service.connections) == 1)
        assert (await served.ask(get())).status == 200


@on_both_loops
async def test_bodies_over_the_memory_for_them_are_503(tmp_path: Path) -> None:
    gate = Gate()
    async with serving(tmp_path, gate, bodies_bytes_max="100000") as served:
        first = await served.connect()
        first.send(post(bytes(90_000)))
        await until(lambda: served.running == 1)
        response = await served.ask(post(bytes(20_000)))
        assert (response.status, response.code) == (503, "overloaded")
        gate.open.set()
        assert (await first.response()).status == 200
        assert (await served.ask(post(bytes(20_000)))).status == 200


@on_both_loops
async def test_draining_loses_no_request(tmp_path: Path) -> None:
    async def answer(_link: Link, request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0.01)
        return HttpResponse(body=request.path.encode())

    async with serving(tmp_path, answer) as served:
        answers: list[bytes] = []
        idle = await served.connect()

        async def load(name: int) -> None:
            client = await served.connect()
            for number in range(10_000):
                path = f"/{name}/{number}"
                client.send(get(path))
                response = await client.response()
                assert response.body == path.encode()
                answers.append(response.body)
                if response.header("connection") == "close":
                    assert await client.ended() == b""
                    await client.close()
                    return

        clients = [asyncio.create_task(load(name)) for name in range(20)]
        pipelining = await served.connect()
        pipelining.send(get("/p") * 10)
        await until(lambda: len(answers) > 100)
        async with asyncio.timeout(WAIT_S):
            draining = asyncio.create_task(served.rig.provider.drain())
            assert [(await pipelining.response()).body for _ in range(10)] == [b"/p"] * 10
            for client in (idle, pipelining):
                assert await client.ended() == b""
                await client.close()
            await asyncio.gather(draining, *clients)
        assert len(served.calls) == len(answers) + 10
        assert not served.service.connections
        try:
            await served.connect()
        except ConnectionRefusedError:
            return
        raise AssertionError("a drained server still accepts")


@on_both_loops
async def test_draining_waits_for_a_request_that_is_still_arriving(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        client = await served.connect()
        client.send(post(b"body")[:-2])
        await until(lambda: served.service.bodies_bytes == 2)
        draining = asyncio.create_task(served.rig.provider.drain())
        await asyncio.sleep(0.1)
        assert not draining.done()
        response = await client.ask(b"dy")
        assert (response.status, response.header("connection")) == (200, "close")
        await client.close()
        async with asyncio.timeout(WAIT_S):
            await draining
