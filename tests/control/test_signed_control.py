"""Orders to hosts that take signed ones only, by somebody who hears every message and may send any."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from nats.aio.msg import Msg

from lattice import errors
from lattice.control import gate
from lattice.control.gate import SHARED_KEY, SharedSeen
from lattice.control.lattice_client import LatticeClient
from lattice.control.state import Wanted
from lattice.joined import require_cluster_key
from lattice.security import control_tokens
from lattice.security.keys import KeyPair
from lattice.security.settings import ControlTrust, SecuritySettings
from lattice.transport.nats import NatsTransport, connect
from lattice.transport.settings import NatsSettings
from tests.support.lattices import JoinedHost, Tool, cluster_key, joined_host, signing, tool, until
from tests.support.servers import Server, nats_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLUSTER, OPERATOR, STRANGER = cluster_key(1), KeyPair("user", b"o" * 32), KeyPair("user", b"s" * 32)
SECURITY = signing(CLUSTER, signers=frozenset({OPERATOR.public}))


class Lattice:
    """Hosts `a` and `b`, an operator who may, and an attacker."""

    def __init__(self, server: Server, attacker: Tool, transport: NatsTransport, a: JoinedHost, b: JoinedHost) -> None:
        self.server = server
        self.attacker = attacker
        self.transport = transport
        self.operator = LatticeClient(transport, "test", OPERATOR)
        self.a = a
        self.b = b
        self.heard: list[Msg] = []

    async def again(self, message: Msg) -> dict[str, Any]:
        """Sends a message a second time, with everything that belongs to it."""
        answer = await self.attacker.client.request(message.subject, message.data, timeout=5, headers=message.headers)
        found: dict[str, Any] = json.loads(answer.data)
        return found

    async def heard_at(self, words: str) -> Msg:
        await until(lambda: any(words in message.subject for message in self.heard))
        return next(message for message in self.heard if words in message.subject)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lattice(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lattice]:
    folder = tmp_path_factory.mktemp("orders")
    with nats_server(folder) as server:
        async with (
            tool(server.url) as attacker,
            joined_host(server.url, folder / "a", "a", security=SECURITY) as a,
            joined_host(server.url, folder / "b", "b", security=SECURITY) as b,
        ):
            transport = await connect(NatsSettings(urls=(server.url,)))
            found = Lattice(server, attacker, transport, a, b)

            async def noted(message: Msg) -> None:
                found.heard.append(message)

            for subject in ("wasmbus.ctl.>", "wadm.api.>"):
                await attacker.client.subscribe(subject, cb=noted)
            await attacker.client.flush()
            try:
                yield found
            finally:
                await transport.close()


def signed(signer: KeyPair, subject: str, payload: bytes, now: float = 0.0) -> dict[str, str]:
    token = control_tokens.sign(signer, subject, payload, now or time.time(), secrets.token_hex(8))
    return {control_tokens.HEADER: token}


LINK = {"source_id": "one", "target": "other", "wit_namespace": "test", "wit_package": "host"}


async def test_what_changes_nothing_is_answered_to_everybody(lattice: Lattice) -> None:
    assert len(await lattice.attacker.ctl_all("host.ping")) == 2
    for words in (f"host.get.{lattice.a.key}", "claims.get", "link.get", "config.get.none", "config.list"):
        assert (await lattice.attacker.ctl(words))["success"], words
    assert (await lattice.attacker.model("get.none"))["result"] == "notfound"


ORDERS = (
    "host.stop.{host}",
    "component.scale.{host}",
    "component.update.{host}",
    "provider.start.{host}",
    "provider.stop.{host}",
    "label.put.{host}",
    "label.del.{host}",
    "link.put",
    "link.del",
    "config.put.name",
    "config.del.name",
    "registry.put",
)


@pytest.mark.parametrize("words", ORDERS)
async def test_an_order_without_a_signature_is_refused(lattice: Lattice, words: str) -> None:
    reply = await lattice.attacker.ctl(words.format(host=lattice.a.key), LINK)
    assert (reply["success"], reply["code"]) == (False, "not_authentic"), reply
    assert "has to be signed" in reply["message"]
    assert lattice.a.stop_asked == []


@pytest.mark.parametrize("verb", ["put", "deploy.x", "undeploy.x", "del.x", "rollback.x"])
async def test_a_change_of_an_application_without_a_signature_is_refused(lattice: Lattice, verb: str) -> None:
    reply = await lattice.attacker.model(verb, {})
    assert (reply["result"], reply["code"]) == ("error", "not_authentic")


async def test_every_order_of_the_interface_is_looked_at(lattice: Lattice) -> None:
    """What is added later is an order until it is said to change nothing."""
    orders = {tuple(words.split(".")[:2]) for words in ORDERS}
    assert set(lattice.a.parts.interface._answers) == orders | gate.LOOKS


async def test_who_may_gives_orders_once(lattice: Lattice) -> None:
    lattice.heard.clear()
    await lattice.operator.command("label", "put", lattice.a.key, message={"key": "color", "value": "red"})
    assert lattice.a.host.identity.labels["color"] == "red"
    message = await lattice.heard_at("label.put")
    lattice.a.host.identity.labels["color"] = "blue"
    reply = await lattice.again(message)
    assert "was here before" in reply["message"]
    assert lattice.a.host.identity.labels["color"] == "blue"


async def test_an_order_that_any_host_carries_out_is_carried_out_once(lattice: Lattice) -> None:
    """The queue group gives the second one to whichever host it likes."""
    lattice.heard.clear()
    await lattice.operator.command("link", "put", message=LINK)
    message = await lattice.heard_at("link.put")
    await lattice.operator.command("link", "del", message={"source_id": "one", **_contract()})
    for _ in range(8):
        assert "was here before" in (await lattice.again(message))["message"]
    assert (await lattice.attacker.ctl("link.get"))["response"] == []


def _contract() -> dict[str, str]:
    return {name: LINK[name] for name in ("wit_namespace", "wit_package")}


async def test_orders_of_strangers_and_altered_ones_are_refused(lattice: Lattice) -> None:
    payload = json.dumps({"key": "color", "value": "green"}).encode()
    subject = f"wasmbus.ctl.v1.test.label.put.{lattice.a.key}"
    other = f"wasmbus.ctl.v1.test.label.put.{lattice.b.key}"
    cases = {
        "may not give orders": (subject, payload, signed(STRANGER, subject, payload)),
        "another message, to": (other, payload, signed(OPERATOR, subject, payload)),
        "another message": (subject, payload + b" ", signed(OPERATOR, subject, payload)),
        "compare the clocks": (subject, payload, signed(OPERATOR, subject, payload, time.time() - 3600)),
        "not valid yet": (subject, payload, signed(OPERATOR, subject, payload, time.time() + 3600)),
        "does not count": (subject, payload, {control_tokens.HEADER: "nonsense"}),
        "proof is none": (subject, payload, {control_tokens.HEADER: "a.b.c.d"}),
        "cannot be opened": (subject, payload, {control_tokens.HEADER: "a.b.c.1.00"}),
    }
    for why, (to, data, headers) in cases.items():
        answer = await lattice.attacker.client.request(to, data, timeout=5, headers=headers)
        reply = json.loads(answer.data)
        assert not reply["success"]
        assert why in f"{reply['message']} {reply['remedy']}", reply
    assert "green" not in (lattice.a.host.identity.labels.get("color"), lattice.b.host.identity.labels.get("color"))


async def test_an_order_from_before_a_host_was_started_is_refused(lattice: Lattice) -> None:
    """It remembers none of those."""
    payload = b"{}"
    subject = f"wasmbus.ctl.v1.test.host.stop.{lattice.a.key}"
    headers = signed(OPERATOR, subject, payload, lattice.a.parts.gate._began - 2)
    answer = await lattice.attacker.client.request(subject, payload, timeout=5, headers=headers)
    assert "before this host was started" in json.loads(answer.data)["message"]
    assert lattice.a.stop_asked == []


async def test_hosts_command_each_other_and_what_they_said_is_of_no_use_to_others(lattice: Lattice) -> None:
    lattice.heard.clear()
    component = {
        "name": "echo",
        "type": "component",
        "properties": {"image": lattice.a.guest("echo"), "id": "echo"},
        "traits": [{"type": "daemonscaler", "properties": {"replicas": 1}}],
    }
    manifest = {
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "metadata": {"name": "app"},
        "spec": {"components": [component]},
    }
    await lattice.operator.app("put", body=json.dumps(manifest).encode())
    await lattice.operator.app("deploy", "app")
    for host in (lattice.a, lattice.b):
        await until(lambda host=host: any(one.key == "echo" for one in host.parts.executor.actors()), 15)
    message = await lattice.heard_at("component.scale")
    assert (message.headers or {})[control_tokens.HEADER].count(".") > 2, "proven in the session of two hosts"
    assert "was here before" in (await lattice.again(message))["message"]
    other = next(host for host in (lattice.a, lattice.b) if host.key not in message.subject)
    subject = f"wasmbus.ctl.v1.test.component.scale.{other.key}"
    answer = await lattice.attacker.client.request(subject, message.data, timeout=5, headers=message.headers)
    assert json.loads(answer.data)["code"] == "not_authentic"
    answer = await lattice.attacker.client.request(message.subject, b"{}", timeout=5, headers=message.headers)
    assert "changed since" in json.loads(answer.data)["message"]
    await lattice.operator.app("del", "app")
    for host in (lattice.a, lattice.b):
        await until(lambda host=host: not host.parts.executor.actors(), 15)


async def test_a_hosts_proof_is_none_of_an_order_that_any_host_carries_out(lattice: Lattice) -> None:
    """Hosts remember what was proven to them each for itself."""
    payload = json.dumps(LINK).encode()
    subject = "wasmbus.ctl.v1.test.link.put"
    for other in (lattice.a, lattice.b) * 8:
        boot = lattice.a.parts.peers.boot_of(other.key)
        session = lattice.a.parts.callers.session(other.key, boot, time.monotonic())
        headers = {control_tokens.HEADER: session.command(subject, payload)}
        answer = await lattice.attacker.client.request(subject, payload, timeout=5, headers=headers)
        assert json.loads(answer.data)["code"] == "not_authentic"


# Ends of providers.


async def start_provider(host: JoinedHost) -> None:
    image = "builtin://messaging-memory"
    wanted = Wanted(key="bus", name="bus", kind="provider", image=image, contract="wasmcloud:messaging")
    await host.parts.executor.start_provider(wanted, {})


async def test_a_provider_is_ended_by_who_may_and_nobody_else(lattice: Lattice) -> None:
    await start_provider(lattice.b)
    subject = "wasmbus.rpc.test.bus.default.shutdown"
    for headers in (None, signed(STRANGER, subject, b""), signed(OPERATOR, subject, b"x")):
        answer = await lattice.attacker.client.request(subject, b"", timeout=5, headers=headers)
        assert json.loads(answer.data)["code"] == "not_authentic"
    assert lattice.b.parts.commands.runs_provider("bus")
    headers = signed(OPERATOR, subject, b"")
    answer = await lattice.attacker.client.request(subject, b"", timeout=5, headers=headers)
    assert json.loads(answer.data)["success"]
    await until(lambda: not lattice.b.parts.commands.runs_provider("bus"))
    await start_provider(lattice.b)
    answer = await lattice.attacker.client.request(subject, b"", timeout=5, headers=headers)
    assert "was here before" in json.loads(answer.data)["message"]
    assert lattice.b.parts.commands.runs_provider("bus")


async def test_without_keys_nobody_ends_a_provider_by_this_word(lattice: Lattice, tmp_path: Path) -> None:
    async with joined_host(lattice.server.url, tmp_path, "c", lattice="open") as c:
        await start_provider(c)
        subject = "wasmbus.rpc.open.bus.default.shutdown"
        for headers in (None, signed(OPERATOR, subject, b""), signed(CLUSTER, subject, b"")):
            answer = await lattice.attacker.client.request(subject, b"", timeout=5, headers=headers)
            assert json.loads(answer.data)["code"] == "not_authentic"
        assert c.parts.commands.runs_provider("bus")


# Settings, and what is remembered together.


async def test_hosts_that_could_not_command_each_other_are_not_started() -> None:
    with pytest.raises(errors.ConfigError, match="no cluster key"):
        require_cluster_key(SecuritySettings(control=ControlTrust(signers=frozenset())))
    require_cluster_key(SecuritySettings())
    require_cluster_key(SECURITY)


async def test_signers_change_while_a_host_runs(lattice: Lattice) -> None:
    words = ("label", "put", lattice.a.key)
    lattice.a.host.reload(signing(CLUSTER, signers=frozenset({STRANGER.public})))
    try:
        with pytest.raises(errors.NotAuthentic):
            await lattice.operator.command(*words, message={"key": "color", "value": "green"})
        stranger = LatticeClient(lattice.transport, "test", STRANGER)
        await stranger.command(*words, message={"key": "color", "value": "grey"})
        with pytest.raises(errors.ConfigError):
            lattice.a.host.reload(SecuritySettings(control=ControlTrust(signers=frozenset())))
        await stranger.command(*words, message={"key": "color", "value": "brown"})
    finally:
        lattice.a.host.reload(SECURITY)


async def test_what_any_host_carried_out_is_remembered_by_all_and_bounded(
    lattice: Lattice, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (SharedSeen(lambda: lattice.transport.bucket("SEEN")) for _ in range(2))
    now = time.time()
    await one.add("a", now, now + 5)
    with pytest.raises(errors.NotAuthentic, match="was here before"):
        await other.add("a", now, now + 5)
    monkeypatch.setattr(gate, "SHARED_MAX", 2)
    await other.add("b", now, now + 5)
    with pytest.raises(errors.Overloaded):
        await one.add("c", now, now + 5)
    later = now + gate.SHARED_KEEP_S + 10
    await one.add("c", later, later + 5)
    bucket = await lattice.transport.bucket("SEEN")
    entry = await bucket.get(SHARED_KEY)
    assert entry is not None
    assert entry.value is not None
    assert len(msgspec.json.decode(entry.value)) == 1
    await bucket.put(SHARED_KEY, b"nonsense")
    with pytest.raises(errors.StoreUnavailable, match="cannot be read"):
        await one.add("d", now, now + 5)


async def test_hosts_that_note_at_once_do_not_overwrite_each_other(lattice: Lattice) -> None:
    ones = [SharedSeen(lambda: lattice.transport.bucket("SEEN_AT_ONCE")) for _ in range(6)]
    now = time.time()
    await asyncio.gather(*(one.add(str(number), now, now + 5) for number, one in enumerate(ones)))
    for number in range(6):
        with pytest.raises(errors.NotAuthentic):
            await ones[0].add(str(number), now, now + 5)
    came = await asyncio.gather(*(one.add("same", now, now + 5) for one in ones), return_exceptions=True)
    assert sum(error is None for error in came) == 1
