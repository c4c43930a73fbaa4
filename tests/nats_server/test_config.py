"""Configurations: the examples are what the code renders, and the real server takes every part of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from lattice import errors
from lattice.nats_server.config import Account, Cluster, Gateway, Leaf, Permissions, ServerConfig, Tls, User, render
from lattice.nats_server.server import find_program
from lattice.nats_server.topologies import Site, stretch
from tests.nats_server.certificates import write_certificates
from tests.nats_server.examples import CERTIFICATES, FOLDER, examples, text


def check(config: str, folder: Path) -> str:
    """What nats-server says of a configuration that it does not take, "" for a good one."""
    file = folder / "checked.conf"
    file.write_text(config)
    done = subprocess.run([find_program(), "-t", "-c", str(file)], capture_output=True, text=True, timeout=20)
    return "" if done.returncode == 0 else done.stderr or done.stdout


def test_the_files_in_docs_are_the_examples_and_no_others() -> None:
    written = {file.name: file.read_text() for file in FOLDER.glob("*.conf")}
    assert written == {name: text(*example) for name, example in examples().items()}, (
        "write them anew: python -m tests.nats_server.examples"
    )


@pytest.mark.parametrize("name", examples())
def test_the_server_takes_each_example(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_certificates(tmp_path / "tls")
    for variable in ("HOST", "TOOL", "DASHBOARD", "SECRETS"):
        monkeypatch.setenv(f"DEFAULT_{variable}_PASSWORD", "a-secret")
        monkeypatch.setenv(f"STAGING_{variable}_PASSWORD", "a-secret")
    assert check((FOLDER / name).read_text().replace(str(CERTIFICATES), str(tmp_path / "tls")), tmp_path) == ""


def test_the_server_takes_everything_at_once(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    tls = Tls(cert=tmp_path / "server.pem", key=tmp_path / "server.key", ca=tmp_path / "ca.pem", verify=True)
    user = User(name="me", password='wo"rd\\s', permissions=Permissions(publish=("a.>",), subscribe=("b.*",)))
    key = User(nkey="UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4")
    config = ServerConfig(
        name='näme-"quoted"',
        host="::1",
        port=0,
        advertise="nats.example.net:4222",
        monitor="127.0.0.1:8222",
        payload_bytes_max=2_000_000,
        store=tmp_path / "a store",
        store_bytes_max=10_000_000,
        domain="hub",
        tags=("cloud:east", "zone:a"),
        unique_tag="cloud:",
        cluster=Cluster(name="east", routes=("nats://other:6222",), advertise="this:6222", private_clients=True),
        gateway=Gateway(name="east", others={"west": "nats://west:7222"}),
        leaf_port=7422,
        leaves=(Leaf(url="nats-leaf://hub:7422", account="one"),),
        accounts=(Account(name="one", users=(user,)), Account(name="two", users=(key,), jetstream=False)),
        tls=tls,
        peer_tls=tls,
        extra="max_connections: 100",
    )
    assert check(render(config), tmp_path) == ""


def test_the_check_of_these_tests_finds_mistakes(tmp_path: Path) -> None:
    assert "max_connectons" in check(render(ServerConfig(name="one", extra="max_connectons: 100")), tmp_path)


def test_silence_is_noticed_soon_unless_told_otherwise() -> None:
    lines = render(ServerConfig(name="one")).splitlines()
    assert {'ping_interval: "2s"', "ping_max: 2", 'write_deadline: "2s"'} <= set(lines)
    slower = ServerConfig(name="one", ping_interval_s=0.5, ping_max=4, write_deadline_s=10)
    assert {'ping_interval: "0.5s"', "ping_max: 4", 'write_deadline: "10s"'} <= set(render(slower).splitlines())


def test_only_the_name_of_a_variable_is_left_to_the_environment() -> None:
    def rendered(password: str) -> str:
        users = (User(name="me", password=password),)
        return render(ServerConfig(name="one", accounts=(Account(name="one", users=users),)))

    assert "password: $SECRET\n" in rendered("$SECRET")
    assert 'password: "$2a$11$abcdefg"\n' in rendered("$2a$11$abcdefg")
    assert 'password: "$SECRET "\n' in rendered("$SECRET ")


@pytest.mark.parametrize("field", ["name", "advertise", "domain"])
def test_a_line_break_in_a_value_is_refused(field: str) -> None:
    config = msgspec.structs.replace(ServerConfig(name="one"), **{field: 'a"\nport: 1'})
    with pytest.raises(errors.ConfigError, match="cannot stand"):
        render(config)


def test_a_stretched_cluster_of_two_is_refused() -> None:
    with pytest.raises(errors.ConfigError, match="3 servers") as refused:
        stretch([Site(name=name, address="localhost") for name in ("east", "west")])
    assert "witness" in refused.value.remedy
    with pytest.raises(errors.ConfigError):
        stretch([Site(name=name, address="localhost") for name in ("east", "west", "east")])
