"""HTTP requests to a guest: the message in, the response out, and guests that do not play by the rules."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors, wire
from lattice.contracts import httpserver
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi import bridges
from tests.support.wasi import WasiGuest, invocation

TYPES = "wasi:http/types"
STREAMS = "wasi:io/streams"
Program = Callable[[WasiGuest, Any, Any], Awaitable[None]]


def request(**changed: Any) -> httpserver.HttpRequest:
    fields: dict[str, Any] = {"method": "GET", "path": "/", "query_string": "", "header": {}, "body": b""}
    return httpserver.HttpRequest(**{**fields, **changed})


async def served(
    program: Program, message: httpserver.HttpRequest | None = None, **limits: Any
) -> tuple[httpserver.HttpResponse, WasiGuest]:
    guest = WasiGuest(**limits)

    async def call(interface: str, function: str, *arguments: Any) -> None:
        assert (interface, function) == ("wasi:http/incoming-handler", "handle")
        await program(guest, *arguments)

    call_ = invocation("HttpServer.HandleRequest", wire.encode(message or request()))
    exports = {"wasi:http/incoming-handler"}
    reply = await bridges.serve(guest.host, exports, call, call_, time.monotonic() + 10)
    return wire.decoder(httpserver.HttpResponse, "the reply")(reply), guest


def response(guest: WasiGuest, status: int = 200, *header: tuple[str, bytes]) -> Any:
    fields = guest.ok(TYPES, "[static]fields.from-list", list(header))
    found = guest.now(TYPES, "[constructor]outgoing-response", fields)
    guest.ok(TYPES, "[method]outgoing-response.set-status-code", found, status)
    return found


def give(guest: WasiGuest, outparam: Any, result: Ok | Err) -> None:
    guest.now(TYPES, "[static]response-outparam.set", outparam, result)


async def send(guest: WasiGuest, outparam: Any, body: bytes, status: int = 200, *header: tuple[str, bytes]) -> None:
    """As guests do: the response first, then its body."""
    found = response(guest, status, *header)
    outgoing = guest.ok(TYPES, "[method]outgoing-response.body", found)
    give(guest, outparam, Ok(found))
    stream = guest.ok(TYPES, "[method]outgoing-body.write", outgoing)
    await guest.write_all(stream, body)
    guest.drop(stream)
    guest.ok(TYPES, "[static]outgoing-body.finish", outgoing, None)


async def body_of(guest: WasiGuest, incoming: Any) -> bytes:
    body = guest.ok(TYPES, "[method]incoming-request.consume", incoming)
    stream = guest.ok(TYPES, "[method]incoming-body.stream", body)
    data = await guest.read_all(stream)
    guest.drop(stream)
    trailers = guest.now(TYPES, "[static]incoming-body.finish", body)
    pollable = guest.now(TYPES, "[method]future-trailers.subscribe", trailers)
    await guest.call("wasi:io/poll", "[method]pollable.block", pollable)
    assert guest.now(TYPES, "[method]future-trailers.get", trailers) == Ok(Ok(None))
    assert guest.now(TYPES, "[method]future-trailers.get", trailers) == Err()
    return data


async def test_a_guest_sees_the_request_and_answers_it() -> None:
    seen: dict[str, Any] = {}

    async def program(guest: WasiGuest, incoming: Any, outparam: Any) -> None:
        for name in ("method", "path-with-query", "scheme", "authority"):
            seen[name] = guest.now(TYPES, f"[method]incoming-request.{name}", incoming)
        headers = guest.now(TYPES, "[method]incoming-request.headers", incoming)
        seen["headers"] = guest.now(TYPES, "[method]fields.entries", headers)
        data = await body_of(guest, incoming)
        assert guest.now(TYPES, "[method]incoming-request.consume", incoming) == Err()
        guest.drop(incoming)
        await send(guest, outparam, data[::-1], 201, ("X-Kind", b"component"), ("x-kind", b"again"))

    header = {"host": ["example.com:8080"], "accept": ["a", "b"], "connection": ["close"]}
    message = request(method="POST", path="/a b", query_string="x=1", header=header, body=b"abc")
    reply, guest = await served(program, message)
    assert seen == {
        "method": ("post", None),
        "path-with-query": "/a b?x=1",
        "scheme": ("HTTP", None),
        "authority": "example.com:8080",
        "headers": [("accept", b"a"), ("accept", b"b")],
    }
    assert (reply.status_code, reply.body) == (201, b"cba")
    assert reply.header == {"x-kind": ["component", "again"]}
    guest.host.close()
    assert guest.host.held == 0


async def test_a_request_without_a_host_has_an_authority_all_the_same() -> None:
    async def program(guest: WasiGuest, incoming: Any, outparam: Any) -> None:
        authority = guest.now(TYPES, "[method]incoming-request.authority", incoming)
        await send(guest, outparam, authority.encode())

    assert (await served(program, request(header={})))[0].body == b"localhost"


@given(st.binary(max_size=300_000))
def test_any_body_comes_back_as_it_went_in(data: bytes) -> None:
    async def program(guest: WasiGuest, incoming: Any, outparam: Any) -> None:
        await send(guest, outparam, await body_of(guest, incoming))

    reply, _ = asyncio.run(served(program, request(method="PUT", body=data)))
    assert reply.body == data


@pytest.mark.parametrize("method", ["GET", "PATCH", "PROPFIND", "get"])
async def test_methods_keep_their_names(method: str) -> None:
    async def program(guest: WasiGuest, incoming: Any, outparam: Any) -> None:
        case, payload = guest.now(TYPES, "[method]incoming-request.method", incoming)
        assert case == method.lower() or (case, payload) == ("other", method)
        await send(guest, outparam, b"")

    assert (await served(program, request(method=method)))[0].status_code == 200


async def test_a_response_without_a_body_needs_none() -> None:
    async def program(guest: WasiGuest, _incoming: Any, outparam: Any) -> None:
        give(guest, outparam, Ok(response(guest, 204)))

    reply, _ = await served(program)
    assert (reply.status_code, reply.body) == (204, b"")


async def test_trailers_are_taken_and_not_sent() -> None:
    async def program(guest: WasiGuest, _incoming: Any, outparam: Any) -> None:
        found = response(guest)
        body = guest.ok(TYPES, "[method]outgoing-response.body", found)
        assert guest.now(TYPES, "[method]outgoing-response.body", found) == Err()
        give(guest, outparam, Ok(found))
        trailers = guest.ok(TYPES, "[static]fields.from-list", [("checksum", b"1")])
        guest.ok(TYPES, "[static]outgoing-body.finish", body, trailers)

    reply, _ = await served(program)
    assert (reply.status_code, reply.body, reply.header) == (200, b"", {})


async def test_a_guest_that_breaks_after_its_whole_response_has_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def program(guest: WasiGuest, _incoming: Any, outparam: Any) -> None:
        await send(guest, outparam, b"done")
        raise errors.GuestTrapped("unreachable")

    reply, _ = await served(program)
    assert reply.body == b"done"
    assert "failed after its response: unreachable" in caplog.text


async def test_a_guest_that_breaks_within_its_response_has_not() -> None:
    async def program(guest: WasiGuest, _incoming: Any, outparam: Any) -> None:
        found = response(guest)
        guest.ok(TYPES, "[method]outgoing-response.body", found)
        give(guest, outparam, Ok(found))
        raise errors.GuestTrapped("unreachable")

    with pytest.raises(errors.GuestTrapped):
        await served(program)


async def nothing(_guest: WasiGuest, _incoming: Any, _outparam: Any) -> None:
    """Returns without a response."""


async def drops_outparam(guest: WasiGuest, _incoming: Any, outparam: Any) -> None:
    guest.drop(outparam)


async def leaves_body(guest: WasiGuest, _incoming: Any, outparam: Any) -> None:
    found = response(guest)
    body = guest.ok(TYPES, "[method]outgoing-response.body", found)
    give(guest, outparam, Ok(found))
    stream = guest.ok(TYPES, "[method]outgoing-body.write", body)
    await guest.write_all(stream, b"half")


async def drops_body(guest: WasiGuest, _incoming: Any, outparam: Any) -> None:
    found = response(guest)
    body = guest.ok(TYPES, "[method]outgoing-response.body", found)
    give(guest, outparam, Ok(found))
    guest.drop(body)


async def too_short(guest: WasiGuest, _incoming: Any, outparam: Any) -> None:
    found = response(guest, 200, ("content-length", b"10"))
    body = guest.ok(TYPES, "[method]outgoing-response.body", found)
    give(guest, outparam, Ok(found))
    stream = guest.ok(TYPES, "[method]outgoing-body.write", body)
    await guest.write_all(stream, b"short")
    guest.drop(stream)
    result = guest.now(TYPES, "[static]outgoing-body.finish", body, None)
    assert result == Err(("HTTP-response-body-size", 5))


async def gives_error(guest: WasiGuest, _incoming: Any, outparam: Any) -> None:
    give(guest, outparam, Err(("internal-error", "out of luck")))


@pytest.mark.parametrize(
    ("program", "error", "says"),
    [
        (nothing, errors.GuestProtocolError, "without setting a response"),
        (drops_outparam, errors.GuestProtocolError, "without setting a response"),
        (leaves_body, errors.GuestProtocolError, "before it finished the body"),
        (drops_body, errors.GuestProtocolError, "dropped the body"),
        (too_short, errors.GuestProtocolError, "HTTP-response-body-size: 5"),
        (gives_error, errors.GuestError, "internal-error: 'out of luck'"),
    ],
)
async def test_a_response_that_is_not_whole_is_none(program: Program, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        await served(program)


async def test_a_body_longer_than_its_length_fails_while_it_is_written() -> None:
    async def program(guest: WasiGuest, _incoming: Any, outparam: Any) -> None:
        found = response(guest, 200, ("content-length", b"3"))
        body = guest.ok(TYPES, "[method]outgoing-response.body", found)
        give(guest, outparam, Ok(found))
        stream = guest.ok(TYPES, "[method]outgoing-body.write", body)
        name = "[method]output-stream.blocking-write-and-flush"
        case, error = await guest.bad(STREAMS, name, stream, b"four")
        assert case == "last-operation-failed"
        assert guest.now(TYPES, "http-error-code", error) == ("HTTP-response-body-size", 4)

    with pytest.raises(errors.GuestProtocolError, match="before it finished"):
        await served(program)


async def test_a_response_over_the_limit_is_refused_and_not_kept() -> None:
    async def program(guest: WasiGuest, _incoming: Any, outparam: Any) -> None:
        found = response(guest)
        body = guest.ok(TYPES, "[method]outgoing-response.body", found)
        give(guest, outparam, Ok(found))
        stream = guest.ok(TYPES, "[method]outgoing-body.write", body)
        name = "[method]output-stream.blocking-write-and-flush"
        while isinstance(await guest.call(STREAMS, name, stream, bytes(4096)), Ok):
            pass
        guest.drop(stream)
        assert isinstance(guest.now(TYPES, "[static]outgoing-body.finish", body, None), Err)

    with pytest.raises(errors.PayloadTooLarge, match=r"limits\.payload"):
        await served(program, payload_bytes_max=50_000)


async def test_finishing_a_body_before_its_stream_is_dropped_traps() -> None:
    async def program(guest: WasiGuest, _incoming: Any, _outparam: Any) -> None:
        body = guest.ok(TYPES, "[method]outgoing-response.body", response(guest))
        guest.ok(TYPES, "[method]outgoing-body.write", body)
        assert guest.now(TYPES, "[method]outgoing-body.write", body) == Err()
        guest.now(TYPES, "[static]outgoing-body.finish", body, None)

    with pytest.raises(errors.GuestProtocolError, match="drops the stream"):
        await served(program)


@pytest.mark.parametrize("status", [0, 99, 1000, 65535])
def test_a_status_that_is_none_is_refused(status: int) -> None:
    guest = WasiGuest()
    found = response(guest)
    assert guest.now(TYPES, "[method]outgoing-response.set-status-code", found, status) == Err()
    assert guest.now(TYPES, "[method]outgoing-response.status-code", found) == 200


async def test_informational_responses_are_not_sent() -> None:
    async def program(guest: WasiGuest, _incoming: Any, outparam: Any) -> None:
        fields = guest.now(TYPES, "[constructor]fields")
        case, _ = await guest.bad(TYPES, "[method]response-outparam.send-informational", outparam, 103, fields)
        assert case == "internal-error"
        await send(guest, outparam, b"")

    await served(program)


async def test_a_body_that_nobody_reads_is_let_go_of() -> None:
    async def program(guest: WasiGuest, incoming: Any, outparam: Any) -> None:
        body = guest.ok(TYPES, "[method]incoming-request.consume", incoming)
        stream = guest.ok(TYPES, "[method]incoming-body.stream", body)
        guest.drop(stream)
        guest.drop(body)
        await send(guest, outparam, b"unread")

    assert (await served(program, request(body=bytes(1000))))[0].body == b"unread"


async def test_a_call_without_an_export_for_it_is_refused() -> None:
    guest = WasiGuest()

    async def call(*_arguments: Any) -> None:
        raise AssertionError("not reached")

    for operation, exports in (("Other.Op", {"wasi:http/incoming-handler"}), ("HttpServer.HandleRequest", set())):
        with pytest.raises(errors.OperationUnknown):
            await bridges.serve(guest.host, exports, call, invocation(operation), time.monotonic() + 1)


async def test_what_is_no_request_is_refused_before_the_guest_sees_it() -> None:
    guest = WasiGuest()

    async def call(*_arguments: Any) -> None:
        raise AssertionError("not reached")

    exports = {"wasi:http/incoming-handler"}
    with pytest.raises(errors.MalformedMessage):
        await bridges.serve(
            guest.host, exports, call, invocation("HttpServer.HandleRequest", b"?"), time.monotonic() + 1
        )
