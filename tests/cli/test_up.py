"""`lattice up` serves, answers `call` and `get`, drains on a signal and stops at once on a second."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.conftest import START_S, running_up
from tests.support.servers import free_port


def test_a_host_serves_until_a_signal(application: Path, lattice: Callable[..., Any]) -> None:
    with running_up(application) as up:
        up.wait_for("demo is up")
        for step in ("loading", "starting http", "started echo (echo.wasm, compiled in", "linked 1 link", "http://"):
            assert step in up.out
        data = ("--manifest", application)

        (host,) = json.loads(lattice("get", "hosts", *data, "-o", "json").out)
        assert (host["friendly_name"], host["components"]) == ("demo", 2)
        inventory = json.loads(lattice("get", "inventory", *data, "-o", "json").out)
        assert inventory["host_id"] == host["id"]
        assert {item["name"] for item in inventory["components"]} == {"echo", "spin"}
        http = next(item for item in inventory["providers"] if item["name"] == "http-server")
        assert http["status"] == "running"
        assert http["urls"][0] in up.out
        assert "echo" in lattice("get", "inventory", *data).out
        (link,) = json.loads(lattice("get", "links", *data, "-o", "json").out)
        assert (link["wit_namespace"], link["wit_package"], link["name"]) == ("wasmcloud", "httpserver", "default")
        assert json.loads(lattice("get", "claims", *data, "-o", "json").out) == []

        for target in ("echo", "demo/echo", "demo-echo"):
            result = lattice("call", target, "Any.Thing", '{"a": [1, "x"]}', *data)
            assert (result.code, json.loads(result.out)) == (0, {"a": [1, "x"]})
        assert lattice("call", "echo", "Any.Thing", "as it is", "--raw", *data).out == "as it is"
        (application.parent / "in.json").write_text("[true]")
        assert json.loads(lattice("call", "echo", "X", f"@{application.parent}/in.json", *data).out) == [True]

        unknown = lattice("call", "nobody", "X", *data)
        assert unknown.code == 1
        assert "actors here: echo, spin" in unknown.err
        late = lattice("call", "spin", "X", *data, "--timeout", "0.2")
        assert late.code == 1

        second = lattice("up", application)
        assert second.code == 1
        assert "another lattice up uses the data folder" in second.err

        assert up.end() == 0
        assert "draining" in up.out
        assert up.out.endswith("stopped\n")
    gone = lattice("get", "hosts", *data)
    assert gone.code == 1
    assert "no host runs with the data folder" in gone.err


def test_json_output_is_one_document_and_logs_are_documents_too(application: Path) -> None:
    with running_up(application, "-o", "json", "--log-format", "json") as up:
        up.wait_for("demo is up")
        document = json.loads(up.out)
        assert document["application"] == "demo"
        request = urllib.request.Request(document["urls"][0], method="GET")
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5):
            pass
        assert up.end(signal.SIGINT) == 0
    logged = [json.loads(line) for line in up.err.splitlines() if line.startswith("{")]
    assert any(line["logger"] == "lattice.access" for line in logged)


def wait_until_called(folder: Path) -> None:
    """Until somebody has connected to the host of this folder. The kernel lists the listening socket by its path, and
    each accepted one."""
    path = str(folder / ".lattice" / "control.sock")
    deadline = time.monotonic() + START_S
    while Path("/proc/net/unix").read_text().count(path) < 2:
        assert time.monotonic() < deadline, "nobody called"
        time.sleep(0.05)


def test_a_second_signal_stops_at_once(application: Path) -> None:
    with running_up(application) as up:
        up.wait_for("demo is up")
        command = [sys.executable, "-m", "lattice", "call", "spin", "X", "--raw", "--timeout", "30"]
        with subprocess.Popen(
            [*command, "--manifest", str(application)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as caller:
            wait_until_called(application.parent)
            up.process.send_signal(signal.SIGTERM)
            up.wait_for("draining")
            began = time.monotonic()
            assert up.end() == 130
            assert time.monotonic() - began < 20, "the call goes on for thirty seconds"
            _, err = caller.communicate(timeout=10)
            assert caller.returncode == 1
            assert b"the host ended the connection" in err


def test_a_taken_port_ends_the_start_and_leaves_nothing(application: Path, lattice: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        text = application.read_text()
        application.write_text(text.replace(text.split('address: "')[1].split('"')[0], place))
        with running_up(application) as up:
            assert up.process.wait(START_S) == 1
            assert f"cannot listen on {place}" in up.err
    assert not (application.parent / ".lattice" / "control.sock").exists()


def test_a_provider_whose_database_is_down_is_said_and_tried_again(application: Path) -> None:
    nobody = f"redis://127.0.0.1:{free_port()}"
    link = "{type: link, properties: {target: store, target_config: {url: '" + nobody + "'}}}"
    text = application.read_text().replace("alias: demo/echo}", "alias: demo/echo}\n      traits: [" + link + "]")
    store = "    - {name: store, type: capability, properties: {image: builtin://keyvalue-redis}}\n"
    application.write_text(text + store)
    with running_up(application) as up:
        up.wait_for("demo is up")
        up.wait_for("it is tried again until it runs")
        assert "keyvalue-redis is " in up.err
        assert up.end() == 0


def test_a_manifest_with_mistakes_starts_nothing(application: Path, lattice: Callable[..., Any]) -> None:
    text = application.read_text()
    application.write_text(text.replace("file://echo.wasm", "registry.example/echo"))
    result = lattice("up", application)
    assert result.code == 1
    assert "has neither tag nor digest" in result.err
    assert not (application.parent / ".lattice").exists()


def test_a_watch_shows_changes_until_it_is_ended(application: Path) -> None:
    with running_up(application) as up:
        up.wait_for("demo is up")
        command = [sys.executable, "-m", "lattice", "get", "hosts", "--watch", "-o", "json"]
        with subprocess.Popen([*command, "--manifest", str(application)], stdout=subprocess.PIPE) as watch:
            assert watch.stdout is not None
            assert json.loads(watch.stdout.readline())[0]["friendly_name"] == "demo"
            watch.send_signal(signal.SIGINT)
            assert watch.wait(5) == 130
        assert up.end() == 0


def test_labels_stand_in_configurations(application: Path, lattice: Callable[..., Any]) -> None:
    port = free_port()
    text = application.read_text()
    before = text[text.index("127.0.0.1:") :].partition('"')[0]
    application.write_text(text.replace(before, "127.0.0.1:${label:http}"))
    with running_up(application, "--label", f"http={port}", "--name", "one") as up:
        up.wait_for("demo is up")
        assert f"http://127.0.0.1:{port}" in up.out
        (host,) = json.loads(lattice("get", "hosts", "--manifest", application, "-o", "json").out)
        assert (host["friendly_name"], host["labels"]["http"]) == ("one", str(port))
    refused = lattice("up", application)
    assert refused.code == 1
    assert "no label 'http'" in refused.err
    assert "--label http=VALUE" in refused.err
