"""A registry in this process that answers as it is told to, for what no real one does on purpose."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from lattice.artifacts import oci
from lattice.artifacts.images import Images
from lattice.artifacts.reference import ImageReference, parse
from lattice.artifacts.settings import Patience, RegistrySettings

MODULE = b"\0asm\x01\0\0\0" + (b"\0\xa1\x1f\x05bytes" + bytes(range(235)) * 17) * 40
"""An empty module with 40 custom sections: 160 KB."""
Answer: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
PATIENCE = Patience(connect_s=5.0, idle_s=5.0, answer_s=20.0, backoff_s=0.01, attempts=3)
"""Enough for a busy machine; tests of slow answers shorten one of them."""


class Hostile:
    """`answers` take the place of the honest ones, by what is asked for: manifest, config, module, token."""

    def __init__(self, module: bytes = MODULE) -> None:
        self.module = module
        self.digest = oci.digest_of(module)
        self.config, self.manifest = oci.make(module, self.digest, "module.wasm")
        self.answers: dict[str, Answer] = {}
        self.seen: list[web.BaseRequest] = []
        self.port = 0
        self.host = "127.0.0.1"

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(request)
        kind = self._kind(request.path)
        if kind in self.answers:
            return await self.answers[kind](request)
        return await self.honest(request)

    async def honest(self, request: web.BaseRequest) -> web.StreamResponse:
        match self._kind(request.path):
            case "manifest":
                return web.Response(body=self.manifest, headers={"Content-Type": oci.OCI_MANIFEST})
            case "config":
                return web.Response(body=self.config)
            case "module":
                return web.Response(body=self.module)
        return web.Response(status=404)

    def _kind(self, path: str) -> str:
        if "/manifests/" in path:
            return "manifest"
        if path.endswith(oci.digest_of(self.config)):
            return "config"
        return "module" if "/blobs/" in path else path.strip("/")

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"

    def reference(self, tag: str = ":1") -> ImageReference:
        return parse(f"{self.name}/team/module{tag}")

    def settings(self, *, patience: Patience = PATIENCE, **more: Any) -> RegistrySettings:
        insecure = more.pop("insecure", frozenset({self.name}))
        return RegistrySettings(insecure=insecure, patience=patience, **more)

    def images(self, folder: Path, resolver: AbstractResolver | None = None, **more: Any) -> Images:
        images = Images(folder / "cache", registries=self.settings(**more))
        images.pull._resolver = resolver
        return images


@asynccontextmanager
async def hostile(module: bytes = MODULE, host: str = "127.0.0.1") -> AsyncIterator[Hostile]:
    """`host` is what it is called; it listens on loopback."""
    registry = Hostile(module)
    server = web.Server(registry)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    registry.port = runner.addresses[0][1]
    registry.host = host
    try:
        yield registry
    finally:
        await runner.cleanup()


class Victim:
    """Something on this machine that only this machine can reach. `connections` counts who came."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    def _accept(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()


@asynccontextmanager
async def victim(address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Victim]:
    found = Victim()
    server = await asyncio.start_server(found._accept, address, port)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()


class Names(AbstractResolver):
    """A resolver of a test: each name has answers, one for each time it is asked, the last one for ever."""

    def __init__(self, names: Mapping[str, list[str]]) -> None:
        self._names = {name: list(addresses) for name, addresses in names.items()}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answers = self._names.get(host, [])
        if not answers:
            raise OSError(f"no name {host}")
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        family_of = socket.AF_INET6 if ":" in address else socket.AF_INET
        flags = socket.AI_NUMERICHOST
        return [ResolveResult(hostname=host, host=address, port=port, family=family_of, proto=0, flags=flags)]

    async def close(self) -> None:
        pass


def files(folder: Path) -> list[str]:
    """What the cache keeps of modules and manifests, parts included."""
    blobs = folder / "cache" / "blobs" / "sha256"
    return sorted(path.name for path in blobs.iterdir()) if blobs.exists() else []
