"""HTTP requests of a guest: made along its link, whole, with failures as the codes of wasi:http."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lattice import errors, wire
from lattice.contracts import httpclient
from lattice.invocation import Handler, Invocation
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi import http_outgoing
from tests.support.wasi import WasiGuest, settle

TYPES = "wasi:http/types"
HANDLER = "wasi:http/outgoing-handler"
CONTRACT = "wasmcloud:httpclient"
decode = wire.request_decoder(httpclient.REQUEST)


def guest_with(handler: Handler, **limits: Any) -> WasiGuest:
    return WasiGuest({CONTRACT: handler}, **limits)


async def echo(call: Invocation) -> bytes:
    message: httpclient.HttpRequest = decode(call.payload)
    return wire.encode(
        httpclient.HttpResponse(
            status_code=200,
            header={"x-url": [message.url], "x-method": [message.method], "connection": ["close"]},
            body=message.body or b"",
        )
    )


def build(guest: WasiGuest, *header: tuple[str, bytes], **set_: Any) -> Any:
    fields = guest.ok(TYPES, "[static]fields.from-list", list(header))
    request = guest.now(TYPES, "[constructor]outgoing-request", fields)
    for name, value in {"authority": "example.com", **set_}.items():
        guest.ok(TYPES, f"[method]outgoing-request.set-{name.replace('_', '-')}", request, value)
    return request


async def answer(guest: WasiGuest, future: Any) -> Any:
    pollable = guest.now(TYPES, "[method]future-incoming-response.subscribe", future)
    await guest.call("wasi:io/poll", "[method]pollable.block", pollable)
    result = guest.now(TYPES, "[method]future-incoming-response.get", future)
    assert guest.now(TYPES, "[method]future-incoming-response.get", future) == Err()
    assert isinstance(result, Ok)
    return result.value


async def test_a_request_goes_to_the_provider_and_its_response_comes_back() -> None:
    guest = guest_with(echo)
    request = build(guest, ("X-One", b"1"), method=("put", None), scheme=("HTTP", None), path_with_query="/p?q=1")
    body = guest.ok(TYPES, "[method]outgoing-request.body", request)
    assert guest.now(TYPES, "[method]outgoing-request.body", request) == Err()
    future = guest.ok(HANDLER, "handle", request, None)
    assert guest.now(TYPES, "[method]future-incoming-response.get", future) is None
    stream = guest.ok(TYPES, "[method]outgoing-body.write", body)
    await guest.write_all(stream, b"content")
    await settle()
    assert guest.made == [], "it is made when its body is whole"
    guest.drop(stream)
    guest.ok(TYPES, "[static]outgoing-body.finish", body, None)
    response = (await answer(guest, future)).value
    assert guest.now(TYPES, "[method]incoming-response.status", response) == 200
    headers = guest.now(TYPES, "[method]incoming-response.headers", response)
    assert guest.now(TYPES, "[method]fields.entries", headers) == [
        ("x-url", b"http://example.com/p?q=1"),
        ("x-method", b"PUT"),
    ]
    incoming = guest.ok(TYPES, "[method]incoming-response.consume", response)
    assert await guest.read_all(guest.ok(TYPES, "[method]incoming-body.stream", incoming)) == b"content"
    [call] = guest.made
    assert (call.contract, call.operation, call.link_name, call.depth) == (
        CONTRACT,
        "HttpClient.Request",
        "default",
        1,
    )
    assert decode(call.payload).headers == {"x-one": ["1"]}


async def test_a_request_without_a_body_is_made_at_once() -> None:
    guest = guest_with(echo)
    response = (await answer(guest, guest.ok(HANDLER, "handle", build(guest), None))).value
    assert dict(response.headers.entries)["x-url"] == b"https://example.com/"
    assert decode(guest.made[0].payload).body is None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.HostNotAllowed("no"), ("HTTP-request-denied", None)),
        (errors.Denied("no"), ("HTTP-request-denied", None)),
        (errors.ProviderUnavailable("no"), ("destination-unavailable", None)),
        (errors.DeadlineExceeded("no"), ("HTTP-response-timeout", None)),
        (errors.Overloaded("no"), ("connection-limit-reached", None)),
        (errors.CallDepthExceeded("no"), ("loop-detected", None)),
        (errors.AnswerLost("no"), ("connection-terminated", None)),
        (errors.ProviderError("why"), ("internal-error", "provider_error: why")),
        (errors.PayloadTooLarge("big"), ("internal-error", "payload_too_large: big")),
    ],
)
async def test_failures_are_codes(error: errors.CallError, code: Any) -> None:
    async def fail(_call: Invocation) -> bytes:
        raise error

    guest = guest_with(fail)
    assert await answer(guest, guest.ok(HANDLER, "handle", build(guest), None)) == Err(code)


async def test_without_a_link_it_is_denied() -> None:
    guest = WasiGuest()
    assert await answer(guest, guest.ok(HANDLER, "handle", build(guest), None)) == Err(("HTTP-request-denied", None))


@pytest.mark.parametrize("set_", [{"authority": None}, {"scheme": ("other", "ftp")}])
async def test_a_request_to_nowhere_is_refused(set_: dict[str, Any]) -> None:
    guest = guest_with(echo)
    result = guest.now(HANDLER, "handle", build(guest, **set_), None)
    assert result == Err(("HTTP-request-URI-invalid", None))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("method", ("other", "GET /")),
        ("path-with-query", "/a b"),
        ("path-with-query", "/\r\nx: y"),
        ("authority", "a/b"),
        ("authority", "a\nb"),
        ("scheme", ("other", "1:")),
    ],
)
def test_parts_that_would_break_a_request_are_refused(name: str, value: Any) -> None:
    guest = WasiGuest()
    request = build(guest)
    before = guest.now(TYPES, f"[method]outgoing-request.{name}", request)
    assert guest.now(TYPES, f"[method]outgoing-request.set-{name}", request, value) == Err()
    assert guest.now(TYPES, f"[method]outgoing-request.{name}", request) == before


async def test_a_response_that_is_late_is_a_timeout() -> None:
    async def never(_call: Invocation) -> bytes:
        await asyncio.sleep(60)
        return b""

    guest = guest_with(never)
    options = guest.now(TYPES, "[constructor]request-options")
    for name in ("connect", "first-byte", "between-bytes"):
        guest.ok(TYPES, f"[method]request-options.set-{name}-timeout", options, 10_000_000)
        assert guest.now(TYPES, f"[method]request-options.{name}-timeout", options) == 10_000_000
    future = guest.ok(HANDLER, "handle", build(guest), options)
    assert await answer(guest, future) == Err(("HTTP-response-timeout", None))


async def test_a_body_that_is_dropped_or_too_short_is_no_request() -> None:
    guest = guest_with(echo)
    request = build(guest)
    body = guest.ok(TYPES, "[method]outgoing-request.body", request)
    future = guest.ok(HANDLER, "handle", request, None)
    guest.drop(body)
    failed = await answer(guest, future)
    assert failed.value[0] == "internal-error"
    request = build(guest, ("content-length", b"5"))
    body = guest.ok(TYPES, "[method]outgoing-request.body", request)
    future = guest.ok(HANDLER, "handle", request, None)
    assert guest.now(TYPES, "[static]outgoing-body.finish", body, None) == Err(("HTTP-request-body-size", 0))
    assert await answer(guest, future) == Err(("HTTP-request-body-size", 0))
    assert guest.made == []


async def test_a_request_ends_when_its_response_is_not_wanted_any_more() -> None:
    cancelled = asyncio.Event()

    async def slow(_call: Invocation) -> bytes:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return b""

    guest = guest_with(slow)
    future = guest.ok(HANDLER, "handle", build(guest), None)
    await settle()
    guest.drop(future)
    await settle()
    assert cancelled.is_set()
    assert guest.host.working == 0


async def test_requests_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_outgoing, "REQUESTS_MAX", 2)
    guest = guest_with(echo)
    futures = [guest.ok(HANDLER, "handle", build(guest), None) for _ in range(2)]
    assert guest.now(HANDLER, "handle", build(guest), None) == Err(("connection-limit-reached", None))
    for future in futures:
        await answer(guest, future)
    await settle()
    guest.ok(HANDLER, "handle", build(guest), None)
    guest.host.close()
    await settle()
    assert guest.host.working == 0
