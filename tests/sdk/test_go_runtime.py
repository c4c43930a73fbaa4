"""Goroutines, sleeping, printing and breaking inside an actor in Go: what docs/sdk/go.md says of them."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from lattice import errors
from lattice.authoring.project import Project
from lattice.authoring.toolchains.go import Go
from lattice.control.manifest import load
from lattice.host import Host, HostSettings
from tests.actors.applications import RunningApplication
from tests.sdk.actors import CACHE

pytestmark = pytest.mark.asyncio(loop_scope="module")
SOURCE = Path(__file__).parent / "go_runtime"


def module(folder: Path) -> Path:
    try:
        Go().find()
    except errors.ToolMissing as missing:
        pytest.skip(f"{missing}; {missing.remedy}")
    shutil.copytree(SOURCE, folder / "project")
    out = folder / "runtime.wasm"
    Go().build(Project(folder=folder / "project", name="runtime", language="go", source="main.go"), out, folder)
    return out


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def actor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApplication]:
    folder = tmp_path_factory.mktemp("go")
    component = {"name": "actor", "type": "component", "properties": {"image": f"file://{module(folder)}"}}
    manifest = folder / "app.yaml"
    manifest.write_text(
        json.dumps(
            {
                "apiVersion": "core.oam.dev/v1beta1",
                "kind": "Application",
                "metadata": {"name": "runtime", "annotations": {"version": "v0.1.0"}},
                "spec": {"components": [component]},
            }
        )
    )
    settings = HostSettings(data=folder / "data", cache=CACHE / "compiled", drain_s_max=5)
    async with Host(settings) as host, aiohttp.ClientSession() as http:
        yield RunningApplication(host, await host.deploy(load(manifest, host.installed)), http)


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("Sleep", b"true"),
        ("Goroutines", b"72"),
        ("Random", b"8 <nil>"),
        ("File", b"true"),
        ("Dial", b"true"),
        ("Garbage", b"200000000"),
    ],
)
async def test_what_works_and_what_is_refused(actor: RunningApplication, operation: str, answer: bytes) -> None:
    assert await actor.call("actor", operation, b"") == answer


async def test_a_goroutine_that_is_left_stands_still_between_calls(actor: RunningApplication) -> None:
    await actor.call("actor", "Leave", b"")
    before = int(await actor.call("actor", "Left", b""))
    await actor.call("actor", "Sleep", b"")
    assert int(await actor.call("actor", "Left", b"")) > before, "it goes on while a call waits"


async def test_what_is_printed_is_in_the_log(actor: RunningApplication, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await actor.call("actor", "Print", b"")
    assert {"to the log", "a complaint"} <= {record.getMessage() for record in caplog.records}


async def test_a_panic_fails_the_call_and_tells_its_line(
    actor: RunningApplication, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(errors.GuestError, match="internal: panic: assignment to entry"):
        await actor.call("actor", "Panic", b"")
    assert any("main.go:" in record.getMessage() for record in caplog.records)
    assert await actor.call("actor", "Random", b"") == b"8 <nil>"


@pytest.mark.parametrize("operation", ["PanicElsewhere", "Exit", "Hoard"])
async def test_what_breaks_the_instance_does_not_break_the_actor(actor: RunningApplication, operation: str) -> None:
    with pytest.raises(errors.GuestTrapped):
        await actor.call("actor", operation, b"")
    assert await actor.call("actor", "Random", b"") == b"8 <nil>"


async def test_waiting_for_nobody_is_noticed(actor: RunningApplication, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(errors.GuestTrapped):
        await actor.call("actor", "Exit", b"")  # so that no goroutine is left from another test
    with caplog.at_level(logging.INFO), pytest.raises(errors.GuestTrapped):
        await actor.call("actor", "Deadlock", b"")
    assert any("all goroutines are asleep" in record.getMessage() for record in caplog.records)
