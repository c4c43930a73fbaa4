"""Real components on a real host: an HTTP handler, programs, and what becomes of those that fail or never end."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import wasmtime

from lattice import errors, wire
from lattice.actors import Actor, ActorSpec
from lattice.config import Limits, Surroundings, Volume
from lattice.contracts import cron, httpserver
from lattice.control.manifest import load
from lattice.guests import require_guest
from lattice.host import Host, HostSettings
from lattice.wasm import components
from lattice.wasm.wasi.instance import FileGrant
from lattice.wasmfile import GuestKind
from tests.support.hosts import GuestHost, guest_host

COMPONENTS = Path(__file__).parent.parent.parent / "guests" / "components"
TICK = wire.encode(cron.Tick(timer="t", scheduled_ms=1, now_ms=1))
read_response = wire.decoder(httpserver.HttpResponse, "the response")


def component(name: str) -> bytes:
    return bytes(wasmtime.wat2wasm((COMPONENTS / f"{name}.wat").read_text()))


@asynccontextmanager
async def host_with(
    folder: Path, *names: str, cache: Path | None = None, **limits: int | float
) -> AsyncIterator[GuestHost]:
    async with guest_host(folder, cache=cache) as guests:
        for name in names:
            await start(guests, folder, name, **limits)
        yield guests


async def start(guests: GuestHost, folder: Path, name: str, **limits: int | float) -> Actor:
    path = folder / f"{name}.wasm"
    path.write_bytes(component(name))
    spec = ActorSpec(key=name, name=name, image=path, application="test", limits=Limits(**limits))  # type: ignore[arg-type]
    return await guests.host.actors.start(spec)


def request(body: bytes = b"") -> bytes:
    return wire.encode(httpserver.HttpRequest(method="POST", path="/", query_string="", header={}, body=body))


async def ask(guests: GuestHost, body: bytes) -> bytes:
    reply = read_response(await guests.call("http_echo", request(body), operation="HttpServer.HandleRequest"))
    assert reply.status_code == 200
    return reply.body or b""


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 65_536, 1_000_000])
async def test_a_component_answers_with_the_body_it_was_sent(tmp_path: Path, size: int) -> None:
    body = os.urandom(size)
    async with host_with(tmp_path, "http_echo") as guests:
        assert await ask(guests, body) == body


async def test_calls_at_the_same_time_have_instances_of_their_own(tmp_path: Path) -> None:
    bodies = [os.urandom(10_000) for _ in range(30)]
    async with host_with(tmp_path, "http_echo") as guests:
        assert await asyncio.gather(*(ask(guests, body) for body in bodies)) == bodies
        assert guests.host.engine.live_instances == 0


async def test_hundreds_of_instances_leave_nothing_behind(tmp_path: Path) -> None:
    async with host_with(tmp_path, "http_echo") as guests:
        for _ in range(50):
            await ask(guests, bytes(100_000))
        files = len(os.listdir("/proc/self/fd"))
        before = resident_bytes()
        for _ in range(300):
            await ask(guests, bytes(100_000))
        assert resident_bytes() - before < 8 * 1024 * 1024
        assert len(os.listdir("/proc/self/fd")) == files
        assert guests.host.engine.live_instances == 0


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def test_a_response_over_the_limit_of_a_payload_is_refused(tmp_path: Path) -> None:
    async with host_with(tmp_path, "http_echo", payload_bytes_max=100_000) as guests:
        assert await ask(guests, bytes(90_000)) == bytes(90_000)
        with pytest.raises(errors.PayloadTooLarge):
            await ask(guests, bytes(200_000))


async def test_a_component_that_waits_ends_at_its_deadline_and_with_its_caller(tmp_path: Path) -> None:
    async with host_with(tmp_path, "waits", time_s_max=0.3) as guests:
        with pytest.raises(errors.DeadlineExceeded):
            await guests.call("waits", TICK, operation="Cron.HandleTick")
        assert guests.host.engine.live_instances == 0
        call = asyncio.create_task(guests.call("waits", TICK, operation="Cron.HandleTick"))
        while not guests.host.engine.live_instances:
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert guests.host.engine.live_instances == 0


async def test_a_socket_is_refused_in_the_guest_and_in_the_audit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "lattice.audit")
    async with host_with(tmp_path, "wants_socket") as guests:
        with pytest.raises(errors.GuestError, match="exited with code 41"):
            await guests.call("wants_socket", TICK, operation="Cron.HandleTick")
        for _ in range(30):
            with pytest.raises(errors.GuestError):
                await guests.call("wants_socket", TICK, operation="Cron.HandleTick")
    lines = [record.getMessage() for record in caplog.records if record.name == "lattice.audit"]
    assert lines[0].startswith("refused: wants_socket asks for 'wasi:sockets tcp-socket': it is not among")
    assert len(lines) == 21, "the rest of a minute is not told"
    assert "more than 20 times" in lines[-1]


async def test_an_operation_that_a_component_does_not_answer_is_unknown(tmp_path: Path) -> None:
    async with host_with(tmp_path, "http_echo") as guests:
        for operation in ("Cron.HandleTick", "Shop.Buy"):
            with pytest.raises(errors.OperationUnknown):
                await guests.call("http_echo", TICK, operation=operation)
        assert await ask(guests, b"still here") == b"still here"


async def test_a_component_is_compiled_once_and_then_loaded(tmp_path: Path) -> None:
    for known in (False, True):
        async with guest_host(tmp_path, cache=tmp_path / "cache") as guests:
            actor = await start(guests, tmp_path, "http_echo")
            assert actor.revision.from_cache is known
            assert await ask(guests, b"x") == b"x"


async def test_a_component_is_replaced_under_load(tmp_path: Path) -> None:
    async with host_with(tmp_path, "http_echo") as guests:
        calls = [asyncio.create_task(ask(guests, b"%d" % number)) for number in range(20)]
        await guests.host.actors.replace("http_echo", tmp_path / "http_echo.wasm")
        calls += [asyncio.create_task(ask(guests, b"%d" % number)) for number in range(20, 40)]
        assert await asyncio.gather(*calls) == [b"%d" % number for number in range(40)]


def test_what_a_manifest_grants_is_what_the_interfaces_give(tmp_path: Path) -> None:
    around = Surroundings(
        environment={"A": "1"},
        volumes=(Volume(host=str(tmp_path), guest="/data", writable=True),),
        config={"key": "value"},
    )
    grants = components.grants_of(around)
    assert grants.environment == (("A", "1"),)
    assert grants.files == (FileGrant(tmp_path, "/data", True),)
    assert grants.config == {"key": "value"}


@pytest.mark.parametrize("kind", ["wapc", "component", "command"])
def test_configuration_is_for_every_kind_and_an_entrypoint_is_not(
    kind: GuestKind,
) -> None:
    require_guest(kind, Surroundings(config={"key": "value"}))
    if kind != "command":
        with pytest.raises(errors.ConfigError, match="entrypoint"):
            require_guest(kind, Surroundings(entrypoint="other"))


MANIFEST = """
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: echo}
spec:
  components:
    - name: echo
      type: component
      properties:
        image: file://http_echo.wasm
        environment: {A: '1'}
        config: [{name: echo-config, properties: {key: value}}]
    - name: http
      type: capability
      properties: {image: 'builtin://http-server'}
      traits:
        - type: link
          properties:
            {target: echo, namespace: wasmcloud, package: httpserver, interfaces: [incoming-handler],
             source_config: [{name: address, properties: {address: '127.0.0.1:0'}}]}
"""


async def test_a_component_answers_over_http(tmp_path: Path) -> None:
    (tmp_path / "http_echo.wasm").write_bytes(component("http_echo"))
    manifest = tmp_path / "app.yaml"
    manifest.write_text(MANIFEST)
    async with Host(HostSettings(data=tmp_path / "data", drain_s_max=5)) as host:
        deployment = await host.deploy(load(manifest, host.installed))
        actor = host.actors.get(deployment.keys["echo"])
        assert actor is not None
        assert actor.spec.surroundings == Surroundings(environment={"A": "1"}, config={"key": "value"})
        http = host.supervisor.get(deployment.keys["http"])
        assert http is not None
        url = f"http://127.0.0.1:{urlsplit(http.urls()[0]).port}/any/path?q=1"
        body = os.urandom(700_000)
        async with aiohttp.ClientSession() as client:
            for _ in range(3):
                async with client.post(url, data=body) as response:
                    assert (response.status, await response.read()) == (200, body)
