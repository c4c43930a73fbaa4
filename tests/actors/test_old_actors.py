"""Actors that other people built years ago, with other toolchains, run here unmodified.

They are not in this repository: scripts/fetch_old_actors.py fetches them.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from lattice import errors, wasmfile
from lattice.actors import ActorSpec
from lattice.contracts.actor import HealthCheckResponse
from lattice.contracts.httpserver import HttpRequest, HttpResponse
from lattice.contracts.messaging import PubMessage, SubMessage
from lattice.invocation import Invocation
from lattice.security import admission, signing
from lattice.security.claims import Claims
from lattice.security.settings import ActorTrust
from tests.support.hosts import GuestHost, guest_host
from tests.support.signed import signed

encode = msgspec.msgpack.encode
decode = msgspec.msgpack.decode


class OldActors:
    """A host on which old actors are started; `calls` holds what they asked of `offer`ed contracts."""

    def __init__(self, folder: Path, guests: GuestHost) -> None:
        self.calls: list[tuple[str, str, str, bytes]] = []
        self._folder = folder
        self._guests = guests

    def _path(self, name: str) -> Path:
        path = self._folder / f"{name}.wasm"
        if not path.exists():
            pytest.skip(f"{path.name} is not there; run scripts/fetch_old_actors.py")
        return path

    def read(self, name: str) -> bytes:
        return self._path(name).read_bytes()

    async def start(self, name: str, **contracts: str) -> str:
        """Starts an actor; `contracts` are link names by contract, with "__" for ":". Returns its key."""
        spec = ActorSpec(key=name, name=name, image=self._path(name), application="old")
        actor = await self._guests.host.actors.start(spec)
        for contract, link_name in contracts.items():
            self._guests.offer(self._answer, actor.key, contract=contract.replace("__", ":"), name=link_name)
        return actor.key

    async def call(self, key: str, operation: str, payload: bytes) -> bytes:
        return await self._guests.call(key, payload, operation=operation)

    async def _answer(self, invocation: Invocation) -> bytes:
        self.calls.append((invocation.contract, invocation.link_name, invocation.operation, invocation.payload))
        return invocation.payload


@pytest.fixture
async def old_actors(tmp_path: Path) -> AsyncIterator[OldActors]:
    folder = os.environ.get("LATTICE_OLD_ACTORS")
    if not folder:
        pytest.skip("LATTICE_OLD_ACTORS is not set; it is the folder that scripts/fetch_old_actors.py fills")
    async with guest_host(tmp_path) as guests:
        yield OldActors(Path(folder), guests)


SIGNED = {
    "wasmcloud-logger": Claims(
        issuer="ACOJJN6WUP4ODD75XEBKKTCCUJJCY5ZKQ56XVKYK4BEJWGVAOOQHZMCW",
        subject="MAARQX72EAZ4T4ODYOQZED3FJ6P27KWWVVTUNV6TVX2VBRVVSUKLAQHP",
        name="Logger",
        caps=("wasmcloud:httpserver", "wasmcloud:logging"),
        rev=1,
        ver="0.1.0",
        issued=1613572405,
        hash="7941152C0674229576BBF50D880DF71C0A579FEF9ECEDC5069AC1009D33E81F1",
        verified=True,
    ),
    "wasmcloud-echo-messaging": Claims(
        issuer="ABRK5MP6QRTH7HXOVP2PR2TLDW6DPLBAF3LTGVWQRFVEF7W5VOUMACXB",
        subject="MDJ5BWS6JXSWOZL2ZENW2D4FBSHQ5ZMFGEGJB33TLKYKMXTLLAXINU36",
        name="Echo Messaging",
        caps=("wasmcloud:messaging", "wasmcloud:builtin:logging"),
        rev=0,
        ver="0.1.5",
        issued=1679578778,
        hash="0A116480EF09116D59E441A125EF472E362B6F2AE0938E4D33A964C349BE13C7",
        verified=True,
    ),
}


@pytest.mark.parametrize("name", SIGNED)
async def test_the_signatures_of_years_ago_verify(old_actors: OldActors, name: str) -> None:
    """In the sections `jwt` and `wasmcloud_jwt`, by keys of others."""
    data = old_actors.read(name)
    file, wanted = wasmfile.describe(data), SIGNED[name]
    trust = ActorTrust(issuers=frozenset({wanted.issuer}))
    assert admission.admit(data, file, trust, time.time()) == wanted
    unsigned = signing.strip(data, file)
    assert hashlib.sha256(unsigned).hexdigest().upper() == wanted.hash
    with pytest.raises(errors.NotAdmitted, match="does not trust"):
        admission.admit(data, file, ActorTrust(issuers=frozenset()), time.time())
    for changed in (data + b"\0\1\0", bytes([*data[:-40], data[-40] ^ 1, *data[-39:]])):
        with pytest.raises(errors.NotAdmitted):
            admission.admit(changed, wasmfile.describe(changed), ActorTrust(), time.time())
    again = signed(data)
    assert signing.strip(again, wasmfile.describe(again)) == unsigned, "signed anew, and nothing else is changed"


async def test_an_unsigned_actor_of_years_ago_runs_only_where_that_is_allowed(old_actors: OldActors) -> None:
    data = old_actors.read("wapc-rust-echo")
    with pytest.raises(errors.NotAdmitted, match="not signed"):
        admission.admit(data, wasmfile.describe(data), ActorTrust(), time.time())


async def test_a_wasmcloud_actor_of_2021_answers_http_and_logs(old_actors: OldActors) -> None:
    key = await old_actors.start("wasmcloud-logger", wasmcloud__logging="default")
    assert key == "MAARQX72EAZ4T4ODYOQZED3FJ6P27KWWVVTUNV6TVX2VBRVVSUKLAQHP", "the key comes from its claims"
    request = HttpRequest(method="GET", path="/", query_string="", header={}, body=b"")
    # Actors of early 2021 name operations without their contract's prefix.
    reply = await old_actors.call(key, "HandleRequest", encode(request))
    assert decode(reply, type=HttpResponse) == HttpResponse(status_code=200, header={}, body=b"")
    lines = [decode(payload)["text"] for _, _, operation, payload in old_actors.calls if operation == "WriteLog"]
    assert "Received a GET request" in lines


async def test_a_wasmcloud_actor_of_2023_sends_a_message_back(old_actors: OldActors) -> None:
    key = await old_actors.start("wasmcloud-echo-messaging", wasmcloud__messaging="default")
    assert key == "MDJ5BWS6JXSWOZL2ZENW2D4FBSHQ5ZMFGEGJB33TLKYKMXTLLAXINU36", "the key comes from its claims"
    message = SubMessage(subject="ask", reply_to="answers", body=b"hi")
    assert await old_actors.call(key, "MessageSubscriber.HandleMessage", encode(message)) == b""
    [(contract, link_name, operation, payload)] = old_actors.calls
    assert (contract, link_name, operation) == ("wasmcloud:messaging", "default", "Messaging.Publish")
    assert decode(payload, type=PubMessage) == PubMessage(subject="answers", body=b"reply: hi")


async def test_a_wasmcloud_actor_of_2023_says_that_it_is_healthy(old_actors: OldActors) -> None:
    key = await old_actors.start("wasmcloud-echo-messaging")
    reply = await old_actors.call(key, "Actor.HealthRequest", encode({}))
    assert decode(reply, type=HealthCheckResponse) == HealthCheckResponse(healthy=True)


async def test_a_wapc_actor_of_2020_that_starts_with_start_calls_the_host_and_answers(old_actors: OldActors) -> None:
    key = await old_actors.start("wapc-assemblyscript-2020", sample="myBinding")
    assert await old_actors.call(key, "hello", b"World") == b"Hello, World"
    assert old_actors.calls == [("sample", "myBinding", "hello", b"Simon")]


@pytest.mark.parametrize("name", ["wapc-assemblyscript", "wapc-rust"])
async def test_wapc_actors_call_the_host_and_answer(old_actors: OldActors, name: str) -> None:
    key = await old_actors.start(name, testing="wapc")
    assert await old_actors.call(key, "echo", b"payload") == b"payload"
    assert old_actors.calls == [("testing", "wapc", "echo", b"payload")]


@pytest.mark.parametrize("name", ["wapc-assemblyscript", "wapc-rust"])
async def test_wapc_actors_fail_and_answer_the_next_call(old_actors: OldActors, name: str) -> None:
    key = await old_actors.start(name, testing="wapc")
    with pytest.raises(errors.GuestError):
        await old_actors.call(key, "nope", b"")
    assert await old_actors.call(key, "echo", b"again") == b"again"


async def test_a_wapc_actor_reads_messagepack(old_actors: OldActors) -> None:
    key = await old_actors.start("wapc-rust-echo")
    assert decode(await old_actors.call(key, "echo", encode({"msg": "hello"}))) == "hello"


async def test_a_wapc_actor_sees_the_error_of_a_host_call(old_actors: OldActors) -> None:
    key = await old_actors.start("wapc-rust-host-call", myNamespace="myBinding")

    def request(namespace: str) -> bytes:
        return encode({"namespace": namespace, "binding": "myBinding", "operation": "myOperation", "msg": "text"})

    assert decode(await old_actors.call(key, "callback", request("myNamespace"))) == "text"
    assert old_actors.calls == [("myNamespace", "myBinding", "myOperation", encode("text"))]
    with pytest.raises(errors.GuestError, match="target_unknown"):
        await old_actors.call(key, "callback", request("nobody"))
