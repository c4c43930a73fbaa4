"""A tool of the wasmCloud 1.x ecosystem drives two hosts: subjects, requests, replies, events as upstream has them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from tests.support.hosts import guest_wasm
from tests.support.lattices import JoinedHost, Tool, joined_host, tool, until
from tests.support.servers import nats_server
from tests.support.signed import ACTOR, ISSUER, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")


PING = "wasmbus.ctl.v1.test.host.ping"


class Lattice:
    """Two hosts, `one` in zone a and `two` in zone b, and a tool."""

    def __init__(self, one: JoinedHost, two: JoinedHost, client: Tool) -> None:
        self.one = one
        self.two = two
        self.tool = client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lattice]:
    folder = tmp_path_factory.mktemp("interface")
    with nats_server(folder) as server:
        async with (
            tool(server.url) as client,
            joined_host(server.url, folder / "one", "one", zone="a") as one,
            joined_host(server.url, folder / "two", "two", zone="b") as two,
        ):
            await until(lambda: len(one.parts.peers.observed.hosts) == 2 == len(two.parts.peers.observed.hosts))
            yield Lattice(one, two, client)


@pytest.fixture
def lattice(shared: Lattice) -> Lattice:
    shared.tool.events.clear()
    return shared


def succeeded(reply: dict[str, Any]) -> Any:
    """The response of a reply with exactly the upstream fields."""
    assert reply["success"] is True, reply
    assert reply["message"] == "" or isinstance(reply["message"], str)
    assert reply.keys() <= {"success", "message", "response"}
    return reply.get("response")


def refused(reply: dict[str, Any], says: str) -> None:
    assert reply["success"] is False, reply
    assert says in reply["message"], reply
    assert reply.keys() == {"success", "message", "code", "remedy"}  # the last two are additions


# Hosts.


async def test_every_host_answers_a_ping(lattice: Lattice) -> None:
    answers = [succeeded(reply) for reply in await lattice.tool.ctl_all("host.ping")]
    assert {answer["id"] for answer in answers} == {lattice.one.key, lattice.two.key}
    one = next(answer for answer in answers if answer["id"] == lattice.one.key)
    assert one["friendly_name"] == "one"
    assert one["lattice"] == "test"
    assert one["labels"]["zone"] == "a"
    assert one["labels"].keys() >= {"hostcore.os", "hostcore.arch", "hostcore.osfamily"}
    assert isinstance(one["uptime_seconds"], int)
    assert one["uptime_human"].endswith("s")
    assert one["version"]


async def test_the_inventory_has_the_listed_fields(lattice: Lattice) -> None:
    await scale(lattice, "inventoried", 3)
    found = succeeded(await lattice.tool.ctl(f"host.get.{lattice.one.key}"))
    listed = "host_id friendly_name labels version uptime_human uptime_seconds components providers"
    assert found.keys() >= {*listed.split()}
    component = next(item for item in found["components"] if item["id"] == "inventoried")
    assert component.keys() >= {"id", "image_ref", "name", "annotations", "revision", "max_instances", "limits"}
    assert (component["max_instances"], component["revision"], component["annotations"]) == (3, 0, {"by": "test"})
    provider = found["providers"][0]
    assert provider.keys() >= {"id", "image_ref", "name", "revision", "annotations"}
    await scale(lattice, "inventoried", 0)


async def test_a_host_that_is_not_there_does_not_answer(lattice: Lattice) -> None:
    with pytest.raises(NoRespondersError):
        await lattice.tool.ctl("host.get.NNOBODY")


async def test_host_stop_is_acknowledged_with_its_timeout_in_milliseconds(lattice: Lattice) -> None:
    body = {"host_id": lattice.two.key, "timeout": 1500}
    assert succeeded(await lattice.tool.ctl(f"host.stop.{lattice.two.key}", body)) is None
    assert succeeded(await lattice.tool.ctl(f"host.stop.{lattice.two.key}")) is None
    assert lattice.two.stop_asked == [1.5, None]
    refused(await lattice.tool.ctl(f"host.stop.{lattice.two.key}", {"timeout": "soon"}), "timeout")
    refused(await lattice.tool.ctl(f"host.stop.{lattice.two.key}", {"timeout": -1}), "timeout")


@pytest.mark.parametrize(
    "question", ["wasmbus.ctl.v1.test.host.ping", "wadm.api.test.model.list", "wasmbus.rpc.test.x"]
)
async def test_no_answer_is_an_order(lattice: Lattice, question: str) -> None:
    """Whoever asks says where the answer goes, and may name a subject on which only hosts may publish."""
    asked = len(lattice.two.stop_asked)
    if question.startswith("wasmbus.rpc"):
        question = f"wasmbus.rpc.test.x.on.{lattice.one.key}"
    client, heard = lattice.tool.client, list[str]()

    async def noted(message: Msg) -> None:
        heard.append(message.subject)

    subscriptions = [await client.subscribe(subject, cb=noted) for subject in ("$KV.>", "wadm.>", "nanolattice.x.>")]
    for order in (f"wasmbus.ctl.v1.test.host.stop.{lattice.two.key}", "$KV.forged", "nanolattice.x.forged"):
        await client.publish(question, b"{}", reply=order)
    await client.request(question, b"{}", timeout=5)
    succeeded(await lattice.tool.ctl(f"host.get.{lattice.two.key}"))
    for subscription in subscriptions:
        await subscription.unsubscribe()
    assert [subject for subject in heard if "forged" in subject] == []
    assert len(lattice.two.stop_asked) == asked


# Auctions.


async def test_hosts_bid_for_what_they_can_take(lattice: Lattice) -> None:
    ask = {"component_ref": "file:///x.wasm", "component_id": "new", "constraints": {"zone": "b"}}
    (bid,) = await lattice.tool.ctl_all("component.auction", ask)
    assert succeeded(bid) == {**ask, "host_id": lattice.two.key}
    ask = {"provider_ref": "builtin://cron", "provider_id": "new", "constraints": {}}
    bids = [succeeded(bid) for bid in await lattice.tool.ctl_all("provider.auction", ask)]
    assert {bid["host_id"] for bid in bids} == {lattice.one.key, lattice.two.key}
    assert all({**bid, "host_id": ""} == {**ask, "host_id": ""} for bid in bids)


async def test_nobody_bids_for_labels_that_nobody_has_or_for_what_it_runs(lattice: Lattice) -> None:
    ask = {"component_ref": "", "component_id": "sold", "constraints": {"zone": "nowhere"}}
    assert await lattice.tool.ctl_all("component.auction", ask) == []
    await scale(lattice, "sold", 1)
    bids = await lattice.tool.ctl_all("component.auction", {**ask, "constraints": {}})
    assert [succeeded(bid)["host_id"] for bid in bids] == [lattice.two.key]
    await scale(lattice, "sold", 0)


# Components.


async def scale(lattice: Lattice, key: str, count: int, **more: Any) -> dict[str, Any]:
    """On the first host; returns the event's data."""
    body = {
        "component_ref": lattice.one.guest("echo"),
        "component_id": key,
        "annotations": {"by": "test"},
        "count": count,
        "host_id": lattice.one.key,
        "config": [],
        "allow_update": False,
        **more,
    }
    lattice.tool.events.clear()
    assert succeeded(await lattice.tool.ctl(f"component.scale.{lattice.one.key}", body)) is None
    event = await lattice.tool.event("component_scaled", component_id=key)
    return dict(event["data"])


def running(lattice: Lattice) -> dict[str, int]:
    return {key: actor.count for key, actor in lattice.one.parts.presence.own.actors.items()}


async def test_a_component_is_started_scaled_and_stopped(lattice: Lattice) -> None:
    data = await scale(lattice, "scaled", 2)
    assert data == {
        "component_id": "scaled",
        "host_id": lattice.one.key,
        "image_ref": lattice.one.guest("echo"),
        "max_instances": 2,
        "annotations": {"by": "test"},
    }
    assert running(lattice)["scaled"] == 2
    await scale(lattice, "scaled", 5)
    assert running(lattice)["scaled"] == 5
    data = await scale(lattice, "scaled", 0)
    assert data["max_instances"] == 0
    assert "scaled" not in running(lattice)


async def test_events_are_cloud_events(lattice: Lattice) -> None:
    await scale(lattice, "told", 1)
    await scale(lattice, "told", 0)
    event = await lattice.tool.event("component_scaled", component_id="told")
    assert event["subject"] == "wasmbus.evt.test.component_scaled"
    assert event["type"] == "com.wasmcloud.lattice.component_scaled"
    assert event["source"] == lattice.one.key
    assert event["specversion"] == "1.0"
    assert event["datacontenttype"] == "application/json"
    assert event["id"]
    assert event["time"][10] == "T"


async def test_an_image_that_does_not_start_is_a_scale_failed(lattice: Lattice) -> None:
    body = {"component_ref": "file:///nowhere.wasm", "component_id": "broken", "count": 1, "host_id": lattice.one.key}
    assert succeeded(await lattice.tool.ctl(f"component.scale.{lattice.one.key}", body)) is None
    data = (await lattice.tool.event("component_scale_failed", component_id="broken"))["data"]
    assert data.keys() >= {"component_id", "host_id", "image_ref", "max_instances", "annotations", "error"}
    assert "/nowhere.wasm" in data["error"]
    assert "broken" not in running(lattice)


async def test_a_component_is_updated_in_its_place(lattice: Lattice) -> None:
    await scale(lattice, "updated", 2)
    body = {
        "component_id": "updated",
        "annotations": {"by": "test"},
        "host_id": lattice.one.key,
        "new_component_ref": lattice.one.guest("echo_operation"),
    }
    lattice.tool.events.clear()
    assert succeeded(await lattice.tool.ctl(f"component.update.{lattice.one.key}", body)) is None
    data = (await lattice.tool.event("component_scaled", component_id="updated"))["data"]
    assert (data["image_ref"], data["max_instances"]) == (body["new_component_ref"], 2)
    assert lattice.one.parts.presence.own.actors["updated"].image == body["new_component_ref"]
    data = await scale(lattice, "updated", 1, allow_update=True)
    assert lattice.one.parts.presence.own.actors["updated"].image == lattice.one.guest("echo")
    await scale(lattice, "updated", 0)


async def test_commands_that_make_no_sense_are_refused_at_once(lattice: Lattice) -> None:
    at = lattice.one.key
    reference = lattice.one.guest("echo")
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("component.scale", {"component_ref": reference, "count": 1}, "component_id"),
        ("component.scale", {"component_id": "", "component_ref": reference}, "cannot be an id"),
        ("component.scale", {"component_id": "a.b", "component_ref": reference}, "cannot be an id"),
        ("component.scale", {"component_id": "x", "component_ref": reference, "count": -1}, "count"),
        ("component.scale", {"component_id": "x", "component_ref": reference, "count": 2**40}, "count"),
        ("component.scale", {"component_id": "x", "component_ref": reference, "count": "two"}, "count"),
        ("component.scale", {"component_id": "x", "count": 1}, "component_ref"),
        ("component.scale", {"component_id": "x", "component_ref": reference, "annotations": {"a": 1}}, "annotations"),
        (
            "component.scale",
            {"component_id": "x", "component_ref": reference, "component_limits": {"memory_bytes_max": "much"}},
            "component_limits",
        ),
        (
            "component.scale",
            {"component_id": "x", "component_ref": reference, "annotations": {"nanolattice.epoch": "²"}},
            "nanolattice.epoch",
        ),
        ("component.update", {"component_id": "nobody", "new_component_ref": reference}, "does not run"),
        ("provider.start", {"provider_id": "x"}, "provider_ref"),
        ("provider.stop", {"provider_id": "nobody"}, "no provider nobody"),
    ]
    for words, body, says in wrong:
        refused(await lattice.tool.ctl(f"{words}.{at}", body), says)
    assert running(lattice) == {}


# Providers.


async def test_a_provider_is_started_and_stopped(lattice: Lattice) -> None:
    at = lattice.one.key
    assert succeeded(await lattice.tool.ctl("config.put.kv-settings", {"path": "other.db"})) is None
    body = {
        "provider_id": "kv",
        "provider_ref": "builtin://keyvalue-sqlite",
        "host_id": at,
        "config": ["kv-settings"],
        "annotations": {"by": "test"},
    }
    assert succeeded(await lattice.tool.ctl(f"provider.start.{at}", body)) is None
    data = (await lattice.tool.event("provider_started", provider_id="kv"))["data"]
    assert data.keys() >= {"host_id", "image_ref", "provider_id", "annotations"}
    assert (data["host_id"], data["image_ref"]) == (at, "builtin://keyvalue-sqlite")
    assert data["annotations"] == {"by": "test"}
    assert lattice.one.host.supervisor.get("kv").settings.path == Path("other.db")  # type: ignore[union-attr]
    healthy = await lattice.tool.event("health_check_passed", provider_id="kv")
    assert healthy["data"]["host_id"] == at
    assert succeeded(await lattice.tool.ctl(f"provider.stop.{at}", {"host_id": at, "provider_id": "kv"})) is None
    data = (await lattice.tool.event("provider_stopped", provider_id="kv"))["data"]
    assert data.keys() >= {"host_id", "provider_id", "annotations", "reason"}
    assert "kv" not in lattice.one.parts.presence.own.providers


async def test_a_provider_that_cannot_start_is_told(lattice: Lattice) -> None:
    at = lattice.one.key
    for key, reference, config in (
        ("p1", "builtin://nothing-such", []),
        ("p2", "registry.example/provider:1", []),
        ("p3", "builtin://keyvalue-sqlite", ["no-such-config"]),
    ):
        body = {"provider_id": key, "provider_ref": reference, "host_id": at, "config": config}
        assert succeeded(await lattice.tool.ctl(f"provider.start.{at}", body)) is None
        data = (await lattice.tool.event("provider_start_failed", provider_id=key))["data"]
        assert data.keys() >= {"provider_ref", "provider_id", "host_id", "error"}
        assert (data["provider_ref"], data["host_id"]) == (reference, at)
        assert (config or [reference])[0] in data["error"]


# Links.


def link(source: str, target: str, **more: Any) -> dict[str, Any]:
    return {
        "source_id": source,
        "target": target,
        "name": "default",
        "wit_namespace": "wasmcloud",
        "wit_package": "keyvalue",
        "interfaces": ["store", "atomics"],
        "source_config": [],
        "target_config": [],
        "granted_by": "",
        "operations": [],
        **more,
    }


async def links(lattice: Lattice, source: str) -> list[dict[str, Any]]:
    found = succeeded(await lattice.tool.ctl("link.get"))
    return [
        {key: value for key, value in item.items() if key != "contract"}
        for item in found
        if item["source_id"] == source
    ]


async def forget(lattice: Lattice, source: str, name: str = "default") -> None:
    body = {"source_id": source, "name": name, "wit_namespace": "wasmcloud", "wit_package": "keyvalue"}
    assert succeeded(await lattice.tool.ctl("link.del", body)) is None


async def test_a_link_is_put_read_and_deleted(lattice: Lattice) -> None:
    await lattice.tool.ctl("config.put.bucket-of-a", {"bucket": "a", "password": "secret-word"})
    item = link("linked", "kv", target_config=["bucket-of-a"])
    assert succeeded(await lattice.tool.ctl("link.put", item)) is None
    event = await lattice.tool.event("linkdef_set", source_id="linked")
    assert {key: event["data"][key] for key in item} == item
    assert await links(lattice, "linked") == [item]
    for host in (lattice.one, lattice.two):
        await until(lambda: any(found.source == "linked" for found in host.host.links), 5)  # noqa: B023
        (found,) = [found for found in host.host.links if found.source == "linked"]
        assert found.target_config == {"bucket": "a", "password": "secret-word"}
    assert "secret-word" not in json.dumps(lattice.tool.events)
    assert "secret-word" not in json.dumps(await lattice.tool.ctl("link.get"))
    await forget(lattice, "linked")
    data = (await lattice.tool.event("linkdef_deleted", source_id="linked"))["data"]
    assert data == {
        "source_id": "linked",
        "target": "kv",
        "name": "default",
        "wit_namespace": "wasmcloud",
        "wit_package": "keyvalue",
        "interfaces": ["store", "atomics"],
    }
    assert await links(lattice, "linked") == []
    for host in (lattice.one, lattice.two):
        await until(lambda: not any(found.source == "linked" for found in host.host.links), 5)  # noqa: B023


async def test_a_link_follows_its_configuration(lattice: Lattice) -> None:
    await lattice.tool.ctl("config.put.first", {"a": "1", "b": "1"})
    await lattice.tool.ctl("config.put.second", {"b": "2"})
    assert (
        succeeded(await lattice.tool.ctl("link.put", link("follows", "kv", target_config=["first", "second"]))) is None
    )

    def values() -> list[dict[str, str]]:
        return [found.target_config for found in lattice.two.host.links if found.source == "follows"]

    await until(lambda: values() == [{"a": "1", "b": "2"}])
    await lattice.tool.ctl("config.put.second", {"b": "3"})
    await until(lambda: values() == [{"a": "1", "b": "3"}])
    await forget(lattice, "follows")


async def test_a_link_that_cannot_be_is_refused_and_told(lattice: Lattice) -> None:
    await lattice.tool.ctl("link.put", link("taken", "kv"))
    for item, says in (
        (link("taken", "other", interfaces=["atomics"]), "taken has a link"),
        (link("lost", "kv", target_config=["no-such"]), "no-such"),
        (link("", "kv"), "source_id"),
        (link("x", "a.b"), "target"),
    ):
        refused(await lattice.tool.ctl("link.put", item), says)
        event = await lattice.tool.event("linkdef_set_failed", source_id=item["source_id"])
        assert says in event["data"]["error"]
        assert event["data"]["target"] == item["target"]
    # What upstream allows: other interfaces, another name, the same target once more.
    for item in (
        link("taken", "other", interfaces=["batch"]),
        link("taken", "other", name="second"),
        link("taken", "kv"),
    ):
        assert succeeded(await lattice.tool.ctl("link.put", item)) is None
    await forget(lattice, "taken")
    await forget(lattice, "taken", "second")
    assert await links(lattice, "taken") == []


async def test_a_source_may_have_several_routes(lattice: Lattice) -> None:
    for target in ("a1", "a2"):
        await lattice.tool.ctl(f"config.put.route-{target}", {"path": f"/{target}"})
        item = link("web", target, interfaces=["incoming-handler"], source_config=[f"route-{target}"])
        assert succeeded(await lattice.tool.ctl("link.put", item)) is None
    assert {item["target"] for item in await links(lattice, "web")} == {"a1", "a2"}
    await forget(lattice, "web")
    assert await links(lattice, "web") == []


async def test_links_may_leave_out_what_has_a_default(lattice: Lattice) -> None:
    body = {
        "source_id": "short",
        "target": "kv",
        "wit_namespace": "wasmcloud",
        "wit_package": "keyvalue",
        "interfaces": [],
    }
    assert succeeded(await lattice.tool.ctl("link.put", body)) is None
    assert (await links(lattice, "short"))[0]["name"] == "default"
    await forget(lattice, "short")
    await forget(lattice, "short")  # that it is gone is what was asked for


# Configurations, labels, registries.


async def test_a_configuration_is_a_flat_map(lattice: Lattice) -> None:
    assert succeeded(await lattice.tool.ctl("config.put.my.settings", {"a": "1", "ü": "ö"})) is None
    assert (await lattice.tool.event("config_set"))["data"] == {"config_name": "my.settings"}
    assert succeeded(await lattice.tool.ctl("config.get.my.settings")) == {"a": "1", "ü": "ö"}
    assert "my.settings" in succeeded(await lattice.tool.ctl("config.list"))
    assert succeeded(await lattice.tool.ctl("config.del.my.settings")) is None
    assert (await lattice.tool.event("config_deleted"))["data"] == {"config_name": "my.settings"}
    gone = await lattice.tool.ctl("config.get.my.settings")
    assert succeeded(gone) is None
    assert "response" not in gone
    assert "no configuration my.settings" in gone["message"]
    for body in ({"a": 1}, {"a": {"b": "c"}}, ["a"], b"{", b"\xff"):
        refused(await lattice.tool.ctl("config.put.wrong", body), "config.put")
    refused(await lattice.tool.ctl("config.put.>", {"a": "1"}), "key")
    refused(await lattice.tool.ctl("config.put", {"a": "1"}), "names a configuration")


async def test_labels_change_while_the_host_runs(lattice: Lattice) -> None:
    at = lattice.two.key
    assert succeeded(await lattice.tool.ctl(f"label.put.{at}", {"key": "tier", "value": "gold"})) is None
    data = (await lattice.tool.event("labels_changed", host_id=at))["data"]
    assert data["labels"].items() >= {"tier": "gold", "zone": "b"}.items()
    await until(lambda: lattice.one.parts.peers.observed.hosts[at].labels.get("tier") == "gold")
    ask = {"component_ref": "x", "component_id": "y", "constraints": {"tier": "gold"}}
    assert len(await lattice.tool.ctl_all("component.auction", ask)) == 1
    assert succeeded(await lattice.tool.ctl(f"label.del.{at}", {"key": "tier", "value": ""})) is None
    await until(lambda: "tier" not in lattice.one.parts.peers.observed.hosts[at].labels)
    for words in ("label.put", "label.del"):
        refused(await lattice.tool.ctl(f"{words}.{at}", {"key": "hostcore.os", "value": "dos"}), "hostcore.os")
        refused(await lattice.tool.ctl(f"{words}.{at}", {"key": "", "value": ""}), "a label has a key")


async def test_registries_are_refused_with_the_reason(lattice: Lattice) -> None:
    refused(await lattice.tool.ctl("registry.put", {}), "registries")


# Claims.


async def test_any_host_answers_for_the_claims_of_all(lattice: Lattice) -> None:
    """Upstream's form: a list of flat maps of texts."""
    file, key = lattice.one.folder / "signed.wasm", ACTOR.public
    file.write_bytes(signed(guest_wasm("echo"), name="counter", ver="0.4.0", rev=4, alias="demo/counter"))
    body = {"component_ref": f"file://{file}", "component_id": key, "count": 1, "host_id": lattice.one.key}
    assert succeeded(await lattice.tool.ctl(f"component.scale.{lattice.one.key}", body)) is None
    await lattice.tool.event("component_scaled", component_id=key)
    await until(lambda: key in lattice.two.parts.store.claims)
    await until(lambda: key in lattice.two.parts.peers.observed.hosts[lattice.one.key].actors)
    for host in (lattice.one, lattice.two):
        (found,) = host.parts.claims.all()
        assert all(isinstance(value, str) for value in found.values())
        assert found["sub"] == found["subject"] == key
        assert found["iss"] == found["issuer"] == ISSUER.public
        assert (found["name"], found["version"], found["rev"]) == ("counter", "0.4.0", "4")
        assert found["call_alias"] == "demo/counter"
        assert found["verified"] == "true"
    answers = [succeeded(await lattice.tool.ctl("claims.get")) for _ in range(6)]
    assert all(answer == answers[0] and len(answer) == 1 for answer in answers)
    await lattice.tool.ctl(f"component.scale.{lattice.one.key}", {**body, "count": 0})
    await until(lambda: lattice.two.parts.claims.all() == lattice.one.parts.claims.all() == [])


# What is not understood.


async def test_everything_unknown_or_malformed_is_answered(lattice: Lattice) -> None:
    at = lattice.one.key
    refused(await lattice.tool.ctl(f"host.dance.{at}"), "no host.dance")
    refused(await lattice.tool.ctl("link.explode"), "no link.explode")
    deep = b"[" * 100_000
    for words in ("component.scale", "component.update", "provider.start", "provider.stop", "label.put", "host.stop"):
        for body in (b"{", b"\xff\x00", b"null", b"[]", b'"x"', b"{}}", deep, b"[" + b"9" * 5000 + b"]"):
            reply = await lattice.tool.ctl(f"{words}.{at}", body)
            assert reply["success"] is False, (words, body[:20], reply)
            assert reply["message"]
    for words in ("link.put", "link.del", "config.put.x"):
        reply = await lattice.tool.ctl(words, b"\xff{")
        assert reply["success"] is False
    assert lattice.one.stop_asked == []


async def test_a_request_without_a_reply_is_carried_out(lattice: Lattice) -> None:
    await lattice.tool.client.publish("wasmbus.ctl.v1.test.config.put.quiet", b'{"a":"b"}')
    await lattice.tool.event("config_set", config_name="quiet")
    await lattice.tool.client.publish("wasmbus.ctl.v1.test.config.put.quiet", b"{")
    assert succeeded(await lattice.tool.ctl("config.get.quiet")) == {"a": "b"}


# Starting and leaving, with the bare minimum a foreign listener needs.


async def test_a_host_tells_that_it_starts_beats_and_stops(lattice: Lattice, tmp_path: Path) -> None:
    server = lattice.one.transport.server
    async with joined_host(server, tmp_path, "guest", zone="c") as third:
        started = await lattice.tool.event("host_started")
        assert started["source"] == third.key
        await lattice.tool.ctl(f"label.put.{third.key}", {"key": "new", "value": "1"})
        assert started["data"].keys() >= {"labels", "friendly_name", "uptime_seconds", "version"}
        beat = await lattice.tool.event("host_heartbeat", host_id=third.key)
        assert beat["data"].keys() >= {
            "components",
            "providers",
            "labels",
            "friendly_name",
            "uptime_seconds",
            "version",
        }
    stopped = await lattice.tool.event("host_stopped")
    assert stopped["source"] == third.key
    assert stopped["data"]["labels"]["zone"] == "c"
    assert third.key not in lattice.one.parts.peers.observed.hosts
    assert await asyncio.wait_for(lattice.tool.ctl_all("host.ping"), 5)
