"""A component in Python that calls every interface, made by componentize-py, with the real providers behind it.

It is built where the tool and the WIT definitions are, and kept in .cache/.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from lattice_blobstore_fs import BlobstoreFs
from lattice_builtin import Logging
from lattice_http_client import HttpClient
from lattice_keyvalue_sqlite import KeyValueSqlite

from lattice import errors, wire
from lattice.artifacts.cache import CompiledCache
from lattice.config import EngineSettings, Limits, Surroundings, Volume
from lattice.contracts import cron, httpserver, messaging
from lattice.invocation import Handler, Invocation
from lattice.testing import provider_rig
from lattice.wasm import components
from lattice.wasm.engine import Engine
from lattice.wasm.guest import ActorContext, Guest
from tests.providers.http_client_servers import LOOPBACK, serving
from tests.support.wasi import invocation

ROOT = Path(__file__).resolve().parents[3]
KEPT = ROOT / ".cache" / "components"
SOURCE = ROOT / "tests" / "guests" / "components" / "everything"
PACKAGES = ("io", "clocks", "random", "cli", "http", "filesystem", "sockets")
LIMITS = Limits(memory_bytes_max=256 * 1024 * 1024, time_s_max=20.0)


def definitions() -> Path:
    """The WIT packages of the newest WASI 0.2 that jco carries."""
    modules = os.environ.get("LATTICE_COMPONENT_MODULES")
    if modules is None:
        pytest.skip("the definitions of WASI are not here: LATTICE_COMPONENT_MODULES names the node_modules with jco")
    builtin = Path(modules) / "@bytecodealliance" / "jco" / "lib" / "wit" / "builtin"
    whole = [one for one in builtin.glob("0.2.*") if all((one / f"wasi-{name}").is_dir() for name in PACKAGES)]
    if not whole:
        pytest.skip(f"{builtin} has no whole WASI 0.2")
    return max(whole, key=lambda path: int(path.name.rpartition(".")[2]))


@pytest.fixture
def built(tmp_path: Path) -> bytes:
    tool = os.environ.get("LATTICE_COMPONENTIZE_PY") or shutil.which("componentize-py")
    if tool is None:
        pytest.skip("componentize-py is not here: pip install componentize-py, or set LATTICE_COMPONENTIZE_PY")
    wasi = definitions()
    texts = {path.name: path.read_text() for path in sorted(SOURCE.rglob("*.*")) if path.suffix in (".py", ".wit")}
    version = subprocess.run([tool, "--version"], check=True, capture_output=True, text=True, timeout=60).stdout
    name = hashlib.sha256(repr((texts, version, wasi.name)).encode()).hexdigest()[:16]
    kept = KEPT / f"everything-{name}.wasm"
    if not kept.exists():
        wit = tmp_path / "wit"
        for package in PACKAGES:
            shutil.copytree(wasi / f"wasi-{package}", wit / "deps" / f"wasi-{package}")
        for file, text in texts.items():
            if file == "app.py":
                (tmp_path / file).write_text(text)
                continue
            folder = wit if file == "world.wit" else wit / "deps" / Path(file).stem
            folder.mkdir(exist_ok=True)
            (folder / file).write_text(re.sub(r"@0\.2\.12", f"@{wasi.name}", text))
        command = [tool, "-d", "wit", "-w", "everything", "componentize", "app", "-o", "out.wasm"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
        KEPT.mkdir(parents=True, exist_ok=True)
        whole = kept.with_suffix(f".{os.getpid()}")
        whole.write_bytes((tmp_path / "out.wasm").read_bytes())
        whole.rename(kept)
    return kept.read_bytes()


@asynccontextmanager
async def loaded(data: bytes, providers: dict[str, Handler], around: Surroundings) -> AsyncIterator[Guest]:
    async def outbound(call: Invocation) -> bytes:
        return await providers[call.contract](call)

    engine = Engine(EngineSettings())
    try:
        component, _ = components.load(engine, data, CompiledCache(KEPT / "compiled", engine.fingerprint))
        guest = components.guest(component, ActorContext("actor", outbound, LIMITS, around))
        yield guest
        guest.close()
        assert engine.live_instances == 0
    finally:
        engine.close()


async def call(guest: Guest, operation: str, message: Any) -> bytes:
    deadline = time.monotonic() + 20
    instance = await guest.instantiate(deadline)
    try:
        return await instance.serve(invocation(operation, wire.encode(message), 20), deadline)
    finally:
        instance.close()


async def test_a_component_in_python_finds_all_of_it(
    built: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lattice")
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "given.txt").write_text("given")
    (tmp_path / "secret").write_text("secret")
    published: list[bytes] = []

    async def publish(made: Invocation) -> bytes:
        published.append(made.payload)
        return b""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=203, text=f"{request.path_qs} {(await request.read()).decode()}")

    async with (
        serving(answer) as server,
        provider_rig(HttpClient, tmp_path) as client,
        provider_rig(KeyValueSqlite, tmp_path) as keyvalue,
        provider_rig(BlobstoreFs, tmp_path) as blobstore,
        provider_rig(Logging, tmp_path) as logs,
    ):
        await client.attach("actor", **LOOPBACK)
        await keyvalue.attach("actor")
        await blobstore.attach("actor")
        rigs = (client, keyvalue, blobstore, logs)
        providers: dict[str, Handler] = {rig.provider.contract.id: rig.provider.handle for rig in rigs}
        providers["wasmcloud:messaging"] = publish
        around = Surroundings(
            environment={"A": "1"},
            volumes=(Volume(host=str(tmp_path / "data"), guest="/data", writable=True),),
            config={"key": "value", "authority": f"127.0.0.1:{server.port}"},
        )
        request = httpserver.HttpRequest(method="GET", path="/", query_string="", header={}, body=b"")
        async with loaded(built, providers, around) as guest:
            reply = await call(guest, "HttpServer.HandleRequest", request)
    found = json.loads(wire.decoder(httpserver.HttpResponse, "the reply")(reply).body)
    assert found["surroundings"] == {
        "slept": True,
        "environment": {"A": "1"},
        "wall clock": True,
        "random": True,
        "config": ["value", None, [["key", "value"], ["authority", around.config["authority"]]]],
    }
    assert (found["files"]["given"], found["files"]["names"]) == ("given", ["given.txt", "sub"])
    assert found["files"]["size"] == 80_003
    assert "PermissionError" in found["files"]["outside"]
    assert "FileNotFoundError" in found["files"]["elsewhere"]
    assert found["keyvalue"] == {
        **{"value": "value", "exists": True, "counter": [3, 7], "many": [True, False]},
        **{"wide": -(2**62), "left by others": "ff", "swapped": "again"},
        "keys": [["counter", "key", "swapped", "wide"], None],
    }
    assert found["blobs"] == {"size": 409_600, "same": True, "names": [["object"], True]}
    assert found["http"] == {"status": 203, "body": "/path?q=1 payload"}
    assert len(published) == 1
    lines = {record.getMessage() for record in caplog.records}
    assert {"printed", "complained", "context: logged"} <= lines
    assert any(line.startswith("refused: actor asks for 'wasi:filesystem open_at") for line in lines)


async def test_a_component_in_python_handles_messages_and_runs_as_a_job(
    built: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lattice")
    async with loaded(built, {}, Surroundings()) as guest:
        good = messaging.SubMessage(subject="good", body=b"a message")
        assert await call(guest, "MessageSubscriber.HandleMessage", good) == b""
        with pytest.raises(errors.GuestError, match="not that one"):
            await call(guest, "MessageSubscriber.HandleMessage", messaging.SubMessage(subject="bad", body=b""))
        assert await call(guest, "Cron.HandleTick", cron.Tick(timer="t", scheduled_ms=1, now_ms=1)) == b""
    assert {"got a message", "ran"} <= {record.getMessage() for record in caplog.records}
