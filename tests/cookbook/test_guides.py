"""What docs/guides/moving.md and debugging.md show is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from lattice import errors
from lattice.authoring import resources
from lattice.authoring.key_folder import VARIABLE
from lattice.control.manifest import load
from lattice.control.settings_check import check_application
from lattice.supervisor import Installed
from lattice.testing import TestHost, host
from tests.cookbook.page import ROOT, blocks
from tests.support.authoring import project, running_dev
from tests.support.servers import free_port

MOVING = ROOT / "docs" / "guides" / "moving.md"
DEBUGGING = ROOT / "docs" / "guides" / "debugging.md"
ACTORS = ROOT / "actors"
RUN_S = 60.0


def manifest(name: str, folder: Path, module: Path, text: str = "") -> Path:
    """The manifest of an application on the page, beside the module that it names."""
    text = text or next(block for block in blocks("yaml", MOVING) if f"metadata: {{name: {name}" in block)
    for image in re.findall(r"file://([\w.-]+)", text):
        (folder / image).write_bytes(module.read_bytes())
    path = folder / "app.yaml"
    path.write_text(text)
    return path


async def counted(h: TestHost) -> None:
    assert [(await h.http("GET", "/hits")).json() for _ in range(2)] == [{"counter": 1}, {"counter": 2}]


async def greeted(h: TestHost) -> None:
    assert (await h.http("GET", "/")).text == "hello\n"


async def greeted_below_its_route(h: TestHost) -> None:
    found = {path: (await h.http("GET", path)).status for path in ("/hello", "/hello/you", "/hellos", "/")}
    assert found == {"/hello": 200, "/hello/you": 200, "/hellos": 404, "/": 404}


@pytest.mark.parametrize(
    ("name", "module", "looks"),
    [
        ("counter", ACTORS / "counter" / "counter.wasm", counted),
        ("hello", ACTORS / "hello-component" / "hello-component.wasm", greeted),
        ("site", ACTORS / "hello-component" / "hello-component.wasm", greeted_below_its_route),
    ],
)
async def test_a_manifest_that_moved_runs(
    tmp_path: Path, name: str, module: Path, looks: Callable[[TestHost], Coroutine[Any, Any, None]]
) -> None:
    async with host(manifest(name, tmp_path, module)) as h:
        await looks(h)


async def test_a_component_of_wasmcloud_1_counts_along_the_link_of_its_manifest(tmp_path: Path) -> None:
    module = ACTORS / "counter-component" / "counter-component.wasm"
    async with host(manifest("hello", tmp_path, module)) as h:
        assert (await h.http("GET", "/hits")).status == 200
        assert len(h.transcript.of("KeyValue.Increment")) == 1


async def test_the_file_of_wagi_runs(tmp_path: Path) -> None:
    (text,) = blocks("toml", MOVING)
    (tmp_path / "hello-wagi.wasm").write_bytes((ACTORS / "hello-wagi" / "hello-wagi.wasm").read_bytes())
    (tmp_path / "modules.toml").write_text(text)
    async with host(tmp_path / "modules.toml") as h:
        assert (await h.http("GET", "/")).text == "hello"


@pytest.mark.parametrize(
    ("name", "old"),
    [("counter", "wasmcloud.azurecr.io/kvredis:0.19.0"), ("hello", "ghcr.io/wasmcloud/http-server:0.23.2")],
)
def test_a_provider_that_cannot_be_started_is_named(tmp_path: Path, name: str, old: str) -> None:
    text = next(block for block in blocks("yaml", MOVING) if f"metadata: {{name: {name}" in block)
    line = next(line for line in text.splitlines() if f"# {old} there" in line)
    moved = text.replace(line, re.sub(r"builtin://[\w-]+", old, line).replace(f"# {old} there", ""))
    path = manifest(name, tmp_path, ACTORS / "counter" / "counter.wasm", moved)
    with pytest.raises(errors.LatticeError, match=f"cannot be started yet: {old}"):
        check_application(load(path, Installed()), Installed().type)


async def test_what_only_spin_has_is_named_when_it_is_called(tmp_path: Path) -> None:
    text = (ROOT / "tests" / "guests" / "components" / "opens_a_store_of_spin.wat").read_text()
    module = tmp_path / "spin.wasm"
    module.write_bytes(wasmtime.wat2wasm(text))
    async with host(module) as h:
        with pytest.raises(errors.GuestTrapped, match=r"fermyon:spin/key-value\.\[static\]store\.open"):
            await h.tick()


def test_lattice_dev_says_of_the_actor_on_the_page_what_the_page_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    monkeypatch.setenv(VARIABLE, str(keys))
    made = project(tmp_path)
    page = DEBUGGING.read_text()
    (code,) = blocks("c", DEBUGGING)
    (made.folder / "app.c").write_text(code)
    with running_dev(made, free_port(), keys, tmp_path / "cache") as dev:
        dev.wait_for(f"http://127.0.0.1:{dev.port}/")
        assert dev.ask("GET", "/share?parts=aa").body == b"50"
        assert dev.ask("GET", "/share").status == 502
        dev.wait_for("in guest_call")
        dev.wait_for("\n", dev.wait_for("in guest_call"))
        said = dev.said
        assert dev.end() == 0
    shown = re.search(r"(?m)^    [\d:]+ log info: parts: aa\n(?:    .*\n)+", page)
    assert shown
    assert timeless(textwrap.dedent(shown[0])) in timeless(said)


def timeless(text: str) -> str:
    lines = (line.rstrip() for line in text.splitlines())
    return "".join(re.sub(r"[\d.]+ ms$", "N ms", re.sub(r"^\d\d:\d\d:\d\d", "T", line)) + "\n" for line in lines)


def test_the_debugger_outside_of_webassembly_runs(tmp_path: Path) -> None:
    (counter,) = [block for block in blocks("python") if "def visit(" in block]
    (script,) = [block for block in blocks("python", DEBUGGING) if "breakpoint()" in block]
    (tmp_path / "app.py").write_text(counter)
    (tmp_path / "debug.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(resources.sdk("python"))}
    command = [sys.executable, "debug.py"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        input="where\ncontinue\n",
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=True,
    )
    assert "(Pdb)" in done.stdout
    assert "{'visits': 1}" in done.stdout
