"""The templates of Python, TypeScript and JavaScript do what actors/templates/README.md says, as components on a host.

Those of Python take ten seconds each to build: one is, the one that uses most, and the others run as they are.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from nanolattice import answering, guest, host, http, messaging, msgpack, timers

from lattice import wasmfile, wire
from lattice.authoring import capabilities, creating, resources
from lattice.authoring.project import Project
from lattice.authoring.toolchains import toolchain
from lattice.contracts import cron, httpserver
from tests.actors.applications import RunningApplication, application, eventually
from tests.sdk.actors import CACHE
from tests.support.authoring import require_toolchain

WAIT_S = 30.0
"""For what happens by itself. It takes milliseconds, but machines are busy."""
CONTRACTS = {
    "http": {"wasmcloud:httpserver", "wasmcloud:keyvalue"},
    "counter": {"wasmcloud:httpserver", "wasmcloud:keyvalue"},
    "worker": {"wasmcloud:httpserver", "wasmcloud:keyvalue", "wasmcloud:messaging", "wasmcloud:blobstore"},
    "cron": {"wasmcloud:httpserver", "wasmcloud:keyvalue", "lattice:cron"},
}
SCRIPTS = ("typescript", "javascript")


def built(folder: Path, language: str, template: str) -> Project:
    """A project whose module is where its manifest looks for it; from .cache/, if nothing that makes it changed."""
    require_toolchain(language)
    project = creating.create("word-count", language, template, folder)
    chain = toolchain(language)
    assert chain.contracts(project) == CONTRACTS[template]
    sdk = resources.sdk("python" if language == "python" else "typescript")
    digest = hashlib.sha256(f"{language} {chain.find().version}".encode())
    for path in sorted([project.folder / project.source, *sdk.rglob("*.py"), *sdk.rglob("*.ts"), *sdk.rglob("*.mjs")]):
        digest.update(path.read_bytes())
    kept = CACHE / f"{language}-{template}-{digest.hexdigest()[:24]}.wasm"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            out = Path(scratch) / "out.wasm"
            chain.build(project, out, Path(scratch))
            out.replace(kept)
    project.target.parent.mkdir()
    project.target.write_bytes(kept.read_bytes())
    data = project.target.read_bytes()
    assert capabilities.takes_messages(data, wasmfile.describe(data)) == (template == "worker")
    return project


def running(project: Project, tmp_path: Path, **replaced: str) -> Any:
    return application(project.manifest, tmp_path / "data", cache=CACHE / "compiled", **replaced)


async def ask(client: aiohttp.ClientSession, method: str, path: str, body: object = None) -> tuple[int, Any]:
    text = isinstance(body, str)
    async with client.request(method, path, data=body if text else None, json=None if text else body) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("language", SCRIPTS)
async def test_http(tmp_path: Path, language: str) -> None:
    project = built(tmp_path, language, "http")
    async with running(project, tmp_path) as served:
        assert await ask(served.http, "GET", "/") == (200, {"actor": "word-count"})
        ada = {"name": "Ada é", "age": 36}
        assert await ask(served.http, "POST", "/people", ada) == (201, ada)
        assert await ask(served.http, "GET", "/people/Ada%20%C3%A9") == (200, ada)
        for wrong, field in (({"name": "Ada"}, "age"), ({"name": 1, "age": 1}, "name")):
            status, answer = await ask(served.http, "POST", "/people", wrong)
            assert (status, field in answer["error"]) == (400, True)
        for path in ("/people/nobody", "/nowhere"):
            assert (await ask(served.http, "GET", path))[0] == 404


@pytest.mark.parametrize("language", SCRIPTS)
async def test_counter(tmp_path: Path, language: str) -> None:
    project = built(tmp_path, language, "counter")
    async with running(project, tmp_path) as served:
        counted = [await ask(served.http, "GET", path) for path in ("/", "/a/b", "/")]
        assert counted == [(200, {"count": 1}), (200, {"count": 1}), (200, {"count": 2})]
        assert (await ask(served.http, "POST", "/"))[0] == 405


@pytest.mark.parametrize("language", ["python", *SCRIPTS])
async def test_worker(tmp_path: Path, language: str) -> None:
    project = built(tmp_path, language, "worker")
    async with running(project, tmp_path) as served:
        assert (await ask(served.http, "GET", "/jobs/one"))[0] == 404
        assert await ask(served.http, "POST", "/jobs/one", "to be  or not\nto be ") == (202, {"id": "one"})
        await done(served)
    [result] = [path for path in (tmp_path / "data").rglob("*") if path.is_file() and path.read_bytes() == b"6 words"]
    assert result.name


async def done(served: RunningApplication) -> None:
    async def is_done() -> bool:
        return await ask(served.http, "GET", "/jobs/one") == (200, {"id": "one", "words": 6})

    await eventually(is_done, WAIT_S)


@pytest.mark.parametrize("language", SCRIPTS)
async def test_cron(tmp_path: Path, language: str) -> None:
    project = built(tmp_path, language, "cron")
    async with running(project, tmp_path, often="every: 5s -> every: 200ms") as served:

        async def ticked() -> bool:
            status, answer = await ask(served.http, "GET", "/")
            assert status == 200
            return bool(answer["ticks"] >= 2 and answer["last"] > 1_700_000_000_000)

        await eventually(ticked, WAIT_S)


# ---- Python, without a component around it


@pytest.fixture
def store() -> Iterator[dict[str, Any]]:
    """A key-value store behind the SDK."""
    values: dict[str, Any] = {}

    def call(_link: str, _target: str, operation: str, payload: bytes) -> bytes:
        message = msgpack.unpack(payload)
        if operation == "KeyValue.Get":
            return msgpack.pack({"value": str(values.get(message, "")), "exists": message in values})
        if operation == "KeyValue.Set":
            values[message["key"]] = message["value"]
            return b""
        assert operation == "KeyValue.Increment"
        values[message["key"]] = values.get(message["key"], 0) + message["value"]
        return msgpack.pack(values[message["key"]])

    host.use(call)
    yield values
    for table in (http.routes, messaging.handlers, timers.handlers, answering.handlers):
        table.clear()


def start(folder: Path, template: str) -> None:
    project = creating.create("word-count", "python", template, folder)
    assert toolchain("python").contracts(project) == CONTRACTS[template]
    spec = importlib.util.spec_from_file_location(f"template_{template}", project.folder / project.source)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def request(method: str, path: str, body: object = None) -> tuple[int, Any]:
    message = httpserver.HttpRequest(
        method=method, path=path, query_string="", header={}, body=b"" if body is None else json.dumps(body).encode()
    )
    reply = wire.reply_decoder(httpserver.HANDLE_REQUEST)(guest.serve("HttpServer.HandleRequest", wire.encode(message)))
    return reply.status_code, json.loads(reply.body)


def test_python_http(tmp_path: Path, store: dict[str, Any]) -> None:
    start(tmp_path, "http")
    assert request("GET", "/") == (200, {"actor": "word-count"})
    assert request("POST", "/people", {"name": "Ada", "age": 36}) == (201, {"name": "Ada", "age": 36})
    assert request("GET", "/people/Ada") == (200, {"name": "Ada", "age": 36})
    assert list(store) == ["people:Ada"]
    assert request("POST", "/people", {"name": "Ada"}) == (400, {"error": "age is missing"})
    assert request("GET", "/people/nobody")[0] == request("GET", "/nowhere")[0] == 404


def test_python_counter(tmp_path: Path, store: dict[str, Any]) -> None:
    start(tmp_path, "counter")
    assert [request("GET", path)[1] for path in ("/", "/a/b", "/")] == [{"count": 1}, {"count": 1}, {"count": 2}]
    assert request("POST", "/")[0] == 405
    assert store == {"count:/": 2, "count:/a/b": 1}


def test_python_cron(tmp_path: Path, store: dict[str, Any]) -> None:
    start(tmp_path, "cron")
    assert request("GET", "/") == (200, {"ticks": 0, "last": 0})
    for due in (5, 6):
        guest.serve("Cron.HandleTick", wire.encode(cron.Tick(timer="default", scheduled_ms=due, now_ms=7)))
    assert request("GET", "/") == (200, {"ticks": 2, "last": 6})
