"""Applications over NATS in wadm's subjects and replies: put, look, deploy, go back; wrong input; a full store."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from lattice import errors
from lattice.control.manifest import plain
from tests.support.lattices import JoinedHost, Tool, joined_host, tool, until
from tests.support.servers import Server, nats_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Lattice:
    def __init__(self, one: JoinedHost, two: JoinedHost, client: Tool) -> None:
        self.one = one
        self.two = two
        self.tool = client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lattice(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lattice]:
    folder = tmp_path_factory.mktemp("applications")
    with nats_server(folder) as server:
        async with (
            tool(server.url) as client,
            joined_host(server.url, folder / "one", "one") as one,
            joined_host(server.url, folder / "two", "two") as two,
        ):
            await until(lambda: len(one.parts.peers.observed.hosts) == 2 == len(two.parts.peers.observed.hosts))
            yield Lattice(one, two, client)


def manifest(name: str, version: str = "", image: str = "file:///nowhere/echo.wasm", **more: Any) -> bytes:
    """One actor; `more` are its spread's properties."""
    annotations = {"version": version} if version else {}
    component = {
        "name": "echo",
        "type": "component",
        "properties": {"image": image, "id": f"{name}-echo"},
        "traits": [{"type": "spreadscaler", "properties": {"instances": 2, **more}}],
    }
    document = {
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "metadata": {"name": name, "annotations": {**annotations, "description": "for a test"}},
        "spec": {"components": [component]},
    }
    return json.dumps(document).encode()


def is_status(found: Any) -> bool:
    """The shape of wadm's Status, whose inner `status` is { type, message }."""
    kinds = ("waiting", "undeployed", "reconciling", "deployed", "failed")
    infos = [found["status"], *(one["status"] for one in (*found["scalers"], *found["components"]))]
    texts = [one[field] for one in found["scalers"] for field in ("id", "kind", "name")]
    texts += [one[field] for one in found["components"] for field in ("name", "type")]
    return all(info["type"] in kinds and isinstance(info["message"], str) for info in infos) and all(texts)


async def status(lattice: Lattice, name: str, wanted: str, within_s: float = 15.0) -> dict[str, Any]:
    """This project's own document of the status, when it says `wanted`."""
    found: dict[str, Any] = {}
    deadline = asyncio.get_running_loop().time() + within_s
    while asyncio.get_running_loop().time() < deadline:
        reply = await lattice.tool.model(f"status.{name}")
        assert reply["result"] == "ok"
        assert is_status(reply["status"]), reply
        found = reply["application"]
        if found["status"] == wanted:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{name} is not {wanted} but {found}")


async def test_an_application_from_put_to_delete(lattice: Lattice) -> None:
    image = lattice.one.guest("echo")
    put = await lattice.tool.model("put", manifest("whole", "v1", image))
    assert put["result"] == "created"
    assert (put["name"], put["current_version"], put["total_versions"]) == ("whole", "v1", 1)
    found = await status(lattice, "whole", "undeployed")
    assert found["remedy"] == "lattice app deploy whole"
    deployed = await lattice.tool.model("deploy.whole", {})
    assert (deployed["result"], deployed["name"], deployed["version"]) == ("acknowledged", "whole", "v1")
    found = await status(lattice, "whole", "deployed")
    (component,) = found["components"]
    assert (component["running"], component["wanted"], sorted(component["hosts"].values())) == (2, 2, [1, 1])
    put = await lattice.tool.model("put", manifest("whole", "v2", image, instances=4))
    assert (put["result"], put["total_versions"]) == ("newversion", 2)
    assert (await lattice.tool.model("deploy.whole", {"version": "v2"}))["version"] == "v2"
    await until(lambda: count(lattice, "whole-echo") == 4)
    back = await lattice.tool.model("rollback.whole")
    assert (back["result"], back["version"]) == ("acknowledged", "v1")
    await until(lambda: count(lattice, "whole-echo") == 2)
    versions = (await lattice.tool.model("versions.whole"))["versions"]
    assert [(one["version"], one["deployed"]) for one in versions] == [("v1", True), ("v2", False)]
    history = (await lattice.tool.model("history.whole"))["history"]
    assert [(step["action"], step["version"]) for step in history] == [
        ("put", "v1"),
        ("deploy", "v1"),
        ("put", "v2"),
        ("deploy", "v2"),
        ("rollback", "v1"),
    ]
    assert (await lattice.tool.model("undeploy.whole"))["result"] == "acknowledged"
    await status(lattice, "whole", "undeployed")
    await until(lambda: count(lattice, "whole-echo") == 0)
    gone = await lattice.tool.model("del.whole", {"version": "v2"})
    assert (gone["result"], gone["undeploy"]) == ("deleted", False)
    gone = await lattice.tool.model("del.whole")
    assert gone["result"] == "deleted"
    assert (await lattice.tool.model("status.whole"))["result"] == "notfound"
    assert (await lattice.tool.model("del.whole"))["result"] == "noop"


def count(lattice: Lattice, key: str) -> int:
    hosts = (lattice.one.parts.presence.own, lattice.two.parts.presence.own)
    return sum(host.actors[key].count for host in hosts if key in host.actors)


async def test_a_manifest_comes_back_as_an_object_and_as_it_was_put(lattice: Lattice) -> None:
    text = manifest("returned", "v1")
    await lattice.tool.model("put", text)
    for body in (None, {}, {"version": None}, {"version": "v1"}, {"version": "latest"}, {"version": ""}):
        found = await lattice.tool.model("get.returned", body)
        assert found["result"] == "success"
        assert found["manifest"] == json.loads(text)
        assert (found["text"], found["version"]) == (text.decode(), "v1")
    missing = await lattice.tool.model("get.returned", {"version": "v9"})
    assert missing["result"] == "error"
    assert "v9" in missing["message"]
    assert "v1" in missing["remedy"]
    await lattice.tool.model("del.returned")


async def test_lists_have_the_fields_of_a_summary(lattice: Lattice) -> None:
    await lattice.tool.model("put", manifest("listed", "v1"))
    listed = await lattice.tool.model("get")
    assert listed["result"] == "success"
    answer = await lattice.tool.client.request("wadm.api.test.model.list", b"", timeout=5)
    assert json.loads(answer.data) == listed["models"]  # the older question has a bare list
    (found,) = [one for one in listed["models"] if one["name"] == "listed"]
    assert is_status(found.pop("detailed_status"))
    assert found == {
        "name": "listed",
        "version": "v1",
        "description": "for a test",
        "deployed_version": None,
        "status": "undeployed",
        "status_message": "no version is deployed",
    }
    await lattice.tool.model("del.listed")


async def test_a_version_is_what_it_was_when_it_was_put_first(lattice: Lattice) -> None:
    await lattice.tool.model("put", manifest("same", "v1"))
    again = await lattice.tool.model("put", manifest("same", "v1"))
    assert (again["result"], again["total_versions"]) == ("newversion", 1)
    other = await lattice.tool.model("put", manifest("same", "v1", instances=9))
    assert other["result"] == "error"
    assert "version v1 of same" in other["message"]
    unnamed = [await lattice.tool.model("put", manifest("same", "", instances=n)) for n in (3, 4, 3)]
    assert unnamed[0]["current_version"] == unnamed[2]["current_version"] != unnamed[1]["current_version"]
    assert [one["total_versions"] for one in unnamed] == [2, 3, 3]
    await lattice.tool.model("del.same")


async def test_old_versions_go_but_not_the_deployed_one(lattice: Lattice) -> None:
    await lattice.tool.model("put", manifest("many", "first"))
    await lattice.tool.model("deploy.many", {"version": "first"})
    for number in range(14):
        assert (await lattice.tool.model("put", manifest("many", f"v{number}")))["result"] == "newversion"
    versions = (await lattice.tool.model("versions.many"))["versions"]
    assert [one["version"] for one in versions] == ["first", *(f"v{number}" for number in range(4, 14))]
    assert (await lattice.tool.model("del.many"))["result"] == "deleted"


async def test_deleting_the_deployed_version_undeploys(lattice: Lattice) -> None:
    for version in ("v1", "v2"):
        await lattice.tool.model("put", manifest("partly", version))
    await lattice.tool.model("deploy.partly", {"version": "v1"})
    gone = await lattice.tool.model("del.partly", {"version": "v1"})
    assert (gone["result"], gone["undeploy"]) == ("deleted", True)
    assert (await lattice.tool.model("status.partly"))["application"]["status"] == "undeployed"
    assert (await lattice.tool.model("del.partly", {"version": "v1"}))["result"] == "noop"
    nothing = await lattice.tool.model("rollback.partly")
    assert nothing["result"] == "error"
    assert "no other version" in nothing["message"]
    assert (await lattice.tool.model("del.partly", {"version": "v2"}))["result"] == "deleted"
    assert (await lattice.tool.model("get.partly"))["result"] == "notfound"


async def test_what_is_not_there_is_not_found(lattice: Lattice) -> None:
    for verb in ("get", "versions", "history", "status", "deploy", "undeploy", "rollback"):
        reply = await lattice.tool.model(f"{verb}.nobody")
        assert reply["result"] == "notfound", (verb, reply)
        assert "nobody" in reply["message"]
    assert (await lattice.tool.model("versions.nobody"))["versions"] == []
    await lattice.tool.model("put", manifest("there", "v1"))
    wrong = await lattice.tool.model("deploy.there", {"version": "v7"})
    assert (wrong["result"], "v7" in wrong["message"]) == ("error", True)
    assert (await lattice.tool.model("versions.there"))["versions"][0]["deployed"] is False
    await lattice.tool.model("del.there")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"{", "YAML"),
        (b"[1, 2]", "mapping"),
        (b"apiVersion: core.oam.dev/v1beta1\nkind: Deployment\n", "Deployment"),
        (manifest("x", image="file://relative.wasm").replace(b'echo", "type', b'e/cho", "type'), "e/cho"),
        (manifest("x", image="nonsense://a b"), "image"),
        (manifest("x", instances=-1), "-1"),
        (manifest("a.b"), "a.b"),
        (manifest("x" * 5000), "name"),
        (manifest("x", image="stored://" + "0" * 64 + "/gone.wasm"), "no image"),
        (b"a: &a [" + b"x," * 100 + b"]\nb: [" + b"*a," * 5000 + b"]", "aliases"),
        (b"a: &a '" + b"x" * 200_000 + b"'\nb: [" + b"*a," * 50_000 + b"]", "aliases"),
        (b"[" * 50_000, "nested"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_a_manifest_with_mistakes_is_refused_with_all_of_them(lattice: Lattice, body: bytes, says: str) -> None:
    reply = await lattice.tool.model("put", body)
    assert reply["result"] == "error", reply
    assert says in reply["message"], reply
    assert len(reply["message"]) <= 10_500
    assert all(one["name"] != "x" for one in (await lattice.tool.model("get"))["models"])


async def test_what_is_malformed_is_answered(lattice: Lattice) -> None:
    await lattice.tool.model("put", manifest("sturdy", "v1"))
    for verb in ("deploy", "get", "del"):
        for body in (b"{", b"[]", b"null", b"\xff", b'{"version": 5}', b"[" * 50_000):
            reply = await lattice.tool.model(f"{verb}.sturdy", body)
            assert reply["result"] == "error", (verb, body[:20], reply)
    for words, says in (("dance.sturdy", "dance"), ("deploy", "names an application"), ("versions", "names")):
        reply = await lattice.tool.model(words)
        assert (reply["result"], says in reply["message"]) == ("error", True), reply
    assert (await lattice.tool.model("get.sturdy"))["result"] == "success"
    await lattice.tool.model("del.sturdy")


async def test_puts_at_once_by_two_hosts_keep_all(lattice: Lattice) -> None:
    """Neither the queue group nor luck decides: each host is asked by its own store."""
    answers = [
        host.parts.applications._put("", manifest("raced", f"v{number}"))
        for number, host in enumerate([lattice.one, lattice.two] * 4)
    ]
    done = await asyncio.gather(*answers)
    assert sum(one["result"] == "created" for one in done) == 1
    versions = (await lattice.tool.model("versions.raced"))["versions"]
    assert {one["version"] for one in versions} == {f"v{number}" for number in range(8)}
    assert len((await lattice.tool.model("history.raced"))["history"]) == 8
    await lattice.tool.model("del.raced")


async def test_two_applications_that_want_one_id_are_told_apart(lattice: Lattice) -> None:
    image = lattice.one.guest("echo")
    first, second = manifest("early", "v1", image), manifest("late", "v1", image).replace(b"late-echo", b"early-echo")
    for name, text in (("early", first), ("late", second)):
        await lattice.tool.model("put", text)
        await lattice.tool.model(f"deploy.{name}")
    found = await status(lattice, "late", "failed")
    assert "early-echo" in found["message"]
    assert "another id" in found["remedy"]
    await status(lattice, "early", "deployed")
    await lattice.tool.model("del.early")
    await status(lattice, "late", "deployed")
    await lattice.tool.model("del.late")
    await until(lambda: count(lattice, "early-echo") == 0)


async def test_status_names_the_cause_and_the_remedy(lattice: Lattice) -> None:
    spread = [{"name": "gpu", "requirements": {"gpu": "yes"}, "fallback": "none"}]
    await lattice.tool.model("put", manifest("waits", "v1", lattice.one.guest("echo"), spread=spread))
    await lattice.tool.model("deploy.waits")
    found = await status(lattice, "waits", "waiting")
    assert "gpu=yes" in found["message"]
    assert "--label gpu=yes" in found["remedy"]
    await lattice.tool.model("put", manifest("fails", "v1", "file:///nowhere.wasm"))
    await lattice.tool.model("deploy.fails")
    found = await status(lattice, "fails", "failed")
    assert "/nowhere.wasm" in found["message"]
    for name in ("waits", "fails"):
        await lattice.tool.model(f"del.{name}")


# A store that is full.


@pytest.fixture
def small_server(tmp_path: Path) -> Iterator[Server]:
    config = """
    accounts: { small: { jetstream: { max_file: 220KB }, users: [{ user: "u", password: "p" }] } }
    no_auth_user: "u"
    """
    with nats_server(tmp_path, config) as server:
        yield server


@pytest.mark.asyncio(loop_scope="function")
async def test_a_full_store_refuses_and_keeps_what_it_has(small_server: Server, tmp_path: Path) -> None:
    async with tool(small_server.url) as client, joined_host(small_server.url, tmp_path / "host", "host") as host:
        assert (await client.model("put", manifest("kept", "v1", host.guest("echo"))))["result"] == "created"
        await client.model("deploy.kept")
        await until(lambda: "kept-echo" in host.parts.presence.own.actors)
        refused: dict[str, Any] = {}
        chance = random.Random(1)
        for number in range(60):
            noise = chance.randbytes(9000).hex()
            put = await client.ctl(f"config.put.big{number}", {"noise": noise})
            if not put["success"]:
                refused = put
                break
        assert refused["code"] == errors.StoreUnavailable.code, refused
        assert "make room" in refused["remedy"], refused
        assert "kept" in json.dumps(await client.model("get"))
        reply = await client.model(
            "put", manifest("late", "v1").replace(b"for a test", chance.randbytes(40_000).hex().encode())
        )
        assert (reply["result"], reply["code"]) == ("error", errors.StoreUnavailable.code), reply
        assert "make room" in reply["remedy"]
        # The host lives, serves, and what was acknowledged is there.
        assert host.parts.presence.own.actors.keys() == {"kept-echo"}
        assert (await client.model("status.kept"))["application"]["status"] == "deployed"
        for kept in range(number):
            assert "noise" in (await client.ctl(f"config.get.big{kept}"))["response"]
        assert (await client.ctl(f"config.get.big{number}")).get("response") is None
        # Making room makes it work again.
        for kept in range(number):
            assert (await client.ctl(f"config.del.big{kept}"))["success"], kept
        assert (await client.ctl("config.put.small", {"a": "b"}))["success"]


async def test_numbers_that_tools_read_as_numbers_are_numbers() -> None:
    text = "a: {replicas: 3, weight: '7', port: 8080, on: true, instances: 1.5, list: [1, two]}"
    assert plain(text) == {
        "a": {"replicas": 3, "weight": 7, "port": "8080", "on": "true", "instances": "1.5", "list": ["1", "two"]}
    }
