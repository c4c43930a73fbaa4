"""Applications on one host are apart: an actor reaches another application's only along a link."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from lattice.control.manifest import load
from lattice.host import Host, HostSettings
from lattice.links import Link
from tests.e2e.running import ACTORS, connect, manifest, routes
from tests.providers.http_server_client import get


def called(name: str, alias: str) -> str:
    return f"{{name: {name}, type: actor, properties: {{image: file://{name}.wasm, alias: {alias}}}}}"


async def test_actors_of_two_applications_cannot_call_each_other_without_a_link(tmp_path: Path) -> None:
    images = {name: (ACTORS / name / f"{name}.wasm").read_bytes() for name in ("pinger", "ponger")}
    asking = manifest(tmp_path, called("pinger", "pinger"), routes(pinger={}), images=images, name="asking")
    async with Host(HostSettings(data=tmp_path / "data", drain_s_max=5)) as host:
        asked_from = await host.deploy(load(asking, host.installed))
        other = manifest(tmp_path, called("ponger", "ponger"), name="other")
        asked = await host.deploy(load(other, host.installed))
        http = host.supervisor.get(asked_from.keys["http"])
        assert http is not None
        pinger, ponger = asked_from.keys["pinger"], asked.keys["ponger"]
        client = await connect(urlsplit(http.urls()[0]).port or 0)
        try:
            refused = await client.ask(get("/?message=x"))
            assert refused.status == 502
            assert b"not_linked" in refused.body
            assert b"different applications" in refused.body

            joined = Link(pinger, ponger, "")
            host.router.put_link(joined)
            response = await client.ask(get("/?message=x"))
            assert (response.status, json.loads(response.body)) == (200, {"reply": "pong: x"})
            # One direction: the called one may not call back.
            back = await client.ask(get("/bounce/2"))
            assert back.status == 502
            assert b"not_linked" in back.body

            host.router.delete_link(joined)
            assert (await client.ask(get("/?message=x"))).status == 502
        finally:
            await client.close()


async def test_within_one_application_no_link_is_needed(tmp_path: Path) -> None:
    images = {name: (ACTORS / name / f"{name}.wasm").read_bytes() for name in ("pinger", "ponger")}
    parts = (called("pinger", "pinger"), called("ponger", "ponger"), routes(pinger={}))
    async with Host(HostSettings(data=tmp_path / "data", drain_s_max=5)) as host:
        deployment = await host.deploy(load(manifest(tmp_path, *parts, images=images), host.installed))
        http = host.supervisor.get(deployment.keys["http"])
        assert http is not None
        client = await connect(urlsplit(http.urls()[0]).port or 0)
        try:
            response = await client.ask(get("/bounce/2"))
            assert (response.status, json.loads(response.body)) == (200, {"reply": "pinger > ponger > pinger"})
        finally:
            await client.close()
