"""Several hosts and the commands that drive them: real processes, a real nats-server, and the program itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import START_S, Up, running_up
from tests.e2e.running import actor, manifest, provider, routes
from tests.support.hosts import guest_wasm
from tests.support.servers import free_port, nats_server

WAIT_S = 30.0
TRUSTING = ("--trust", "any", "--allow-unsigned")
Lattice = Callable[..., Any]


@contextmanager
def running(folder: Path, *arguments: str, **variables: str) -> Iterator[Up]:
    """`lattice ...` as a process, in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "LATTICE_CACHE": str(folder.parent / "cache"), "PYTHONUNBUFFERED": "1", **variables}
    command = [sys.executable, "-m", "lattice", *arguments]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=err,
            stdin=subprocess.DEVNULL,
            env=environment,
            # What a shell runs in the background ignores Ctrl-C, and its children with it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        yield Up(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(START_S)


@contextmanager
def hosts(folder: Path, url: str, *names: str) -> Iterator[dict[str, Up]]:
    """Hosts with these names and labels `cloud=NAME`, all ready."""
    with ExitStack() as stack:
        found = {}
        for name in names:
            options = ("--nats", url, "--name", name, "--label", f"cloud={name}", "--data", str(folder / name / "data"))
            options += TRUSTING
            found[name] = stack.enter_context(running(folder / name, "host", *options))
        for up in found.values():
            up.wait_for("ready ")
        yield found


@pytest.fixture
def echo(here: Path) -> Path:
    path = here / "echo.wasm"
    path.write_bytes(guest_wasm("echo"))
    return path


def document(result: Any) -> Any:
    assert result.code == 0, result.err
    return json.loads(result.out)


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_an_application_from_its_first_version_to_its_end(here: Path, echo: Path, lattice: Lattice) -> None:
    port = free_port()
    parts = (actor("echo"), provider("http", "http-server", address=f"127.0.0.1:{port}"))
    path = manifest(here, *parts, name="shop")
    text = path.read_text()
    with nats_server(here) as server, hosts(here, server.url, "east", "west"):
        assert lattice("context", "set", "test", "--nats", server.url).code == 0
        assert [host["friendly_name"] for host in document(lattice("get", "hosts", "-o", "json"))] == ["east", "west"]

        deployed = lattice("app", "deploy", path, "--wait", "--timeout", WAIT_S)
        assert deployed.code == 0, deployed.err
        assert "storing echo.wasm" in deployed.err
        status = document(lattice("app", "status", "shop", "-o", "json"))
        assert (status["status"], [part["running"] for part in status["components"]]) == ("deployed", [1, 1])
        assert document(lattice("call", "echo", "Any.Thing", '{"a": 1}', "-o", "json")) == {"a": 1}

        first = status["version"]
        path.write_text(text.replace("limits: {}", "limits: {time: 3s}"))
        second = document(lattice("app", "put", path, "-o", "json"))["current_version"]
        assert second != first
        assert lattice("app", "deploy", f"shop@{second}", "--wait").code == 0
        assert lattice("app", "rollback", "shop", "--wait").code == 0
        assert document(lattice("app", "status", "shop", "-o", "json"))["version"] == first
        history = document(lattice("app", "history", "shop", "-o", "json"))
        steps = [(step["action"], step["version"]) for step in history["history"] if step["action"] != "put"]
        assert steps == [("deploy", first), ("deploy", second), ("rollback", first)]
        assert "shop" in lattice("app", "list").out
        assert "time: 3s" in lattice("app", "get", f"shop@{second}").out

        assert lattice("app", "undeploy", "shop").code == 0
        until(
            lambda: document(lattice("app", "status", "shop", "-o", "json"))["status"] == "undeployed", "it still runs"
        )
        assert lattice("app", "delete", "shop").code == 0
        gone = lattice("app", "status", "shop")
        assert (gone.code, "shop" in gone.err) == (1, True)


def test_things_started_by_hand(here: Path, echo: Path, lattice: Lattice) -> None:
    with nats_server(here) as server, hosts(here, server.url, "east", "west") as ups:
        to = ("--nats", server.url)
        started = document(lattice("start", "actor", "echo", echo, "--on", "cloud=west", *to, "-o", "json"))
        (west,) = [host for host in document(lattice("get", "hosts", *to, "-o", "json")) if host["components"]]
        assert (west["friendly_name"], west["id"]) == ("west", started["host_id"])
        assert document(lattice("call", "echo", "X", "[1]", *to, "-o", "json")) == [1]
        assert lattice("scale", "actor", "echo", "3", *to).code == 0
        replaced = lattice("update", "actor", "echo", echo, *to)
        assert replaced.code == 0, replaced.err

        assert lattice("config", "put", "web", f"address=127.0.0.1:{free_port()}", *to).code == 0
        assert list(document(lattice("config", "get", "web", *to, "-o", "json"))) == ["address"]
        assert lattice("start", "provider", "web", "http-server", "--config", "web", "--host", "east", *to).code == 0
        put = lattice("link", "put", "web", "echo", "wasmcloud:httpserver", "--source-config", "path=/x", *to)
        assert put.code == 0, put.err
        links = document(lattice("link", "list", *to, "-o", "json"))
        assert [(link["source_id"], link["target"]) for link in links] == [("web", "echo")]
        (url,) = until(lambda: web_urls(lattice, to), "the server has no address")
        assert get(url) == 200
        assert lattice("link", "del", "web", "wasmcloud:httpserver", *to).code == 0
        assert lattice("stop", "provider", "web", *to).code == 0
        assert lattice("config", "del", "web", *to).code == 0

        assert lattice("label", "put", "east", "disk=fast", *to).code == 0
        until(lambda: labels(lattice, to, "east").get("disk") == "fast", "no label")
        assert lattice("label", "del", "east", "disk", *to).code == 0
        until(lambda: "disk" not in labels(lattice, to, "east"), "the label stays")

        assert lattice("stop", "actor", "echo", *to).code == 0
        nobody = lattice("call", "echo", "X", *to)
        assert (nobody.code, nobody.out) == (1, "")
        assert lattice("stop", "host", "west", *to).code == 0
        assert ups["west"].process.wait(WAIT_S) == 0
        assert [host["friendly_name"] for host in document(lattice("get", "hosts", *to, "-o", "json"))] == ["east"]


def web_urls(lattice: Lattice, to: tuple[str, str]) -> list[str]:
    found = document(lattice("get", "inventory", *to, "-o", "json"))
    inventories = found if isinstance(found, list) else [found]
    return [url.rstrip("/") for one in inventories for item in one["providers"] for url in item["urls"]]


def labels(lattice: Lattice, to: tuple[str, str], name: str) -> dict[str, str]:
    (host,) = [one for one in document(lattice("get", "hosts", *to, "-o", "json")) if one["friendly_name"] == name]
    return dict(host["labels"])


def test_a_host_brings_the_server_that_another_joins(here: Path, lattice: Lattice) -> None:
    port = free_port()
    embedded = ("host", "--nats", "embedded", "--nats-port", str(port), "--name", "first", "-o", "json", *TRUSTING)
    with running(here / "first", *embedded, "--data", str(here / "first" / "data")) as first:
        first.wait_for("}")
        told = json.loads(first.out)
        assert (told["name"], told["nats"]) == ("first", f"nats://127.0.0.1:{port}")
        with hosts(here, told["nats"], "second") as (_name):
            names = [
                host["friendly_name"]
                for host in document(lattice("get", "hosts", "--nats", told["nats"], "-o", "json"))
            ]
            assert names == ["first", "second"]
        assert first.end() == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=2)


def test_spy_prints_events(here: Path, echo: Path, lattice: Lattice) -> None:
    with nats_server(here) as server, hosts(here, server.url, "east"):
        to = ("--nats", server.url)
        with running(here / "spy", "spy", "component_scaled", *to, "-o", "json") as spy:
            spy.wait_for("")
            # Another one each time: the program may not listen yet when the first starts, and none starts twice.
            keys = (f"echo-{number}" for number in count())
            until(lambda: lattice("start", "actor", next(keys), echo, *to).code == 0 and spy.out, "no event")
            event = json.loads(spy.out.splitlines()[0])
            assert event["type"] == "com.wasmcloud.lattice.component_scaled"
            assert event["data"]["component_id"].startswith("echo-")
            assert spy.end(signal.SIGINT) in (0, 130)


SKEWED = """
import datetime, os, time
by, now, whole = float(os.environ["CLOCK_OFF_BY_S"]), time.time, datetime.datetime
time.time = lambda: now() + by
class Shifted(whole):
    @classmethod
    def now(cls, tz=None):
        return whole.now(tz) + datetime.timedelta(seconds=by)
datetime.datetime = Shifted
"""
"""A `sitecustomize` that sets the clock of a process, for what is written in Python, apart from the machine's."""


def test_clocks_may_be_minutes_apart(here: Path, echo: Path, lattice: Lattice) -> None:
    (here / "clock").mkdir()
    (here / "clock" / "sitecustomize.py").write_text(SKEWED)
    path = manifest(here, actor("echo", "{type: daemonscaler, properties: {instances: 1}}"), name="shop")
    with nats_server(here) as server, ExitStack() as stack:
        to = ("--nats", server.url)
        skewed = {}
        for name, by in {"early": "-600", "right": "0", "late": "900"}.items():
            options = ("host", *to, "--name", name, "--data", str(here / name / "data"), *TRUSTING)
            variables = {"PYTHONPATH": str(here / "clock"), "CLOCK_OFF_BY_S": by}
            skewed[name] = stack.enter_context(running(here / name, *options, **variables))
        for up in skewed.values():
            up.wait_for("ready ")
        assert lattice("app", "deploy", path, "--wait", "--timeout", WAIT_S, *to).code == 0
        assert document(lattice("call", "echo", "Any.Thing", '{"a": 1}', *to, "-o", "json")) == {"a": 1}
        for name, lives in (("late", {"early", "right"}), ("early", {"right"})):
            skewed[name].process.kill()

            def runs_where_hosts_live(count: int = len(lives)) -> bool:  # of this round
                status = document(lattice("app", "status", "shop", *to, "-o", "json"))
                return (status["status"], status["components"][0]["running"]) == ("deployed", count)

            until(runs_where_hosts_live, f"{name} is still there")
            found = {host["friendly_name"] for host in document(lattice("get", "hosts", *to, "-o", "json"))}
            assert found == lives
            assert document(lattice("call", "echo", "Any.Thing", '{"a": 1}', *to, "-o", "json")) == {"a": 1}
        assert lattice("app", "delete", "shop", *to).code == 0
        assert "Traceback" not in "".join(up.err for up in skewed.values())


def test_a_host_waits_for_a_server_that_is_not_there_yet(here: Path, lattice: Lattice) -> None:
    with nats_server(here) as server:
        options = ("host", "--nats", server.url, "--name", "early", "--data", str(here / "early" / "data"), *TRUSTING)
        server.kill()
        with running(here / "early", *options) as early:
            early.wait_for("trying")
            server.start()
            early.wait_for("ready ")
            assert early.end() == 0
        server.kill()
        with running(here / "again", *options) as again:
            again.wait_for("trying")
            assert again.end() == 0, "it ends though it never joined"


def test_up_with_a_lattice_and_workers_that_share_a_port(here: Path, echo: Path, lattice: Lattice) -> None:
    port = free_port()
    path = manifest(
        here,
        actor("counter", "{type: link, properties: {target: store}}"),
        provider("store", "keyvalue-nats"),
        routes(counter={"path": "/", "address": f"127.0.0.1:{port}"}),
        images={"counter": (Path(__file__).parents[2] / "actors/counter/counter.wasm").read_bytes()},
        name="counting",
    )
    nats_port = free_port()
    path.write_text(
        path.read_text().replace(
            "builtin://keyvalue-nats, config: {}",
            f"builtin://keyvalue-nats, config: {{url: 'nats://127.0.0.1:{nats_port}'}}",
        )
    )
    with running_up(path, "--workers", "2", "--nats-port", str(nats_port)) as up:
        up.wait_for("counting is up")
        to = ("--nats", f"nats://127.0.0.1:{nats_port}")
        inventory = document(lattice("get", "inventory", *to, "-o", "json"))
        assert [[item["name"] for item in one["components"]] for one in inventory] == [["counter"]] * 2
        assert [get(f"http://127.0.0.1:{port}/") for _ in range(20)] == [200] * 20
        assert up.end() == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2)


def test_contexts(here: Path, lattice: Lattice) -> None:
    assert lattice("context", "set", "one", "--nats", "nats://a:1,nats://b:2", "--lattice", "shop").code == 0
    assert lattice("context", "set", "two", "--nats", "nats://user:secret@c:3").code == 0
    assert lattice("context", "use", "two").code == 0
    rows = document(lattice("context", "list", "-o", "json"))
    assert [(row["name"], row["lattice"], row["current"]) for row in rows] == [
        ("one", "shop", False),
        ("two", "default", True),
    ]
    assert "secret" not in json.dumps(rows)
    (file,) = (here / "config").rglob("contexts.json")
    assert file.stat().st_mode & 0o077 == 0
    assert lattice("context", "delete", "two").code == 0
    missing = lattice("get", "hosts", "--context", "two")
    assert (missing.code, "there are one" in missing.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("app", "list"), "lattice context set"),
        (("host", "--data", ".", *TRUSTING), "--nats embedded"),
        (("app", "list", "--nats", "http://x"), "nats://"),
        (("host", "--nats", "embedded", "--label", "x"), "KEY=VALUE"),
        (("host", "--nats", "embedded", "--data", "."), "nothing says whose actors"),
        (("host", "--nats", "embedded", "--data", ".", "--trust", "nonsense"), "public key"),
        (("host", "--nats", "embedded", "--data", ".", "--trust", "any", "--cluster-key", "none.nk"), "none.nk"),
        (("host", "--nats", "embedded", "--data", ".", "--security", "none.toml"), "none.toml"),
        (("app", "list", "--nats", "nats://127.0.0.1:1"), "127.0.0.1:1"),
        (("app", "list", "--nats", "nats://127.0.0.1:1", "--lattice", "a.b"), "lattice"),
        (("drill", "nope"), "lose-host"),
    ],
)
def test_mistakes_are_told_with_a_remedy(here: Path, lattice: Lattice, arguments: tuple[str, ...], says: str) -> None:
    result = lattice(*arguments)
    assert result.code in (1, 2)
    assert says in result.err
    assert "Traceback" not in result.err
