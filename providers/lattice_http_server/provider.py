"""The provider: one listener for each address that a link names."""

from __future__ import annotations

import asyncio
import ssl
from typing import ClassVar

import msgspec

from lattice import errors
from lattice.contracts import httpserver
from lattice.provider import Link, Provider
from lattice_http_server.listener import Listener
from lattice_http_server.reader import with_text_headers
from lattice_http_server.routing import Route, make_route, never
from lattice_http_server.service import Service
from lattice_http_server.settings import Address, RouteSettings, ServerSettings, parse_address
from lattice_http_server.tls import tls_context

UNROUTE_DRAIN_S = 5.0
"""When the last route of an address goes: how long its requests in progress have."""


class HttpServer(Provider[None, Route]):
    """Calls actors with the HTTP requests that arrive. See docs/providers/http-server.md."""

    name = "http-server"
    replicable = True
    contract = httpserver.CONTRACT
    settings_type: ClassVar[type[ServerSettings]] = ServerSettings
    route_settings_type: ClassVar[type[RouteSettings]] = RouteSettings
    settings: ServerSettings
    passes_pieces: ClassVar[bool] = True
    """Whether bodies go to actors while they come, if these take them so."""

    def __init__(self, settings: ServerSettings) -> None:
        super().__init__(settings)
        self._listeners: dict[str, Listener] = {}
        self._tls: ssl.SSLContext | None = None

    async def start(self) -> None:
        """Raises `errors.ConfigError` for an address or certificate that cannot be used. Listens at the first route."""
        parse_address(self.settings.address)
        self._tls = tls_context(self.settings)

    async def route(self, link: Link, settings: RouteSettings) -> Route:
        operation = msgspec.structs.replace(httpserver.HANDLE_REQUEST, name=settings.operation)
        call, in_pieces = self.context.caller(link, operation), self.context.takes_pieces_along(link, operation)
        if settings.header_values == "text":
            call, in_pieces = with_text_headers(call), never
        if not self.passes_pieces:
            in_pieces = never
        route = make_route(link, settings, self.settings.body_bytes_max, call, in_pieces)
        service = await self.service(parse_address(settings.address or self.settings.address))
        service.routes.add(route)
        return route

    async def service(self, address: Address) -> Service:
        """What serves an address; begins to, if nothing does. Raises `errors.ConfigError`."""
        listener = self._listeners.get(address.text)
        if listener is None:
            listener = Listener(address, self.settings, self.context, self._tls)
            await listener.open()
            self._listeners[address.text] = listener
        return listener.service

    async def unroute(self, link: Link, route: Route) -> None:
        for text, listener in list(self._listeners.items()):
            listener.service.routes.remove(route)
            if not listener.service.routes.routes:
                del self._listeners[text]
                try:
                    async with asyncio.timeout(UNROUTE_DRAIN_S):
                        await listener.drain()
                except TimeoutError:
                    self.context.log.warning("%s: requests were cut off after %g s", text, UNROUTE_DRAIN_S)
                finally:
                    await listener.close()

    async def health(self) -> None:
        for text, listener in self._listeners.items():
            if not listener.is_serving:
                raise errors.ProviderUnavailable(f"{self.name} does not listen on {text} any more")

    def urls(self) -> list[str]:
        return [url for listener in self._listeners.values() for url in listener.urls()]

    async def drain(self) -> None:
        await asyncio.gather(*(listener.drain() for listener in self._listeners.values()))

    async def stop(self) -> None:
        for listener in list(self._listeners.values()):
            await listener.close()
        self._listeners.clear()
