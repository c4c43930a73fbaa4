"""What the service does."""

from __future__ import annotations

import logging
import secrets
import string

from aiohttp import web

from .middleware import failure
from .models import Click, Link, NewLink
from .store import Store, StoreUnavailable

LETTERS = string.ascii_letters + string.digits
ATTEMPTS = 5
_log = logging.getLogger("links.handlers")


class Links:
    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/links", self.create),
            web.get("/links/{code}", self.show),
            web.delete("/links/{code}", self.forget),
            web.get("/{code}", self.follow),
        ]

    async def create(self, request: web.Request) -> web.Response:
        new = NewLink.model_validate_json(await request.read())
        if new.code is not None:
            code, created = new.code, await self._store.create(new.code, new.url)
        else:
            for _ in range(ATTEMPTS):
                code = "".join(secrets.choice(LETTERS) for _ in range(7))
                created = await self._store.create(code, new.url)
                if created:
                    break
        if not created:
            return failure(409, "this code is taken")
        link = Link(code=code, url=new.url)
        return web.json_response(link.model_dump(), status=201, headers={"Location": f"/links/{code}"})

    async def show(self, request: web.Request) -> web.Response:
        link = await self._store.link(request.match_info["code"])
        return web.json_response(link.model_dump()) if link else failure(404, "there is no such link")

    async def forget(self, request: web.Request) -> web.Response:
        if not await self._store.delete(request.match_info["code"]):
            return failure(404, "there is no such link")
        return web.Response(status=204)

    async def follow(self, request: web.Request) -> web.Response:
        code = request.match_info["code"]
        url = await self._store.url(code)
        if url is None:
            return failure(404, "there is no such link")
        try:
            await self._store.publish(Click(code=code))
        except StoreUnavailable as error:
            _log.warning("a click on %s is not counted: %s", code, error)
        return web.Response(status=302, headers={"Location": url, "Cache-Control": "no-store"})
