"""Claims, grants and policy across hosts: what is put through the control interface is what calls meet elsewhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from nats.aio.msg import Msg

from lattice import errors, wasmfile, wire
from lattice.control.claims import TOKEN
from lattice.control.messages import Pulse
from lattice.control.state import Wanted
from lattice.security import rules
from lattice.security.claims import token_in
from lattice.security.keys import KeyPair
from lattice.security.rules import PolicySettings, ServiceSettings
from lattice.security.settings import ActorTrust, SecuritySettings
from tests.lattice.test_two_hosts import call, sees
from tests.support.hosts import guest_wasm
from tests.support.lattices import JoinedHost, Tool, cluster_key, joined_host, signing, tool, until
from tests.support.servers import Server, nats_server
from tests.support.signed import ACTOR, ISSUER, OTHER_ACTOR, STRANGER, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")

KV = "wasmcloud:keyvalue"
PARENT, CHILD = ACTOR.public, OTHER_ACTOR.public
THIRD = KeyPair("actor", b"t" * 32)


class Lattice:
    """Host `a` has the actor PARENT, host `b` the actor CHILD and the store."""

    def __init__(self, server: Server, client: Tool, a: JoinedHost, b: JoinedHost) -> None:
        self.server = server
        self.tool = client
        self.a = a
        self.b = b


async def start(host: JoinedHost, key: KeyPair, *caps: str, rev: int = 1, tag: str = "") -> None:
    path = host.folder / f"{key.public[:10]}-{rev}.wasm"
    path.write_bytes(signed(guest_wasm("relay"), subject=key.public, caps=caps, rev=rev, tags=(tag,) if tag else ()))
    wanted = Wanted(key=key.public, name="relay", kind="actor", image=f"file://{path}")
    if host.host.actors.get(key.public) is None:
        await host.parts.executor.scale_actor(wanted, 1, {})
    else:
        await host.parts.executor.update_actor(wanted, {})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lattice(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lattice]:
    folder = tmp_path_factory.mktemp("authority")
    with nats_server(folder) as server:
        async with (
            tool(server.url) as client,
            joined_host(server.url, folder / "a", "a", place="a") as a,
            joined_host(server.url, folder / "b", "b", place="b") as b,
        ):
            await start(a, ACTOR, KV)
            await start(b, OTHER_ACTOR)
            store = Wanted(key="store", name="store", kind="provider", image="builtin://keyvalue-sqlite", contract=KV)
            await b.parts.executor.start_provider(store, {})
            await sees(a, b, "store")
            await sees(b, a, PARENT)
            await sees(a, b, CHILD)
            await until(lambda: b.parts.known.claims(PARENT), what="the claims of the parent")
            yield Lattice(server, client, a, b)


def item(source: str, **more: Any) -> dict[str, Any]:
    return {
        "source_id": source,
        "target": "store",
        "name": "default",
        "wit_namespace": "wasmcloud",
        "wit_package": "keyvalue",
        "interfaces": [],
        "source_config": [],
        "target_config": [],
        **more,
    }


async def put(lattice: Lattice, source: str, **more: Any) -> dict[str, Any]:
    reply = await lattice.tool.ctl("link.put", item(source, **more))
    if reply["success"]:
        name = more.get("name", "default")
        for host in (lattice.a, lattice.b):
            await until(lambda host=host: host.host.links.find(source, KV, name), what="the link")
    return reply


async def delete(lattice: Lattice, source: str, name: str = "default") -> None:
    gone = {"source_id": source, "name": name, "wit_namespace": "wasmcloud", "wit_package": "keyvalue"}
    assert (await lattice.tool.ctl("link.del", gone))["success"]
    for host in (lattice.a, lattice.b):
        await until(lambda host=host: not host.host.links.find(source, KV, name), what="no link")


async def asks(host: JoinedHost, actor: str, operation: str = "KeyValue.Contains", name: str = "default") -> bytes:
    """What an actor gets when it asks the store."""
    payload = "\0".join((name, KV, operation, "")).encode() + b"\xa1k"
    return await call(host, actor, payload)


async def test_an_actor_calls_a_provider_of_another_host_by_its_claims(lattice: Lattice) -> None:
    assert (await put(lattice, PARENT))["success"]
    assert (await asks(lattice.a, PARENT))[:1] == b"1"
    await start(lattice.a, ACTOR, "wasmcloud:sqldb", rev=2)
    refused = await asks(lattice.a, PARENT)
    assert refused.startswith(
        f"0not_granted: relay ({PARENT}) may not use {KV}: its claims hold wasmcloud:sqldb".encode()
    )
    await start(lattice.a, ACTOR, KV, rev=3)
    assert (await asks(lattice.a, PARENT))[:1] == b"1"
    await delete(lattice, PARENT)


async def test_the_host_that_is_called_looks_itself(lattice: Lattice) -> None:
    """A host that lets its own actor through lets it through there alone."""
    assert (await put(lattice, CHILD))["success"]
    await start(lattice.a, THIRD)
    await sees(lattice.b, lattice.a, THIRD.public)
    assert (await put(lattice, THIRD.public))["success"]
    lattice.a.host.guard.authority._look = lambda *_: None  # type: ignore[method-assign]  # it is a malicious host
    try:
        lattice.a.host.guard.authority.clear()
        assert (await asks(lattice.a, THIRD.public)).startswith(b"0not_granted")
        assert lattice.b.host.metrics.refused[THIRD.public, "not_granted"]
    finally:
        del lattice.a.host.guard.authority._look
        lattice.a.host.guard.authority.clear()
    await delete(lattice, THIRD.public)
    await delete(lattice, CHILD)


async def test_what_an_actor_of_another_host_passes_on_is_held_while_that_holds_it(lattice: Lattice) -> None:
    assert (await put(lattice, PARENT, target_config={"bucket": "hits"}, operations=["KeyValue.C*"]))["success"]
    assert (await put(lattice, CHILD, granted_by=PARENT, operations=["KeyValue.Contains"]))["success"]
    shown = {one["source_id"]: one for one in (await lattice.tool.ctl("link.get"))["response"]}
    assert (shown[CHILD]["granted_by"], shown[CHILD]["operations"]) == (PARENT, ["KeyValue.Contains"])
    assert "hits" not in json.dumps(shown)
    known = lattice.b.host.links.find(CHILD, KV, "default")
    assert known is not None
    assert known.target_config == {"bucket": "hits"}, "left out, it is the parent's"
    assert (await asks(lattice.b, CHILD))[:1] == b"1"
    assert (await asks(lattice.b, CHILD, "KeyValue.Clear")).startswith(b"0not_granted: 'KeyValue.Clear' does not pass")
    await start(lattice.a, ACTOR, rev=4)
    await until(lambda: not lattice.b.parts.known.claims(PARENT).caps, what="the claims that are stored")
    assert (await asks(lattice.b, CHILD)).startswith(f"0not_granted: {PARENT} may not use".encode())
    await start(lattice.a, ACTOR, KV, rev=5)
    await until(lambda: lattice.b.parts.known.claims(PARENT).caps, what="the claims that are stored")
    assert (await asks(lattice.b, CHILD))[:1] == b"1"
    await delete(lattice, PARENT)
    assert (await asks(lattice.b, CHILD)).startswith(f"0not_granted: {CHILD} -> store".encode())
    await delete(lattice, CHILD)


async def test_grants_of_more_than_is_held_are_not_put(lattice: Lattice) -> None:
    assert (await put(lattice, PARENT, target_config={"bucket": "hits"}, operations=["KeyValue.Get"]))["success"]
    for more, why in (
        ({"granted_by": PARENT, "operations": ["KeyValue.*"]}, "is not among"),
        ({"granted_by": PARENT, "target_config": {"bucket": "all"}}, "configuration is another"),
        ({"granted_by": THIRD.public}, "has no link"),
        ({"granted_by": CHILD}, "to itself"),
        ({"granted_by": PARENT, "target": "elsewhere"}, "has no link"),
        ({"operations": [""]}, "is no operation"),
    ):
        reply = await put(lattice, CHILD, **more)
        assert not reply["success"]
        assert reply["code"] == "config"
        assert why in reply["message"]
    assert (await put(lattice, CHILD, granted_by=PARENT))["success"]
    reply = await put(lattice, PARENT, granted_by=CHILD)
    assert "in a circle" in reply["message"]
    for key in (CHILD, PARENT):
        await delete(lattice, key)


async def test_nobody_grants_what_its_claims_are_known_not_to_hold(lattice: Lattice) -> None:
    assert (await put(lattice, CHILD))["success"]
    reply = await put(lattice, PARENT, granted_by=CHILD)
    assert reply["code"] == "config"
    assert f"{CHILD} may not use {KV}: its claims hold no contract" in reply["message"]
    await delete(lattice, CHILD)


async def test_an_actor_cannot_guess_the_link_name_of_another(lattice: Lattice) -> None:
    assert (await put(lattice, PARENT, name="public"))["success"]
    assert (await put(lattice, CHILD, name="secret", target_config={"bucket": "secret"}))["success"]
    assert (await asks(lattice.a, PARENT, name="public"))[:1] == b"1"
    assert (await asks(lattice.a, PARENT, name="secret")).startswith(b"0not_linked")
    await delete(lattice, PARENT, "public")
    await delete(lattice, CHILD, "secret")


async def test_an_actor_that_is_said_to_be_a_host_is_none(lattice: Lattice) -> None:
    """Signs of life are not signed: whoever NATS lets publish them makes up hosts."""
    pulse = wire.encode(Pulse(host=CHILD, boot="1", inventory=1))
    await lattice.tool.client.publish("nanolattice.test.pulse", pulse)
    await until(lambda: lattice.b.parts.peers.is_host(CHILD), what="a host that is none")
    assert lattice.b.parts.known.seen(CHILD, CHILD) is None, "policy is not told so either"
    assert (await asks(lattice.b, CHILD)).startswith(b"0not_linked")
    log = "\0".join(("default", "wasmcloud:builtin:logging", "Logging.WriteLog", "")).encode()
    assert (await call(lattice.b, CHILD, log)).startswith(b"0not_granted")


async def test_policy_knows_where_a_caller_runs_and_notices_other_labels(lattice: Lattice) -> None:
    """On the host that is called, which hears of them, and on the one that has them."""
    assert (await put(lattice, PARENT))["success"]
    closed = {"effect": "deny", "kinds": ["call"], "from": {"kind": "actor", "labels": {"zone": "closed"}}}
    policy = rules.read(rules.Table(rules=[closed]))
    for host in (lattice.a, lattice.b):
        host.host.reload(SecuritySettings(actors=ActorTrust(unsigned=True), policy=policy))
        assert (await asks(lattice.a, PARENT))[:1] == b"1"
        seen = host.parts.peers
        assert (await lattice.tool.ctl(f"label.put.{lattice.a.key}", {"key": "zone", "value": "closed"}))["success"]
        await until(lambda seen=seen: seen.observed.hosts[lattice.a.key].labels.get("zone"), what="the label")
        await until(lambda host=host: not host.host.guard.authority._permits, what="a change that is told")
        assert (await asks(lattice.a, PARENT)).startswith(b"0denied: policy denies")
        assert (await lattice.tool.ctl(f"label.del.{lattice.a.key}", {"key": "zone"}))["success"]
        await until(lambda seen=seen: not seen.observed.hosts[lattice.a.key].labels.get("zone"), what="no label")
        assert (await asks(lattice.a, PARENT))[:1] == b"1"
        host.host.reload(SecuritySettings(actors=ActorTrust(unsigned=True)))
    await delete(lattice, PARENT)


async def test_of_the_claims_that_the_lattice_keeps_their_token_counts(lattice: Lattice) -> None:
    """Whoever may write what a lattice keeps can leave claims out and cannot make them."""
    assert (await put(lattice, PARENT))["success"]
    assert (await put(lattice, CHILD, granted_by=PARENT))["success"]
    assert (await asks(lattice.b, CHILD))[:1] == b"1"
    store = lattice.b.parts.store
    kept = store.claims[PARENT]
    await store.put_claims(PARENT, {**kept, "caps": ""})
    assert (await asks(lattice.b, CHILD))[:1] == b"1", "the fields beside the token are for tools"
    without = signed(guest_wasm("relay"), subject=PARENT, rev=9)
    anothers = signed(guest_wasm("relay"), subject=CHILD, caps=(KV,), rev=9)
    for token in (_token_in(without), _token_in(anothers), "nonsense", "", kept[TOKEN][:-4] + "AAAA"):
        await store.put_claims(PARENT, {**kept, TOKEN: token})
        assert (await asks(lattice.b, CHILD)).startswith(b"0not_granted"), token[:20]
    await store.put_claims(PARENT, kept)
    assert (await asks(lattice.b, CHILD))[:1] == b"1"
    for key in (CHILD, PARENT):
        await delete(lattice, key)


async def test_kept_claims_count_by_what_is_trusted_now(lattice: Lattice) -> None:
    for issuers, count in ((frozenset({STRANGER.public}), False), (frozenset({ISSUER.public}), True), (None, True)):
        lattice.b.host.reload(SecuritySettings(actors=ActorTrust(issuers=issuers, unsigned=True)))
        assert (lattice.b.parts.known.claims(PARENT) is not None) is count


def _token_in(wasm: bytes) -> str:
    found = token_in(wasm, wasmfile.describe(wasm))
    assert found is not None
    return found.decode()


async def test_where_calls_are_proven_the_claims_of_who_calls_come_along(tmp_path: Path) -> None:
    """And those that the lattice keeps, which others might have written, are not believed."""
    security = signing(cluster_key(1))
    with nats_server(tmp_path) as server:
        async with (
            tool(server.url) as client,
            joined_host(server.url, tmp_path / "a", "a", security=security) as a,
            joined_host(server.url, tmp_path / "b", "b", security=security) as b,
        ):
            here = Lattice(server, client, a, b)
            await start(a, ACTOR, KV)
            await start(a, OTHER_ACTOR)
            store = Wanted(key="store", name="store", kind="provider", image="builtin://keyvalue-sqlite", contract=KV)
            await b.parts.executor.start_provider(store, {})
            await sees(a, b, "store")
            await sees(b, a, CHILD)
            for key in (PARENT, CHILD):
                assert (await put(here, key))["success"]
            assert (await asks(a, PARENT))[:1] == b"1"
            await until(lambda: CHILD in b.parts.store.claims, what="the claims that are kept")
            await b.parts.store.put_claims(CHILD, {**b.parts.store.claims[CHILD], "caps": KV})
            a.host.guard.authority._look = lambda *_: None  # type: ignore[method-assign]  # it is a malicious host
            a.host.guard.authority.clear()
            assert (await asks(a, CHILD)).startswith(f"0not_granted: {CHILD} may not use".encode())


async def test_a_host_with_a_policy_service_does_what_that_permits(lattice: Lattice, tmp_path: Path) -> None:
    """And nothing while it does not answer."""
    security = SecuritySettings(
        actors=ActorTrust(unsigned=True),
        policy=PolicySettings(service=ServiceSettings(subject="test.policy", timeout_s=2.0, cache_s=0)),
    )
    asked: list[dict[str, Any]] = []

    async def decide(message: Msg) -> None:
        request = json.loads(message.data)
        asked.append(request)
        permitted = request["kind"] != "startComponent" or "prod" in request["request"]["claims"]["tags"]
        reply = {"requestId": request["requestId"], "permitted": permitted, "message": "only for prod"}
        await message.respond(json.dumps(reply).encode())

    key = KeyPair("actor", b"p" * 32)
    async with joined_host(lattice.server.url, tmp_path / "c", "c", security=security) as c:
        with pytest.raises(errors.Denied, match=r"nobody answers on test\.policy"):
            await start(c, key, tag="prod")
        subscription = await lattice.tool.client.subscribe("test.policy", cb=decide)
        for _ in range(2):
            await lattice.tool.client.flush()
        with pytest.raises(errors.Denied, match=r"only for prod \(the policy service\)"):
            await start(c, key, rev=1)
        await start(c, key, rev=2, tag="prod")
        assert (await call(c, key.public, b"default\0nobody\0Op\0")).startswith(b"0target_unknown")
        last = asked[-1]
        assert (last["kind"], last["request"]["function"]) == ("performInvocation", "Test.Op")
        assert last["host"]["publicKey"] == c.key
        await subscription.unsubscribe()
        for _ in range(2):
            await lattice.tool.client.flush()
        with pytest.raises(errors.Denied, match="nobody answers"):
            await call(c, key.public, b"default\0nobody\0Op\0")
