"""A canary: real hosts with providers that fail loudly with their secrets.

Everything that leaves the process is searched for them, in the forms in which they could be written: output, NATS and
its store, files, children, answers, the local socket.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg

from lattice import subjects
from lattice.security import sealing
from lattice.transport.nats import connect
from lattice.transport.settings import NatsSettings
from tests.e2e import loud
from tests.e2e.running import COUNTER
from tests.support.servers import free_port, redis_server

ROOT = Path(__file__).parents[2]
CORE = "zq9Xcanary"
"""In every secret; none of its letters changes when it is quoted."""
FROM_ENVIRONMENT, FROM_FILE, FROM_BUCKET = f"{CORE}-env", f"{CORE}/file", f"{CORE}+bucket"
WAIT_S = 40.0
FORMS = ("plain", "quoted", "base64", "connection", "hex", "own")


def traces() -> dict[str, bytes]:
    """How the canary can look, made apart from what takes it out."""
    found = {"text": CORE.encode(), "hex": CORE.encode().hex().encode(), "HEX": CORE.encode().hex().upper().encode()}
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + CORE.encode() + b"\0\0\0")
        found[f"base64 {shift}"] = coded[2 * shift : -6]
    return found


def leaks(where: str, data: bytes | str) -> list[str]:
    data = data.encode() if isinstance(data, str) else data
    return [f"{where}: {form}: ...{data[max(0, data.index(trace) - 80) :][:200]!r}"
            for form, trace in traces().items() if trace in data]  # fmt: skip


def leaks_of_files(folder: Path) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            found += leaks(str(path), path.read_bytes())
    return found


def leaks_of_processes(pid: int) -> list[str]:
    """Its arguments, and those and the variables of its children."""
    found = leaks("arguments of the host", Path(f"/proc/{pid}/cmdline").read_bytes())
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in children:
        for name in ("cmdline", "environ"):
            found += leaks(f"{name} of a child", Path(f"/proc/{child}/{name}").read_bytes())
    return found


@pytest.mark.parametrize("text", [f"x{CORE}x", f"ab{CORE}"])
def test_the_search_finds_what_it_looks_for(text: str) -> None:
    for coded in (text, base64.b64encode(text.encode()).decode(), text.encode().hex(), text.encode().hex().upper()):
        assert leaks("here", coded)


class World:
    """One host process, its secrets, and the commands that drive it."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        (folder / "secrets").mkdir()
        (folder / "secrets" / "value").write_text(FROM_FILE + "\n")
        (folder / "secrets" / "keys.xk").write_text(sealing.generate().seed + "\n")
        (folder / "security.toml").write_text(
            '[actors]\nissuers = "any"\nunsigned = true\n\n[secrets]\nfiles = ["secrets"]\nkeys = ["secrets/keys.xk"]\n'
        )
        loud.install(folder / "plugins")
        (folder / "app").mkdir()
        (folder / "app" / "counter.wasm").write_bytes(COUNTER.read_bytes())
        (folder / "out").mkdir()
        path = [str(folder / "plugins"), str(ROOT), str(ROOT / "providers")]
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LATTICE")},
            "PYTHONPATH": os.pathsep.join(path),
            "LATTICE_CACHE": str(folder / "cache"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "PYTHONUNBUFFERED": "1",
        }
        self.secrets = {
            "LATTICE_SECRET_VALUE": FROM_ENVIRONMENT,
            "LATTICE_SECRET_REDIS": redis_url.replace("//", f"//:{FROM_ENVIRONMENT}@"),
        }
        self.said: list[tuple[str, bytes]] = []

    def run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[bytes]:
        """A command of a person, who has none of the host's variables; what it says is kept."""
        done = subprocess.run(
            [sys.executable, "-m", "lattice", *arguments],
            input=given.encode(),
            capture_output=True,
            env=self.environment,
            timeout=WAIT_S,
        )
        self.said.append((f"lattice {' '.join(arguments)}", done.stdout + done.stderr))
        return done

    def document(self, *arguments: str) -> Any:
        done = self.run(*arguments, "-o", "json")
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def ask(self, url: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(url, timeout=WAIT_S) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read() + str(error.headers).encode()
        self.said.append((url, body))
        return status, body.decode()

    @contextmanager
    def process(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        out, err = self.folder / "out" / "stdout", self.folder / "out" / "stderr"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "lattice", *arguments, "--log-level", "debug"],
                stdout=stdout,
                stderr=stderr,
                stdin=subprocess.DEVNULL,
                env={**self.environment, **self.secrets},
            )
        try:
            yield process
        finally:
            process.kill() if process.poll() is None else None
            process.wait(WAIT_S)

    @property
    def log(self) -> str:
        return (self.folder / "out" / "stderr").read_text()

    def manifest(self, port: int, *, bucket: bool) -> Path:
        """Providers that fail in what they do, at their start, by their settings, and by an address of nonsense."""
        stored = {"policy": "bucket", "key": "loud/value"} if bucket else {"policy": "file", "key": "value"}
        components: list[Any] = [provider("loud", "loud", secret("value", stored))]
        components += [provider("redis", "keyvalue-redis", secret("url", env("LATTICE_SECRET_REDIS")))]
        links = {"loud": [secret("value", env("LATTICE_SECRET_VALUE"))], "redis": []}
        if bucket:
            components += [provider("broken", "keyvalue-redis", secret("connections_max", file("value")))]
            components += [provider("nonsense", "keyvalue-redis")]
            links["nonsense"] = [secret("url", file("value"))]
        routes = []
        for name, given in links.items():
            actor = {"image": "file://counter.wasm"}
            traits = [link({"target": {"name": name, "secrets": given}})]
            components.append({"name": f"at-{name}", "type": "actor", "properties": actor, "traits": traits})
            routes.append(link({"target": f"at-{name}", "source_config": {"path": f"/{name}"}}))
        http = provider("http", "http-server")
        http["properties"]["config"] = {"address": f"127.0.0.1:{port}"}
        components.append({**http, "traits": routes})
        head = {"apiVersion": "core.oam.dev/v1beta1", "kind": "Application", "metadata": {"name": "shop"}}
        path = self.folder / "app" / "app.yaml"
        path.write_text(json.dumps({**head, "spec": {"components": components}}))
        return path

    def everything_said(self) -> list[str]:
        found = [leak for what, data in self.said for leak in leaks(what, data)]
        return found + leaks_of_files(self.data) + leaks_of_files(self.folder / "out")


def provider(name: str, image: str, *secrets: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {"image": f"builtin://{image}", "secrets": list(secrets)}
    return {"name": name, "type": "capability", "properties": properties}


def link(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "link", "properties": properties}


def secret(name: str, properties: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "properties": properties}


def env(key: str) -> dict[str, str]:
    return {"policy": "env", "key": key}


def file(key: str) -> dict[str, str]:
    return {"policy": "file", "key": key}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """With a Redis whose password is another one."""
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as redis:
        with socket.create_connection(("127.0.0.1", redis.port)) as connection:
            connection.sendall(b"CONFIG SET requirepass another\r\n")
            assert connection.recv(100) == b"+OK\r\n"
        yield World(tmp_path, redis.url)


def until(condition: Any, what: Any) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


def ask_everything(world: World, port: int) -> None:
    """Every failing call, and what its caller is told."""
    for form in FORMS:
        status, body = world.ask(f"http://127.0.0.1:{port}/loud/{form}")
        assert status >= 500
        assert "[secret]" in body, body
    status, body = world.ask(f"http://127.0.0.1:{port}/redis/x")
    assert status >= 500, body


def test_nothing_of_lattice_up_tells_a_secret(world: World) -> None:
    port = free_port()
    manifest = world.manifest(port, bucket=False)
    options = ("--security", str(world.folder / "security.toml"), "--data", str(world.data))
    with world.process("up", str(manifest), *options) as process:
        until(lambda: "shop is up" in (world.folder / "out" / "stdout").read_text(), lambda: world.log)
        until(lambda: "loud is unhealthy" in world.log, lambda: world.log)
        ask_everything(world, port)
        here = ("--data", str(world.data))
        for what in ("inventory", "links"):
            shown = json.dumps(world.document("get", what, *here))
        assert "LATTICE_SECRET_REDIS" in shown or "LATTICE_SECRET_VALUE" in shown, "references are no secrets"
        world.run("call", "at-loud", "Test.Op", *here)
        assert leaks_of_processes(process.pid) == []
        assert leaks("the host's own variables", Path(f"/proc/{process.pid}/environ").read_bytes()), "the source"
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
    assert "starts with [secret]" in world.log
    assert "a warning with [secret]" in world.log
    assert "a thread failed with [secret]" in world.log
    assert world.everything_said() == []


@asynccontextmanager
async def overhearing(url: str, heard: list[tuple[str, bytes]]) -> AsyncIterator[None]:
    client = await nats.connect(url)

    async def take(message: Msg) -> None:
        heard.append((f"NATS {message.subject}", message.data + str(message.headers).encode()))

    await client.subscribe(">", cb=take)
    await client.flush()
    try:
        yield
    finally:
        await client.drain()


async def test_nothing_of_a_lattice_tells_a_secret(world: World) -> None:
    """The host brings its nats-server, whose traffic is overheard and whose store is read."""
    port, nats_port = free_port(), free_port()
    url = f"nats://127.0.0.1:{nats_port}"
    manifest = world.manifest(port, bucket=True)
    keys = str(world.folder / "secrets" / "keys.xk")
    security = ("--security", str(world.folder / "security.toml"))
    place = ("--nats", "embedded", "--nats-port", str(nats_port), "--data", str(world.data))
    to = ("--nats", url)
    with world.process("host", *security, *place) as process:
        await asyncio.to_thread(
            until, lambda: b"ready" in (world.folder / "out" / "stdout").read_bytes(), lambda: world.log
        )
        async with overhearing(url, world.said):
            await asyncio.to_thread(drive, world, manifest, port, keys, to, process.pid)
            await read_store(world, url)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, WAIT_S) == 0
    assert any(what.startswith("NATS wasmbus.evt") for what, _ in world.said)
    assert any(what.startswith("NATS $KV.SECRETS_default") for what, _ in world.said)
    assert "starts with [secret]" in world.log
    assert world.everything_said() == []


def drive(world: World, manifest: Path, port: int, keys: str, to: tuple[str, ...], pid: int) -> None:
    """Deploys, and waits until everything has failed as it should."""
    done = world.run("secret", "put", "loud/value", "--keys", keys, *to, given=FROM_BUCKET + "\n")
    assert done.returncode == 0, done.stderr.decode()
    assert world.document("secret", "list", *to)[0]["name"] == "loud/value"
    assert world.run("app", "put", str(manifest), *to).returncode == 0
    assert world.run("app", "deploy", "shop", *to).returncode == 0

    def failed() -> bool:
        status = world.document("app", "status", "shop", *to)
        return json.dumps(status).count("[secret]") >= 1 and "loud is unhealthy" in world.log

    until(failed, lambda: world.log)
    until(lambda: "[secret]" in world.ask(f"http://127.0.0.1:{port}/loud/plain")[1], lambda: world.said[-1])
    ask_everything(world, port)
    for words in (
        ("get", "hosts"),
        ("get", "inventory"),
        ("get", "links"),
        ("app", "get", "shop"),
        ("config", "get", "x"),
    ):
        world.run(*words, *to, "-o", "json")
    for words in (("get", "inventory"), ("get", "links")):
        assert world.document(*words, "--data", str(world.data))
    world.run("secret", "rotate", "--keys", keys, *to)
    assert leaks_of_processes(pid) == []
    environ = [Path(f"/proc/{child}/environ").read_bytes() for child in children(pid)]
    assert environ, "nats-server is a child"
    assert all(b"LATTICE_SECRET" not in one for one in environ)


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def read_store(world: World, url: str) -> None:
    """What the lattice keeps, unpacked: it is compressed in the files of the store."""
    transport = await connect(NatsSettings(urls=(url,)))
    try:
        for name in ("manifest", "data", "config", "lease", "secret"):
            bucket = await transport.bucket(getattr(subjects, f"{name}_bucket")("default"))
            for entry in await bucket.changes(0):
                value = entry.value or b""
                world.said.append((f"{name} {entry.key}", value))
                if name == "manifest":
                    world.said.append((f"{name} {entry.key}, unpacked", zlib.decompress(value)))
    finally:
        await transport.close()
