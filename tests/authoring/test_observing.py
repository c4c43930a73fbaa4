"""The line of each call that `lattice dev` shows, and the stack of a guest that broke."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors, wire
from lattice.authoring.observing import STACK_LINES_MAX, Answered, observed, stack_lines
from lattice.contracts import cron, httpserver, messaging
from lattice.contracts.message import Message, Operation
from lattice.invocation import EntityId, Invocation

FOLDER = Path("/home/me/shop")
REPORT = """\
error while executing at wasm backtrace:
    0:   0x1aed - deep
                    at /home/me/shop/app.c:2:69
                - count
                    at /home/me/shop/src/../more.c:5:40
    1:    0xc71 - serve_http
                    at /home/me/shop/../../../usr/lib/actors/sdk/c/http.c:32:5
    2:    0x4d3 - std::rt::call
                    at /rustc/5980/library/std/src/rt.rs:33:5
    3:    0x4d4 - guest_call

Caused by:
    0: memory fault at wasm address 0xfffffff0 in linear memory of size 0x10000
    1: wasm trap: out of bounds memory access
"""


def invocation(operation: Operation, message: Message) -> Invocation:
    payload = wire.encoder(operation.request)(message)
    return Invocation(EntityId("x"), "", operation.name, payload, "1", time.monotonic() + 60)


def request(query: str = "") -> Invocation:
    message = httpserver.HttpRequest(method="GET", path="/people", query_string=query, header={}, body=b"")
    return invocation(httpserver.HANDLE_REQUEST, message)


async def told_of(call: Invocation, reply: bytes | errors.LatticeError) -> Answered:
    told: list[Answered] = []

    async def handler(_call: Invocation) -> bytes:
        if isinstance(reply, errors.LatticeError):
            raise reply
        return reply

    watched = observed(handler, told.append, FOLDER)
    if isinstance(reply, errors.LatticeError):
        with pytest.raises(type(reply)) as raised:
            await watched(call)
        assert raised.value is reply
    else:
        assert await watched(call) == reply
    (one,) = told
    assert one.milliseconds >= 0
    return one


def response(status: int, body: bytes = b"") -> bytes:
    return wire.encoder(httpserver.HttpResponse)(httpserver.HttpResponse(status_code=status, header={}, body=body))


async def test_a_request_is_told_by_method_path_and_status() -> None:
    one = await told_of(request("a=b"), response(404, b"no"))
    assert (one.what, one.outcome, one.failed, one.detail) == ("GET /people?a=b", "404", False, "")


async def test_an_answer_that_says_failure_is_told_with_its_words() -> None:
    one = await told_of(request(), response(503, b'{"error":"later"}'))
    assert (one.what, one.outcome, one.failed, one.detail) == ("GET /people", "503", True, '{"error":"later"}')


async def test_messages_ticks_and_other_operations_are_told_by_what_they_are() -> None:
    message = messaging.SubMessage(subject="jobs.one", body=b"")
    assert (await told_of(invocation(messaging.HANDLE_MESSAGE, message), b"")).what == "message jobs.one"
    tick = cron.Tick(timer="nightly", scheduled_ms=1, now_ms=2)
    assert (await told_of(invocation(cron.HANDLE_TICK, tick), b"")).what == "tick nightly"
    other = Invocation(EntityId("x"), "", "Shop.Sell", b"\xff", "1", time.monotonic() + 60)
    assert (await told_of(other, b"\xff")).what == "Shop.Sell"


async def test_a_message_that_is_none_is_told_by_its_operation() -> None:
    broken = Invocation(EntityId("x"), "", httpserver.HANDLE_REQUEST.name, b"\xc1", "1", time.monotonic() + 60)
    assert (await told_of(broken, response(200))).what == httpserver.HANDLE_REQUEST.name
    one = await told_of(request(), b"\xc1")
    assert (one.outcome, one.failed) == ("malformed_message", True)


async def test_an_error_is_told_with_its_remedy_and_the_stack_of_the_guest() -> None:
    trapped = errors.GuestTrapped("the guest trapped: unreachable", remedy="look at it")
    trapped.stack = REPORT
    one = await told_of(request(), trapped)
    assert one.outcome == "guest_trapped"
    assert one.detail.splitlines() == [
        "the guest trapped: unreachable",
        "look at it",
        "  in deep, app.c:2:69",
        "  in count, more.c:5:40",
        "  in serve_http, sdk/c/http.c:32:5",
    ]


def test_a_copy_of_the_sdk_in_the_project_is_the_sdk() -> None:
    report = f"  0: 0x1 - serve\n      at {FOLDER}/.lattice/sdk/rust/src/http.rs:1:2\n"
    assert stack_lines(report, FOLDER) == ["  in serve, sdk/rust/src/http.rs:1:2"]


def test_functions_without_places_are_all_told() -> None:
    report = "  0: 0x1 - <unknown>!app/broken\n  1: 0x2 - <unknown>!~lib/nanolattice/call/answer\n"
    assert stack_lines(report, FOLDER) == ["  in app/broken", "  in ~lib/nanolattice/call/answer"]


@given(st.text(max_size=500) | st.lists(st.sampled_from(REPORT.splitlines())).map("\n".join))
def test_any_report_makes_lines(report: str) -> None:
    assert len(stack_lines(report, FOLDER)) <= STACK_LINES_MAX


def test_a_long_stack_is_cut() -> None:
    deep = "\n".join(f"  {number}: 0x{number:x} - again" for number in range(1000))
    assert len(stack_lines(deep, FOLDER)) == STACK_LINES_MAX


async def test_the_actor_is_called_by_its_name_and_not_by_its_key() -> None:
    told: list[Answered] = []

    async def handler(_call: Invocation) -> bytes:
        raise errors.GuestError("not_granted: shop (MKEY) may not use wasmcloud:keyvalue")

    with pytest.raises(errors.GuestError):
        await observed(handler, told.append, FOLDER, "MKEY")(request())
    assert told[0].detail.startswith("not_granted: shop may not use wasmcloud:keyvalue")
