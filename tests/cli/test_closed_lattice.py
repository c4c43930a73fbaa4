"""A lattice that trusts nobody by itself, put up as docs/guides/trust.md says, by the program and real hosts."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cli.conftest import Up, running_up
from tests.cli.test_lattice import Lattice, document, running, until
from tests.e2e.running import actor, manifest
from tests.support.hosts import guest_wasm
from tests.support.servers import free_port, nats_server


class Closed(NamedTuple):
    """`keys` are public keys by name; their seeds are in the folder, as NAME.nk."""

    folder: Path
    url: str
    hosts: dict[str, Up]
    keys: dict[str, str]
    lattice: Lattice
    monkeypatch: pytest.MonkeyPatch

    def run(self, *words: Any, signer: str = "") -> Any:
        if signer:
            self.monkeypatch.setenv("LATTICE_SIGNER", str(self.folder / f"{signer}.nk"))
        else:
            self.monkeypatch.delenv("LATTICE_SIGNER", raising=False)
        return self.lattice(*words, "--nats", self.url)

    def settle(self, text: str) -> None:
        """Writes the security file of every host and has it read again."""
        (self.folder / "security.toml").write_text(text)
        for up in self.hosts.values():
            before = up.err.count("was read again")
            up.process.send_signal(signal.SIGHUP)
            until(lambda up=up, before=before: up.err.count("was read again") > before, "the file is read again")

    def call(self, signer: str = "cluster") -> Any:
        return self.run("call", "echo", "Any.Thing", '{"a": 1}', "-o", "json", signer=signer)


SECURITY = """
[actors]
issuers = ["{acme}"]
[cluster]
keys = {keys}
trusted = {trusted}
[control]
signers = ["{ops}"]
"""


def security(keys: dict[str, str], *seeds: str, trusted: tuple[str, ...] = ()) -> str:
    files, public = [f"{name}.nk" for name in seeds], [keys[name] for name in trusted]
    return SECURITY.format(acme=keys["acme"], ops=keys["ops"], keys=json.dumps(files), trusted=json.dumps(public))


@pytest.fixture
def closed(tmp_path: Path, lattice: Lattice, monkeypatch: pytest.MonkeyPatch) -> Iterator[Closed]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("LATTICE_CACHE", str(tmp_path / "cache"))
    keys = {}
    roles = {"acme": "account", "cluster": "cluster", "next": "cluster", "ops": "user", "mallory": "user"}
    for name, role in roles.items():
        made = document(lattice("keys", "gen", role, "--out", tmp_path / f"{name}.nk", "-o", "json"))
        keys[name] = made["public"]
    (tmp_path / "security.toml").write_text(security(keys, "cluster"))
    with nats_server(tmp_path) as server, ExitStack() as stack:
        ups = {}
        for name in ("east", "west"):
            options = ("--nats", server.url, "--name", name, "--data", str(tmp_path / name / "data"))
            options += ("--security", str(tmp_path / "security.toml"))
            ups[name] = stack.enter_context(running(tmp_path / name, "host", *options))
        for up in ups.values():
            up.wait_for("ready ")
        yield Closed(tmp_path, server.url, ups, keys, lattice, monkeypatch)


def signed(closed: Closed, version: str, *options: str) -> Path:
    """A manifest of one signed actor."""
    plain = closed.folder / f"{version}.wasm"
    plain.write_bytes(guest_wasm("echo"))
    result = closed.lattice(
        *("claims", "sign", plain, "--name", "echo", "--issuer", closed.folder / "acme.nk"),
        *("--subject", closed.folder / "echo.nk", "--out", closed.folder / f"{version}_s.wasm", *options),
    )
    assert result.code == 0, result.err
    image = (closed.folder / f"{version}_s.wasm").read_bytes()
    part = actor("echo", "{type: daemonscaler, properties: {instances: 1}}")
    return manifest(closed.folder, part, name="shop", images={"echo": image})


def test_only_who_may_gives_orders_and_calls(closed: Closed) -> None:
    closed.lattice("keys", "gen", "actor", "--out", closed.folder / "echo.nk")
    path = signed(closed, "one")
    for signer, why in (("", "has to be signed"), ("mallory", "not")):
        refused = closed.run("app", "deploy", path, signer=signer)
        assert refused.code == 1, signer
        assert "not_authentic" in refused.err or why in refused.err
    assert document(closed.run("app", "list", "-o", "json")) == []
    deployed = closed.run("app", "deploy", path, "--wait", "--timeout", "30", signer="ops")
    assert deployed.code == 0, deployed.err
    for signer in ("", "ops", "next"):
        assert closed.call(signer).code == 1, f"a call signed by {signer or 'nobody'}"
    assert document(closed.call()) == {"a": 1}
    assert "not_authentic" in closed.hosts["east"].err + closed.hosts["west"].err


def test_what_nobody_signed_does_not_run(closed: Closed) -> None:
    part = actor("echo", "{type: daemonscaler, properties: {instances: 1}}")
    path = manifest(closed.folder, part, name="shop", images={"echo": guest_wasm("echo")})
    result = closed.run("app", "deploy", path, "--wait", "--timeout", "10", signer="ops")
    assert result.code == 1
    status = document(closed.run("app", "status", "shop", "-o", "json"))
    assert status["status"] != "deployed"
    assert "not signed" in json.dumps(status)


def test_a_cluster_key_is_replaced_and_every_call_is_answered(closed: Closed) -> None:
    closed.lattice("keys", "gen", "actor", "--out", closed.folder / "echo.nk")
    assert closed.run("app", "deploy", signed(closed, "one"), "--wait", "--timeout", "30", signer="ops").code == 0
    assert document(closed.call("cluster")) == {"a": 1}
    closed.settle(security(closed.keys, "cluster", trusted=("next",)))
    for signer in ("cluster", "next"):
        assert document(closed.call(signer)) == {"a": 1}, signer
    closed.settle(security(closed.keys, "next", "cluster"))
    for signer in ("cluster", "next"):
        assert document(closed.call(signer)) == {"a": 1}, signer
    closed.settle(security(closed.keys, "next"))
    assert closed.call("cluster").code == 1
    assert document(closed.call("next")) == {"a": 1}


def test_a_file_with_a_mistake_changes_nothing(closed: Closed) -> None:
    (closed.folder / "security.toml").write_text("nonsense")
    for up in closed.hosts.values():
        up.process.send_signal(signal.SIGHUP)
        until(lambda up=up: "trusts what it did before" in up.err, "the mistake is told")
    assert closed.run("config", "put", "a", "b=c", signer="ops").code == 0
    assert closed.run("config", "put", "a", "b=c", signer="mallory").code == 1


def test_a_host_that_waits_for_its_server_is_not_ended_by_the_signal(tmp_path: Path, lattice: Lattice) -> None:
    """It trusts what the file says when it joins."""
    account = document(lattice("keys", "gen", "account", "--out", tmp_path / "acme.nk", "-o", "json"))["public"]
    path = tmp_path / "security.toml"
    path.write_text(f'actors.issuers = ["{account}"]')
    port = free_port()
    options = ("--nats", f"nats://127.0.0.1:{port}", "--security", str(path), "--data", str(tmp_path / "data"))
    with running(tmp_path / "host", "host", *options) as up:
        until(lambda: (tmp_path / "data" / "lock").exists(), "the host is waiting")
        path.write_text("nonsense")
        up.process.send_signal(signal.SIGHUP)
        up.wait_for("trusts what it did before")


def test_workers_and_their_parent_change_keys_together(
    tmp_path: Path, lattice: Lattice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent answers tools at its data folder, and signs what it asks its workers."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("LATTICE_SIGNER", raising=False)
    for name in ("cluster", "next"):
        document(lattice("keys", "gen", "cluster", "--out", tmp_path / f"{name}.nk", "-o", "json"))
    path = manifest(tmp_path, actor("echo"), images={"echo": guest_wasm("echo")})
    security_file = tmp_path / "security.toml"

    def settle(*seeds: str) -> None:
        names = json.dumps([f"{name}.nk" for name in seeds])
        security_file.write_text(f'[actors]\nissuers = "any"\nunsigned = true\n[cluster]\nkeys = {names}\n')

    settle("cluster")
    options = ("--workers", "2", "--security", str(security_file), "--data", str(tmp_path / "data"))
    with running_up(path, *options) as up:
        up.wait_for("test is up")
        for number, seeds in enumerate((("cluster", "next"), ("next", "cluster"), ("next",)), 1):
            settle(*seeds)
            up.process.send_signal(signal.SIGHUP)
            until(lambda number=number: up.err.count("was read again") == 2 * number, "the file is read again")
            called = lattice("call", "test-echo", "Any.Thing", '{"a": 1}', "-o", "json", "--data", tmp_path / "data")
            assert document(called) == {"a": 1}, seeds
