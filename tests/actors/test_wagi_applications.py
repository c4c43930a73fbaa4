"""WASI commands behind a real HTTP server: by a manifest, by `modules.toml`, and as a program starts them."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from lattice import endpoints, errors
from lattice.control import manifest
from lattice.control.settings_check import check_application
from lattice.host import Host, HostSettings
from lattice.security.settings import ActorTrust, SecuritySettings
from lattice.supervisor import Installed
from tests.actors.applications import ACTORS, application
from tests.support.commands import HELLO, PROBE, environment

TOML = """
address = "127.0.0.1:0"

[[module]]
module = "hello.wasm"
route = "/hello"

[[module]]
module = "probe.wasm"
route = "/probe/..."
environment = { COLOR = "blue" }
volumes = { "/data" = "data", "/kept" = { path = "kept", writable = true } }
"""


@asynccontextmanager
async def modules(folder: Path, data: Path) -> AsyncIterator[aiohttp.ClientSession]:
    shutil.copy(HELLO, folder / "hello.wasm")
    shutil.copy(PROBE, folder / "probe.wasm")
    for name in ("data", "kept"):
        (folder / name).mkdir()
    (folder / "data" / "file").write_text("content")
    (folder / "modules.toml").write_text(TOML)
    installed = Installed()
    wanted = manifest.load(folder / "modules.toml", installed)
    check_application(wanted, installed.type)
    async with Host(HostSettings(data=data, drain_s_max=5)) as host:
        deployment = await host.deploy(wanted)
        server = host.supervisor.get(deployment.keys["http"])
        assert server is not None
        async with aiohttp.ClientSession(URL(server.urls()[0]).origin()) as http:
            yield http


async def test_the_example_answers(tmp_path: Path) -> None:
    async with application(ACTORS / "hello-wagi" / "app.yaml", tmp_path) as app:
        assert await app.text("/") == "hello"
        assert await app.text("/some/path?a=b&c") == "GET /some/path\nroute /...\nargument a=b\nargument c\n"
        async with app.http.post("/", data=b"x" * 300_000, headers={"content-type": "image/png"}) as response:
            assert (response.status, response.headers["content-type"]) == (200, "image/png")
            assert await response.read() == b"x" * 300_000


def test_the_example_is_the_same_as_modules_toml() -> None:
    folder = ACTORS / "hello-wagi"
    as_manifest = manifest.load(folder / "app.yaml", Installed())
    as_modules = manifest.load(folder / "modules.toml", Installed())
    assert as_modules.components[0].image.path == as_manifest.components[0].image.path
    assert as_modules.links[0].source_config["path"] == "/"


async def test_modules_of_wagi_answer_at_their_routes(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    async with modules(tmp_path / "app", tmp_path / "host") as http:
        async with http.get("/hello?x") as response:
            assert await response.text() == "GET \nroute /hello\nargument x\n"
        async with http.get("/hello/below") as response:
            assert response.status == 404
        async with http.get("/probe/a/b%20c?environment", headers={"X-Some": "thing"}) as response:
            found = environment(await response.read())
        assert found["X_MATCHED_ROUTE"] == "/probe/..."
        assert found["SCRIPT_NAME"] == "/probe"
        assert (found["PATH_INFO"], found["X_RAW_PATH_INFO"]) == ("/a/b c", "/a/b%20c")
        assert found["REMOTE_ADDR"] == "127.0.0.1"
        assert found["X_FULL_URL"] == f"http://127.0.0.1:{found['SERVER_PORT']}/probe/a/b%20c?environment"
        assert (found["HTTP_X_SOME"], found["COLOR"]) == ("thing", "blue")
        async with http.get("/probe/many/x") as response:
            assert await response.text() == "many /probe/many/... /x"
        async with http.get("/probe/?cat&/data/file") as response:
            assert await response.text() == "content"
        async with http.get("/probe/?put&/kept/new&text") as response:
            assert await response.text() == "ok"
        assert (tmp_path / "app" / "kept" / "new").read_text() == "text"


async def test_what_a_command_does_becomes_a_status(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    async with modules(tmp_path / "app", tmp_path / "host") as http:
        for query, body, status, code in (
            ("print", b"status: 204\n\n", 204, ""),
            ("print", b"location: /x\n\n", 302, ""),
            ("print", b"nothing of a header", 500, ""),
            ("exit&3", b"", 502, "guest_error"),
            ("abort", b"", 502, "guest_trapped"),
            ("print", b"content-type: a\x01b\n\n", 502, "malformed_message"),
        ):
            async with http.post(f"/probe/?{query}", data=body, allow_redirects=False) as response:
                assert response.status == status, (query, body)
                if code:
                    assert (await response.json())["error"] == code


async def test_a_client_that_goes_away_ends_the_command(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    async with modules(tmp_path / "app", tmp_path / "host") as http:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(http.get("/probe/?sleep&100000"), 0.2)
        async with http.get("/hello") as response:
            assert response.status == 200
        assert time.monotonic() - began < 30


VOLUME = """
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: test}}
spec:
  components:
    - name: probe
      type: component
      properties: {{image: "file://{image}", volumes: [{{host: "{host}", guest: /data}}]}}
"""


@pytest.mark.parametrize(
    ("host", "trusted", "refused"),
    [
        ("below", "", ""),
        ("link-out", "", "does not grant the folder"),
        ("../outside", "", "does not grant the folder"),
        ("/", "", "does not grant the folder"),
        ("../outside", "outside", ""),
        (".", "", "own data and key are in the folder"),
        (".lattice", "", "own data and key are in the folder"),
        ("/", "..", "own data and key are in the folder"),
    ],
)
async def test_a_manifest_gets_the_folders_beside_it_and_those_that_the_owner_names(
    tmp_path: Path, host: str, trusted: str, refused: str
) -> None:
    app = tmp_path / "app"
    for folder in (app / "below", tmp_path / "outside"):
        folder.mkdir(parents=True)
    (app / "link-out").symlink_to("../outside")
    (app / "app.yaml").write_text(VOLUME.format(image=PROBE, host=host))
    folders = (Path("/"),) if trusted == ".." else ((tmp_path / trusted,) if trusted else ())
    security = SecuritySettings(actors=ActorTrust(unsigned=True, folders=folders))
    settings = HostSettings(data=app / ".lattice", drain_s_max=5, security=security)
    async with Host(settings) as running:
        wanted = manifest.load(app / "app.yaml", running.installed)
        if refused:
            with pytest.raises(errors.ConfigError, match=refused):
                await running.deploy(wanted)
            assert not list(running.actors)
        else:
            await running.deploy(wanted)


@pytest.mark.parametrize(
    ("granted", "refused"),
    [
        ((), "does not grant the socket tcp://db:5432"),
        (("tcp://db:5433", "udp://*:*"), "does not grant the socket tcp://db:5432"),
        (("tcp://*:5432",), ""),
    ],
)
async def test_a_component_gets_the_sockets_that_the_owner_names(
    tmp_path: Path, granted: tuple[str, ...], refused: str
) -> None:
    hello = ACTORS / "hello-component" / "hello-component.wasm"
    properties = f'{{image: "file://{hello}", sockets: ["tcp://db:5432"]}}'
    before, _, _ = VOLUME.partition("properties:")
    (tmp_path / "app.yaml").write_text(f"{before.format()}properties: {properties}\n")
    trusted = tuple(endpoints.parse(place) for place in granted)
    security = SecuritySettings(actors=ActorTrust(unsigned=True, sockets=trusted))
    async with Host(HostSettings(data=tmp_path / ".lattice", drain_s_max=5, security=security)) as running:
        wanted = manifest.load(tmp_path / "app.yaml", running.installed)
        if refused:
            with pytest.raises(errors.ConfigError, match=refused):
                await running.deploy(wanted)
        else:
            await running.deploy(wanted)


def test_surroundings_of_an_actor_that_is_no_command_are_a_mistake(tmp_path: Path) -> None:
    shutil.copy(ACTORS / "echo" / "echo.wasm", tmp_path / "echo.wasm")
    (tmp_path / "app.yaml").write_text("""
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: test}
spec:
  components:
    - name: echo
      type: component
      properties: {image: file://echo.wasm, environment: {A: b}}
""")
    installed = Installed()
    with pytest.raises(errors.ManifestError, match="for commands and components, and this is a waPC actor") as caught:
        check_application(manifest.load(tmp_path / "app.yaml", installed), installed.type)
    assert caught.value.line == 7
