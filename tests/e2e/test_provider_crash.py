"""A provider whose background task fails is reported, and runs again with its links after a wait that grows."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from lattice import supervisor
from lattice.control.manifest import load
from lattice.host import Host, HostSettings
from tests.e2e.crashing import CRASH
from tests.e2e.running import COUNTER, actor, connect, count, link, manifest, routes
from tests.providers.http_server_client import Client, Response, get, until

BACKOFF_S = supervisor.BACKOFF_S_MIN


def with_crashing(*, group: str) -> list[EntryPoint]:
    """What is installed, and one provider more."""
    return [*entry_points(group=group), EntryPoint("crashing", "tests.e2e.crashing:Crashing", group)]


async def answered_again(client: Client, path: str) -> tuple[Response, list[Response], float]:
    """Asks until the provider is back: its first answer, the refusals before, and how long they lasted."""
    refused: list[Response] = []
    began = time.monotonic()
    async with asyncio.timeout(10):
        while True:
            response = await client.ask(get(path))
            if response.status == 200:
                return response, refused, time.monotonic() - began
            refused.append(response)
            await asyncio.sleep(0.02)


async def test_a_crashed_provider_is_reported_and_restarted_with_backoff_and_its_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "entry_points", with_crashing)
    path = manifest(
        tmp_path,
        actor("counter", link("store", start="100")),
        "{name: store, type: capability, properties: {image: builtin://crashing}}",
        routes(counter={}),
        images={"counter": COUNTER.read_bytes()},
    )
    async with Host(HostSettings(data=tmp_path / "data", drain_s_max=5)) as host:
        deployment = await host.deploy(load(path, host.installed))
        store, http = (host.supervisor.get(deployment.keys[name]) for name in ("store", "http"))
        assert store is not None
        assert http is not None
        client = await connect(urlsplit(http.urls()[0]).port or 0)
        try:
            assert [count(await client.ask(get("/a"))) for _ in range(2)] == [101, 102]
            for crashes in (1, 2):
                with caplog.at_level(logging.ERROR, "lattice.providers"):
                    assert count(await client.ask(get(CRASH))) == 101
                    await until(lambda: store.status == "failed")
                assert "crashing failed: RuntimeError: the background task broke" in caplog.text
                caplog.clear()

                response, refused, down_s = await answered_again(client, "/a")
                assert count(response) == 101, "linked again, with the link's settings, and nothing of before"
                assert refused
                assert {(one.status, one.code) for one in refused} == {(503, "provider_unavailable")}
                message = message_of(refused[-1])
                assert "crashing is not running: the background task broke; the next try is in" in message
                wait_s = BACKOFF_S * 2 ** (crashes - 1)
                assert wait_s - 0.1 < down_s < wait_s + 1, "the second crash right after the first waits longer"
                assert (store.status, store.restarts) == ("running", crashes)
            assert http.status == "running"
        finally:
            await client.close()


def message_of(response: Response) -> str:
    document: dict[str, Any] = json.loads(response.body)
    return str(document["message"])
