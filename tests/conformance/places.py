"""Where the application of this suite runs: on one host, or on two of a lattice over a real nats-server.

It is actors/counters/all.yaml with other addresses, a store that a test can take away, and guests that break beside it.
On a host a third time, with instances of components that answer many calls, where the counters can.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from ruamel.yaml import YAML

from lattice.application import Deployment
from lattice.control.manifest import load
from lattice.host import Host, HostSettings
from lattice.security.settings import ActorTrust, SecuritySettings
from tests.conformance.guests import ACTORS, FAULTS, KINDS, Counter, faulty, images
from tests.support.lattices import joined_host, tool, until
from tests.support.servers import Server, nats_server, redis_server

CACHE = Path(__file__).parents[2] / ".cache" / "actors" / "compiled"
"""Compiling the counters in Python and JavaScript takes half a minute, so it is kept."""
PAYLOAD = "64KiB"
TIMEOUT_S = "2"
"""Of the routes to guests that compute for ever."""
COUNTING_S = "6"
"""Of the routes to the counters. Less than the store's provider waits for the store."""
SOURCES = ("http", "keyvalue")
REUSED = frozenset({"counter", "counter-component", "counter-py"})
"""The counters whose manifest says `reuse` where a place has it. Instances of waPC actors are used again without it,
and a fetch event of JavaScript comes once."""


class Place(NamedTuple):
    """The running application. `url` has no path."""

    url: str
    http: aiohttp.ClientSession
    store: Server
    missing: dict[Counter, str]

    async def ask(self, path: str, method: str = "GET", body: bytes = b"") -> Answer:
        async with self.http.request(method, self.url + path, data=body) as response:
            return Answer(response.status, dict(response.headers), await response.read())


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def kept(self) -> tuple[int, str | None, str | None, bytes]:
        """What has to be the same for every kind of guest."""
        return self.status, self.headers.get("Content-Type"), self.headers.get("Allow"), self.body

    @property
    def error(self) -> str:
        return str(json.loads(self.body)["error"])


def _application(folder: Path, store: Server, found: dict[Counter, Path]) -> dict[str, Any]:
    """The manifest as the tests run it."""
    application: dict[str, Any] = YAML(typ="safe").load((ACTORS / "counters" / "all.yaml").read_text())
    wanted = {counter.actor: path for counter, path in found.items()}
    parts = {part["name"]: part for part in application["spec"]["components"]}
    http = parts["http"]
    http["properties"]["config"]["address"] = "127.0.0.1:0"
    parts["keyvalue"]["properties"] = {"image": "builtin://keyvalue-redis", "config": {"timeout_s": "60"}}
    counts = folder / "counts"
    counts.mkdir()
    for name, part in parts.items():
        properties = part["properties"]
        if name in wanted:
            properties["image"] = f"file://{wanted[name]}"
            properties["limits"] = {**properties.get("limits", {}), "payload": PAYLOAD, "time": "20s"}
        if "volumes" in properties:
            properties["volumes"] = [{"host": str(counts), "guest": "/counts", "writable": True}]
        for trait in part.get("traits", []):
            trait["properties"].pop("target_config", None)
            if trait["properties"]["target"] == "keyvalue":
                trait["properties"]["target_config"] = {"url": store.url}
    kept = [part for name, part in parts.items() if name in wanted or name in SOURCES]
    http["traits"] = [link for link in http["traits"] if link["properties"]["target"] in wanted]
    for link in http["traits"]:
        link["properties"]["source_config"]["timeout"] = COUNTING_S
    for kind in KINDS:
        for fault in FAULTS:
            name = f"{kind}-{fault}"
            (folder / f"{name}.wasm").write_bytes(faulty(kind, fault))
            kept.append({"name": name, "type": "component", "properties": {"image": f"file://{folder / name}.wasm"}})
            http["traits"].append(_route(name))
    application["spec"]["components"] = kept
    return application


def _route(name: str) -> dict[str, Any]:
    where = {"path": f"/{name}", "timeout": TIMEOUT_S}
    link = {"target": name, "namespace": "wasmcloud", "package": "httpserver", "source_config": where}
    return {"type": "link", "properties": link}


def _trust(folder: Path) -> SecuritySettings:
    return SecuritySettings(actors=ActorTrust(unsigned=True, folders=(folder / "counts",)))


@asynccontextmanager
async def in_process(folder: Path, reuse: int = 1) -> AsyncIterator[Place]:
    found, missing = images()
    once = {*SOURCES, *(counter.actor for counter in found if counter.actor not in REUSED)}
    with redis_server(folder) as store:
        path = folder / "app.yaml"
        application = _application(folder, store, found)
        for part in application["spec"]["components"]:
            if reuse > 1 and part["type"] == "component" and part["name"] not in once:
                part["properties"].setdefault("limits", {})["reuse"] = reuse
        path.write_text(json.dumps(application))
        settings = HostSettings(data=folder / "data", cache=CACHE, drain_s_max=5, security=_trust(folder))
        async with Host(settings) as host, aiohttp.ClientSession() as http:
            deployment = await host.deploy(load(path, host.installed))
            yield Place(_url(host, deployment), http, store, missing)


def _url(host: Host, deployment: Deployment) -> str:
    server = host.supervisor.get(deployment.keys["http"])
    assert server is not None
    return _origin(server.urls()[0])


def _origin(url: str) -> str:
    return "/".join(url.split("/")[:3])


@asynccontextmanager
async def across(folder: Path) -> AsyncIterator[Place]:
    """The HTTP server and the store's provider on host a, the actors on host b."""
    found, missing = images()
    with redis_server(folder) as store, nats_server(folder) as server:
        application = _application(folder, store, found)
        actors = []
        for part in application["spec"]["components"]:
            place = "a" if part["name"] in SOURCES else "b"
            spread = [{"name": "there", "requirements": {"place": place}, "fallback": "none"}]
            placed = {"type": "spreadscaler", "properties": {"instances": 1, "spread": spread}}
            part["traits"] = [placed, *part.get("traits", [])]
            actors += [part["name"]] if place == "b" else []
        async with (
            tool(server.url) as client,
            joined_host(server.url, folder / "a", "a", place="a") as a,
            joined_host(server.url, folder / "b", "b", cache=CACHE, security=_trust(folder), place="b"),
            aiohttp.ClientSession() as http,
        ):
            put = await client.model("put", application)
            assert put["result"] == "created", put
            assert (await client.model("deploy.counters"))["result"] == "acknowledged"

            def is_up() -> bool:
                urls = [url for provider in a.host.supervisor for url in provider.urls()]
                placed = all(a.parts.peers.copies(f"counters-{name}") for name in actors)
                return placed and len(urls) == len(application["spec"]["components"]) - len(SOURCES)

            await until(is_up, 180, "every guest")
            url = next(url for provider in a.host.supervisor for url in provider.urls())
            yield Place(_origin(url), http, store, missing)


PLACES = {"in-process": in_process, "across": across, "used-again": partial(in_process, reuse=1000)}
