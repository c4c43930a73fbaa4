"""Push, pull, the cache, and applications whose actors come from a registry: the program, and a real registry."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lattice.artifacts.credentials import Credential, Login
from lattice.artifacts.settings import RegistrySettings
from lattice.cli.registry import options_of
from tests.cli.conftest import running_up
from tests.cli.test_lattice import document, running
from tests.e2e.running import manifest, provider
from tests.support.hosts import guest_wasm
from tests.support.registry import PASSWORD, USER, registry_server, registry_with_password
from tests.support.servers import Server, free_port, nats_server

Lattice = Callable[..., Any]
WAIT_S = "30"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Settings and a cache of this test alone."""
    for name in [name for name in os.environ if name.startswith(("LATTICE_", "DOCKER_"))]:
        if not name.startswith(("LATTICE_TEST", "LATTICE_FORBID")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("LATTICE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def registry(here: Path) -> Iterator[Server]:
    (here / "registry").mkdir()
    with registry_server(here / "registry") as server:
        yield server


@pytest.fixture
def echo(here: Path) -> Path:
    path = here / "echo.wasm"
    path.write_bytes(guest_wasm("echo"))
    return path


def place(server: Server) -> str:
    return f"127.0.0.1:{server.port}"


def actor(image: str) -> str:
    return f"{{name: echo, type: actor, properties: {{image: '{image}'}}}}"


def test_push_pull_and_the_cache(here: Path, registry: Server, echo: Path, lattice: Lattice) -> None:
    reference = f"{place(registry)}/team/echo:1.0"
    insecure = ("--insecure-registry", place(registry))
    module = f"sha256:{hashlib.sha256(echo.read_bytes()).hexdigest()}"
    refused = lattice("push", echo, reference)
    assert refused.code == 1
    assert "--insecure-registry" in refused.err, "loopback is no exception"
    pushed = document(lattice("push", echo, reference, *insecure, "-o", "json"))
    assert (pushed["reference"], pushed["module"], pushed["size"]) == (reference, module, echo.stat().st_size)
    assert "which was there" in lattice("push", echo, reference, *insecure).out

    assert document(lattice("cache", "list", "-o", "json"))["blobs"] == []
    pulled = document(lattice("pull", reference, *insecure, "-o", "json"))
    assert (pulled["digest"], pulled["module"], pulled["from_cache"]) == (pushed["digest"], module, False)
    assert Path(pulled["path"]).read_bytes() == echo.read_bytes()
    out = here / "out.wasm"
    text = lattice("pull", f"oci://{reference}", *insecure, "--out", out)
    assert "was in the cache" in text.out
    assert out.read_bytes() == echo.read_bytes()
    assert lattice("inspect", out).code == 0

    listed = document(lattice("cache", "list", "-o", "json"))
    assert {(blob["digest"], blob["kind"]) for blob in listed["blobs"]} == {
        (module, "wasm"),
        (pushed["digest"], "manifest"),
    }
    assert all(blob["references"] == [reference] for blob in listed["blobs"])
    assert listed["size"] == sum(blob["size"] for blob in listed["blobs"])
    shown = lattice("cache", "list").out
    assert module[7:19] in shown
    assert reference in shown

    Path(pulled["path"]).chmod(0o600)
    Path(pulled["path"]).write_bytes(b"x")
    checked = lattice("cache", "verify", "-o", "json")
    assert (checked.code, json.loads(checked.out)) == (1, {"right": 1, "wrong": [module]})
    assert lattice("pull", reference, *insecure).code == 0
    assert "2 right, 0 wrong" in lattice("cache", "verify").out


def test_the_cache_is_trimmed(here: Path, registry: Server, echo: Path, lattice: Lattice) -> None:
    reference = f"{place(registry)}/team/echo:1.0"
    insecure = ("--insecure-registry", place(registry))
    lattice("push", echo, reference, *insecure)
    path = Path(document(lattice("pull", reference, *insecure, "-o", "json"))["path"])
    assert document(lattice("cache", "trim", "--max-size", "0", "-o", "json"))["removed"] == [], "just used"
    for blob in path.parent.iterdir():
        at = time.time() - 3600
        os.utime(blob, (at, at))
    assert "removed 0" in lattice("cache", "trim", "--unused-for", "2h").out
    assert "removed 0" in lattice("cache", "trim", "--unused-for", "1d", "--max-size", "1GB").out
    trimmed = document(lattice("cache", "trim", "--max-size", "0", "-o", "json"))
    assert len(trimmed["removed"]) == 2
    assert trimmed["freed"] > echo.stat().st_size
    assert document(lattice("cache", "list", "-o", "json"))["blobs"] == []
    for wrong in (("--max-size", "much"), ("--unused-for", "long")):
        result = lattice("cache", "trim", *wrong)
        assert (result.code, wrong[0] in result.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pull", "echo:1"), "names no registry"),
        (("pull", "127.0.0.1:1/echo:1"), "cannot be reached"),
        (("push", "missing.wasm", "127.0.0.1:1/echo:1"), "missing.wasm cannot be read"),
        (("pull", "127.0.0.1:1/echo:1", "--registry-ca", "missing.pem"), "there is no file missing.pem"),
        (("pull", "127.0.0.1:1/echo:1", "--insecure-registry", "http://x"), "no name of a registry"),
    ],
)
def test_mistakes_say_what_and_why(lattice: Lattice, arguments: tuple[str, ...], said: str) -> None:
    result = lattice(*arguments)
    assert (result.code, result.out) == (1, "")
    assert said in result.err


def test_a_login_comes_from_docker_s_file_or_from_variables(
    here: Path, echo: Path, lattice: Lattice, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "registry").mkdir()
    (here / "docker").mkdir()
    with registry_with_password(here / "registry") as server:
        monkeypatch.setenv("LATTICE_INSECURE_REGISTRIES", place(server))
        reference = f"{place(server)}/team/echo:1.0"
        refused = lattice("push", echo, reference)
        assert (refused.code, f"docker login {place(server)}" in refused.err) == (1, True)
        auth = Credential(USER, PASSWORD).basic.removeprefix("Basic ")
        (here / "docker" / "config.json").write_text(json.dumps({"auths": {place(server): {"auth": auth}}}))
        assert lattice("push", echo, reference).code == 0
        (here / "docker" / "config.json").unlink()
        for name, value in (("", place(server)), ("_USER", USER), ("_PASSWORD", "wrong " + PASSWORD)):
            monkeypatch.setenv(f"LATTICE_REGISTRY{name}", value)
        wrong = lattice("pull", reference)
        assert (wrong.code, "does not accept this login" in wrong.err) == (1, True)
        assert PASSWORD not in wrong.err + wrong.out
        monkeypatch.setenv("LATTICE_REGISTRY_PASSWORD", PASSWORD)
        assert lattice("pull", reference).code == 0


def test_children_are_told_everything_but_the_login(tmp_path: Path) -> None:
    settings = RegistrySettings(
        insecure=frozenset({"a:1"}),
        private=frozenset({"b"}),
        ca=tmp_path,
        login=Login("a:1", Credential(USER, PASSWORD)),
    )
    words = options_of(settings)
    assert words == [
        *("--insecure-registry", "a:1", "--registry-private-host", "b", "--registry-ca", str(tmp_path)),
    ]
    assert options_of(RegistrySettings()) == []


def test_up_pulls_and_starts_again_without_the_registry(
    here: Path, registry: Server, echo: Path, lattice: Lattice
) -> None:
    reference = f"{place(registry)}/team/echo:1.0"
    insecure = ("--insecure-registry", place(registry))
    lattice("push", echo, reference, *insecure)
    path = manifest(here, actor(reference), name="shop")
    with running_up(path, *insecure) as up:
        up.wait_for("shop is up")
        assert f"pulled {reference}" in up.out
        assert f"started echo ({reference}, compiled in" in up.out
        assert document(lattice("call", "echo", "X", "[1]", "--manifest", path, "-o", "json")) == [1]
        inventory = document(lattice("get", "inventory", "--manifest", path, "-o", "json"))
        assert hashlib.sha256(echo.read_bytes()).hexdigest() in json.dumps(inventory)
        assert up.end() == 0
    registry.stop()
    with running_up(path, *insecure) as up:
        up.wait_for("shop is up")
        assert f"{reference} is from the cache" in up.out
        assert "is taken from the cache as it was" in up.err
        assert up.end() == 0


def test_an_image_that_is_not_there_ends_the_start(here: Path, registry: Server) -> None:
    path = manifest(here, actor(f"{place(registry)}/team/nothing:1"))
    with running_up(path, "--insecure-registry", place(registry)) as up:
        assert up.process.wait(30) == 1
        assert "has no 127.0.0.1" in up.err


def test_providers_do_not_come_from_registries(here: Path, lattice: Lattice) -> None:
    part = "{name: store, type: capability, properties: {image: 'registry.example/store:1', contract: 'a:b'}}"
    result = lattice("up", manifest(here, part))
    assert (result.code, "from registries cannot be started yet" in result.err) == (1, True)


def test_every_host_of_a_lattice_pulls_for_itself(here: Path, registry: Server, echo: Path, lattice: Lattice) -> None:
    reference = f"{place(registry)}/team/echo:1.0"
    insecure = ("--insecure-registry", place(registry))
    pushed = document(lattice("push", echo, reference, *insecure, "-o", "json"))
    web = provider("http", "http-server", address=f"127.0.0.1:{free_port()}")
    path = manifest(here, actor(f"{place(registry)}/team/echo@{pushed['digest']}"), web, name="shop")
    with nats_server(here) as server:
        to = ("--nats", server.url)
        host = (
            "host",
            *to,
            *insecure,
            "--name",
            "one",
            "--trust",
            "any",
            "--allow-unsigned",
            "--data",
            str(here / "one" / "data"),
        )
        with running(here / "one", *host) as up:
            up.wait_for("ready ")
            deployed = lattice("app", "deploy", path, "--wait", "--timeout", WAIT_S, *to)
            assert deployed.code == 0, deployed.err
            assert document(lattice("call", "echo", "X", "[1]", *to, "-o", "json")) == [1]
            inventory = document(lattice("get", "inventory", *to, "-o", "json"))
            assert pushed["module"] in json.dumps(inventory)
            by_hand = lattice("start", "actor", "by-hand", reference, *to)
            assert by_hand.code == 0, by_hand.err
