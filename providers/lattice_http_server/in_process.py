"""The server without a socket, for tests: the same parser, routes, limits and responses; bytes are handed over."""

from __future__ import annotations

import asyncio
from typing import Any

from lattice import errors
from lattice.provider import Link
from lattice_http_server.connection import Connection
from lattice_http_server.provider import HttpServer
from lattice_http_server.routing import Route
from lattice_http_server.service import Service
from lattice_http_server.settings import Address, ServerSettings

CONNECTIONS_MAX = 1000
"""Requests at a time. A test that makes more of them at once means to load a server, and this one has no network."""


class HttpInProcess(HttpServer):
    """As `HttpServer`, but bodies are whole. What comes in comes by `exchange`."""

    passes_pieces = False

    def __init__(self, settings: ServerSettings) -> None:
        super().__init__(settings)
        self.services: dict[str, Service] = {}
        """By address, in the order of their first links."""

    async def service(self, address: Address) -> Service:
        found = self.services.get(address.text)
        if found is None:
            found = self.services[address.text] = Service(self.settings, CONNECTIONS_MAX, self.context.log)
        return found

    async def unroute(self, link: Link, route: Route) -> None:
        for address, service in list(self.services.items()):
            service.routes.remove(route)
            if not service.routes.routes:
                del self.services[address]

    async def exchange(self, request: bytes, address: str = "") -> bytes:
        """The response to one request, which asks to close the connection. `address` is one of `services`; "" the
        first. Raises `errors.ConfigError` where nothing is served."""
        service = self.services.get(address) if address else next(iter(self.services.values()), None)
        if service is None:
            served = ", ".join(self.services) or "nowhere: no link leads from the HTTP server to an actor"
            raise errors.ConfigError(f"nothing is served at {address or 'any address'}; it is at {served}")
        wire = _Wire()
        connection = Connection(service)
        connection.connection_made(wire)
        try:
            connection.data_received(request)
            await wire.ended
        finally:
            connection.connection_lost(None)
            if connection.task is not None:
                await asyncio.gather(connection.task, return_exceptions=True)
        return bytes(wire.data)

    async def drain(self) -> None:
        """Requests end with their tests."""

    async def health(self) -> None:
        """There is nothing that could stop listening."""

    def urls(self) -> list[str]:
        return []


class _Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def write(self, data: Any) -> None:
        self.data += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.close()

    def close(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self.ended.done()

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """All of the request is here already, and the connection keeps what it does not take yet."""

    def resume_reading(self) -> None:
        """As `pause_reading`."""
