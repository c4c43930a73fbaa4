"""An HTTP actor of early 2021, which knows requests by another name, behind the HTTP server of today."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from lattice.actors import ActorSpec
from lattice.invocation import Invocation
from lattice.links import Link
from tests.e2e.running import connect
from tests.providers.http_server_client import get
from tests.support.hosts import guest_host

LOGGING = "wasmcloud:logging"
OF_2021 = {"operation": "HandleRequest", "header_values": "text"}


async def test_a_route_may_name_the_operation_that_a_signed_actor_of_2021_knows(tmp_path: Path) -> None:
    folder = os.environ.get("LATTICE_OLD_ACTORS")
    if not folder:
        pytest.skip("LATTICE_OLD_ACTORS is not set; it is the folder that scripts/fetch_old_actors.py fills")
    image = Path(folder) / "wasmcloud-logger.wasm"
    if not image.exists():
        pytest.skip(f"{image.name} is not there; run scripts/fetch_old_actors.py")
    written = []

    async def write(call: Invocation) -> bytes:
        written.append(msgspec.msgpack.decode(call.payload)["text"])
        return b""

    async with guest_host(tmp_path) as guests:
        host = guests.host
        logger = await host.actors.start(ActorSpec(key="logger", name="logger", image=image))
        guests.offer(write, logger.key, contract=LOGGING)
        type_ = host.installed.type("http-server")
        http = await host.supervisor.start("http", "http-server", type_, {"address": "127.0.0.1:0"})
        for path, config in (("/old", OF_2021), ("/new", {})):
            route = Link(http.key, logger.key, type_.contract.id, path[1:], source_config={"path": path, **config})
            host.router.put_link(route)
            await http.put_link(route)
        client = await connect(urlsplit(http.urls()[0]).port or 0)
        try:
            assert (await client.ask(get("/old"))).status == 200
            assert "Received a GET request" in written
            response = await client.ask(get("/new"))
            assert (response.status, response.code) == (502, "guest_error"), "it does not know the name of today"
            assert (await client.ask(get("/old"))).status == 200
        finally:
            await client.close()
