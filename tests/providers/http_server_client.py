"""For the tests of the HTTP server: a server with stand-in actors, and a client that sends exactly what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop
from lattice_http_server import HttpServer

from lattice.contracts.httpserver import HttpRequest, HttpResponse
from lattice.invocation import Handler
from lattice.links import Link
from lattice.testing import ProviderRig, provider_rig

WAIT_S = 5.0
"""For anything that must happen; a test that waits this long has failed."""

Answer = Callable[[Link, HttpRequest], Awaitable[Any]]


def get(path: str = "/", *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: test", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post(body: bytes, *headers: str, path: str = "/") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


@dataclass
class Response:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name]
        assert len(found) <= 1, f"{name} twice: {found}"
        return found[0] if found else None

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"])


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self, *, head: bool = False) -> Response:
        """Reads one response; `head` says that it has no body whatever its headers promise."""
        async with asyncio.timeout(WAIT_S):
            raw = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
            version, status, _phrase = first.split(" ", 2)
            assert version == "HTTP/1.1"
            pairs = [line.split(": ", 1) for line in lines]
            response = Response(int(status), [(name, value) for name, value in pairs], b"")
            length = response.header("content-length")
            if length is not None and not head:
                response.body = await self.reader.readexactly(int(length))
            return response

    async def ask(self, data: bytes) -> Response:
        self.send(data)
        return await self.response(head=data.startswith(b"HEAD "))

    async def ended(self) -> bytes:
        """What comes until the server closes."""
        async with asyncio.timeout(WAIT_S):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):  # the server was first
            await self.writer.wait_closed()


@dataclass
class Served:
    """A running server and what its actors were asked."""

    rig: ProviderRig
    port: int
    calls: list[HttpRequest] = field(default_factory=list)
    cancelled: int = 0
    running: int = 0
    clients: list[Client] = field(default_factory=list)

    async def connect(self, tls: ssl.SSLContext | None = None, limit: int = 1 << 20) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls, limit=limit)
        client = Client(reader, writer)
        self.clients.append(client)
        return client

    async def ask(self, data: bytes) -> Response:
        """One request on a connection of its own."""
        client = await self.connect()
        try:
            return await client.ask(data)
        finally:
            await client.close()

    @property
    def service(self) -> Any:
        provider: Any = self.rig.provider
        return next(iter(provider._listeners.values())).service


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


async def echo(link: Link, request: HttpRequest) -> HttpResponse:
    """Says who was asked for what."""
    text = f"{link.target} {request.method} {request.path}"
    return HttpResponse(status_code=200, header={"content-type": ["text/plain"]}, body=text.encode())


@asynccontextmanager
async def serving(
    data: Path,
    answer: Answer = echo,
    routes: dict[str, dict[str, str]] | None = None,
    in_pieces: Handler | None = None,
    **settings: str,
) -> AsyncIterator[Served]:
    """A server on a free port; `routes` by actor, one route for everything without it. `in_pieces` answers instead of
    `answer`, and gets calls with their bodies in pieces."""
    served: Served

    async def actors(link: Link, _operation: str, request: HttpRequest) -> Any:
        served.calls.append(request)
        served.running += 1
        try:
            return await answer(link, request)
        except asyncio.CancelledError:
            served.cancelled += 1
            raise
        finally:
            served.running -= 1

    settings.setdefault("address", "127.0.0.1:0")
    async with provider_rig(HttpServer, data, actors, in_pieces, **settings) as rig:
        for actor, config in (routes or {"actor": {}}).items():
            await rig.route(actor, **config)
        served = Served(rig, urlsplit(rig.provider.urls()[0]).port or 0)
        try:
            yield served
        finally:
            for client in served.clients:
                await client.close()
    assert not rig.failures


def on_both_loops(test: Callable[[Path], Awaitable[None]]) -> Callable[..., None]:
    """Runs an `async def test(tmp_path)` on asyncio's loop and on uvloop: their transports differ in how they end."""

    @pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
    def run(tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        async def main() -> None:
            await test(tmp_path)

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())

    run.__doc__ = test.__doc__
    return run
