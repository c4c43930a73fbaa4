"""Attacks on calls between hosts that sign them, by somebody with a connection to the same NATS server: who hears all,
sends what they like, and has no cluster key of the lattice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg

from lattice import envelope, errors, wire
from lattice.control.lattice_client import LatticeClient
from lattice.control.records import StoredLink
from lattice.control.state import Wanted
from lattice.invocation import EntityId, Invocation, new_id
from lattice.security import invocation_tokens
from lattice.security.keys import KeyPair
from lattice.security.sessions import Calling
from lattice.transport.nats import connect
from lattice.transport.settings import NatsSettings
from tests.support.hosts import guest_wasm, u32
from tests.support.lattices import JoinedHost, cluster_key, joined_host, signing, tool, until
from tests.support.servers import Server, nats_server
from tests.support.signed import ACTOR, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLUSTER, OTHER = cluster_key(1), cluster_key(2)


class Attacker:
    """Hears every call and every answer."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.calls: list[Msg] = []
        self.answers: list[Msg] = []

    async def listen(self) -> None:
        async def called(message: Msg) -> None:
            self.calls.append(message)

        async def answered(message: Msg) -> None:
            self.answers.append(message)

        await self.client.subscribe("wasmbus.rpc.>", cb=called)
        await self.client.subscribe("_INBOX.>", cb=answered)
        await self.client.flush()

    async def ask(self, subject: str, message: bytes) -> str:
        """Sends bytes as a call; what is said against it, "" when it was done."""
        answer = await self.client.request(subject, message, timeout=5)
        return str(wire.decode_any(answer.data)["error"] or "")

    async def silence(self, subject: str, message: bytes) -> None:
        with pytest.raises(TimeoutError):
            await self.client.request(subject, message, timeout=0.3)


class Lattice:
    """Host `a`, which calls, and host `b`, which has `echo` and `sleep`."""

    def __init__(self, server: Server, attacker: Attacker, a: JoinedHost, b: JoinedHost) -> None:
        self.server = server
        self.attacker = attacker
        self.a = a
        self.b = b

    @property
    def echo(self) -> str:
        return f"wasmbus.rpc.test.echo.on.{self.b.key}"

    def done(self) -> int:
        """How often `echo` was called on `b`."""
        return self.b.host.metrics.calls["echo"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lattice(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lattice]:
    folder = tmp_path_factory.mktemp("signed")
    with nats_server(folder) as server:
        async with (
            tool(server.url) as client,
            joined_host(server.url, folder / "a", "a", security=signing(CLUSTER)) as a,
            joined_host(server.url, folder / "b", "b", security=signing(CLUSTER)) as b,
        ):
            attacker = Attacker(client.client)
            await attacker.listen()
            for guest in ("echo", "sleep"):
                await start(b, guest, guest)
                await sees(a, b, guest)
            yield Lattice(server, attacker, a, b)


async def start(host: JoinedHost, guest: str, key: str) -> None:
    wanted = Wanted(key=key, name=guest, kind="actor", image=host.guest(guest))
    await host.parts.executor.scale_actor(wanted, 1, {})


async def sees(one: JoinedHost, other: JoinedHost, key: str) -> None:
    await until(lambda: other.key in one.parts.peers.copies(key), what=f"{key} on {other.host.identity.name}")
    await until(lambda: other.parts.peers.is_host(one.key))


def invocation(host: JoinedHost, target: str, payload: bytes = b"", timeout_s: float = 10.0, **more: Any) -> Invocation:
    made = Invocation(
        origin=EntityId(host.key),
        contract="",
        operation="Test.Op",
        payload=payload,
        id=new_id(),
        deadline=time.monotonic() + timeout_s,
        target=EntityId(target),
    )
    return msgspec.structs.replace(made, **more)


async def call(host: JoinedHost, target: str, payload: bytes = b"", timeout_s: float = 10.0) -> bytes:
    return await host.host.pipeline(invocation(host, target, payload, timeout_s))


def session(one: JoinedHost, other: JoinedHost) -> Calling:
    boot = one.parts.peers.boot_of(other.key)
    found: Calling = one.parts.callers.session(other.key, boot, time.monotonic())
    return found


def message(one: JoinedHost, other: JoinedHost, target: str = "echo", payload: bytes = b"x", **more: Any) -> bytes:
    """A call that was not sent yet, by a host that may."""
    with_ = session(one, other)
    _, claim = with_.next_whole()
    made = invocation(one, target, payload, **more)
    return with_.prove(envelope.write_unproven(made, EntityId(target), one.key, 10.0, claim, {}))


async def last_call(lattice: Lattice, payload: bytes) -> Msg:
    """A call of `echo` as it was heard on its way."""
    lattice.attacker.calls.clear()
    assert await call(lattice.a, "echo", payload) == payload
    await until(lambda: any(payload in heard.data for heard in lattice.attacker.calls))
    return next(heard for heard in lattice.attacker.calls if payload in heard.data)


async def test_hosts_of_one_cluster_key_call_each_other(lattice: Lattice) -> None:
    for size in (0, 1, 100, 900 * 1024 + 1, 3 * 1024 * 1024):
        assert await call(lattice.a, "echo", b"p" * size) == b"p" * size
    assert session(lattice.a, lattice.b).accepted
    heard = await last_call(lattice, b"short name")
    assert len(wire.decode_any(heard.data)["encoded_claims"]) < 40
    await start(lattice.a, "echo", "echo-a")
    await sees(lattice.b, lattice.a, "echo-a")
    assert await call(lattice.b, "echo-a", b"back") == b"back"
    with pytest.raises(errors.DeadlineExceeded):
        await call(lattice.a, "sleep", u32(60_000), timeout_s=0.3)
    with pytest.raises(errors.TargetUnknown):
        await call(lattice.a, "nobody")


# Calls that were never made.


async def test_a_call_without_a_signature_is_refused(lattice: Lattice) -> None:
    before = lattice.done()
    unsigned = envelope.write_invocation(invocation(lattice.a, "echo"), EntityId("echo"), lattice.a.key, 10, False)
    for subject in (lattice.echo, "wasmbus.rpc.test.echo"):
        said = await lattice.attacker.ask(subject, unsigned)
        assert said.startswith("not_authentic: ")
        assert "signed calls only" in said
    assert lattice.done() == before


def signed_alone(lattice: Lattice, signer: KeyPair, payload: bytes = b"x", now: float = 0.0, **changes: Any) -> bytes:
    """A call in the form of the actor generation. `changes` are made to the message after it was signed."""
    made = invocation(lattice.a, "echo", payload)
    context = envelope.context_of(made, 10.0)
    about = invocation_tokens.Call(
        id=made.id,
        origin=invocation_tokens.url(made.origin.key, "", ""),
        target=invocation_tokens.url("echo", "", ""),
        operation=made.operation,
    )
    token = invocation_tokens.sign(signer, about, payload, now or time.time())
    made = msgspec.structs.replace(made, **changes)
    return envelope.write_invocation(made, EntityId("echo"), "", 10.0, False, token, context)


async def test_a_call_signed_by_itself_passes_once(lattice: Lattice) -> None:
    before, data = lattice.done(), signed_alone(lattice, CLUSTER)
    assert await lattice.attacker.ask("wasmbus.rpc.test.echo", data) == ""
    assert lattice.done() == before + 1
    for subject in ("wasmbus.rpc.test.echo", lattice.echo):
        assert "was here before" in await lattice.attacker.ask(subject, data)
    for data, why in (
        (signed_alone(lattice, OTHER), "not trusted here"),
        (signed_alone(lattice, CLUSTER, now=time.time() - 3600), "not_authentic: "),
        (signed_alone(lattice, CLUSTER, now=time.time() + 3600), "not_authentic: "),
        (signed_alone(lattice, CLUSTER, operation="Test.Other"), "another call"),
        (signed_alone(lattice, CLUSTER, origin=EntityId("somebody")), "another call"),
        (signed_alone(lattice, CLUSTER, id="9"), "another call"),
    ):
        assert why in await lattice.attacker.ask(lattice.echo, data)
    assert lattice.done() == before + 1


async def test_a_payload_that_was_not_signed_is_refused_whatever_its_length_says(lattice: Lattice) -> None:
    before = lattice.done()
    for payload, length in ((b"y", 1), (b"", 0), (b"", None), (b"", -5)):
        whole = wire.decode_any(signed_alone(lattice, CLUSTER))
        whole.update(msg=payload, content_length=length)
        assert "not what was signed" in await lattice.attacker.ask(lattice.echo, wire.encode(whole))
    assert lattice.done() == before


async def test_a_tool_with_a_cluster_key_calls_and_one_without_does_not(lattice: Lattice) -> None:
    transport = await connect(NatsSettings(urls=(lattice.server.url,)))
    try:
        client = LatticeClient(transport, "test", CLUSTER)
        assert await client.call("echo", "Test.Op", b"tool", 5.0) == b"tool"
        await until(lambda: any(b"tool" in heard.data for heard in lattice.attacker.calls))
        heard = next(heard for heard in lattice.attacker.calls if b"tool" in heard.data)
        assert "was here before" in await lattice.attacker.ask(heard.subject, heard.data)
        longer = wire.decode_any(heard.data)
        longer["traceContext"][envelope.TIMEOUT] = "3600000"
        assert "not_authentic: " in await lattice.attacker.ask(heard.subject, wire.encode(longer))
        for signer in (None, OTHER, KeyPair("user", b"u" * 32)):
            with pytest.raises(errors.NotAuthentic):
                await LatticeClient(transport, "test", signer).call("echo", "Test.Op", b"", 5.0)
    finally:
        await transport.close()


# Calls that were made, and are made into something else.


async def test_a_replayed_call_is_not_done_again(lattice: Lattice) -> None:
    heard = await last_call(lattice, b"once")
    before = lattice.done()
    for subject in (heard.subject, "wasmbus.rpc.test.echo"):
        await lattice.attacker.silence(subject, heard.data)
    said = await lattice.attacker.ask(f"wasmbus.rpc.test._calls.on.{lattice.b.key}", heard.data)
    assert said.startswith("not_authentic: ")
    assert lattice.done() == before
    assert await call(lattice.a, "echo", b"twice") == b"twice"


async def test_a_replay_after_the_session_was_forgotten_is_not_done(lattice: Lattice) -> None:
    recorded = message(lattice.a, lattice.b)
    assert await lattice.attacker.ask(lattice.echo, recorded) == ""
    for number in range(6):
        lattice.a.parts.callers._with.clear()
        assert await call(lattice.a, "echo", b"%d" % number) == b"%d" % number
    before = lattice.done()
    assert (await lattice.attacker.ask(lattice.echo, recorded)).startswith("answer_lost: ")
    assert lattice.done() == before


async def test_a_replay_after_the_host_was_started_anew_is_not_done(lattice: Lattice, tmp_path: Path) -> None:
    async with joined_host(lattice.server.url, tmp_path, "c", security=signing(CLUSTER)) as c:
        await start(c, "echo", "echo-c")
        await sees(lattice.a, c, "echo-c")
        recorded = message(lattice.a, c, "echo-c")
        subject = f"wasmbus.rpc.test.echo-c.on.{c.key}"
        assert await lattice.attacker.ask(subject, recorded) == ""
    async with joined_host(lattice.server.url, tmp_path, "c", security=signing(CLUSTER)) as c:
        await start(c, "echo", "echo-c")
        await sees(lattice.a, c, "echo-c")
        assert (await lattice.attacker.ask(subject, recorded)).startswith("answer_lost: ")
        assert c.host.metrics.calls["echo-c"] == 0
        assert await call(lattice.a, "echo-c", b"and the caller goes on") == b"and the caller goes on"


ALTERED: dict[str, Any] = {
    "payload": {"msg": b"y"},
    "operation": {"operation": "Test.Other"},
    "target": {"target": {"public_key": "sleep", "link_name": "", "contract_id": ""}},
    "link": {"target": {"public_key": "echo", "link_name": "x", "contract_id": ""}},
    "origin": {"origin": {"public_key": "somebody", "link_name": "", "contract_id": ""}},
    "id": {"id": "another"},
    "host": {"host_id": "another"},
    "length": {"content_length": 5},
    "depth": {"traceContext": {envelope.TIMEOUT: "10000", envelope.DEPTH: "7"}},
    "deadline": {"traceContext": {envelope.TIMEOUT: "3600000", envelope.DEPTH: "0"}},
    "claims": {"traceContext": {envelope.TIMEOUT: "10000", envelope.DEPTH: "0", envelope.CLAIMS: "x.y.z"}},
    "digest": {"digest": b"d" * 32},
    "proof": {"proof": bytes(32)},
}


@pytest.mark.parametrize("what", ALTERED)
async def test_an_altered_call_is_refused(lattice: Lattice, what: str) -> None:
    before = lattice.done()
    data = message(lattice.a, lattice.b)
    whole = wire.decode_any(data)
    altered = wire.encode({**whole, **ALTERED[what]})
    assert altered != data
    assert "changed since" in await lattice.attacker.ask(lattice.echo, altered)
    assert lattice.done() == before
    assert await lattice.attacker.ask(lattice.echo, data) == "", "as it was it passes"


async def test_the_number_of_a_call_cannot_be_changed(lattice: Lattice) -> None:
    data = message(lattice.a, lattice.b)
    whole = wire.decode_any(data)
    opening, _, number = whole["encoded_claims"].rpartition(".")
    whole["encoded_claims"] = f"{opening}.{int(number, 16) + 1:x}"
    assert "changed since" in await lattice.attacker.ask(lattice.echo, wire.encode(whole))


async def test_a_call_for_one_host_is_for_no_other(lattice: Lattice, tmp_path: Path) -> None:
    async with joined_host(lattice.server.url, tmp_path, "c", security=signing(CLUSTER)) as c:
        await start(c, "echo", "echo")
        said = await lattice.attacker.ask(f"wasmbus.rpc.test.echo.on.{c.key}", message(lattice.a, lattice.b))
        assert "not with this host" in said
        assert c.host.metrics.calls["echo"] == 0


async def test_no_host_calls_in_the_name_of_another(lattice: Lattice) -> None:
    before = lattice.done()
    data = message(lattice.a, lattice.b, origin=EntityId(lattice.b.key))
    assert "in the name of" in await lattice.attacker.ask(lattice.echo, data)
    assert lattice.done() == before


async def test_malformed_signatures_are_refused(lattice: Lattice) -> None:
    whole = wire.decode_any(message(lattice.a, lattice.b))
    for claims in (None, "", ".", "x", "x.1", "a.b.c.1", "." * 5000, "e" * 500_000, "\u20ac.1", 7):
        for proof in (b"", b"x", bytes(32), bytes(500_000)):
            data = wire.encode({**whole, "encoded_claims": claims, "proof": proof})
            if len(data) < 1_000_000:
                said = await lattice.attacker.ask(lattice.echo, data)
                assert said.startswith(("not_authentic: ", "malformed_message: ")), said
    assert await call(lattice.a, "echo", b"unmoved") == b"unmoved"


# Answers.


@asynccontextmanager
async def held(lattice: Lattice) -> AsyncIterator[tuple[asyncio.Task[bytes], str, asyncio.Event]]:
    """A call of `a` that `b` is at until it is released, and where its answer goes."""
    release = asyncio.Event()

    async def handler(_: Invocation) -> bytes:
        await release.wait()
        return b"genuine"

    index = lattice.a.parts.peers._index
    lattice.b.host.router.register("held", handler)
    index._hosts["held"] = [lattice.b.key]
    lattice.attacker.calls.clear()
    try:
        waiting = asyncio.create_task(call(lattice.a, "held"))
        await until(lambda: any(".held." in heard.subject for heard in lattice.attacker.calls))
        await until(lambda: lattice.b.parts.inbound._answering)
        inbox = next(heard.reply for heard in lattice.attacker.calls if ".held." in heard.subject)
        yield waiting, inbox, release
    finally:
        del index._hosts["held"]
        lattice.b.host.router.unregister("held")


async def doubted(lattice: Lattice) -> None:
    """The call was answered by somebody, and its host asked whether it is at it."""
    remote = lattice.a.parts.remote
    await until(lambda: any(asked.doubt for asked in remote._waiting[lattice.b.key].values()))
    await until(lambda: any("._calls." in heard.subject for heard in lattice.attacker.calls))
    await until(lambda: not remote._checking)


FORGED = {
    "a reply": envelope.write_response("x", b"forged", None, False),
    "a proof of zeros": envelope.write_unproven_response("x", b"forged", None),
    "an error": envelope.write_response("x", b"", errors.Unreachable("it did not happen"), False),
    "nothing": b"",
    "nonsense": b"nonsense",
}


@pytest.mark.parametrize("what", FORGED)
async def test_a_forged_answer_is_not_believed(lattice: Lattice, what: str) -> None:
    async with held(lattice) as (waiting, inbox, release):
        await lattice.attacker.client.publish(inbox, FORGED[what])
        await doubted(lattice)
        assert not waiting.done()
        release.set()
        assert await waiting == b"genuine"


async def test_a_forged_word_that_nobody_listens_is_not_believed(lattice: Lattice) -> None:
    """Who believed it would make a call again that is being done."""
    async with held(lattice) as (waiting, inbox, release):
        status = b"NATS/1.0 503\r\n\r\n"
        head = f"HPUB {inbox} {len(status)} {len(status)}\r\n".encode()
        await lattice.attacker.client._send_command(head + status + b"\r\n")
        await lattice.attacker.client.flush()
        await doubted(lattice)
        assert not waiting.done()
        release.set()
        assert await waiting == b"genuine"


async def test_an_answer_is_to_one_call(lattice: Lattice) -> None:
    """The answer of another call is sent to one that waits."""
    async with held(lattice) as (waiting, inbox, release):
        lattice.attacker.answers.clear()
        assert await call(lattice.a, "echo", b"another answer") == b"another answer"
        await until(lambda: any(b"another answer" in heard.data for heard in lattice.attacker.answers))
        other = next(heard for heard in lattice.attacker.answers if b"another answer" in heard.data)
        await lattice.attacker.client.publish(inbox, other.data)
        await doubted(lattice)
        assert not waiting.done()
        release.set()
        assert await waiting == b"genuine"


async def test_a_forged_call_does_not_end_the_one_whose_id_it_has(lattice: Lattice) -> None:
    """What is refused leaves no trace in what a host says it is at."""
    async with held(lattice) as (waiting, inbox, release):
        heard = next(one for one in lattice.attacker.calls if ".held." in one.subject)
        forged = wire.encode({**wire.decode_any(heard.data), "proof": bytes(32)})
        assert "changed since" in await lattice.attacker.ask(heard.subject, forged)
        await lattice.attacker.silence(heard.subject, heard.data)
        await lattice.attacker.client.publish(inbox, b"so that it is asked after")
        await doubted(lattice)
        assert not waiting.done()
        release.set()
        assert await waiting == b"genuine"


# Hosts that are none of the lattice.


@pytest.mark.parametrize("settings", ["another key", "no key"])
async def test_a_host_with_another_key_or_none_can_neither_call_nor_be_called(
    lattice: Lattice, tmp_path: Path, settings: str
) -> None:
    security = {"security": signing(OTHER)} if settings == "another key" else {}
    async with joined_host(lattice.server.url, tmp_path, "c", **security) as c:  # type: ignore[arg-type]
        await start(c, "echo", "echo-c")
        await sees(lattice.a, c, "echo-c")
        await sees(c, lattice.b, "echo")
        before = lattice.done()
        with pytest.raises(errors.NotAuthentic, match=f"{c.key} does not prove"):
            await call(lattice.a, "echo-c", b"secret")
        with pytest.raises(errors.NotAuthentic):
            await call(c, "echo", b"let me in")
        assert c.host.metrics.calls["echo-c"] == 0
        assert lattice.done() == before


async def test_a_host_that_only_has_a_key_of_its_own_accepts_no_call(lattice: Lattice, tmp_path: Path) -> None:
    """It opens what is sealed for it, so it could prove answers. It has no cluster key, so it cannot accept."""
    async with joined_host(lattice.server.url, tmp_path, "c", security=signing(OTHER, CLUSTER)) as c:
        await start(c, "echo", "echo-c")
        await sees(lattice.a, c, "echo-c")
        with pytest.raises(errors.NotAuthentic, match="no cluster key that is trusted here"):
            await call(lattice.a, "echo-c", b"secret")


async def test_a_host_that_is_gone_is_unreachable_at_once(tmp_path: Path) -> None:
    """Nobody listens there, and nobody says that it is at the call. On a server that nobody else listens at."""
    (tmp_path / "nats").mkdir()
    with nats_server(tmp_path / "nats") as server:
        async with (
            joined_host(server.url, tmp_path / "a", "a", security=signing(CLUSTER)) as a,
            joined_host(server.url, tmp_path / "c", "c", drain_s_max=1, security=signing(CLUSTER)) as c,
        ):
            await start(c, "echo", "gone")
            await sees(a, c, "gone")
            assert await call(a, "gone", b"x") == b"x"
            await c.parts.inbound.stop(time.monotonic())
            await c.transport.flush()
            with pytest.raises(errors.Unreachable, match="nobody listens"):
                await call(a, "gone")


# Claims.


async def test_the_claims_of_an_actor_go_along_until_the_other_host_has_them(lattice: Lattice) -> None:
    path = lattice.a.folder / "signed.wasm"
    path.write_bytes(signed(guest_wasm("relay"), caps=["wasmcloud:keyvalue"]))
    key = ACTOR.public
    await lattice.a.parts.store.put_link(StoredLink(source=key, target="echo", contract="", name="default"))
    for host in (lattice.a, lattice.b):
        await until(lambda host=host: any(link.source == key for link in host.host.links))
    wanted = Wanted(key=key, name="relay", kind="actor", image=f"file://{path}")
    await lattice.a.parts.executor.scale_actor(wanted, 1, {})
    lattice.attacker.calls.clear()
    try:
        for _ in range(3):
            assert await call(lattice.a, key, b"default\0echo\0Test.Op\0over there") == b"1over there"
    finally:
        await lattice.a.parts.executor.scale_actor(wanted, 0, {})
        await lattice.a.parts.store.delete_link(key, "", "default")
    found = lattice.b.parts.authentic.claims_of(key, lattice.a.key)
    assert (found.subject, found.caps, found.verified) == (key, ("wasmcloud:keyvalue",), True)
    await until(lambda: sum(b"over there" in heard.data for heard in lattice.attacker.calls) == 3)
    contexts = [wire.decode_any(heard.data)["traceContext"] for heard in lattice.attacker.calls if heard.data]
    assert [envelope.CLAIMS in context for context in contexts] == [True, False, False]


# Large payloads.


@pytest.mark.parametrize("which", ["request", "reply"])
async def test_a_payload_that_was_swapped_in_the_store_is_noticed(lattice: Lattice, which: str) -> None:
    payload = b"p" * (1024 * 1024)
    sender = lattice.a.parts.remote if which == "request" else lattice.b.parts.inbound
    put = sender._payloads.put

    async def put_and_swapped(name: str, data: bytes, timeout_s: float) -> None:
        await put(name, data, timeout_s)
        await put(name, b"q" * len(data), timeout_s)

    sender._payloads.put = put_and_swapped
    try:
        with pytest.raises(errors.NotAuthentic, match="not what was sent"):
            await call(lattice.a, "echo", payload)
    finally:
        del sender._payloads.put
    assert await call(lattice.a, "echo", payload) == payload


# Keys that change.


async def test_keys_rotate_under_load_without_a_failed_call(lattice: Lattice) -> None:
    over, answered = asyncio.Event(), [0]

    async def caller(number: int) -> None:
        while not over.is_set():
            payload = b"%d" % number
            assert await call(lattice.a, "echo", payload) == payload
            assert len(await call(lattice.a, "sleep", u32(5))) == 12
            answered[0] += 1

    callers = [asyncio.create_task(caller(number)) for number in range(16)]

    async def more() -> None:
        before = answered[0]
        await until(lambda: answered[0] > before + 50 or any(task.done() for task in callers))

    try:
        await more()
        for security in (signing(CLUSTER, OTHER), signing(OTHER, CLUSTER), signing(OTHER)):
            for host in (lattice.a, lattice.b):
                host.host.reload(security)
                await more()
    finally:
        over.set()
        await asyncio.gather(*callers)
        old = message(lattice.a, lattice.b)
        for security in (signing(OTHER, CLUSTER), signing(CLUSTER, OTHER), signing(CLUSTER)):
            for host in (lattice.a, lattice.b):
                host.host.reload(security)
    assert "not trusted here" in await lattice.attacker.ask(lattice.echo, old)
    assert await call(lattice.a, "echo", b"as before") == b"as before"
