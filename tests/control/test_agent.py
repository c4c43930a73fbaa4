"""The agent answers for what runs, and refuses what it is asked wrongly."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from lattice import errors
from lattice.control import manifest
from lattice.control.agent import Agent
from lattice.host import Host, HostSettings
from tests.control.manifests import app

GUESTS = Path(__file__).parent.parent / "guests"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    (tmp_path / "echo.wasm").write_bytes(wasmtime.wat2wasm((GUESTS / "echo.wat").read_text()))
    async with Host(HostSettings(data=tmp_path / "data", name="here", labels={"a": "b"})) as running:
        for name, alias in (("one", "first"), ("two", "second")):
            text = app(f"{{name: echo, type: actor, properties: {{image: file://echo.wasm, alias: {alias}}}}}")
            text = text.replace("{name: a}", f"{{name: {name}}}")
            await running.deploy(manifest.parse(text, file="m", folder=tmp_path, providers={}))
        yield running


@pytest.fixture
def agent(host: Host) -> Agent:
    return host.agent


async def test_a_call_finds_its_actor_by_key_or_alias(agent: Agent) -> None:
    payload = base64.b64encode(b"hello").decode()
    for target in ("one-echo", "second"):
        reply = await agent.answer("call", {"target": target, "operation": "X", "payload": payload})
        assert reply == {"payload": payload}


async def test_a_name_that_two_actors_have_is_refused_with_their_keys(agent: Agent) -> None:
    with pytest.raises(errors.TargetUnknown, match="several actors") as caught:
        await agent.answer("call", {"target": "echo", "operation": "X"})
    assert caught.value.remedy == "use a key: one-echo, two-echo"


async def test_the_host_and_its_inventory_have_the_fields_of_the_control_interface(agent: Agent) -> None:
    (host,) = await agent.answer("hosts", {})
    assert (host["friendly_name"], host["components"], host["providers"]) == ("here", 2, 2)
    assert host["labels"]["a"] == "b"
    assert host["uptime_human"].endswith("s")
    inventory = await agent.answer("inventory", {})
    assert inventory["host_id"] == host["id"]
    one = next(item for item in inventory["components"] if item["id"] == "one-echo")
    assert (one["name"], one["annotations"], one["max_instances"]) == (
        "echo",
        {"nanolattice.application": "one"},
        1,
    )
    assert one["image_ref"].endswith("/echo.wasm")
    assert {item["status"] for item in inventory["providers"]} == {"running"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "target has to be a text"),
        ({"target": "one-echo"}, "operation has to be a text"),
        ({"target": "one-echo", "operation": 5}, "operation has to be a text"),
        ({"target": "one-echo", "operation": "X", "payload": "*"}, "not base64"),
        ({"target": "one-echo", "operation": "X", "payload": 5}, "not base64"),
        ({"target": "one-echo", "operation": "X", "timeout_s": -1}, "timeout_s"),
        ({"target": "one-echo", "operation": "X", "timeout_s": "1"}, "timeout_s"),
        ({"target": "one-echo", "operation": "X", "timeout_s": float("nan")}, "timeout_s"),
    ],
)
async def test_a_malformed_call_is_refused(agent: Agent, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.MalformedMessage, match=says):
        await agent.answer("call", arguments)


async def test_an_unknown_command_is_refused(agent: Agent) -> None:
    with pytest.raises(errors.OperationUnknown, match="no command 'nope'"):
        await agent.answer("nope", {})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"image": "/x.wasm"}, "target has to be a text"),
        ({"target": "one-echo"}, "image has to be a text"),
        ({"target": "one-echo", "image": 5}, "image has to be a text"),
        ({"target": "one-echo", "image": "here/x.wasm"}, "absolute path"),
    ],
)
async def test_a_malformed_update_is_refused(agent: Agent, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.MalformedMessage, match=says):
        await agent.answer("update", arguments)


async def test_an_update_that_fails_says_what_goes_on_serving_and_one_of_nobody_does_not(
    agent: Agent, tmp_path: Path
) -> None:
    (before,) = [item for item in (await agent.answer("inventory", {}))["components"] if item["id"] == "one-echo"]
    with pytest.raises(errors.ArtifactUnreadable) as caught:
        await agent.answer("update", {"target": "one-echo", "image": str(tmp_path / "nowhere.wasm")})
    assert caught.value.remedy == f"check the component's image; echo keeps serving {before['digest']}"
    with pytest.raises(errors.TargetUnknown) as unknown:
        await agent.answer("update", {"target": "nobody", "image": str(tmp_path / "echo.wasm")})
    assert "keeps serving" not in unknown.value.remedy
