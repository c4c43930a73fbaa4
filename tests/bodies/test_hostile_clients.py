"""Clients that know how the server frames bodies, and use it: what one sends never reaches another's response, and
nothing of it stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from lattice_http_server import HttpServer

from lattice import errors
from lattice.bodies import Bodies, BodySource, gather, write
from lattice.contracts.httpserver import HttpResponse
from lattice.invocation import Invocation
from lattice.testing import provider_rig
from tests.bodies.served import KIB, MIB, WAIT_S, Client, until
from tests.bodies.test_components import get, post

Answer = Callable[[Bodies, BodySource], Awaitable[None]]


@asynccontextmanager
async def answering(folder: Path, answer: Answer, **config: str) -> AsyncIterator[tuple[Client, Any]]:
    """A server whose actor gets bodies in pieces: a connection to it, and what it serves with. A request without a body
    in pieces is answered with "ok"."""

    async def actor(call: Invocation) -> bytes:
        bodies = call.bodies
        assert bodies is not None, "the server offers pieces"
        if bodies.request is not None:
            await answer(bodies, bodies.request)
        else:
            sink = bodies.begin(HttpResponse(status_code=200), 2)
            sink.put(b"ok")
            sink.end(None)
        return b""

    async with provider_rig(HttpServer, folder, in_pieces=actor, address="127.0.0.1:0", **config) as rig:
        await rig.route(path="/", body_bytes_max=str(64 * MIB))
        provider: Any = rig.provider
        [listener] = provider._listeners.values()
        [url] = provider.urls()
        client = Client(*await asyncio.open_connection("127.0.0.1", int(url.split(":")[2].split("/")[0])))
        try:
            yield client, listener.service
        finally:
            await client.close()


async def test_leave_to_send_never_stands_in_the_middle_of_a_response(tmp_path: Path) -> None:
    """A client that has its answer would read it as a part of the body, and the rest as the next response."""
    read: list[object] = []

    async def refuse_and_read(bodies: Bodies, request: BodySource) -> None:
        sink = bodies.begin(HttpResponse(status_code=403), 25)
        await write(sink, b"n" * 10)
        try:
            read.append(await gather(request, MIB))
        except errors.CallError as error:
            read.append(error.code)
        await write(sink, b"o" * 15)
        sink.end(None)

    async with answering(tmp_path, refuse_and_read) as (client, _):
        await client.send(post("/", f"content-length: {300 * KIB}", "expect: 100-continue"))
        answer = await client.response()
        assert (answer.status, answer.body) == (403, b"n" * 10 + b"o" * 15)
        assert answer.header["connection"] == "close"
        assert await client.ended()
    assert read == ["cancelled"], "a body that never came is not an empty one"


async def test_a_connection_goes_on_after_a_body_of_which_much_was_dropped(tmp_path: Path) -> None:
    dropped, go_on = asyncio.Event(), asyncio.Event()

    async def drop(bodies: Bodies, request: BodySource) -> None:
        request.close()
        dropped.set()
        await go_on.wait()
        bodies.begin(HttpResponse(status_code=204), 0).end(None)

    async with answering(tmp_path, drop) as (client, service):
        await client.send(post("/", f"content-length: {400 * KIB}"))
        async with asyncio.timeout(WAIT_S):
            await dropped.wait()
        await client.send(bytes(300 * KIB))
        [connection] = service.connections
        await until(lambda: connection._paused)
        go_on.set()
        assert (await client.response(bodiless=True)).status == 204
        await client.send(bytes(100 * KIB), get("/"))
        assert (await client.response()).body == b"ok"


@pytest.mark.parametrize("what", [b"t: " + b"x" * 100, b"y"])
async def test_a_large_body_pays_for_no_large_trailer(tmp_path: Path, what: bytes) -> None:
    """Nor for a chunk's extension. The parser holds both until their end, and copies them each time more comes."""
    arrived = 0

    async def take(bodies: Bodies, request: BodySource) -> None:
        nonlocal arrived
        arrived = len(await gather(request, 64 * MIB))
        bodies.begin(HttpResponse(status_code=204), 0).end(None)

    data = b"%x\r\n%s\r\n" % (MIB, bytes(MIB))
    rest = b"0\r\n" + what if what[:2] == b"t:" else b"5;" + what
    async with answering(tmp_path, take) as (client, _):
        await client.send(post("/", "transfer-encoding: chunked"), data, rest)
        client.writer.write(b"z" * MIB)
        status, _ = await client.head()
        assert status == 400
    assert not arrived
