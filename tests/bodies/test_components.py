"""Bodies of requests to a component, and of its responses: in pieces, with an end that tells whether they are whole."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lattice_http_server.bodies import RequestBody, ResponseBody

from tests.bodies.served import MIB, WAIT_S, Client, Served, serving, until


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served
        await until(served.at_rest)


def get(path: str, version: str = "1.1") -> bytes:
    return f"GET {path} HTTP/{version}\r\nhost: x\r\n\r\n".encode()


def post(path: str, *headers: str) -> bytes:
    return "\r\n".join((f"POST {path} HTTP/1.1", "host: x", *headers, "", "")).encode()


def chunked(data: bytes, size: int = 50_000) -> bytes:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def pattern(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def counted(data: bytes) -> bytes:
    """What /count answers."""
    hash_ = 14695981039346656037
    for byte in data:
        hash_ = ((hash_ ^ byte) * 1099511628211) & (1 << 64) - 1
    return b"%d %016x\n" % (len(data), hash_)


async def test_a_body_is_read_as_it_comes_with_a_length_or_in_chunks(served: Served) -> None:
    data = pattern(MIB + 12345)
    length = post("/count", f"content-length: {len(data)}")
    chunks = post("/count", "transfer-encoding: chunked")
    wanted = counted(data)
    assert (await served.ask(length, data)).body == wanted
    assert (await served.ask(chunks, chunked(data))).body == wanted
    assert (await served.ask(chunks, chunked(b""))).body == counted(b"")


async def test_a_response_has_the_framing_that_fits_it(served: Served) -> None:
    told = await served.ask(get("/give/300000"))
    assert (told.header["content-length"], told.body) == ("300000", pattern(300_000))
    untold = await served.ask(get("/chunks/3000000"))
    assert untold.header["transfer-encoding"] == "chunked"
    assert "content-length" not in untold.header
    assert untold.body == pattern(3_000_000)
    old = await served.ask(get("/chunks/3000000", "1.0"))
    assert (old.header["connection"], old.body) == ("close", untold.body)
    small = await served.ask(get("/chunks/10"))
    assert (small.header["content-length"], small.body) == ("10", pattern(10)), "it is whole before it leaves"
    head = await served.ask(get("/give/3000000").replace(b"GET", b"HEAD"), bodiless=True)
    assert (head.status, head.header["content-length"]) == (200, "3000000")


async def test_an_answer_comes_while_the_request_still_does_and_trailers_both_ways(served: Served) -> None:
    async with served.connected() as client:
        await client.send(post("/echo", "te: trailers", "transfer-encoding: chunked"))
        assert (await client.head())[0] == 200
        for part in (b"one", b"two", b"three"):
            await client.send(b"%x\r\n%s\r\n" % (len(part), part))
            assert await client.chunk() == part
        await client.send(b"0\r\nchecksum: 17\r\nhost: other\r\nauthorization: x\r\n\r\n")
        assert await client.chunk() == b""
        assert await client.trailers() == {"checksum": "17"}, "what belongs to the head is no trailer"
        await client.send(post("/echo", "transfer-encoding: chunked"), b"1\r\nx\r\n0\r\nchecksum: 17\r\n\r\n")
        again = await client.response()
        assert (again.body, again.trailers) == (b"x", {}), "trailers are for those who ask for them"


@pytest.mark.parametrize("what", ["short", "trap", "drop"])
async def test_a_response_that_breaks_off_is_seen_to(served: Served, what: str) -> None:
    async with served.connected() as client:
        await client.send(get(f"/{what}/3000000"))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError, ValueError)):
            await client.response()
    assert (await served.ask(get("/give/10"))).status == 200


async def test_a_response_to_an_old_client_ends_by_a_reset_when_it_breaks_off(served: Served) -> None:
    async with served.connected() as client:
        await client.send(get("/trap/3000000", "1.0"))
        with pytest.raises(ConnectionResetError):
            await client.response()


async def test_what_fails_before_it_begins_is_an_error_as_ever(served: Served) -> None:
    answer = await served.ask(get("/trap/10"))
    assert (answer.status, b"guest_trapped" in answer.body) == (502, True)
    answer = await served.ask(get("/short/10"))
    assert (answer.status, b"guest_protocol" in answer.body) == (502, True)


async def test_a_connection_is_used_again_after_a_little_that_nobody_read(served: Served) -> None:
    async with served.connected() as client:
        await client.send(post("/unread", "content-length: 300000"), bytes(150_000))
        assert (await client.response()).status == 200
        await client.send(bytes(150_000), get("/give/3"))
        assert (await client.response()).body == pattern(3)


async def test_a_connection_ends_after_much_that_nobody_read(served: Served) -> None:
    for headers in ("content-length: 3000000", "transfer-encoding: chunked"):
        async with served.connected() as client:
            await client.send(post("/unread", headers))
            answer = await client.response()
            assert (answer.status, answer.header["connection"]) == (200, "close")
            assert await client.ended()


async def test_leave_to_send_is_given_when_the_body_is_wanted(served: Served) -> None:
    expecting = ("content-length: 300000", "expect: 100-continue")
    async with served.connected() as client:
        await client.send(post("/count", *expecting))
        assert (await client.head())[0] == 100
        await client.send(bytes(300_000))
        assert (await client.response()).body.startswith(b"300000 ")
        await client.send(post("/unread", *expecting))
        answer = await client.response()
        assert (answer.status, answer.header["connection"]) == (200, "close"), "and no leave before it"
    async with served.connected() as client:
        await client.send(post("/echo", *expecting))
        assert (await client.head())[0] == 100
        assert (await client.head())[0] == 200
        await client.send(bytes(300_000))
        received = 0
        while part := await client.chunk():
            received += len(part)
        assert received == 300_000


async def test_requests_behind_one_in_pieces_wait_for_it(served: Served) -> None:
    data = pattern(400_000)
    async with served.connected() as client:
        await client.send(post("/echo", "transfer-encoding: chunked"), chunked(data), get("/give/5"), get("/chunks/7"))
        assert (await client.response()).body == data
        assert (await client.response()).body == pattern(5)
        assert (await client.response()).body == pattern(7)


async def test_a_client_that_does_not_read_stops_the_guest_and_its_own_sending(served: Served) -> None:
    async with served.connected() as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a socket
        client.writer.write(post("/echo", "transfer-encoding: chunked") + chunked(pattern(40 * MIB), MIB))
        [listener] = served._listeners()
        [connection] = listener.service.connections
        await until(lambda: connection._paused and connection.is_blocked)
        left = -1
        async with asyncio.timeout(WAIT_S):  # what lies in the kernel fills up first
            while left != (left := client.writer.transport.get_write_buffer_size()):
                await asyncio.sleep(0.5)
        assert left > 10 * MIB
        assert listener.service.bodies_bytes < MIB
        assert connection._transport.get_write_buffer_size() < MIB
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert (await client.response()).body == pattern(40 * MIB)


async def hang_up(client: Client) -> None:
    """As a client that was killed."""
    found = client.writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


async def test_a_client_that_goes_away_ends_what_was_done_for_it(served: Served) -> None:
    async with served.connected() as client:
        await client.send(post("/count", "content-length: 3000000"), bytes(2_000_000))
        await until(lambda: not served.at_rest())
        await hang_up(client)
        await until(served.at_rest)
    async with served.connected() as client:
        await client.send(get("/chunks/100000000"))
        await client.head()
        await hang_up(client)
        await until(served.at_rest)


async def test_what_is_whole_at_once_and_too_large_for_a_message_goes_all_the_same(tmp_path: Path) -> None:
    async with serving(tmp_path, limits={"payload": "16KiB"}) as served:
        assert (await served.ask(get("/chunks/60000"))).body == pattern(60_000)
        assert (await served.ask(get("/give/900000"))).body == pattern(900_000)


async def test_many_bodies_at_once(served: Served) -> None:
    data = pattern(700_000)

    async def one() -> None:
        answer = await served.ask(post("/echo", "transfer-encoding: chunked"), chunked(data))
        assert answer.body == data

    await asyncio.gather(*(one() for _ in range(40)))


async def test_a_body_over_the_limit_of_its_route_is_refused_when_that_shows(tmp_path: Path) -> None:
    async with serving(tmp_path, route={"body_bytes_max": "1000000"}) as served:
        answer = await served.ask(post("/count", "content-length: 1000001"))
        assert (answer.status, b"http_body_too_large" in answer.body) == (413, True)
        answer = await served.ask(post("/count", "transfer-encoding: chunked"), chunked(bytes(1_100_000)))
        assert (answer.status, b"http_body_too_large" in answer.body) == (413, True)
        async with served.connected() as client:  # its response has begun by then
            await client.send(post("/echo", "transfer-encoding: chunked"), chunked(bytes(1_100_000)))
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError, ValueError)):
                await client.response()
        await until(served.at_rest)


async def test_a_body_that_is_not_in_order_or_does_not_come_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, server={"body_timeout": "0.4"}) as served:
        answer = await served.ask(post("/count", "transfer-encoding: chunked"), b"3\r\nabc\r\nxyz\r\n")
        assert (answer.status, b"http_malformed" in answer.body) == (400, True)
        answer = await served.ask(post("/count", "content-length: 400000"), b"abc")
        assert (answer.status, b"http_too_slow" in answer.body) == (408, True)
        trailers = b"".join(b"t%d: 1\r\n" % number for number in range(200))
        answer = await served.ask(post("/count", "transfer-encoding: chunked"), b"0\r\n", trailers, b"\r\n")
        assert (answer.status, b"http_head_too_large" in answer.body) == (431, True)
        await until(served.at_rest)


async def test_a_client_that_takes_nothing_is_cut_off(tmp_path: Path) -> None:
    async with serving(tmp_path, server={"write_timeout": "0.4"}) as served, served.connected() as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(get("/give/100000000"))
        await until(lambda: not served.at_rest())
        await until(served.at_rest)


async def test_a_deadline_ends_a_body_on_its_way(tmp_path: Path) -> None:
    async with serving(tmp_path, route={"timeout": "0.5"}) as served:
        answer = await served.ask(post("/count", "content-length: 400000"), b"abc")
        assert answer.status == 504
        async with served.connected() as client:
            await client.send(post("/echo", "transfer-encoding: chunked"), b"3\r\nabc\r\n")
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError, ValueError)):
                await client.response()
        await until(served.at_rest)


async def test_a_server_that_stops_lets_a_body_end(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.connected() as client:
        await client.send(post("/echo", "transfer-encoding: chunked"), b"3\r\nabc\r\n")
        await client.head()
        assert await client.chunk() == b"abc"
        stopping = asyncio.create_task(served.host.undeploy("bodies"))
        await asyncio.sleep(0.2)
        await client.send(b"3\r\ndef\r\n0\r\n\r\n")
        assert await client.chunk() == b"def"
        assert await client.chunk() == b""
        assert await stopping


async def test_bodies_leave_nothing_behind(tmp_path: Path) -> None:
    async with serving(tmp_path, client={"allowed_hosts": "127.0.0.1:*", "allow_private": "true"}) as served:
        relay = f"/to/127.0.0.1:{served.port}"
        for _ in range(3):
            await served.ask(post("/echo", "transfer-encoding: chunked"), chunked(pattern(300_000)))
            await served.ask(post(f"{relay}/count", "transfer-encoding: chunked"), chunked(pattern(300_000)))
            await served.ask(post("/unread", "content-length: 3000000"))
            async with served.connected() as client:
                await client.send(get("/trap/3000000"))
                assert await client.ended()
            for path in ("/count", f"{relay}/count", "/command"):
                async with served.connected() as client:
                    await client.send(post(path, "content-length: 3000000"), bytes(1_000_000))
                    await until(lambda: not served.at_rest())
        await until(served.at_rest)

        def left() -> int:
            gc.collect()
            return sum(isinstance(found, RequestBody | ResponseBody) for found in gc.get_objects())

        await until(lambda: left() <= 1)  # of the connection that the client of the relay keeps
