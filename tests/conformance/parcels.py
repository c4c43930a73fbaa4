"""actors/parcels with guests that misunderstand each other beside it, and programs behind timers: on one host, or with
the HTTP server, the timers and who is called on one, and who calls on another."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from ruamel.yaml import YAML

from lattice.control.manifest import load
from lattice.host import Host, HostSettings
from lattice.invocation import EntityId, Invocation, new_id
from tests.conformance.guests import ACTORS
from tests.support.components import wasm
from tests.support.hosts import guest_wasm
from tests.support.lattices import cluster_key, joined_host, signing, tool, until
from tests.support.servers import nats_server

INTERFACE = "lattice:parcels/postage"
KEY = cluster_key(1)
"""By which the two hosts sign their calls."""
NEAR = ("http", "cron", "postage", "other-postage")
"""What runs on host a."""
IMAGES = {"parcels": "parcels/parcels.wasm", "parcels-component": "parcels-component/parcels-component.wasm"}
CALLERS = {"c": "parcels", "component": "parcels-component"}
"""The two that ask postage, by the path they are served under."""

OTHER_POSTAGE = wasm("""(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "price") (param i32 i32) (result i32) (i32.const 7)))
  (core instance $m (instantiate $m))
  (alias core export $m "memory" (core memory $memory))
  (alias core export $m "realloc" (core func $realloc))
  (func $price (param "country" string) (result u32)
    (canon lift (core func $m "price") (memory $memory) (realloc $realloc)))
  (instance $own (export "price" (func $price)))
  (export "lattice:parcels/postage@0.3.0" (instance $own)))""")
"""It has the same interface by name, and other types: a country as a text, and only a number of cents."""

_JOB = """(component
  (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit-with-code" (func (param "status-code" u8)))))
  (core func $leave (canon lower (func $exit "exit-with-code")))
  (core module $m (import "" "leave" (func $leave (param i32))) (func (export "run") (result i32) {body}))
  (core instance $m (instantiate $m (with "" (instance (export "leave" (func $leave))))))
  (func $run (result (result)) (canon lift (core func $m "run")))
  (instance $own (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $own)))"""
JOBS = {
    "job-done": "(i32.const 0)",
    "job-failed": "(i32.const 1)",
    "job-left": "(call $leave (i32.const 0)) unreachable",
    "job-code": "(call $leave (i32.const 3)) unreachable",
    "job-trap": "unreachable",
}
"""Programs by what they do in the end."""


class Place(NamedTuple):
    """The running application. `host` is the one whose owner calls, `far` the one with what calls postage."""

    url: str
    http: aiohttp.ClientSession
    host: Host
    far: Host
    nats: str

    async def ask(self, path: str) -> tuple[int, Any]:
        async with self.http.get(self.url + path) as response:
            return response.status, await response.json()

    async def call(self, host: Host, actor: str, operation: str, payload: bytes) -> bytes:
        """As the owner of a host."""
        return await host.pipeline(
            Invocation(
                origin=EntityId(host.key),
                contract="",
                operation=operation,
                payload=payload,
                id=new_id(),
                deadline=time.monotonic() + 20,
                target=EntityId(f"parcels-{actor}"),
            )
        )


def application(folder: Path) -> dict[str, Any]:
    """The manifest as the tests run it."""
    found: dict[str, Any] = YAML(typ="safe").load((ACTORS / "parcels" / "app.yaml").read_text())
    parts = {part["name"]: part for part in found["spec"]["components"]}
    http = parts["http"]
    http["properties"]["config"] = {"address": "127.0.0.1:0"}
    for link in http["traits"]:
        del link["properties"]["source_config"]["address"]
    parts["postage"]["properties"] = {"image": f"file://{ACTORS / 'postage' / 'postage.wasm'}"}
    for name, image in IMAGES.items():
        parts[name]["properties"] = {"image": f"file://{ACTORS / image}"}
    _put(parts, folder, "other-postage", OTHER_POSTAGE)
    for path, name in CALLERS.items():
        for kind, target in (("misled", "other-postage"), ("unlinked", "")):
            part = {**parts[name], "name": f"{kind}-{path}", "traits": []}
            if target:
                part["traits"] = [{"type": "link", "properties": {"target": target, "contract": INTERFACE}}]
            parts[part["name"]] = part
            route = {"target": part["name"], "source_config": {"path": f"/{part['name']}"}}
            http["traits"].append({"type": "link", "properties": route})
    _put(parts, folder, "relay", guest_wasm("relay"))
    parts["relay"]["traits"] = [{"type": "link", "properties": {"target": "postage", "contract": INTERFACE}}]
    cron: dict[str, Any] = {
        "name": "cron",
        "type": "capability",
        "properties": {"image": "builtin://cron"},
        "traits": [],
    }
    parts["cron"] = cron
    for name, body in JOBS.items():
        _put(parts, folder, name, wasm(_JOB.format(body=body)))
        timer = {"target": name, "name": name, "source_config": {"every": "200ms"}}
        cron["traits"].append({"type": "link", "properties": timer})
    found["spec"]["components"] = list(parts.values())
    return found


def _put(parts: dict[str, Any], folder: Path, name: str, data: bytes) -> None:
    path = folder / f"{name}.wasm"
    path.write_bytes(data)
    parts[name] = {"name": name, "type": "component", "properties": {"image": f"file://{path}"}}


def _url(host: Host) -> str:
    urls = [url for provider in host.supervisor for url in provider.urls()]
    return "/".join(urls[0].split("/")[:3]) if urls else ""


@asynccontextmanager
async def in_process(folder: Path) -> AsyncIterator[Place]:
    path = folder / "app.yaml"
    path.write_text(json.dumps(application(folder)))
    settings = HostSettings(data=folder / "data", drain_s_max=5)
    async with Host(settings) as host, aiohttp.ClientSession() as http:
        await host.deploy(load(path, host.installed))
        yield Place(_url(host), http, host, host, "")


@asynccontextmanager
async def across(folder: Path) -> AsyncIterator[Place]:
    with nats_server(folder) as server:
        found = application(folder)
        for part in found["spec"]["components"]:
            place = "a" if part["name"] in NEAR else "b"
            spread = [{"name": "there", "requirements": {"place": place}, "fallback": "none"}]
            placed = {"type": "spreadscaler", "properties": {"instances": 1, "spread": spread}}
            part["traits"] = [placed, *part.get("traits", [])]
        far = [f"parcels-{part['name']}" for part in found["spec"]["components"] if part["name"] not in NEAR]
        async with (
            tool(server.url) as client,
            joined_host(server.url, folder / "a", "a", security=signing(KEY), place="a") as a,
            joined_host(server.url, folder / "b", "b", security=signing(KEY), place="b") as b,
            aiohttp.ClientSession() as http,
        ):
            put = await client.model("put", found)
            assert put["result"] == "created", put
            assert (await client.model("deploy.parcels"))["result"] == "acknowledged"

            def is_up() -> bool:
                here = [url for provider in a.host.supervisor for url in provider.urls()]
                near = all(b.parts.peers.copies(f"parcels-{name}") for name in ("postage", "other-postage"))
                return near and all(a.parts.peers.copies(key) for key in far) and len(here) == 2 * len(CALLERS) + 2

            await until(is_up, 60, "every guest")
            yield Place(_url(a.host), http, a.host, b.host, server.url)


PLACES = {"in-process": in_process, "across": across}
