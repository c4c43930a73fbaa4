"""An interface of a component's own, called by another component, by a waPC actor and by the owner of a host, on one
host and across two: same requests, same answers, same errors. And programs behind timers, called the same way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from lattice import errors, wire
from lattice.contracts.httpserver import HttpRequest
from lattice.control.lattice_client import LatticeClient
from lattice.transport.nats import connect
from lattice.transport.settings import NatsSettings
from tests.conformance.parcels import CALLERS, INTERFACE, JOBS, KEY, PLACES, Place
from tests.support.lattices import LATTICE, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
every_caller = pytest.mark.parametrize("path", CALLERS)
PARCEL = {"to": "FR", "grams": 500, "services": ["signed", "express"], "insured": 50_000}
PRICE = {"ok": {"cents": 3230, "zone": "near", "days": [1, 2]}}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PLACES)
async def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with PLACES[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running


# By another component and by a waPC actor.


@every_caller
@pytest.mark.parametrize(
    ("asked", "status", "answer"),
    [
        ("DE/1", 200, {"cents": 500, "zone": "home", "days": [1, 2]}),
        ("FR/500", 200, {"cents": 1015, "zone": "near", "days": [2, 4]}),
        ("FR/500/sx/50000", 200, {"cents": 3230, "zone": "near", "days": [1, 2]}),
        ("US/30000/sfx", 200, {"cents": 52_880, "zone": "far", "days": [3, 6]}),
        ("JP/100/-/0", 200, {"cents": 2070, "zone": "far", "days": [6, 12]}),
        ("XX/100", 422, {"error": "no post goes to XX"}),
        ("PL/30001", 422, {"error": "too heavy, at most 30000 g"}),
        ("XX/30001", 422, {"error": "no post goes to XX"}),
    ],
)
async def test_both_get_the_same_answers(place: Place, path: str, asked: str, status: int, answer: Any) -> None:
    assert await place.ask(f"/{path}/{asked}") == (status, answer)


@every_caller
async def test_many_at_once_get_their_own_answers(place: Place, path: str) -> None:
    answers = await asyncio.gather(*(place.ask(f"/{path}/DE/{100 * n}") for n in range(1, 41)))
    assert [answer["cents"] for _, answer in answers] == [490 + 10 * n for n in range(1, 41)]


async def failure(place: Place, actor: str) -> str:
    """Why a request to it fails: over HTTP only the code is told."""
    request = HttpRequest(method="GET", path="/x/FR/500", query_string="", header={}, body=b"")
    with pytest.raises(errors.GuestError) as raised:
        await place.call(place.host, actor, "HttpServer.HandleRequest", wire.encode(request))
    return raised.value.message


@every_caller
async def test_other_types_under_the_same_name_are_told_with_function_and_place(place: Place, path: str) -> None:
    assert (await place.ask(f"/misled-{path}/FR/500"))[0] == 502
    why = await failure(place, f"misled-{path}")
    assert f"the arguments do not fit {INTERFACE}.price: argument 'country': a string cannot be read" in why
    assert (await place.ask(f"/{path}/FR/500"))[0] == 200, "it hurts nobody else"


@every_caller
async def test_without_a_link_it_is_told(place: Place, path: str) -> None:
    assert (await place.ask(f"/unlinked-{path}/FR/500"))[0] == 502
    why = await failure(place, f"unlinked-{path}")
    assert f"not_linked: parcels-unlinked-{path} has no link for {INTERFACE}" in why


# By a waPC actor that says itself what it calls.


async def relayed(place: Place, namespace: str, operation: str, payload: bytes) -> bytes:
    """What the relay guest on the far host is answered, by the contract or the actor that it names."""
    call = b"default\0" + namespace.encode() + b"\0" + operation.encode() + b"\0" + payload
    return await place.call(place.far, "relay", "Test.Op", call)


async def test_a_wapc_actor_names_the_interface_or_the_actor(place: Place) -> None:
    for namespace, operation in ((INTERFACE, "price"), ("parcels-postage", f"{INTERFACE}.price")):
        reply = await relayed(place, namespace, operation, wire.encode([PARCEL]))
        assert reply[:1] == b"1", reply
        assert wire.decode_any(reply[1:]) == PRICE
    reply = await relayed(place, INTERFACE, "countries", b"")
    assert wire.decode_any(reply[1:])[0] == ["DE", "home"]


async def test_what_does_not_fit_comes_back_as_an_error(place: Place) -> None:
    for message in ([], [1], [{**PARCEL, "grams": -1}], [{**PARCEL, "more": 1}], {"parcel": PARCEL}):
        reply = await relayed(place, INTERFACE, "price", wire.encode(message))
        assert reply.startswith(b"0malformed_message: the arguments do not fit lattice:parcels/postage.price: "), reply
    assert (await relayed(place, INTERFACE, "price", b"\xc1")).startswith(b"0malformed_message: ")
    assert (await relayed(place, INTERFACE, "send", b"")).startswith(b"0operation_unknown: parcels-postage has no")
    other = await relayed(place, "parcels-postage", "lattice:parcels/stamps.price", b"")
    assert other.startswith(b"0operation_unknown: parcels-postage does not export lattice:parcels/stamps")
    assert (await relayed(place, "lattice:parcels/stamps", "price", b"")).startswith(b"0not_linked: ")


# By the owner of a host.


async def test_the_owner_of_any_host_calls_it_by_interface_and_function(place: Place) -> None:
    for host in (place.host, place.far):
        reply = await place.call(host, "postage", f"{INTERFACE}.price", wire.encode([PARCEL]))
        assert wire.decode_any(reply) == PRICE
        with pytest.raises(errors.MalformedMessage, match="argument 'parcel': a record cannot be read") as raised:
            await place.call(host, "postage", f"{INTERFACE}.price", wire.encode(["FR"]))
        assert raised.value.remedy == "send an array: parcel"
        with pytest.raises(errors.OperationUnknown, match="has no function 'send'") as unknown:
            await place.call(host, "postage", f"{INTERFACE}.send", b"")
        assert unknown.value.remedy == "it has countries, price"


async def test_a_tool_calls_it_over_nats(place: Place) -> None:
    if not place.nats:
        return  # there is none in one process; `lattice call` is tested with the other commands
    transport = await connect(NatsSettings(urls=(place.nats,)))
    try:
        client = LatticeClient(transport, LATTICE, KEY)
        reply = await client.call("postage", f"{INTERFACE}.price", wire.encode([PARCEL]), 20)
        assert wire.decode_any(reply) == PRICE
    finally:
        await transport.close()


# Programs behind timers.


FAILURES = {
    "job-failed": "the program said that it failed",
    "job-code": "the program exited with code 3",
    "job-trap": "the guest trapped",
}


async def test_timers_run_programs_and_tell_how_they_failed(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    keys = {name: f"parcels-{name}" for name in JOBS}
    metrics = place.host.metrics
    before, failed_before = metrics.calls.copy(), metrics.failures.copy()  # while it went up they may have failed
    await until(lambda: all(metrics.calls[key] >= before[key] + 2 for key in keys.values()), 30, "ticks")
    failed = metrics.failures - failed_before
    codes = {"job-failed": "guest_error", "job-code": "guest_error", "job-trap": "guest_trapped"}
    assert set(failed) == {(keys[name], code) for name, code in codes.items()}

    def told(name: str) -> bool:
        lines = (record.getMessage() for record in caplog.records)
        return any("the tick failed" in line and keys[name] in line and FAILURES[name] in line for line in lines)

    await until(lambda: all(told(name) for name in FAILURES), 30, "why they failed")


async def test_a_program_can_be_run_by_hand_too(place: Place) -> None:
    tick = wire.encode({"timer": "by-hand", "scheduledMs": 1, "nowMs": 1})
    for name in JOBS:
        if name in FAILURES:
            with pytest.raises(errors.GuestError, match=FAILURES[name]):
                await place.call(place.host, name, "Cron.HandleTick", tick)
        else:
            assert await place.call(place.host, name, "Cron.HandleTick", tick) == b""
    with pytest.raises(errors.OperationUnknown, match="does not export wasi:cli/run"):
        await place.call(place.host, "job-done", "wasi:cli/run.run", b"")
