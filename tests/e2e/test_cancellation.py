"""A client that hangs up ends what it started, down to the connection that the actor's request opened."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.e2e.guests import fetching
from tests.e2e.running import actor, connect, link, manifest, provider, routes, serving
from tests.providers.http_server_client import WAIT_S, get, until


async def test_hanging_up_cancels_the_running_call_and_the_request_that_it_made(tmp_path: Path) -> None:
    arrived, ended = 0, 0
    release = asyncio.Event()

    async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived, ended
        await reader.readuntil(b"\r\n\r\n")
        arrived += 1
        gone = asyncio.create_task(reader.read())
        released = asyncio.create_task(release.wait())
        await asyncio.wait((gone, released), return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            ended += 1
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nslow")
            await writer.drain()
        for task in (gone, released):
            task.cancel()
        writer.close()

    upstream = await asyncio.start_server(answer_slowly, "127.0.0.1", 0)
    address = f"127.0.0.1:{upstream.sockets[0].getsockname()[1]}"
    path = manifest(
        tmp_path,
        # One instance: the next request gets through only when the cancelled call has given it free.
        actor("fetch", link("client", allowed_hosts=address, allow_private="true"), instances="1", time="60s"),
        provider("client", "http-client"),
        routes(fetch={"timeout": "60"}),
        images={"fetch": fetching(f"http://{address}/")},
    )
    with serving(path) as served:
        for number in range(1, 4):
            client = await connect(served.port)
            client.send(get())
            await until(lambda number=number: arrived == number)  # type: ignore[misc]
            assert ended == number - 1
            await client.close()
            await until(lambda number=number: ended == number)  # type: ignore[misc]
        asking = asyncio.create_task(served.ask("/"))
        await until(lambda: arrived == 4)
        release.set()
        response = await asyncio.wait_for(asking, WAIT_S)
        assert (response.status, response.body) == (200, b"slow")
        assert ended == 3
    upstream.close()
    await upstream.wait_closed()
