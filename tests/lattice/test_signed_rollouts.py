"""Versions of an application whose actor is signed: forward by greater revisions, back by a rollback only."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from lattice.actors import Actor
from tests.support.hosts import guest_wasm
from tests.support.lattices import JoinedHost, Tool, joined_host, tool, until
from tests.support.servers import nats_server
from tests.support.signed import ACTOR, STRANGER, section, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")

ECHO = guest_wasm("echo")


class Lattice:
    """Two hosts with a copy each, and what a tool does."""

    def __init__(self, one: JoinedHost, two: JoinedHost, client: Tool) -> None:
        self.hosts = (one, two)
        self.tool = client

    async def put(self, version: str, data: bytes, **properties: Any) -> dict[str, Any]:
        path = self.hosts[0].folder / f"{version}.wasm"
        path.write_bytes(data)
        image = await self.hosts[0].host.images.put(path)
        component = {
            "name": "echo",
            "type": "component",
            "properties": {"image": image, **properties},
            "traits": [{"type": "daemonscaler", "properties": {"instances": 1}}],
        }
        document = {
            "apiVersion": "core.oam.dev/v1beta1",
            "kind": "Application",
            "metadata": {"name": "app", "annotations": {"version": version}},
            "spec": {"components": [component]},
        }
        return await self.tool.model("put", json.dumps(document).encode())

    async def deploy(self, version: str) -> None:
        body = json.dumps({"version": version}).encode()
        assert (await self.tool.model("deploy.app", body))["result"] == "acknowledged"

    def actors(self) -> list[Actor]:
        found = [joined.host.actors.get(ACTOR.public) for joined in self.hosts]
        return [actor for actor in found if actor is not None]

    def revisions(self) -> list[int | None]:
        return [actor.revision.claims.rev for actor in self.actors() if actor.revision.claims is not None]

    async def run(self, revision: int) -> None:
        await until(lambda: self.revisions() == [revision, revision], what=f"revision {revision} on both hosts")

    async def refused(self, version: str, says: str) -> None:
        """Waits until a host has said why it does not run the deployed version."""
        deadline = time.monotonic() + 15
        while True:
            found = (await self.tool.model("status.app"))["application"]
            if found["version"] == version and says in found["message"]:
                assert found["status"] == "failed"
                assert "the old one goes on" in found["message"]
                return
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lattice(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lattice]:
    folder = tmp_path_factory.mktemp("signed")
    with nats_server(folder) as server:
        async with (
            tool(server.url) as client,
            joined_host(server.url, folder / "one", "one") as one,
            joined_host(server.url, folder / "two", "two") as two,
        ):
            await until(lambda: len(one.parts.peers.observed.hosts) == 2 == len(two.parts.peers.observed.hosts))
            yield Lattice(one, two, client)


def version(number: int, rev: int, **wish: Any) -> bytes:
    return signed(ECHO + section(b"%d" % number, b"version"), rev=rev, **wish)


async def test_revisions_go_forward_by_deploys_and_back_by_a_rollback_only(lattice: Lattice) -> None:
    for name, data in (("v1", version(1, 1)), ("v2", version(2, 2)), ("v3", version(3, 2))):
        assert (await lattice.put(name, data))["result"] in ("created", "newversion")
    await lattice.deploy("v1")
    await lattice.run(1)
    first = lattice.actors()
    await lattice.deploy("v2")
    await lattice.run(2)
    assert lattice.actors() == first, "replaced while it serves"

    for older in ("v1", "v3"):
        await lattice.deploy(older)
        await lattice.refused(older, "a live update needs a greater one")
        assert lattice.revisions() == [2, 2]
        assert lattice.actors() == first, "the old one serves on"
        await lattice.deploy("v2")

    assert (await lattice.tool.model("rollback.app"))["version"] == "v3"
    await until(lambda: not set(lattice.actors()) & set(first), what="another start on both hosts")
    await lattice.run(2)
    assert (await lattice.tool.model("rollback.app"))["version"] == "v2"
    await lattice.run(2)
    await lattice.deploy("v1")
    await lattice.refused("v1", "a live update needs a greater one")
    await lattice.deploy("v2")
    assert (await lattice.tool.model("rollback.app"))["version"] == "v1"
    await lattice.run(1)

    # The wish to go back is that of the application; a command that names another image has none.
    host = lattice.hosts[0]
    path = host.folder / "by-hand.wasm"
    path.write_bytes(version(4, 0))
    body = {"component_id": ACTOR.public, "new_component_ref": f"file://{path}"}
    assert (await lattice.tool.ctl(f"component.update.{host.key}", body))["success"]
    failed = await lattice.tool.event("component_scale_failed", component_id=ACTOR.public, image_ref=f"file://{path}")
    assert failed["data"]["code"] == "not_admitted"
    assert lattice.revisions() == [1, 1]
    await lattice.deploy("v2")
    await lattice.run(2)


async def test_another_account_s_image_is_refused_in_a_rollback_too(lattice: Lattice) -> None:
    await lattice.put("s1", version(10, 1, issuer=STRANGER))
    await lattice.deploy("v2")
    await lattice.run(2)
    before = lattice.actors()
    await lattice.deploy("s1")
    await lattice.refused("s1", f"signed by {STRANGER.public}")
    await lattice.deploy("v2")
    assert (await lattice.tool.model("rollback.app"))["version"] == "s1"
    await lattice.refused("s1", f"signed by {STRANGER.public}")
    assert lattice.actors() == before
    await lattice.deploy("v2")


async def test_what_is_not_what_it_says_is_not_put(lattice: Lattice) -> None:
    for name, data, properties, says in (
        ("a", version(1, 9) + section(b"", b"x"), {}, "another module"),
        ("b", ECHO, {"id": ACTOR.public}, "its image is not signed"),
        ("c", version(1, 9), {"id": "M" + "A" * 55}, f"signed for {ACTOR.public}"),
    ):
        reply = await lattice.put(name, data, **properties)
        assert reply["result"] == "error"
        assert says in reply["message"]
    assert (await lattice.put("d", version(4, 9), id=ACTOR.public))["result"] == "newversion"
