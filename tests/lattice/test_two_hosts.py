"""Calls between real hosts over a real nats-server: what crosses, what fails and how, who answers when one is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from lattice import errors, wire
from lattice.contracts import keyvalue as kv
from lattice.control.state import Wanted
from lattice.edge import persist
from lattice.invocation import EntityId, Invocation, new_id
from tests.support.hosts import u32
from tests.support.lattices import JoinedHost, Tool, joined_host, tool, until
from tests.support.servers import Server, nats_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG_MS = 60_000
"""A guest that sleeps so long sleeps until something ends it."""


class Lattice:
    """Host `a`, which calls, and host `b`, which has what is called."""

    def __init__(self, server: Server, client: Tool, a: JoinedHost, b: JoinedHost) -> None:
        self.server = server
        self.tool = client
        self.a = a
        self.b = b


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lattice(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lattice]:
    folder = tmp_path_factory.mktemp("two")
    with nats_server(folder) as server:
        async with (
            tool(server.url) as client,
            joined_host(server.url, folder / "a", "a", place="a") as a,
            joined_host(server.url, folder / "b", "b", place="b") as b,
        ):
            components = [component(b, guest, guest) for guest in ("echo", "fail_with_text", "trap", "sleep", "relay")]
            components += [component(a, "relay", "relay-a"), component(a, "echo", "echo-a"), store(a)]
            link = {"target": "store", "namespace": "wasmcloud", "package": "keyvalue"}
            next(one for one in components if one["name"] == "relay")["traits"] += [
                {"type": "link", "properties": link}
            ]
            manifest = {
                "apiVersion": "core.oam.dev/v1beta1",
                "kind": "Application",
                "metadata": {"name": "app"},
                "spec": {"components": components},
            }
            assert (await client.model("put", manifest))["result"] == "created"
            assert (await client.model("deploy.app"))["result"] == "acknowledged"
            for key in ("echo", "fail_with_text", "trap", "sleep", "relay"):
                await sees(a, b, key)
            for key in ("relay-a", "echo-a"):
                await sees(b, a, key)
            yield Lattice(server, client, a, b)


def component(host: JoinedHost, guest: str, key: str) -> dict[str, Any]:
    """One copy on this host."""
    place = host.host.identity.labels["place"]
    spread = [{"name": "there", "requirements": {"place": place}, "fallback": "none"}]
    return {
        "name": key.replace("_", "-"),
        "type": "component",
        "properties": {"image": host.guest(guest), "id": key},
        "traits": [{"type": "spreadscaler", "properties": {"instances": 1, "spread": spread}}],
    }


def store(host: JoinedHost) -> dict[str, Any]:
    provider = component(host, "echo", "store")
    return provider | {"type": "capability", "properties": {"image": "builtin://keyvalue-sqlite", "id": "store"}}


async def start(host: JoinedHost, guest: str, key: str) -> None:
    """By hand, so that no application has a say in it."""
    wanted = Wanted(key=key, name=guest, kind="actor", image=host.guest(guest))
    await host.parts.executor.scale_actor(wanted, 1, {})


async def stop(host: JoinedHost, key: str) -> None:
    await host.parts.executor.scale_actor(Wanted(key=key, name=key, kind="actor", image=""), 0, {})


async def sees(one: JoinedHost, other: JoinedHost, key: str) -> None:
    """`one` knows what `other` has, and `other` knows `one`, whose owner it would refuse as a stranger."""
    await until(lambda: other.key in one.parts.peers.copies(key), what=f"{key} on {other.host.identity.name}")
    await until(lambda: other.parts.peers.is_host(one.key))


def invocation(host: JoinedHost, target: str, payload: bytes = b"", timeout_s: float = 10.0, **more: Any) -> Invocation:
    """A call by the host's owner."""
    return Invocation(
        origin=EntityId(host.key),
        contract="",
        operation="Test.Op",
        payload=payload,
        id=new_id(),
        deadline=time.monotonic() + timeout_s,
        target=EntityId(target),
        **more,
    )


async def call(host: JoinedHost, target: str, payload: bytes = b"", timeout_s: float = 10.0, **more: Any) -> bytes:
    return await host.host.pipeline(invocation(host, target, payload, timeout_s, **more))


def relayed(target: str, payload: bytes = b"") -> bytes:
    """What makes the relay guest call an actor."""
    return b"default\0" + target.encode() + b"\0Test.Op\0" + payload


async def test_an_actor_calls_an_actor_of_another_host(lattice: Lattice) -> None:
    assert await call(lattice.a, "relay-a", relayed("echo", b"over there")) == b"1over there"
    there_and_back = relayed("relay", relayed("echo-a", b"and back"))
    assert await call(lattice.a, "relay-a", there_and_back) == b"11and back"


async def test_the_extension_of_keyvalue_is_there_for_actors_of_another_host(lattice: Lattice) -> None:
    async def asked(operation: str, message: Any, type_: Any) -> Any:
        name = f"KeyValue.{operation}"
        payload = b"default\0wasmcloud:keyvalue\0" + name.encode() + b"\0" + wire.encode(message)
        found = await call(lattice.b, "relay", payload)
        assert found[:1] == b"1", found
        return wire.decoder(type_, name)(found[1:])

    swap = kv.CompareAndSwapRequest(key="k", value=b"\xff")
    assert (await asked("CompareAndSwap", swap, kv.CompareAndSwapResponse)).swapped
    refused = kv.CompareAndSwapResponse(swapped=False, value=b"\xff", exists=True)
    assert await asked("CompareAndSwap", swap, kv.CompareAndSwapResponse) == refused
    assert await asked("GetBytes", "k", kv.GetBytesResponse) == kv.GetBytesResponse(value=b"\xff", exists=True)
    assert await asked("Increment", kv.IncrementRequest(key="n", value=2**40, wide=True), int) == 2**40
    assert await asked("ListKeys", kv.ListKeysRequest(), kv.ListKeysResponse) == kv.ListKeysResponse(keys=["k", "n"])


async def test_three_megabytes_cross_both_ways(lattice: Lattice) -> None:
    payload = bytes(range(256)) * 4096 * 3
    assert await call(lattice.a, "echo", payload) == payload
    stream = await lattice.tool.client.jetstream().stream_info("OBJ_test")
    assert stream.state.bytes < len(payload), "what was read is deleted"


async def test_payloads_around_the_limit_of_a_message_cross(lattice: Lattice) -> None:
    for size in (0, 1, 900 * 1024 - 1, 900 * 1024, 900 * 1024 + 1, 1024 * 1024):
        payload = b"x" * size
        assert await call(lattice.a, "echo", payload) == payload


async def test_a_deadline_is_kept_by_both_ends(lattice: Lattice) -> None:
    began = time.monotonic()
    with pytest.raises(errors.DeadlineExceeded):
        await call(lattice.a, "sleep", u32(LONG_MS), timeout_s=0.3)
    assert time.monotonic() - began < 20
    await until(lambda: not lattice.b.parts.inbound._serving, 5, "the callee to give up")
    with pytest.raises(errors.DeadlineExceeded):
        await call(lattice.a, "echo", timeout_s=-1)


async def test_errors_keep_their_kind_across(lattice: Lattice) -> None:
    with pytest.raises(errors.GuestError, match="as it says") as guest:
        await call(lattice.a, "fail_with_text", b"as it says")
    assert type(guest.value) is errors.GuestError
    with pytest.raises(errors.GuestTrapped):
        await call(lattice.a, "trap", b"\0")
    with pytest.raises(errors.TargetUnknown):
        await call(lattice.a, "nobody")
    with pytest.raises(errors.PayloadTooLarge):
        await call(lattice.a, "echo", bytes(17 * 1024 * 1024))


async def test_a_remedy_crosses_with_its_error(lattice: Lattice) -> None:
    async def refuses(_: Invocation) -> bytes:
        raise errors.Denied("it may not", remedy="ask your administrator: ä")

    lattice.b.host.router.register("refuses", refuses)
    try:
        request = invocation(lattice.a, "refuses")
        handler = lattice.a.parts.remote.handler(EntityId("refuses"))
        lattice.a.parts.peers._index._hosts["refuses"] = [lattice.b.key]
        with pytest.raises(errors.Denied, match="it may not") as raised:
            await handler(request)
        assert raised.value.remedy == "ask your administrator: ä"
    finally:
        del lattice.a.parts.peers._index._hosts["refuses"]
        lattice.b.host.router.unregister("refuses")


async def test_who_may_not_call_here_may_not_call_there(lattice: Lattice) -> None:
    await start(lattice.a, "relay", "stranger")
    try:
        reply = await call(lattice.a, "stranger", relayed("echo", b"let me in"))
        assert reply.startswith(b"0not_linked: "), reply
        forged = msgspec.structs.replace(invocation(lattice.a, "echo", b"x"), origin=EntityId("stranger"))
        with pytest.raises(errors.NotLinked):
            await lattice.a.parts.remote.handler(EntityId("echo"))(forged)
    finally:
        await stop(lattice.a, "stranger")


async def test_calls_in_a_circle_over_two_hosts_end(lattice: Lattice) -> None:
    payload = relayed("echo-a", b"never")
    for number in range(20):
        payload = relayed("relay" if number % 2 else "relay-a", payload)
    reply = await call(lattice.a, "relay-a", payload)
    assert b"0call_depth_exceeded: " in reply, reply
    assert b"never" not in reply


async def test_colocated_calls_never_leave_the_process(lattice: Lattice) -> None:
    heard: list[str] = []

    async def noted(message: Any) -> None:
        heard.append(message.subject)

    subscription = await lattice.tool.client.subscribe("wasmbus.rpc.>", cb=noted)
    await lattice.tool.client.flush()
    for _ in range(20):
        assert await call(lattice.a, "relay-a", relayed("echo-a", b"here")) == b"1here"
    await lattice.a.transport.flush()
    await lattice.tool.client.flush()
    assert heard == []
    await call(lattice.a, "echo", b"there")
    await until(lambda: heard == [f"wasmbus.rpc.test.echo.on.{lattice.b.key}"])
    await subscription.unsubscribe()


async def test_a_stranger_calls_any_copy(lattice: Lattice) -> None:
    """On the subject of the actor generation, with an envelope that says no more than it has to."""
    entity = {"public_key": lattice.a.key, "link_name": "", "contract_id": ""}
    message = {
        "origin": entity,
        "target": {"public_key": "echo", "link_name": "", "contract_id": ""},
        "operation": "Test.Op",
        "msg": b"hello",
        "id": "1",
        "encoded_claims": "",
        "host_id": "",
    }
    answer = await lattice.tool.client.request("wasmbus.rpc.test.echo", wire.encode(message), timeout=5)
    reply = wire.decode_any(answer.data)
    assert (reply["msg"], reply["invocation_id"], reply["error"]) == (b"hello", "1", None)
    for broken in (b"", b"\xc1", wire.encode({**message, "target": {}}), wire.encode([1]), b"\xdf\xff\xff\xff\xff"):
        answer = await lattice.tool.client.request("wasmbus.rpc.test.echo", broken, timeout=5)
        assert wire.decode_any(answer.data)["error"].startswith("malformed_message: ")


# A third host, which is lost or leaves.


async def test_a_host_that_falls_silent_in_a_call_is_an_answer_lost(lattice: Lattice, tmp_path: Path) -> None:
    async with joined_host(lattice.server.url, tmp_path, "c", drain_s_max=1) as c:
        await start(c, "sleep", "slow")
        await sees(lattice.a, c, "slow")
        waiting = asyncio.create_task(call(lattice.a, "slow", u32(LONG_MS), timeout_s=20))
        await until(lambda: c.parts.inbound._serving)
        await c.transport.close()
        began = time.monotonic()
        with pytest.raises(errors.AnswerLost, match="fell silent"):
            await waiting
        assert time.monotonic() - began < 20
        await until(lambda: c.key not in lattice.a.parts.peers.observed.hosts)
        with pytest.raises(errors.Unreachable):
            await call(lattice.a, "slow")


async def test_what_may_be_repeated_goes_to_the_other_copy(lattice: Lattice, tmp_path: Path) -> None:
    async with joined_host(lattice.server.url, tmp_path, "c", drain_s_max=1) as c:
        for host in (lattice.b, c):
            await start(host, "sleep", "twice")
            await sees(lattice.a, host, "twice")
        lattice.a.parts.peers.avoid(lattice.b.key)  # so that c is asked first
        waiting = asyncio.create_task(
            persist(lattice.a.host.pipeline, invocation(lattice.a, "twice", u32(3000), timeout_s=15), repeatable=True)
        )
        await until(lambda: c.parts.inbound._serving or waiting.done())
        await c.transport.close()
        assert len(await waiting) == 12
    await stop(lattice.b, "twice")


async def test_nothing_is_lost_while_a_host_leaves(lattice: Lattice, tmp_path: Path) -> None:
    async with joined_host(lattice.server.url, tmp_path, "c", drain_s_max=1) as c:
        for host in (lattice.b, c):
            await start(host, "sleep", "leaving")
            await sees(lattice.a, host, "leaving")
        answered, over = [0], asyncio.Event()

        async def caller() -> None:
            while not over.is_set():
                request = invocation(lattice.a, "leaving", u32(20))
                assert len(await persist(lattice.a.host.pipeline, request, repeatable=False)) == 12
                answered[0] += 1

        callers = [asyncio.create_task(caller()) for _ in range(8)]
        await until(lambda: answered[0] > 20 or any(task.done() for task in callers))
        assert await c.host.stop()
        before = answered[0]
        await until(lambda: answered[0] > before + 20 or any(task.done() for task in callers))
        over.set()
        await asyncio.gather(*callers)
        c.host.stop = _nothing  # type: ignore[method-assign]
    await stop(lattice.b, "leaving")


async def _nothing() -> bool:
    return True


async def test_hosts_serve_what_they_have_while_nats_is_away_and_find_together_again(lattice: Lattice) -> None:
    lattice.server.kill()
    await until(lambda: lattice.a.transport.state == lattice.b.transport.state == "disconnected")
    for _ in range(3):
        assert await call(lattice.a, "relay-a", relayed("echo-a", b"alone")) == b"1alone"
    began = time.monotonic()
    with pytest.raises(errors.Unreachable):
        await call(lattice.a, "echo")
    assert time.monotonic() - began < 20
    assert lattice.b.key in lattice.a.parts.peers.observed.hosts, "who is cut off accuses nobody"
    lattice.server.start()
    await until(lambda: lattice.a.transport.state == lattice.b.transport.state == "connected", 15)
    request = invocation(lattice.a, "echo", b"together", timeout_s=10)
    assert await persist(lattice.a.host.pipeline, request, repeatable=True) == b"together"
    await until(lambda: lattice.a.parts.peers.observed.hosts.keys() == lattice.b.parts.peers.observed.hosts.keys())
    assert lattice.b.key in lattice.a.parts.peers.observed.hosts
    await lattice.a.parts.store.put_config("after", {"a": "b"})
    assert await lattice.b.parts.store.config("after") == {"a": "b"}
