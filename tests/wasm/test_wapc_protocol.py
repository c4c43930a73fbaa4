"""The waPC protocol, from the guest's side: what a guest does, and what its caller then sees."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from lattice import errors
from lattice.invocation import Invocation
from tests.support.hosts import CONTRACT, answer_with_payload, guest_host, u32

INITIALISERS = {
    "init_initialize": "_initialize then wapc_init",
    "init_start": "_start then wapc_init",
    "init_wapc": "wapc_init",
    "init_none": "none",
}


@pytest.mark.parametrize("name", ["echo", "both_names", "wasmbus_name", "wasi_unstable"])
async def test_a_guest_answers_with_its_payload_under_either_import_name(tmp_path: Path, name: str) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start(name)
        assert await guests.call(name, b"hello \x00 \xff") == b"hello \x00 \xff"
        assert await guests.call(name, b"") == b""


async def test_the_guest_gets_the_operation_name(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("echo_operation")
        assert await guests.call("echo_operation", operation="Größe.Prüfen") == "Größe.Prüfen".encode()


async def test_a_reply_of_no_bytes_is_a_reply(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("empty_reply")
        assert await guests.call("empty_reply", b"x") == b""


async def test_the_second_reply_replaces_the_first(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("reply_twice")
        assert await guests.call("reply_twice") == b"second"


async def test_with_error_and_reply_success_decides_for_the_reply(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("succeed_with_both")
        assert await guests.call("succeed_with_both", b"p")


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("fail_with_text", errors.GuestError, "why it failed"),
        ("fail_silently", errors.GuestError, "gave no reason"),
        ("fail_with_reply", errors.GuestError, "gave no reason"),
        ("return_two", errors.GuestError, "gave no reason"),
        ("no_reply", errors.GuestProtocolError, "neither a response nor an error"),
        ("abort", errors.GuestTrapped, "abort: broken at a.ts:7:5"),
        ("abort_bad_pointer", errors.GuestTrapped, "outside its memory"),
        ("recursion", errors.GuestTrapped, "call stack exhausted"),
    ],
)
async def test_a_failure_hurts_that_call_alone(
    tmp_path: Path, name: str, kind: type[errors.CallError], text: str
) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start(name)
        await guests.start("echo")
        for _ in range(3):
            payload = u32(0) if name == "recursion" else b"why it failed"
            with pytest.raises(kind, match=text):
                await guests.call(name, payload)
        assert await guests.call("echo", b"still here") == b"still here"
        assert guests.host.actors.get(name).revision.pool.active == 0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("of_the_host_call", "of_the_guest"),
    [
        (errors.ProviderUnavailable, errors.ProviderUnavailable),
        (errors.Overloaded, errors.Overloaded),
        (errors.AnswerLost, errors.AnswerLost),
        (errors.Draining, errors.AnswerLost),
        (errors.Unreachable, errors.AnswerLost),
        (errors.PayloadTooLarge, errors.GuestError),
        (errors.Denied, errors.GuestError),
    ],
)
async def test_a_guest_that_hands_on_an_error_that_says_later_fails_with_it(
    tmp_path: Path, of_the_host_call: type[errors.CallError], of_the_guest: type[errors.CallError]
) -> None:
    async def refuse(_invocation: Invocation) -> bytes:
        raise of_the_host_call("not now")

    async with guest_host(tmp_path) as guests:
        guests.offer(refuse, "host_calls")
        await guests.start("host_calls")
        with pytest.raises(of_the_guest, match="not now") as caught:
            await guests.call("host_calls", u32(1))
        assert type(caught.value) is of_the_guest
        # A guest cannot make one up: without that host call the same text is its own.
        await guests.start("fail_with_text")
        with pytest.raises(errors.GuestError):
            await guests.call("fail_with_text", f"{of_the_host_call.code}: not now".encode())


async def test_an_error_text_with_success_and_no_reply_is_the_error(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("succeed_with_error")
        with pytest.raises(errors.GuestError):
            await guests.call("succeed_with_error", b"p")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (0, "unreachable"),
        (1, "divide by zero"),
        (2, "out of bounds memory"),
        (3, "uninitialized element"),
        (4, "indirect call type mismatch"),
    ],
)
async def test_a_trap_names_its_reason_and_ends_the_instance(tmp_path: Path, how: int, reason: str) -> None:
    async with guest_host(tmp_path) as guests:
        actor = await guests.start("trap")
        with pytest.raises(errors.GuestTrapped, match=reason):
            await guests.call("trap", bytes([how]))
        assert (actor.revision.pool.live, actor.revision.pool.idle) == (0, 0)


@pytest.mark.parametrize("place", range(11))
@pytest.mark.parametrize("mistake", range(5))
async def test_a_bad_pointer_or_length_in_any_import_hurts_that_call_alone(
    tmp_path: Path, place: int, mistake: int
) -> None:
    async with guest_host(tmp_path) as guests:
        guests.offer(answer_with_payload, "bad_pointers")
        await guests.start("bad_pointers")
        await guests.start("echo")
        try:
            reply = await guests.call("bad_pointers", bytes([place, mistake]))
        except errors.CallError as error:
            assert error.code in ("guest_trapped", "guest_error", "guest_protocol", "payload_too_large")  # noqa: PT017
        else:
            # A length of -1 where the host writes, or a cut log line: nothing was out of bounds.
            assert reply == b"survived"
        assert await guests.call("echo", b"ok") == b"ok"


@pytest.mark.parametrize("place", range(5))
async def test_bytes_that_are_not_utf8_are_an_error_and_not_a_crash(tmp_path: Path, place: int) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("bad_text")
        if place == 0:
            with pytest.raises(errors.GuestError):
                await guests.call("bad_text", bytes([place]))
        else:
            assert await guests.call("bad_text", bytes([place])) == b"survived"


@pytest.mark.parametrize("name", INITIALISERS)
async def test_initialisers_run_in_the_order_of_the_toolchains(tmp_path: Path, name: str) -> None:
    recorded = {"init_initialize": b"iw", "init_start": b"sw", "init_wapc": b"w", "init_none": b""}
    async with guest_host(tmp_path) as guests:
        await guests.start(name)
        assert await guests.call(name) == recorded[name], INITIALISERS[name]


async def test_a_start_that_exits_with_0_succeeded(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("start_exits")
        assert await guests.call("start_exits") == b"ok"


@pytest.mark.parametrize(("name", "reason"), [("start_fails", "exited with code 3"), ("init_traps", "unreachable")])
async def test_a_guest_that_cannot_start_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    async with guest_host(tmp_path) as guests:
        with pytest.raises(errors.GuestTrapped, match=reason):
            await guests.start(name)
        assert guests.host.engine.live_instances == 0
        assert list(guests.host.actors) == []


async def test_a_host_call_during_start_up_fails_and_the_guest_may_go_on(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        guests.offer(answer_with_payload, "call_in_init")
        await guests.start("call_in_init")
        assert await guests.call("call_in_init") == bytes([0])


async def test_the_reply_of_a_host_call_before_any_is_empty(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("early_host_response")
        assert await guests.call("early_host_response") == u32(0) + u32(0)


async def test_console_lines_reach_the_actors_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("console")
        with caplog.at_level(logging.INFO, "lattice.actor.console"):
            assert await guests.call("console", b"a line") == b"a line"
        assert [record.getMessage() for record in caplog.records if record.name == "lattice.actor.console"] == [
            "a line"
        ]


async def test_a_chain_of_host_calls_gets_every_reply(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        seen: list[bytes] = []

        async def provider(invocation: Invocation) -> bytes:
            seen.append(invocation.payload)
            assert (invocation.contract, invocation.operation, invocation.link_name) == (CONTRACT, "Echo", "default")
            assert invocation.origin.key == "host_calls"
            return b"reply %d" % len(seen)

        guests.offer(provider, "host_calls")
        await guests.start("host_calls")
        assert await guests.call("host_calls", u32(50) + b"payload") == b"reply 50"
        assert seen == [b"payload"] * 50


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Denied("no"), "denied"),
        (errors.DeadlineExceeded("late"), "deadline_exceeded"),
        (errors.ProviderError("own"), "provider_error"),
        (errors.NotGranted("cap"), "not_granted"),
        (errors.TargetUnknown("who"), "target_unknown"),
    ],
)
async def test_the_families_of_errors_can_be_told_apart_by_the_guest(
    tmp_path: Path, error: errors.CallError, code: str
) -> None:
    async def provider(_invocation: Invocation) -> bytes:
        raise error

    async with guest_host(tmp_path) as guests:
        guests.offer(provider, "relay")
        await guests.start("relay")
        reply = await guests.call("relay", b"default\0" + CONTRACT.encode() + b"\0Op\0payload")
        assert reply == b"0" + f"{code}: {error.message}".encode()


async def test_without_a_link_there_is_no_capability(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("relay")
        guests.offer(answer_with_payload, "somebody-else")
        reply = await guests.call("relay", b"default\0" + CONTRACT.encode() + b"\0Op\0x")
        assert reply.startswith(b"0not_linked: relay has no link for test:host")
        guests.offer(answer_with_payload, "relay", name="second")
        reply = await guests.call("relay", b"default\0" + CONTRACT.encode() + b"\0Op\0x")
        assert b"it has one under 'second'" in reply
        assert await guests.call("relay", b"second\0" + CONTRACT.encode() + b"\0Op\0x") == b"1x"


async def test_an_actor_of_unknown_name_is_an_unknown_target(tmp_path: Path) -> None:
    async with guest_host(tmp_path) as guests:
        await guests.start("relay")
        assert (await guests.call("relay", b"\0nobody\0Op\0x")).startswith(b"0target_unknown: ")
