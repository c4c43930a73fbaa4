"""nanolattice:actor: a component that calls anything by one import and answers anything by one export."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from lattice import errors
from lattice.actors import ActorSpec
from lattice.config import Limits
from lattice.invocation import Invocation
from lattice.wasm.wasi.bridges import in_pieces
from tests.support.hosts import GuestHost, answer_with_payload, guest_host
from tests.support.wasi import WasiGuest

SOURCE = Path(__file__).parents[2] / "guests" / "components" / "passes_on.wat"
HOST = "nanolattice:actor/host"


@asynccontextmanager
async def passing_on(folder: Path, **limits: Any) -> AsyncIterator[GuestHost]:
    path = folder / "passes_on.wasm"
    path.write_bytes(wasmtime.wat2wasm(SOURCE.read_text()))
    async with guest_host(folder) as guests:
        spec = ActorSpec(key="one", name="one", image=path, application="test", limits=Limits(**limits))
        await guests.host.actors.start(spec)
        yield guests


@pytest.mark.parametrize("operation", ["HttpServer.HandleRequest", "Cron.HandleTick", "Shop.Buy", ""])
@pytest.mark.parametrize("size", [0, 1, 100_000])
async def test_any_operation_arrives_and_any_contract_is_called(tmp_path: Path, operation: str, size: int) -> None:
    seen: list[Invocation] = []

    async def provider(invocation: Invocation) -> bytes:
        seen.append(invocation)
        return invocation.payload[::-1]

    payload = os.urandom(size)
    async with passing_on(tmp_path) as guests:
        guests.offer(provider, "one")
        assert await guests.call("one", payload, operation=operation, depth=3) == payload[::-1]
    (call,) = seen
    assert (call.operation, call.contract, call.link_name, call.depth) == (operation, "test:host", "default", 4)
    assert str(call.origin) == "one"


async def test_an_instance_is_used_again_unless_calls_are_isolated(tmp_path: Path) -> None:
    async with passing_on(tmp_path) as guests:
        assert [await guests.call("one", operation="Count") for _ in range(3)] == [b"\1", b"\2", b"\3"]
    async with passing_on(tmp_path, isolation="call") as guests:
        assert [await guests.call("one", operation="Count") for _ in range(3)] == [b"\1", b"\1", b"\1"]


async def test_a_failure_goes_through_the_guest_with_its_code(tmp_path: Path) -> None:
    async with passing_on(tmp_path) as guests:
        with pytest.raises(errors.GuestError, match=r"^not_linked: .*test:host"):
            await guests.call("one")
        assert await guests.call("one", operation="Count") == b"\2", "an error that is foreseen ends nothing"


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (errors.ProviderUnavailable("down"), errors.ProviderUnavailable),
        (errors.Overloaded("full"), errors.Overloaded),
        (errors.Draining("ends"), errors.AnswerLost),
        (errors.Denied("no"), errors.GuestError),
        (errors.DeadlineExceeded("late"), errors.GuestError),
    ],
)
async def test_what_says_later_stays_what_it_is(
    tmp_path: Path, raised: errors.CallError, seen: type[errors.CallError]
) -> None:
    async def provider(_invocation: Invocation) -> bytes:
        raise raised

    async with passing_on(tmp_path) as guests:
        guests.offer(provider, "one")
        with pytest.raises(errors.CallError) as caught:
            await guests.call("one")
    assert type(caught.value) is seen
    assert raised.message in caught.value.message


async def test_the_limits_of_an_actor_hold(tmp_path: Path) -> None:
    async def never(_invocation: Invocation) -> bytes:
        await asyncio.sleep(3600)
        raise AssertionError

    async with passing_on(tmp_path, payload_bytes_max=10_000, time_s_max=0.2) as guests:
        guests.offer(answer_with_payload, "one")
        assert len(await guests.call("one", bytes(10_000))) == 10_000
        guests.offer(_twice, "one")
        with pytest.raises(errors.GuestError, match=r"^payload_too_large: the reply to a host call"):
            await guests.call("one", bytes(6_000))
        guests.offer(never, "one")
        with pytest.raises(errors.DeadlineExceeded):
            await guests.call("one")
        assert guests.host.engine.live_instances == 0


async def _twice(invocation: Invocation) -> bytes:
    return invocation.payload * 2


async def test_names_are_bounded_and_the_default_link_needs_none() -> None:
    guest = WasiGuest({"test:host": answer_with_payload})
    assert await guest.good(HOST, "call", "", "test:host", "Op", b"x") == b"x"
    assert await guest.good(HOST, "call", "other", "test:host", "Op", b"x") == b"x"
    assert [call.link_name for call in guest.made] == ["default", "other"]
    for names in (("l" * 257, "t", "o"), ("l", "t" * 257, "o"), ("l", "t", "o" * 257)):
        code, _ = await guest.bad(HOST, "call", *names, b"")
        assert code == "malformed_message"
    guest.host.end()
    code, message = await guest.bad(HOST, "call", "", "test:host", "Op", b"")
    assert code == "guest_protocol"
    assert "outside of a call" in message


def test_what_a_guest_says_is_lines_of_its_log(caplog: pytest.LogCaptureFixture) -> None:
    guest = WasiGuest()
    with caplog.at_level(logging.INFO):
        guest.now(HOST, "console-log", False, "one\ntwo\x1b")
        guest.now(HOST, "console-log", True, "x" * 10_000)
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [("INFO", "one"), ("INFO", "two\\x1b"), ("WARNING", "x" * 8192)]


def test_bodies_come_in_pieces_only_to_who_takes_a_stream() -> None:
    assert in_pieces({"nanolattice:actor/guest"}) == frozenset()
    assert in_pieces({"wasi:http/incoming-handler", "nanolattice:actor/guest"}) == {"HttpServer.HandleRequest"}
