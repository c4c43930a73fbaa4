"""Servers that belong together, for real: they form, elect, and keep what was acknowledged when one is killed."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lattice import errors, subjects
from lattice.control.lattice_client import LatticeClient
from lattice.control.secret_store import SecretStore
from lattice.host import Host, HostSettings
from lattice.nats_server.config import Cluster, Gateway, ServerConfig, Tls
from lattice.nats_server.server import NatsServer, free_port
from lattice.nats_server.topologies import Site, hub_and_leaf, lattice_account, stretch
from lattice.security import sealing
from lattice.security.keys import KeyPair
from lattice.security.settings import LOCAL
from lattice.transport.nats import NatsTransport, connect
from lattice.transport.nats_buckets import JetStream
from lattice.transport.settings import NatsSettings
from lattice.transport.transport import Delivery
from tests.nats_server.certificates import write_certificates
from tests.nats_server.examples import ROLES
from tests.support.lattices import cluster_key, signing

WAIT_S = 30.0
LATTICE = "default"
ACTORS = Path(__file__).parent.parent.parent / "actors"


@asynccontextmanager
async def running(folder: Path, configs: Mapping[str, ServerConfig]) -> AsyncIterator[dict[str, NatsServer]]:
    servers = {name: NatsServer(config, folder / name) for name, config in configs.items()}
    try:
        await asyncio.gather(*(server.start() for server in servers.values()))
        yield servers
    finally:
        await asyncio.gather(*(server.stop() for server in servers.values()))


@asynccontextmanager
async def connected(server: NatsServer, **settings: Any) -> AsyncIterator[NatsTransport]:
    transport = await connect(NatsSettings(urls=(server.url,), **settings))
    try:
        yield transport
    finally:
        await transport.close()


def site(name: str, folder: Path) -> Site:
    ports = {"port": free_port(), "cluster_port": free_port()}
    return Site(name=name, address="127.0.0.1", host="127.0.0.1", store=folder / name / "store", **ports)


async def until(attempt: Callable[[], Any]) -> None:
    """Waits for a coroutine function to return something true; that the store has no leader counts as not yet."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                if await attempt():
                    return
            except errors.StoreUnavailable:
                pass
            await asyncio.sleep(0.05)


async def arrives(one: NatsTransport, other: NatsTransport, subject: str = "some.news") -> None:
    """Returns when a message of one gets to the other."""
    got = asyncio.Event()
    subscription = await other.subscribe(subject, lambda _: got.set())

    async def seen() -> bool:
        await one.publish(subject, b"x")
        return got.is_set()

    await until(seen)
    await subscription.unsubscribe()


async def leader_of(transport: NatsTransport, stream: str) -> tuple[str, int]:
    """The name of the stream's leader and the number of its replicas that are up to date."""
    found = await JetStream(transport, "").api(f"STREAM.INFO.{stream}", {}, 2.0)
    replicas = found["cluster"].get("replicas") or []
    return found["cluster"].get("leader", ""), 1 + sum(bool(replica.get("current")) for replica in replicas)


async def whole_objects_from_any_replica(one: NatsTransport, other: NatsTransport) -> None:
    """What was just put at one server is read at another, which may not have all of it yet."""
    there, here = await one.objects("LARGE"), await other.objects("LARGE")

    async def taken() -> bool:
        await there.put("first", b"1")
        return True

    await until(taken)
    for number in range(40):
        data = bytes([number]) * 700_000
        await there.put(str(number), data)
        assert await here.get(str(number)) == data


async def test_a_stretched_cluster_keeps_everything_when_any_one_is_killed(tmp_path: Path) -> None:
    """The leader, whose loss stops writes until another is elected, and one that follows; with TLS between them."""
    write_certificates(tmp_path / "tls")
    tls = tmp_path / "tls"
    peer_tls = Tls(cert=tls / "server.pem", key=tls / "server.key", ca=tls / "ca.pem", verify=True)
    sites = [site(name, tmp_path) for name in ("east", "west", "witness")]
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(running(tmp_path, stretch(sites, peer_tls=peer_tls)))
        near = {name: await stack.enter_async_context(connected(server)) for name, server in servers.items()}
        buckets = {name: await transport.bucket("KEPT") for name, transport in near.items()}

        async def whole() -> bool:
            leader, current = await leader_of(near["east"], "KV_KEPT")
            return bool(leader) and current == 3

        await until(whole)
        await whole_objects_from_any_replica(near["east"], near["west"])
        await buckets["east"].put("before", b"1")
        leader, _ = await leader_of(near["east"], "KV_KEPT")
        witness = next(name for name in servers if name != leader)
        servers[leader].kill()
        # Replicas answer reads without a leader, from some two seconds after the bucket was made on.
        await until(lambda: buckets[witness].changes(0))
        await until(lambda: buckets[witness].put("without-the-leader", b"2"))
        await servers[leader].start()
        await until(whole_at(near[witness]))
        leader, _ = await leader_of(near[witness], "KV_KEPT")
        follower = next(name for name in servers if name not in (leader, witness))
        servers[follower].kill()
        await until(lambda: buckets[witness].put("without-a-follower", b"3"))
        await servers[follower].start()
        await until(whole_at(near[witness]))
        kept = {"before", "without-the-leader", "without-a-follower"}
        async with connected(servers[follower]) as transport:
            bucket = await transport.bucket("KEPT")

            async def everything() -> bool:
                return {entry.key for entry in await bucket.changes(0)} == kept

            await until(everything)


def whole_at(transport: NatsTransport) -> Callable[[], Any]:
    async def whole() -> bool:
        leader, current = await leader_of(transport, "KV_KEPT")
        return bool(leader) and current == 3

    return whole


async def test_a_leaf_keeps_the_state_of_its_lattice_in_the_hub(tmp_path: Path) -> None:
    configs = hub_and_leaf(site("hub", tmp_path), site("edge", tmp_path), leaf_port=free_port())
    async with (
        running(tmp_path, configs) as servers,
        connected(servers["hub"]) as hub,
        connected(servers["edge"], domain="hub") as edge,
        connected(servers["edge"]) as edge_alone,
    ):
        await arrives(edge, hub)
        await arrives(hub, edge)
        there, here = await edge.bucket("STATE"), await hub.bucket("STATE")
        # The hub tells the leaf a moment after the bucket was made that somebody takes its keys.
        await until(lambda: there.put("key", b"from the edge"))
        found = await here.get("key")
        assert found is not None
        assert found.value == b"from the edge"
        images = await edge.objects("IMAGES")
        await images.put("image", b"i" * 300_000)
        assert await (await hub.objects("IMAGES")).get("image") == b"i" * 300_000
        assert await (await edge_alone.bucket("STATE")).get("key") is None


async def test_gateways_join_clusters(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("east", "west")}
    urls = {name: f"nats://127.0.0.1:{port}" for name, port in ports.items()}
    configs = {
        name: ServerConfig(
            name=name,
            port=0,
            store=tmp_path / name / "store",
            cluster=Cluster(name=name, port=free_port(), routes=("nats://127.0.0.1:9",)),
            gateway=Gateway(name=name, port=port, others=urls),
        )
        for name, port in ports.items()
    }
    async with (
        running(tmp_path, configs) as servers,
        connected(servers["east"]) as east,
        connected(servers["west"]) as west,
    ):
        await arrives(east, west)
        await arrives(west, east)


async def test_clients_use_tls_where_the_server_does(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    ca = tmp_path / "ca.pem"
    tls = Tls(cert=tmp_path / "server.pem", key=tmp_path / "server.key", ca=ca, verify=True)
    config = ServerConfig(name="one", port=0, store=tmp_path / "store", tls=tls)
    own = {"tls_ca": ca, "tls_cert": tls.cert, "tls_key": tls.key}
    async with running(tmp_path, {"one": config}) as servers:
        server = servers["one"]
        assert server.url.startswith("tls://")
        async with connected(server, **own) as transport:
            assert await (await transport.bucket("STATE")).put("key", b"value") == 1
        for wrong in ({}, {"tls_ca": ca}):  # an authority nobody trusts; no certificate of our own
            with pytest.raises((errors.LatticeError, ssl.SSLError)):
                await connect(NatsSettings(urls=(server.url,), **wrong), timeout_s=1)


# Permissions.


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[NatsServer]:
    accounts = tuple(lattice_account(name, dict.fromkeys(ROLES, "secret")) for name in (LATTICE, "staging"))
    config = ServerConfig(name="one", port=0, store=tmp_path / "store", accounts=accounts)
    async with running(tmp_path, {"one": config}) as servers:
        yield servers["one"]


def as_role(role: str, lattice: str = LATTICE) -> dict[str, str]:
    return {"user": f"{lattice}-{role}", "password": "secret"}


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "NATS refuses" in record.getMessage()]


@pytest.mark.parametrize("signer", [None, cluster_key(1)], ids=["unsigned", "signed"])
async def test_a_lattice_works_within_its_permissions(
    secured: NatsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, signer: KeyPair | None
) -> None:
    """Two hosts, an operator who puts up an application and calls it, and a dashboard: nothing is refused."""
    caplog.set_level(logging.ERROR)
    async with AsyncExitStack() as stack:
        for name in ("one", "two"):
            transport = await stack.enter_async_context(connected(secured, **as_role("host")))
            security = LOCAL if signer is None else signing(signer, signers=frozenset())
            host = Host(HostSettings(data=tmp_path / name, name=name, drain_s_max=5, security=security), transport)
            stack.push_async_callback(host.stop)
            await host.start()
        user = await stack.enter_async_context(connected(secured, **as_role("tool")))
        tool = LatticeClient(user, LATTICE, signer)
        await tool.app("put", body=msgspec.json.encode(application()))
        await tool.app("deploy", "app", b"{}")
        eyes = await stack.enter_async_context(connected(secured, **as_role("dashboard")))
        dashboard = LatticeClient(eyes, LATTICE)

        async def deployed() -> bool:
            return bool((await dashboard.app("status", "app"))["application"]["status"] == "deployed")

        await until(deployed)
        keeper = await stack.enter_async_context(connected(secured, **as_role("secrets")))
        await keeper.bucket(subjects.secret_bucket(LATTICE))  # hosts have made it, or this would be refused
        assert [host["friendly_name"] for host in await dashboard.hosts()] == ["one", "two"]
        assert {len(inventory.components) for inventory in await dashboard.inventories()} == {1}
        assert await dashboard.command("link", "get") == []
        large = b"x" * 2_000_000
        assert await tool.call("echo", "Test.Echo", b"", 5) is not None
        objects = await (await stack.enter_async_context(connected(secured, **as_role("host")))).objects(LATTICE)
        await objects.put("large", large)
        assert await objects.get("large") == large
        await objects.delete("large")
        assert refusals(caplog) == []


async def test_the_secrets_user_stores_what_a_host_reads(secured: NatsServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    bucket = subjects.secret_bucket(LATTICE)
    async with connected(secured, **as_role("secrets")) as ours, connected(secured, **as_role("host")) as hosts:
        pair = sealing.generate()
        await hosts.bucket(bucket)
        store = SecretStore(await ours.bucket(bucket), LATTICE)
        assert await store.put("redis/url", "swordfish", pair, pair.public, "now", None) == 1
        assert await store.rotate("redis/url", (pair,), pair.public, ()) is False
        assert [record.name for record in await store.all()] == ["redis/url"]
        found = await SecretStore(await hosts.bucket(bucket), LATTICE).read("redis/url")
        assert found is not None
        assert found.latest == 1
        await store.delete("redis/url")
    assert refusals(caplog) == []


def application() -> dict[str, Any]:
    image = (ACTORS / "echo" / "echo.wasm").as_uri()
    spread = {"type": "spreadscaler", "properties": {"instances": 2}}
    component = {"name": "echo", "type": "component", "properties": {"image": image}, "traits": [spread]}
    return {
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "metadata": {"name": "app", "annotations": {"version": "v1"}},
        "spec": {"components": [component]},
    }


@pytest.mark.parametrize(
    ("role", "subject"),
    [
        ("host", "wasmbus.rpc.staging.MACTOR"),
        ("host", "wasmbus.ctl.v1.staging.host.ping"),
        ("host", "wasmbus.evt.staging.host_stopped"),
        ("host", "nanolattice.staging.pulse"),
        ("host", "$JS.API.STREAM.INFO.KV_MANIFESTS_staging"),
        ("host", "$JS.API.STREAM.DELETE.KV_MANIFESTS_default"),
        ("host", "$KV.LEASE_staging.LEASE"),
        ("host", "$O.IMAGES_staging.C.x"),
        ("host", "$KV.SECRETS_default.redis"),
        # A stream that its user may change can be told to republish: by that he would send what he may not.
        ("secrets", "$JS.API.STREAM.UPDATE.KV_SECRETS_default"),
        ("secrets", "$JS.API.STREAM.CREATE.KV_SECRETS_default"),
        ("tool", "$JS.API.STREAM.UPDATE.OBJ_IMAGES_default"),
        ("tool", "$JS.API.STREAM.CREATE.OBJ_IMAGES_default"),
        ("tool", "$JS.API.STREAM.UPDATE.OBJ_default"),
        ("tool", "$JS.API.STREAM.CREATE.OBJ_default"),
        ("tool", "$KV.SECRETS_default.redis"),
        ("tool", "$JS.API.DIRECT.GET.KV_SECRETS_default"),
        ("dashboard", "$JS.API.DIRECT.GET.KV_SECRETS_default"),
        ("secrets", "$KV.SECRETS_staging.redis"),
        ("secrets", "wasmbus.ctl.v1.default.host.ping"),
        ("secrets", "$KV.CONFIGDATA_default.x"),
        ("tool", "wasmbus.ctl.v1.staging.host.stop.N"),
        ("tool", "wadm.api.staging.model.list"),
        ("tool", "wasmbus.evt.default.host_stopped"),
        ("tool", "nanolattice.default.pulse"),
        ("tool", "$KV.LEASE_default.LEASE"),
        ("dashboard", "wasmbus.ctl.v1.default.host.stop.N"),
        ("dashboard", "wasmbus.ctl.v1.default.config.get.secrets"),
        ("dashboard", "wasmbus.rpc.default.MACTOR"),
        ("dashboard", "wasmbus.rpc.default.VPROVIDER.default.shutdown"),
        ("dashboard", "wadm.api.default.model.put"),
        ("dashboard", "wadm.api.default.model.get.app"),
        ("dashboard", "$KV.MANIFESTS_default.app"),
    ],
)
async def test_a_role_may_not_publish_what_is_not_its_own(
    role: str, subject: str, secured: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(secured, **as_role(role)) as transport:
        await transport.publish(subject, b"x")
        await transport.flush()
    assert len(refusals(caplog)) == 1
    assert f'"{subject.lower()}"' in refusals(caplog)[0].lower()


@pytest.mark.parametrize(
    ("role", "subject"),
    [
        ("host", "wasmbus.rpc.staging.>"),
        ("host", ">"),
        ("host", "wasmbus.evt.*.>"),
        ("host", "$KV.MANIFESTS_default.>"),
        ("tool", "wasmbus.rpc.default.>"),
        ("tool", "wadm.api.default.>"),
        ("dashboard", "wasmbus.ctl.v1.default.>"),
        ("dashboard", "wasmbus.evt.staging.*"),
    ],
)
async def test_a_role_may_not_subscribe_to_what_is_not_its_own(
    role: str, subject: str, secured: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(secured, **as_role(role)) as transport:
        await transport.subscribe(subject, lambda _: None)
        await transport.flush()
    assert len(refusals(caplog)) == 1


async def test_accounts_keep_even_inboxes_apart(secured: NatsServer) -> None:
    seen: list[Delivery] = []
    async with (
        connected(secured, **as_role("host")) as here,
        connected(secured, **as_role("host", "staging")) as there,
    ):
        await here.subscribe("_INBOX.>", seen.append)
        await here.flush()
        await there.publish("_INBOX.some", b"theirs")
        await there.flush()
        await here.publish("_INBOX.some", b"ours")
        await here.flush()
    assert {delivery.payload for delivery in seen if delivery.payload} == {b"ours"}


@pytest.mark.parametrize("settings", [{}, {"user": "default-host", "password": "wrong"}], ids=["nobody", "wrong"])
async def test_without_a_login_there_is_no_connection(settings: dict[str, str], secured: NatsServer) -> None:
    with pytest.raises(errors.LatticeError):
        await connect(NatsSettings(urls=(secured.url,), **settings), timeout_s=2)


async def test_a_host_in_a_domain_keeps_to_its_permissions_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    accounts = (lattice_account(LATTICE, dict.fromkeys(ROLES, "secret"), "hub"),)
    config = ServerConfig(name="one", port=0, store=tmp_path / "store", accounts=accounts, domain="hub")
    async with (
        running(tmp_path, {"one": config}) as servers,
        connected(servers["one"], domain="hub", **as_role("host")) as transport,
    ):
        for name in ("LATTICEDATA", "LEASE", "CONFIGDATA", "MANIFESTS"):
            bucket = await transport.bucket(f"{name}_{LATTICE}")
            await bucket.put("key", b"value")
            assert [entry.value for entry in await bucket.changes(0)] == [b"value"]
            assert await bucket.get("key") is not None
        for name in (f"IMAGES_{LATTICE}", LATTICE):
            objects = await transport.objects(name)
            await objects.put("key", b"value")
            assert await objects.get("key") == b"value"
            await objects.delete("key")
    assert refusals(caplog) == []
