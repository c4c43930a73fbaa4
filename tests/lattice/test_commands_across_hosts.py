"""A WASI command on one host and the HTTP server on another; and the folders that a lattice's application may have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp

from lattice.security.settings import ActorTrust
from tests.support.commands import PROBE, environment
from tests.support.lattices import JoinedHost, joined_host, tool, until
from tests.support.servers import nats_server


def manifest(volume: str) -> dict[str, Any]:
    def place(name: str) -> dict[str, Any]:
        spread = [{"name": "there", "requirements": {"place": name}, "fallback": "none"}]
        return {"type": "spreadscaler", "properties": {"instances": 1, "spread": spread}}

    probe = {
        "image": f"file://{PROBE}",
        "environment": {"COLOR": "blue"},
        "volumes": [{"host": volume, "guest": "/data"}],
    }
    link = {
        "target": "probe",
        "namespace": "wasmcloud",
        "package": "httpserver",
        "source_config": {"path": "/probe", "address": "127.0.0.1:0"},
    }
    components = [
        {"name": "probe", "type": "component", "properties": probe, "traits": [place("b")]},
        {
            "name": "http",
            "type": "capability",
            "properties": {"image": "builtin://http-server"},
            "traits": [place("a"), {"type": "link", "properties": link}],
        },
    ]
    return {
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "metadata": {"name": "app"},
        "spec": {"components": components},
    }


def url(host: JoinedHost) -> str:
    for provider in host.host.supervisor:
        for found in provider.urls():
            return found
    return ""


async def test_a_command_answers_across_the_lattice_with_folders_its_host_grants(tmp_path: Path) -> None:
    data = tmp_path / "srv" / "data"
    data.mkdir(parents=True)
    (data / "file").write_text("content")
    with nats_server(tmp_path) as server:
        async with (
            tool(server.url) as client,
            joined_host(server.url, tmp_path / "a", "a", place="a") as a,
            joined_host(server.url, tmp_path / "b", "b", place="b") as b,
        ):
            await client.model("put", manifest(str(data)))
            assert (await client.model("deploy.app"))["result"] == "acknowledged"
            await until(lambda: any("does not grant" in line for line in failures(a)), what="the refusal")
            assert b.host.actors.get("app-probe") is None
            b.host.actors.trust = ActorTrust(unsigned=True, folders=(tmp_path / "srv",))
            await until(lambda: a.parts.peers.copies("app-probe") and url(a), 30, what="the command")
            async with aiohttp.ClientSession() as http:
                async with http.get(f"{url(a)}/x?environment") as response:
                    found = environment(await response.read())
                assert (found["COLOR"], found["X_MATCHED_ROUTE"], found["PATH_INFO"]) == ("blue", "/probe/...", "/x")
                async with http.get(f"{url(a)}?cat&/data/file") as response:
                    assert await response.text() == "content"


def failures(host: JoinedHost) -> list[str]:
    return [failure.message for failure in host.parts.peers.observed.failures.values()]
