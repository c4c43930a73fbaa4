"""Secrets on hosts of a lattice: missing ones are waited for, changed ones come with the next start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
import pytest
import pytest_asyncio

from lattice import errors, subjects
from lattice.control.secret_store import SecretStore
from lattice.security import sealing
from lattice.security.settings import LOCAL, SecretTrust
from tests.support.lattices import LATTICE, JoinedHost, Tool, joined_host, tool, until
from tests.support.servers import nats_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAIR = sealing.generate()


class Lattice(NamedTuple):
    host: JoinedHost
    tool: Tool
    store: SecretStore

    async def deploy(self, name: str, *components: dict[str, Any]) -> None:
        manifest = {
            "apiVersion": "core.oam.dev/v1beta1",
            "kind": "Application",
            "metadata": {"name": name},
            "spec": {"components": list(components)},
        }
        put = await self.tool.model("put", manifest)
        assert put["result"] == "created", put
        assert (await self.tool.model(f"deploy.{name}"))["result"] == "acknowledged"

    async def put(self, name: str, value: str, *applications: str) -> None:
        await self.store.put(name, value, PAIR, PAIR.public, "", applications)

    def settings(self, key: str) -> Any:
        running = self.host.host.supervisor.get(key)
        return running.settings if running is not None else None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lattice(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lattice]:
    folder = tmp_path_factory.mktemp("secrets")
    security = msgspec.structs.replace(LOCAL, secrets=SecretTrust(keys=(PAIR,)))
    with nats_server(folder) as server:
        async with tool(server.url) as client, joined_host(server.url, folder / "a", "a", security=security) as host:
            bucket = await host.transport.bucket(subjects.secret_bucket(LATTICE))
            yield Lattice(host, client, SecretStore(bucket, LATTICE))


def store(name: str, key: str, **more: str) -> dict[str, Any]:
    secrets = [{"name": "path", "properties": {"policy": "bucket", "key": key, **more}}]
    return {
        "name": name,
        "type": "capability",
        "properties": {"image": "builtin://keyvalue-sqlite", "secrets": secrets},
    }


async def test_what_waits_for_a_secret_starts_when_it_is_stored(lattice: Lattice) -> None:
    await lattice.deploy("late", store("kv", "late/path"))
    failed = await lattice.tool.event("provider_start_failed", within_s=20, provider_id="late-kv")
    assert failed["data"]["code"] == "secret_unavailable"
    assert "the stored secret 'late/path'" in failed["data"]["error"]
    await lattice.put("late/path", "late-1.db")
    await until(lambda: lattice.settings("late-kv") is not None, 20)
    assert str(lattice.settings("late-kv").path) == "late-1.db"


async def test_a_new_version_is_used_by_the_next_start_and_a_named_one_stays(lattice: Lattice) -> None:
    await lattice.put("turn/path", "turn-1.db")
    await lattice.deploy("turn", store("kv", "turn/path"), store("pinned", "turn/path", version="1"))
    await until(lambda: lattice.settings("turn-pinned") is not None and lattice.settings("turn-kv") is not None, 20)
    await lattice.put("turn/path", "turn-2.db")
    assert str(lattice.settings("turn-kv").path) == "turn-1.db"
    executor = lattice.host.host.executor
    for key in ("turn-kv", "turn-pinned"):
        await until(lambda key=key: executor.wanted_of(key) is not None)  # type: ignore[misc]
        wanted = executor.wanted_of(key)
        assert wanted is not None
        assert wanted.config == {}, "what is told to others has references only"
        await executor.stop_provider(key)
        await executor.start_provider(wanted, {})
    assert str(lattice.settings("turn-kv").path) == "turn-2.db"
    assert str(lattice.settings("turn-pinned").path) == "turn-1.db"


async def test_a_secret_of_another_application_is_refused(lattice: Lattice) -> None:
    await lattice.put("shop/path", "shop.db", "shop")
    await lattice.deploy("evil", store("kv", "shop/path"))
    failed = await lattice.tool.event("provider_start_failed", within_s=20, provider_id="evil-kv")
    assert "bound to other applications than the application evil" in failed["data"]["error"]
    await lattice.deploy("shop", store("kv", "shop/path"))
    await until(lambda: lattice.settings("shop-kv") is not None, 20)


async def test_a_link_is_refused_until_its_secret_is_there(lattice: Lattice) -> None:
    secrets = [{"name": "bucket", "properties": {"policy": "bucket", "key": "linked/bucket"}}]
    actor = {
        "name": "one",
        "type": "component",
        "properties": {"image": lattice.host.guest("echo")},
        "traits": [{"type": "link", "properties": {"target": {"name": "kv", "secrets": secrets}}}],
    }
    plain = {"name": "kv", "type": "capability", "properties": {"image": "builtin://keyvalue-sqlite"}}
    await lattice.deploy("linked", actor, plain)
    refused = lattice.host.host.executor.refused
    await until(lambda: any("'linked/bucket'" in why for why in refused.values()), 20)
    await lattice.put("linked/bucket", "hits", "linked")
    await until(lambda: not refused, 20)
    running = lattice.host.host.supervisor.get("linked-kv")
    assert running is not None
    (link,) = running.links.values()
    assert link.target_config == {"bucket": "hits"}
    (known,) = [one for one in lattice.host.host.links if one.target == "linked-kv"]
    assert known.target_config == {}, "the router and what it tells have references only"
    document = (await lattice.tool.model("get.linked"))["manifest"]
    assert "hits" not in str(document)


async def test_what_runs_goes_on_when_the_secret_of_its_next_version_is_missing(lattice: Lattice) -> None:
    await lattice.put("next/path", "next.db")
    await lattice.deploy("next", store("kv", "next/path"))
    executor = lattice.host.host.executor
    await until(lambda: executor.wanted_of("next-kv") is not None, 20)
    wanted, running = executor.wanted_of("next-kv"), lattice.host.host.supervisor.get("next-kv")
    assert wanted is not None
    missing = msgspec.structs.replace(wanted.secrets[0], key="next/none")
    with pytest.raises(errors.SecretUnavailable, match="'next/none'"):
        await executor.start_provider(msgspec.structs.replace(wanted, secrets=(missing,)), {})
    assert lattice.host.host.supervisor.get("next-kv") is running
    assert running is not None
    assert running.status == "running"
