"""Bodies of requests to commands, to actors that take whole messages, and of requests that a component makes."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.bodies.served import MIB, serving, until
from tests.bodies.test_components import chunked, counted, get, pattern, post


async def test_a_command_reads_and_prints_as_bodies_come_and_go(tmp_path: Path) -> None:
    data = pattern(6 * MIB)
    async with serving(tmp_path, limits={"payload": "64KiB"}) as served, served.connected() as client:
        await client.send(post("/command", f"content-length: {len(data)}"), data[: 5 * MIB // 2])
        status, header = await client.head()
        assert (status, header["transfer-encoding"]) == (200, "chunked"), "it prints before all is read"
        await client.send(data[5 * MIB // 2 :])
        received = b""
        while part := await client.chunk():
            received += part
        assert received == data
        await client.trailers()
        await client.send(get("/command"))
        assert (await client.response()).body.startswith(b"GET")
        await until(served.at_rest)


async def test_a_command_is_told_the_size_of_a_body_in_chunks_which_is_collected(tmp_path: Path) -> None:
    async with serving(tmp_path, limits={"payload": "1MiB"}) as served:
        data = pattern(900_000)
        answer = await served.ask(post("/command", "transfer-encoding: chunked"), chunked(data))
        assert answer.body == data
        answer = await served.ask(post("/command", "transfer-encoding: chunked"), chunked(pattern(2 * MIB)))
        assert (answer.status, b"payload_too_large" in answer.body) == (413, True)
        await until(served.at_rest)


async def test_a_client_that_leaves_a_command_ends_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        async with served.connected() as client:
            await client.send(post("/command", "content-length: 3000000"), bytes(1_000_000))
            await client.head()
        await until(served.at_rest)


async def test_an_old_actor_gets_whole_messages_and_the_same_errors(tmp_path: Path) -> None:
    data = pattern(600_000)
    async with serving(tmp_path, limits={"payload": "1MiB"}) as served:
        for request, body in (
            (post("/wapc", f"content-length: {len(data)}"), data),
            (post("/wapc", "transfer-encoding: chunked"), chunked(data)),
        ):
            answer = await served.ask(request, body)
            assert (answer.status, answer.header["content-length"]) == (200, str(len(answer.body)))
        for request, body in (
            (post("/wapc", f"content-length: {2 * MIB}"), bytes(2 * MIB)),
            (post("/wapc", "transfer-encoding: chunked"), chunked(bytes(2 * MIB))),
        ):
            answer = await served.ask(request, body)
            assert (answer.status, b"payload_too_large" in answer.body) == (413, True)
        await until(served.at_rest)


@asynccontextmanager
async def upstream(answer: bytes) -> AsyncIterator[int]:
    """A server that says `answer` to each request and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


CLIENT = {
    "allowed_hosts": "127.0.0.1:*",
    "allow_private": "true",
    "request_bytes_max": str(64 * MIB),
    "response_bytes_max": "8000000",
}


async def test_a_component_passes_bodies_on_through_the_client(tmp_path: Path) -> None:
    async with serving(tmp_path, client=CLIENT, limits={"payload": "256KiB"}) as served:
        peer = f"/to/127.0.0.1:{served.port}"
        data = pattern(3 * MIB)
        for request, body in (
            (post(f"{peer}/count", f"content-length: {len(data)}"), data),
            (post(f"{peer}/count", "transfer-encoding: chunked"), chunked(data)),
        ):
            assert (await served.ask(request, body)).body == counted(data)
        answer = await served.ask(get(f"{peer}/give/7000000"))
        assert (answer.status, answer.body) == (200, pattern(7_000_000))
        assert (await served.ask(get(f"{peer}/chunks/100"))).body == pattern(100)
        assert (await served.ask(get(f"{peer}/nothing"))).status == 404
        await until(served.at_rest)


async def test_what_fails_on_the_way_of_a_component_is_seen_to(tmp_path: Path) -> None:
    async with serving(tmp_path, client=CLIENT, limits={"payload": "256KiB"}) as served:
        peer = f"/to/127.0.0.1:{served.port}"
        over = await served.ask(get(f"{peer}/give/8000001"))
        assert over.status == 502, "known from the headers"
        for path in ("/chunks/9000000", "/trap/3000000"):
            answer = await served.ask(get(peer + path))
            assert len(answer.body) < 9_000_000, "what the guest got to see of it, and an end that it saw as one"
        async with served.connected() as client:
            await client.send(post(f"{peer}/count", "content-length: 3000000"), bytes(2_000_000))
            await until(lambda: not served.at_rest())
        await until(served.at_rest)


async def test_a_redirect_cannot_take_a_body_along_that_is_gone(tmp_path: Path) -> None:
    moved = b"HTTP/1.1 307 moved\r\nlocation: /there\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    async with upstream(moved) as port, serving(tmp_path, client=CLIENT) as served:
        answer = await served.ask(post(f"/to/127.0.0.1:{port}/", "content-length: 400000"), bytes(400_000))
        assert answer.status == 502
        await until(served.at_rest)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_response_is_passed_on_as_it_inflates(tmp_path: Path, encoding: str) -> None:
    packer = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
    data = pattern(5_000_000)
    packed = packer.compress(data) + packer.flush()
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {len(packed)}\r\n\r\n".encode()
    async with upstream(head + packed) as port, serving(tmp_path, client=CLIENT) as served:
        assert (await served.ask(get(f"/to/127.0.0.1:{port}/"))).body == data
    cut_short = packed[: len(packed) // 2]
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {len(cut_short)}\r\n\r\n".encode()
    async with upstream(head + cut_short) as port, serving(tmp_path, client=CLIENT) as served:
        assert len((await served.ask(get(f"/to/127.0.0.1:{port}/"))).body) < len(data)


async def test_a_body_of_which_a_part_is_gone_is_not_sent_again(tmp_path: Path) -> None:
    """The client library sends some requests once more when a kept connection turns out to be closed."""
    whole: list[bytes] = []
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked += 1
                if asked == 2:
                    await reader.readexactly(100_000)
                    return
                if b"chunked" in head:
                    whole.append(await reader.readuntil(b"\r\n0\r\n\r\n"))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, serving(tmp_path, client=CLIENT) as served:
        path = f"/to/127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        assert (await served.ask(get(path))).status == 200
        put = post(path, "transfer-encoding: chunked").replace(b"POST", b"PUT")
        assert (await served.ask(put, chunked(pattern(MIB)))).status == 502
        assert whole == []
        await until(served.at_rest)
