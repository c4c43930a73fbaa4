"""A policy service over a real nats-server: what it is asked, and that everything but a clear yes is a no."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg

from lattice import errors
from lattice.control import policy_service
from lattice.control.policy_service import PolicyService
from lattice.security.policy import Decision, Party, Question
from lattice.security.rules import ServiceSettings
from lattice.transport.nats import NatsTransport, connect
from lattice.transport.settings import NatsSettings
from tests.support.lattices import until
from tests.support.servers import Server, nats_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUBJECT = "test.policy"
HOST = Party(key="N1", kind="host", name="one", labels={"cloud": "east"})
ACTOR = Party(
    key="M1",
    kind="actor",
    name="cart",
    application="shop",
    issuer="A1",
    caps=("wasmcloud:keyvalue",),
    tags=("prod",),
    issued=7,
    expires=9,
    image="file:///cart.wasm",
    copies=100,
    labels={"cloud": "east"},
)
STORE = Party(key="V1", kind="provider", name="keyvalue-sqlite", image="builtin://keyvalue-sqlite")

Service = Callable[[dict[str, Any]], Any]
"""Gets a request, returns what is answered as JSON or bytes, or None for no answer."""


def question(operation: str = "KeyValue.Get", origin: Party = ACTOR) -> Question:
    return Question(
        kind="call",
        origin=origin,
        target=STORE,
        host=HOST,
        lattice="test",
        contract="wasmcloud:keyvalue",
        operation=operation,
        link_name="default",
    )


class Net:
    """A server, the host's connection and the service's."""

    def __init__(self, server: Server, transport: NatsTransport, client: Client) -> None:
        self.server = server
        self.transport = transport
        self.client = client
        self.asked: list[dict[str, Any]] = []

    @asynccontextmanager
    async def service(self, answer: Service, **settings: Any) -> AsyncIterator[PolicyService]:
        """The host's end, and `answer` at the other."""
        self.asked.clear()

        async def received(message: Msg) -> None:
            request = json.loads(message.data)
            self.asked.append(request)
            reply = answer(request)
            if isinstance(reply, Awaitable):
                reply = await reply
            if reply is not None:
                await message.respond(reply if isinstance(reply, bytes) else json.dumps(reply).encode())

        subscription = await self.client.subscribe(SUBJECT, cb=received)
        for _ in range(2):  # the first question of a flush may overtake what it is to flush
            await self.client.flush()
        service = PolicyService(self.transport, ServiceSettings(**{"subject": SUBJECT, "timeout_s": 5.0, **settings}))
        try:
            yield service
        finally:
            await service.close()
            await subscription.unsubscribe()
            await self.client.flush()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def net(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Net]:
    with nats_server(tmp_path_factory.mktemp("policy")) as server:
        transport = await connect(NatsSettings(urls=(server.url,)))
        client = await nats.connect(server.url)
        try:
            yield Net(server, transport, client)
        finally:
            await client.close()
            await transport.close()


def says(permitted: bool, message: str | None = None) -> Service:
    return lambda request: {"requestId": request["requestId"], "permitted": permitted, "message": message}


async def decided(service: PolicyService, asked: Question) -> Decision:
    answer = service.decide(asked)
    return answer if isinstance(answer, Decision) else await answer


async def test_the_service_is_asked_as_wasmclouds_is(net: Net) -> None:
    async with net.service(says(True)) as service:
        assert (await decided(service, question())).permitted
    (asked,) = net.asked
    assert asked["requestId"]
    assert (asked["kind"], asked["version"]) == ("performInvocation", "v1")
    assert asked["host"] == {"publicKey": "N1", "lattice": "test", "labels": {"cloud": "east"}}
    request = asked["request"]
    assert (request["interface"], request["function"]) == ("wasmcloud:keyvalue", "KeyValue.Get")
    assert request["target"]["componentId"] == "V1"
    assert request["target"]["imageRef"] == "builtin://keyvalue-sqlite"
    assert request["target"]["claims"] is None
    origin = request["origin"]
    assert (origin["componentId"], origin["maxInstances"], origin["annotations"]) == ("M1", 100, {})
    assert {key: origin["claims"][key] for key in ("publicKey", "issuer", "issuedAt", "expiresAt", "expired")} == {
        "publicKey": "M1",
        "issuer": "A1",
        "issuedAt": "7",
        "expiresAt": 9,
        "expired": False,
    }


async def test_starts_are_asked_about_by_their_own_kinds(net: Net) -> None:
    async with net.service(says(False, "not\nhere")) as service:
        actor = Question(kind="start_actor", target=ACTOR, host=HOST)
        found = await decided(service, actor)
        assert (found.permitted, found.message, found.rule) == (False, "not here", "the policy service")
        provider = Question(kind="start_provider", target=STORE, host=HOST, contract="wasmcloud:keyvalue")
        assert not (await decided(service, provider)).permitted
    kinds = [asked["kind"] for asked in net.asked]
    assert kinds == ["startComponent", "startProvider"]
    assert net.asked[0]["request"]["componentId"] == "M1"
    assert net.asked[0]["request"]["claims"]["issuer"] == "A1"
    assert net.asked[1]["request"]["providerId"] == "V1"


async def test_nobody_there_is_a_no(net: Net) -> None:
    service = PolicyService(net.transport, ServiceSettings(subject="test.nobody", timeout_s=5.0))
    found = await decided(service, question())
    assert not found.permitted
    assert "nobody answers on test.nobody" in found.message


async def test_no_answer_in_time_is_a_no_and_not_remembered(net: Net) -> None:
    async with net.service(lambda _request: None, timeout_s=0.05) as service:
        for _ in range(2):
            found = await decided(service, question())
            assert not found.permitted
            assert found.message == "no answer on test.policy within 0.05 s"
    assert len(net.asked) == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"yes", "cannot be read"),
        (b"", "cannot be read"),
        ({"permitted": True}, "cannot be read"),
        ({"requestId": "1", "permitted": "true"}, "cannot be read"),
        ({"requestId": "another", "permitted": True}, "answered another question"),
        ({"requestId": "1", "permitted": True, "message": "x" * 70_000}, "at most 65536"),
    ],
)
async def test_an_answer_that_is_none_is_a_no(net: Net, answer: Any, message: str) -> None:
    async with net.service(lambda _request: answer) as service:
        found = await decided(service, question())
    assert not found.permitted
    assert message in found.message


async def test_an_answer_to_an_earlier_question_is_a_no(net: Net) -> None:
    """Whoever repeats a yes that was heard on the wire gets no other call through."""
    heard: list[str] = []

    def repeats(request: dict[str, Any]) -> dict[str, Any]:
        heard.append(request["requestId"])
        return {"requestId": heard[0], "permitted": True}

    async with net.service(repeats) as service:
        assert (await decided(service, question("One"))).permitted
        assert not (await decided(service, question("Two"))).permitted


async def test_answers_are_remembered_for_a_while(net: Net) -> None:
    async with net.service(says(True), cache_s=60) as service:
        first = await decided(service, question())
        assert service.decide(question()) == first
        assert await decided(service, question("KeyValue.Set"))
    assert [asked["request"]["function"] for asked in net.asked] == ["KeyValue.Get", "KeyValue.Set"]
    async with net.service(says(True), cache_s=0) as service:
        for _ in range(2):
            await decided(service, question())
    assert len(net.asked) == 2


async def test_an_answer_whose_time_is_over_is_asked_for_again(net: Net) -> None:
    async with net.service(says(True), cache_s=0.001) as service:
        await decided(service, question())
        await asyncio.sleep(0.01)
        await decided(service, question())
    assert len(net.asked) == 2


async def test_equal_questions_share_one_request(net: Net) -> None:
    async with net.service(says(True)) as service:
        found = await asyncio.gather(*(decided(service, question()) for _ in range(50)))
    assert all(decision.permitted for decision in found)
    assert len(net.asked) == 1


async def test_who_gives_up_leaves_the_answer_to_the_others(net: Net) -> None:
    gate = asyncio.Event()

    async def late(request: dict[str, Any]) -> Any:
        await gate.wait()
        return says(True)(request)

    async with net.service(late) as service:
        one, other = (asyncio.create_task(decided(service, question())) for _ in range(2))
        await until(lambda: net.asked)
        one.cancel()
        await asyncio.gather(one, return_exceptions=True)
        gate.set()
        assert (await other).permitted


async def test_one_caller_cannot_keep_others_from_being_answered(net: Net) -> None:
    """An actor that makes up operations is refused beyond its share, and asks nothing more."""
    gate = asyncio.Event()

    async def late(request: dict[str, Any]) -> Any:
        await gate.wait()
        return says(True)(request)

    other = Party(key="M2", kind="actor")
    async with net.service(late) as service:
        most = policy_service.ASKED_OF_ONE_MAX
        waiting = [asyncio.create_task(decided(service, question(f"Made.Up{n}"))) for n in range(most)]
        await until(lambda: len(service._asking) == most)
        with pytest.raises(errors.Overloaded, match="for M1"):
            service.decide(question("One.More"))
        patient = asyncio.create_task(decided(service, question(origin=other)))
        gate.set()
        assert (await patient).permitted
        assert all(decision.permitted for decision in await asyncio.gather(*waiting))
        await until(lambda: not service._asking)
        assert not service._of_one


async def test_many_callers_at_once_are_refused_too(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_service, "ASKED_MAX", 3)
    async with net.service(lambda _request: None, timeout_s=0.2) as service:
        waiting = [
            asyncio.create_task(decided(service, question(origin=Party(key=f"M{n}", kind="actor")))) for n in range(3)
        ]
        await until(lambda: len(service._asking) == 3)
        with pytest.raises(errors.Overloaded):
            service.decide(question(origin=Party(key="M9", kind="actor")))
        await asyncio.gather(*waiting)


async def test_what_is_remembered_is_bounded_for_each_caller(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_service, "ANSWERS_MAX", 4)
    monkeypatch.setattr(policy_service, "CALLERS_MAX", 2)
    other = Party(key="M2", kind="actor")
    async with net.service(says(True)) as service:
        await decided(service, question("Kept", other))
        for number in range(10):
            await decided(service, question(f"Made.Up{number}"))
        assert isinstance(service.decide(question("Kept", other)), Decision)
        assert isinstance(service.decide(question("Made.Up9")), Decision)
        assert {key: len(answers) for key, answers in service._answers.items()} == {"M1": 4, "M2": 1}
        assert all(len(asked) == 32 for answers in service._answers.values() for asked in answers), "claims may be long"
        await decided(service, question("Third", Party(key="M3", kind="actor")))
        assert len(service._answers) == 2


async def test_an_operation_that_is_no_name_is_not_sent(net: Net) -> None:
    async with net.service(says(True)) as service:
        assert not (await decided(service, question("x" * 100_000))).permitted
    assert not net.asked


async def test_a_service_that_is_closed_leaves_nobody_waiting(net: Net) -> None:
    async with net.service(lambda _request: None) as service:
        waiting = asyncio.create_task(decided(service, question()))
        await until(lambda: net.asked)
        await service.close()
        assert not (await waiting).permitted
