"""The conformance actor of each SDK: how it is built, and a real host with real providers around it."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from lattice import errors
from lattice.authoring import resources
from lattice.authoring.project import Project
from lattice.authoring.toolchains import TOOLCHAINS
from lattice.authoring.toolchains.rust import COMPONENT_TARGET, Rust
from lattice.control.manifest import load
from lattice.host import Host, HostSettings
from tests.actors.applications import RunningApplication

CACHE = Path(__file__).parents[2] / ".cache" / "sdk"
"""Modules by the digest of what they are made of: some take a minute to build."""

SOURCES: dict[str, str] = {
    "assemblyscript": "conformance.ts",
    "c": "conformance.c",
    "go": "conformance/main.go",
    "python": "conformance.py",
    "rust": "conformance/src/lib.rs",
    "rust-component": "conformance/src/lib.rs",
    "typescript": "conformance.ts",
    "zig": "conformance.zig",
}
"""The source of each language's conformance actor, in the folder of its SDK. One in a folder of its own, such as
`conformance/main.go`, brings that along. The SDK for Rust makes components too."""
COMPONENT = "-component"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"].startswith("application/json"), self
        return json.loads(self.body)

    @property
    def error(self) -> str:
        text = self.json["error"]
        assert isinstance(text, str)
        return text


class Conformance(NamedTuple):
    """The running actor of one language."""

    language: str
    running: RunningApplication
    page: str
    """A URL that the actor may fetch: it answers "outside"."""

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """`body` is sent as JSON, or as it is when it is bytes."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        async with self.running.http.request(method, path, data=data, headers=headers) as response:
            names = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, names, await response.read())

    async def get(self, path: str) -> Any:
        answer = await self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.json

    async def post(self, path: str, body: object) -> Any:
        answer = await self.ask("POST", path, body)
        assert answer.status == 200, answer
        return answer.json

    async def stored(self, key: str) -> Any:
        return (await self.post("/kv/get", {"key": key}))["value"]


def module(language: str) -> Path:
    """The built conformance actor. Skips the test where the compiler is missing."""
    sdk = resources.sdk(language.removesuffix(COMPONENT))
    toolchain = TOOLCHAINS[language.removesuffix(COMPONENT)]
    try:
        tool = toolchain.find()
    except errors.ToolMissing as missing:
        pytest.skip(f"{missing}; {missing.remedy}")
    if language == "rust-component" and not Rust().has_target(COMPONENT_TARGET):
        pytest.skip(f"LATTICE_NO_COMPONENTS_IN_RUST: rustup target add {COMPONENT_TARGET}")
    digest = hashlib.sha256(tool.version.encode())
    for path in sorted(path for path in sdk.rglob("*") if path.is_file() and not _is_built(path.relative_to(sdk))):
        digest.update(f"{path.relative_to(sdk)}\0".encode() + path.read_bytes())
    built = CACHE / f"{language}-{digest.hexdigest()[:24]}.wasm"
    if not built.exists():
        scratch = CACHE / f"{language}-scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            out = Path(folder) / "out.wasm"
            toolchain.build(_project(language, sdk, Path(folder) / "conformance"), out, scratch)
            out.replace(built)
    return built


def _is_built(path: Path) -> bool:
    """Left by a compiler or a test runner, and no part of the SDK."""
    return bool({"target", "node_modules", "__pycache__", ".zig-cache", "zig-out"} & set(path.parts))


def _project(language: str, sdk: Path, folder: Path) -> Project:
    """A project of the user's kind: the SDK is somewhere else."""
    source = Path(SOURCES[language])
    folder.mkdir()
    if len(source.parts) > 1:
        shutil.copytree(sdk / source.parts[0], folder, dirs_exist_ok=True)
        source = Path(*source.parts[1:])
    else:
        shutil.copy(sdk / source, folder)
    if language == "rust-component":
        manifest = folder / "Cargo.toml"
        manifest.write_text(manifest.read_text().replace('sdk/rust"', 'sdk/rust", features = ["component"]'))
    return Project(folder=folder, name="conformance", language=language.removesuffix(COMPONENT), source=str(source))


def _link(target: str, contract: str, name: str = "default", **config: str) -> dict[str, Any]:
    namespace, _, package = contract.partition(":")
    properties: dict[str, Any] = {"target": target, "namespace": namespace, "package": package, "name": name}
    return {"type": "link", "properties": {**properties, **({"target_config": config} if config else {})}}


def _route(contract: str, name: str = "default", **config: str) -> dict[str, Any]:
    link = _link("actor", contract, name)
    link["properties"]["source_config"] = config
    return link


def _provider(name: str, image: str, *traits: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "type": "capability", "properties": {"image": f"builtin://{image}"}, "traits": list(traits)}


def application(image: Path, fetched: str) -> dict[str, Any]:
    """The manifest. `fetched` is the host and port that the actor may fetch from."""
    links = (
        _link("kv", "wasmcloud:keyvalue", bucket="one"),
        _link("kv", "wasmcloud:keyvalue", "other", bucket="two"),
        _link("messages", "wasmcloud:messaging"),
        _link("blobs", "wasmcloud:blobstore", root="blobs"),
        _link("database", "wasmcloud:sqldb", path="books.db"),
        _link("client", "wasmcloud:httpclient", allowed_hosts=fetched, allow_private="true"),
    )
    properties = {"image": f"file://{image}", "alias": "actor", "limits": {"memory": "256MiB"}}
    components = [
        {"name": "actor", "type": "component", "properties": properties, "traits": list(links)},
        _provider("kv", "keyvalue-sqlite"),
        _provider("messages", "messaging-memory", _route("wasmcloud:messaging", subscriptions="in.>")),
        _provider("blobs", "blobstore-fs"),
        _provider("database", "sql-sqlite"),
        _provider("client", "http-client"),
        _provider("http", "http-server", _route("wasmcloud:httpserver", address="127.0.0.1:0")),
        _provider("timer", "cron", _route("lattice:cron", "beat", every="100ms", at_start="true")),
    ]
    return {
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "metadata": {"name": "conformance", "annotations": {"version": "v0.1.0"}},
        "spec": {"components": components},
    }


async def _page(_request: web.Request) -> web.Response:
    return web.Response(text="outside")


@asynccontextmanager
async def conformance(language: str, folder: Path) -> AsyncIterator[Conformance]:
    """The actor of a language, running and linked to everything."""
    image = module(language)
    outside = web.Application()
    outside.router.add_get("/page", _page)
    async with TestServer(outside, host="127.0.0.1") as server:
        place = f"127.0.0.1:{server.port}"
        async with _running(application(image, place), folder) as running:
            yield Conformance(language, running, f"http://{place}/page")


@asynccontextmanager
async def _running(application: dict[str, Any], folder: Path) -> AsyncIterator[RunningApplication]:
    manifest = folder / "app.yaml"
    manifest.write_text(json.dumps(application))
    settings = HostSettings(data=folder / "data", cache=CACHE / "compiled", drain_s_max=5)
    async with Host(settings) as host:
        deployment = await host.deploy(load(manifest, host.installed))
        server = host.supervisor.get(deployment.keys["http"])
        assert server is not None
        origin = server.urls()[0].split("/", 3)
        async with aiohttp.ClientSession("/".join(origin[:3])) as http:
            yield RunningApplication(host, deployment, http)
