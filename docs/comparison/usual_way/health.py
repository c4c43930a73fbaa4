"""For those who look after the service: does it live, is it ready, what did it do."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import generate_latest

from .clicks import Clicks
from .middleware import failure
from .store import Store
from .telemetry import Telemetry


class Health:
    def __init__(self, store: Store, clicks: Clicks, telemetry: Telemetry) -> None:
        self._store = store
        self._clicks = clicks
        self._telemetry = telemetry

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/-/alive", self.alive),
            web.get("/-/ready", self.ready),
            web.get("/-/metrics", self.metrics),
        ]

    async def alive(self, _request: web.Request) -> web.Response:
        return web.json_response({"alive": True})

    async def ready(self, _request: web.Request) -> web.Response:
        await self._store.ping()
        if not self._clicks.alive():
            return failure(503, "clicks are not counted")
        return web.json_response({"ready": True})

    async def metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._telemetry.registry), content_type="text/plain")
