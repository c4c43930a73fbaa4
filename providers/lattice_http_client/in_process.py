"""The client without a network, for tests: requests are checked as ever, and answered by who made the provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from lattice.contracts.httpclient import CONTRACT, HttpRequest, HttpResponse
from lattice.provider import Link, NoSettings, Provider, Settings
from lattice_http_client.request import checked_request
from lattice_http_client.settings import HttpClientLink

Answer = Callable[[HttpRequest], Awaitable[HttpResponse]]


class HttpClientInProcess(Provider[HttpClientLink, None]):
    """As `HttpClient`, without redirects and limits of connections."""

    name = "http-client"
    contract = CONTRACT
    settings_type = NoSettings
    attach_settings_type = HttpClientLink

    def __init__(self, settings: Settings, answer: Answer) -> None:
        super().__init__(settings)
        self._answer = answer

    async def attach(self, link: Link, settings: HttpClientLink) -> HttpClientLink:
        return settings

    async def request(self, settings: HttpClientLink, message: HttpRequest) -> HttpResponse:
        checked_request(message, settings.allowed_hosts, settings.request_bytes_max)
        return await self._answer(message)
