"""Signed actors on a real host: what their claims, links and policy let them do, through the sandbox and back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lattice import errors, wire
from lattice.actors import Actor, ActorSpec
from lattice.contracts import keyvalue
from lattice.control.manifest import parse
from lattice.host import Host, HostSettings
from lattice.invocation import EntityId, Invocation, new_id
from lattice.links import Link
from lattice.security import rules
from lattice.security.keys import KeyPair
from lattice.security.rules import PolicySettings, ServiceSettings
from lattice.security.settings import ActorTrust, SecuritySettings
from lattice.supervisor import Installed
from tests.support.hosts import answer_with_payload, guest_wasm
from tests.support.signed import ACTOR, ISSUER, OTHER_ACTOR, STRANGER, signed

KV, LOGGING = keyvalue.CONTRACT.id, "wasmcloud:builtin:logging"
PARENT, CHILD = ACTOR.public, OTHER_ACTOR.public
OPERATIONS = {operation.name: operation for operation in keyvalue.CONTRACT.operations}


def policy(*given: dict[str, Any], default: Any = "allow") -> PolicySettings:
    return rules.read(rules.Table(default=default, rules=list(given)))


class World:
    """A host, and relays on it: they call what they are told to."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self.folder = folder

    def image(self, key: KeyPair = ACTOR, rev: int = 1, **wish: Any) -> Path:
        path = self.folder / f"{key.public[:8]}-{rev}.wasm"
        path.write_bytes(signed(guest_wasm("relay"), subject=key.public, rev=rev, **wish))
        return path

    async def start(self, key: KeyPair = ACTOR, **wish: Any) -> Actor:
        spec = ActorSpec(key="", name="relay", image=self.image(key, **wish), application="app")
        return await self.host.actors.start(spec)

    async def call(
        self, actor: str, contract: str, operation: str, payload: bytes = b"", name: str = "default"
    ) -> bytes:
        """Makes an actor call; returns "1" and the reply, or "0" and the error as the actor sees it."""
        return await self.host.pipeline(
            Invocation(
                origin=EntityId(self.host.key),
                contract="",
                operation="Test.Op",
                payload="\0".join((name, contract, operation, "")).encode() + payload,
                id=new_id(),
                deadline=time.monotonic() + 10,
                target=EntityId(actor),
            )
        )

    async def deploy(self, *components: str) -> dict[str, str]:
        head = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: a}\nspec:\n  components:\n"
        text = head + "".join(f"    - {component}\n" for component in components)
        application = parse(text, file="app.yaml", folder=self.folder, providers=Installed())
        return (await self.host.deploy(application)).keys


@asynccontextmanager
async def world(folder: Path, settings: PolicySettings | None = None, *, unsigned: bool = True) -> AsyncIterator[World]:
    security = SecuritySettings(actors=ActorTrust(unsigned=unsigned), policy=settings or PolicySettings())
    async with Host(HostSettings(data=folder / "data", security=security, drain_s_max=5)) as host:
        host.router.register("store", answer_with_payload, contract="test:store")
        yield World(host, folder)


async def test_an_actor_uses_what_its_claims_hold_and_is_told_what_they_do_not(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start(caps=("test:store",))
        await here.start(OTHER_ACTOR)
        for key in (PARENT, CHILD):
            here.host.router.put_link(Link(key, "store", "test:store"))
        assert await here.call(PARENT, "test:store", "Get", b"payload") == b"1payload"
        refused = await here.call(CHILD, "test:store", "Get")
        assert refused.startswith(f"0not_granted: relay ({CHILD}) may not use test:store".encode())
        built_in = await here.call(PARENT, LOGGING, "Logging.WriteLog")
        assert built_in.startswith(f"0not_granted: relay ({PARENT}) may not use {LOGGING}: its claims".encode())
        assert here.host.metrics.snapshot()["refused"] == {
            CHILD: {"not_granted": 1},
            PARENT: {"not_granted": 1},
        }


async def test_a_revision_without_a_contract_has_lost_it(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start(caps=("test:store",))
        here.host.router.put_link(Link(PARENT, "store", "test:store"))
        assert await here.call(PARENT, "test:store", "Get", b"x") == b"1x"
        await here.host.actors.replace(PARENT, here.image(rev=2))
        assert (await here.call(PARENT, "test:store", "Get")).startswith(b"0not_granted")
        await here.host.actors.replace(PARENT, here.image(rev=3, caps=("test:store",)))
        assert await here.call(PARENT, "test:store", "Get", b"x") == b"1x"


# What policy says of starts.


async def test_an_actor_that_policy_refuses_is_not_started(tmp_path: Path) -> None:
    untagged = {"effect": "deny", "kinds": ["start_actor"], "name": "prod only"}
    tagged = {"effect": "allow", "kinds": ["start_actor"], "to": {"tag": "prod", "issuer": "A*"}}
    async with world(tmp_path, policy(tagged, untagged)) as here:
        with pytest.raises(errors.Denied, match=r"the start of relay on this host \(prod only\)"):
            await here.start()
        assert here.host.actors.get(PARENT) is None
        await here.start(tags=("prod",), rev=2)
        with pytest.raises(errors.Denied):
            await here.host.actors.replace(PARENT, here.image(rev=3))
        actor = here.host.actors.get(PARENT)
        assert actor is not None
        assert actor.revision.claims is not None
        assert actor.revision.claims.rev == 2, "what runs goes on"


async def test_a_provider_that_policy_refuses_is_not_started(tmp_path: Path) -> None:
    store = "{name: store, type: capability, properties: {image: builtin://keyvalue-sqlite}}"
    refuses = {"effect": "deny", "kinds": ["start_provider"], "contract": KV, "to": {"name": "keyvalue-*"}}
    async with world(tmp_path, policy(refuses)) as here:
        with pytest.raises(errors.Denied, match="keyvalue-sqlite"):
            await here.deploy(store)
        assert here.host.supervisor.get("a-store") is None


async def test_a_host_that_denies_by_default_has_its_built_in_providers(tmp_path: Path) -> None:
    async with world(tmp_path, policy(default="deny")) as here:
        assert here.host.supervisor.get("builtin-logging") is not None
        with pytest.raises(errors.Denied, match="the default"):
            await here.start()


async def test_settings_are_changed_under_running_actors(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start(caps=("test:store",))
        here.host.router.put_link(Link(PARENT, "store", "test:store"))
        assert await here.call(PARENT, "test:store", "Get", b"x") == b"1x"
        closed = {"effect": "deny", "from": {"key": PARENT}, "name": "closed", "message": "for repairs"}
        here.host.reload(SecuritySettings(policy=policy(closed)))
        refused = await here.call(PARENT, "test:store", "Get")
        assert refused.startswith(b"0denied: policy denies")
        assert b"for repairs (closed)" in refused
        with pytest.raises(errors.ConfigError, match="over NATS"):
            here.host.reload(SecuritySettings(policy=PolicySettings(service=ServiceSettings(subject="a"))))
        assert (await here.call(PARENT, "test:store", "Get")).startswith(b"0denied"), "a mistake changes nothing"
        here.host.reload(SecuritySettings())
        assert await here.call(PARENT, "test:store", "Get", b"x") == b"1x"


def test_a_policy_service_needs_nats(tmp_path: Path) -> None:
    settings = SecuritySettings(policy=PolicySettings(service=ServiceSettings(subject="a")))
    with pytest.raises(errors.ConfigError, match=r"policy\.service is asked over NATS"):
        Host(HostSettings(data=tmp_path, security=settings))


# What actors pass on.


def component(here: World, name: str, key: KeyPair, link: str, **wish: Any) -> str:
    image = here.image(key, **wish)
    return f"{{name: {name}, type: actor, properties: {{image: file://{image}}}, traits: [{{type: link, properties: {link}}}]}}"  # noqa: E501  # one flow mapping, as it is written


STORE = "{name: store, type: capability, properties: {image: builtin://keyvalue-sqlite}}"


async def test_a_child_reads_what_its_parent_wrote_and_writes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        keys = await here.deploy(
            component(here, "parent", ACTOR, "{target: store, target_config: {bucket: hits}}", caps=(KV,)),
            component(here, "child", OTHER_ACTOR, "{target: store, granted_by: parent, operations: [KeyValue.Get]}"),
            STORE,
        )
        assert keys == {"parent": PARENT, "child": CHILD, "store": "a-store"}
        write = wire.encoder(keyvalue.SetRequest)(keyvalue.SetRequest(key="k", value="v"))
        assert (await here.call(PARENT, KV, "KeyValue.Set", write))[:1] == b"1"
        read = wire.encoder(str)("k")
        found = await here.call(CHILD, KV, "KeyValue.Get", read)
        assert wire.reply_decoder(OPERATIONS["KeyValue.Get"])(found[1:]).value == "v", "it has its parent's bucket"
        refused = await here.call(CHILD, KV, "KeyValue.Set", write)
        assert refused.startswith(b"0not_granted: 'KeyValue.Set' does not pass")
        shown = {item["source_id"]: item for item in await here.host.agent.answer("links", {})}
        assert (shown[CHILD]["granted_by"], shown[CHILD]["operations"]) == (PARENT, ["KeyValue.Get"])
        assert (shown[PARENT]["granted_by"], shown[PARENT]["operations"]) == ("", [])
        await here.host.actors.replace(PARENT, here.image(rev=2))
        lost = await here.call(CHILD, KV, "KeyValue.Get", read)
        assert lost.startswith(f"0not_granted: parent ({PARENT}) may not use".encode())


async def test_a_parent_that_does_not_hold_it_passes_nothing_on(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        with pytest.raises(errors.ConfigError, match=f"{PARENT} may not use {KV}"):
            await here.deploy(
                component(here, "parent", ACTOR, "{target: store}"),
                component(here, "child", OTHER_ACTOR, "{target: store, granted_by: parent}", caps=(KV,)),
                STORE,
            )
        assert here.host.supervisor.get("a-store") is None
        assert not list(here.host.links)


async def test_an_account_that_is_taken_from_the_list_has_no_say_any_more(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.start(caps=("test:store",))
        here.host.router.put_link(Link(PARENT, "store", "test:store"))
        for trusted, begins in ((ISSUER, b"1x"), (STRANGER, b"not_granted"), (ISSUER, b"1x")):
            issuers = frozenset({trusted.public})
            here.host.reload(SecuritySettings(actors=ActorTrust(issuers=issuers)))
            try:
                found = await here.call(PARENT, "test:store", "Get", b"x")
            except errors.NotGranted as error:
                found = error.code.encode()
            assert found == begins
