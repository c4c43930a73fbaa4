"""The stream-component, a command and an old actor behind a real HTTP server, and clients that hide nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from lattice.control.manifest import load
from lattice.host import Host, HostSettings
from lattice.security.settings import LOCAL

ACTORS = Path(__file__).parents[2] / "actors"
CACHE = Path(__file__).parents[2] / ".cache" / "actors" / "compiled"
KIB = 1024
MIB = 1024 * KIB
WAIT_S = 60.0
"""What any step of a test may take, on a machine that does other things too."""

ROUTES = {
    "stream": ("stream-component", "/"),
    "command": ("hello-wagi", "/command"),
    "wapc": ("echo", "/wapc"),
}


def application(route: dict[str, str], server: dict[str, str], limits: dict[str, Any], client: dict[str, str]) -> Any:
    """The manifest: a component, a command and a waPC actor with routes alike."""
    http: dict[str, Any] = {
        "name": "http",
        "type": "capability",
        "properties": {"image": "builtin://http-server", "config": {"address": "127.0.0.1:0", **server}},
        "traits": [_link(name, source_config={"path": path, **route}) for name, (_, path) in ROUTES.items()],
    }
    out = {"name": "out", "type": "capability", "properties": {"image": "builtin://http-client"}}
    actors = [
        {
            "name": name,
            "type": "component",
            "properties": {"image": f"file://{ACTORS / image / image}.wasm", "limits": {"time": "55s", **limits}},
            "traits": [_link("out", "httpclient", target_config=client)] if name == "stream" else [],
        }
        for name, (image, _) in ROUTES.items()
    ]
    return {
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "metadata": {"name": "bodies", "annotations": {"version": "v0.1.0"}},
        "spec": {"components": [*actors, out, http]},
    }


def _link(target: str, package: str = "httpserver", **config: Any) -> dict[str, Any]:
    return {"type": "link", "properties": {"target": target, "namespace": "wasmcloud", "package": package, **config}}


class Response(NamedTuple):
    status: int
    header: dict[str, str]
    body: bytes
    trailers: dict[str, str]


class Client:
    """One connection, in HTTP as it is written."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))
        async with asyncio.timeout(WAIT_S):
            await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(WAIT_S):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        header = dict(line.lower().split(": ", 1) for line in lines[1:-2])
        return int(lines[0].split()[1]), header

    async def chunk(self) -> bytes:
        """One chunk; b"" is the last."""
        async with asyncio.timeout(WAIT_S):
            size = int(await self.reader.readline(), 16)
            if not size:
                return b""
            data = await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
            return data

    async def trailers(self) -> dict[str, str]:
        found = {}
        async with asyncio.timeout(WAIT_S):
            while line := (await self.reader.readline()).strip():
                name, value = line.decode().split(": ", 1)
                found[name.lower()] = value
        return found

    async def response(self, *, bodiless: bool = False) -> Response:
        status, header = await self.head()
        body, trailers = b"", dict[str, str]()
        if bodiless:
            return Response(status, header, body, trailers)
        if header.get("transfer-encoding") == "chunked":
            parts = []
            while part := await self.chunk():
                parts.append(part)
            body, trailers = b"".join(parts), await self.trailers()
        elif "content-length" in header:
            async with asyncio.timeout(WAIT_S):
                body = await self.reader.readexactly(int(header["content-length"]))
        else:
            async with asyncio.timeout(WAIT_S):
                body = await self.reader.read(-1)
        return Response(status, header, body, trailers)

    async def ended(self) -> bool:
        """Whether the server ends the connection, by a reset or in order."""
        with suppress(ConnectionError):
            async with asyncio.timeout(WAIT_S):
                while await self.reader.read(MIB):
                    pass
        return True

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


class Served(NamedTuple):
    host: Host
    port: int

    @asynccontextmanager
    async def connected(self, limit: int = 64 * 1024) -> AsyncIterator[Client]:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=limit))
        try:
            yield client
        finally:
            await client.close()

    async def ask(self, *parts: bytes, bodiless: bool = False) -> Response:
        async with self.connected() as client:
            await client.send(*parts)
            return await client.response(bodiless=bodiless)

    def at_rest(self) -> bool:
        """No instance is live and no byte of a body is held."""
        held = sum(listener.service.bodies_bytes for listener in self._listeners())
        return held == 0 and all(actor.revision.pool.active == 0 for actor in self.host.actors)

    def _listeners(self) -> list[Any]:
        provider = next(provider for provider in self.host.supervisor if provider.name == "http-server")
        running: Any = provider._provider
        return list(running._listeners.values())


async def until(condition: Any) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    route: dict[str, str] | None = None,
    server: dict[str, str] | None = None,
    limits: dict[str, Any] | None = None,
    client: dict[str, str] | None = None,
) -> AsyncIterator[Served]:
    """`client` is the configuration of the component's link to the HTTP client."""
    path = folder / "bodies.yaml"
    default = {"timeout": "58", "body_bytes_max": str(512 * MIB)}
    path.write_text(json.dumps(application({**default, **(route or {})}, server or {}, limits or {}, client or {})))
    async with Host(HostSettings(data=folder / "data", cache=CACHE, drain_s_max=5, security=LOCAL)) as host:
        await host.deploy(load(path, host.installed))
        url = next(url for provider in host.supervisor for url in provider.urls())
        yield Served(host, int(url.split(":")[2].split("/")[0]))
