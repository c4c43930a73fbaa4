"""The interfaces behind which there are contracts, with the providers that answer them."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from lattice_builtin import Logging
from lattice_http_client import HttpClient
from lattice_messaging_memory import MessagingMemory

from lattice import errors, wire
from lattice.contracts import cron, messaging
from lattice.invocation import Invocation
from lattice.testing import provider_rig
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi import bridges, keyvalue
from lattice.wasm.wasi.instance import Grants
from tests.providers.http_client_servers import LOOPBACK, serving
from tests.support.wasi import WasiGuest, invocation

KEYVALUE = "wasmcloud:keyvalue"
STORE, ATOMICS, BATCH = "wasi:keyvalue/store", "wasi:keyvalue/atomics", "wasi:keyvalue/batch"
CONSUMER = "wasmcloud:messaging/consumer"


async def test_calls_of_a_guest_are_part_of_the_call_it_is_in() -> None:
    guest = WasiGuest()
    call = guest.host.invocation
    assert call is not None
    await guest.call(STORE, "[method]bucket.get", guest.ok(STORE, "open", ""), "k")
    [made] = guest.made
    assert (made.id, made.deadline, made.depth) == (call.id, guest.host.deadline, call.depth + 1)
    assert made.origin.key == "actor"
    guest.host.end()
    with pytest.raises(errors.GuestProtocolError, match="outside of a call"):
        await guest.host.call(keyvalue._GET, "k")


async def test_a_payload_over_the_limit_is_neither_sent_nor_taken() -> None:
    async def large(_call: Invocation) -> bytes:
        return bytes(2000)

    guest = WasiGuest({KEYVALUE: large}, payload_bytes_max=1000)
    bucket = guest.ok(STORE, "open", "")
    case, text = await guest.bad(STORE, "[method]bucket.set", bucket, "k", bytes(1000))
    assert case == "other"
    assert "payload_too_large" in text
    assert guest.made == []
    assert "payload_too_large" in (await guest.bad(STORE, "[method]bucket.get", bucket, "k"))[1]


@pytest.mark.parametrize("name", ["store", "runtime"])
def test_configuration_is_that_of_the_actor(name: str) -> None:
    guest = WasiGuest(grants=Grants(config={"a": "1", "b": "2"}))
    assert guest.ok(f"wasi:config/{name}", "get", "a") == "1"
    assert guest.ok(f"wasi:config/{name}", "get", "x") is None
    assert guest.ok(f"wasi:config/{name}", "get-all") == [("a", "1"), ("b", "2")]


async def test_log_lines_go_to_the_built_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with provider_rig(Logging, tmp_path) as rig:
        guest = WasiGuest({"wasmcloud:builtin:logging": rig.provider.handle})
        for level in ("trace", "debug", "info", "warn", "error", "critical"):
            await guest.call("wasi:logging/logging", "log", level, "shop", f"level {level}")
        await guest.call("wasi:logging/logging", "log", "info", "", "x" * 20_000)
    found = {record.getMessage(): record.levelname for record in caplog.records if "level " in record.getMessage()}
    levels = {text.rpartition(" ")[2]: level for text, level in found.items()}
    assert levels == {
        "trace": "DEBUG",
        "debug": "DEBUG",
        "info": "INFO",
        "warn": "WARNING",
        "error": "ERROR",
        "critical": "ERROR",
    }
    assert all("shop: level" in text for text in found)


async def test_a_log_line_that_cannot_be_written_does_not_stop_the_guest(caplog: pytest.LogCaptureFixture) -> None:
    guest = WasiGuest()
    assert await guest.call("wasi:logging/logging", "log", "info", "", "text") is None
    assert "was not written: not_linked" in caplog.text


async def test_messages_are_published_requested_and_handled(tmp_path: Path) -> None:
    handler = WasiGuest()
    got: list[Any] = []

    async def handle(_interface: str, function: str, message: Any) -> Ok | Err:
        assert function == "handle-message"
        got.append(message)
        subject, body, reply_to = message
        if reply_to:
            await handler.good(CONSUMER, "publish", (reply_to, body.upper(), None))
        return Ok() if subject != "bad" else Err("not that one")

    exports = {"wasmcloud:messaging/handler"}

    async def actor(_link: Any, operation: str, message: Any) -> None:
        call = invocation(operation, wire.encode(message))
        assert await bridges.serve(handler.host, exports, handle, call, time.monotonic() + 5) == b""

    async with provider_rig(MessagingMemory, tmp_path, actor) as rig:
        await rig.attach("actor")
        await rig.attach("listener", subscriptions="s.>")
        handler.providers["wasmcloud:messaging"] = rig.provider.handle
        guest = WasiGuest({"wasmcloud:messaging": rig.provider.handle})
        reply = await guest.good(CONSUMER, "request", "s.one", b"body", 2000)
        assert reply[1] == b"BODY"
        await guest.good(CONSUMER, "publish", ("s.two", b"again", None))
        while len(got) < 2:
            await asyncio.sleep(0)
    assert got[0][:2] == ("s.one", b"body")
    assert got[1] == ("s.two", b"again", None)
    assert (await WasiGuest().bad(CONSUMER, "publish", ("s", b"", None))).startswith("not_linked: ")
    call = invocation("MessageSubscriber.HandleMessage", wire.encode(messaging.SubMessage(subject="bad", body=b"")))
    with pytest.raises(errors.GuestError, match="did not take the message: not that one"):
        await bridges.serve(handler.host, exports, handle, call, time.monotonic() + 5)


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ((lambda _guest: Ok()), None),
        ((lambda _guest: Err()), "said that it failed"),
        ((lambda guest: guest.now("wasi:cli/exit", "exit", Ok())), None),
        ((lambda guest: guest.now("wasi:cli/exit", "exit", Err())), "exited with code 1"),
        ((lambda guest: guest.now("wasi:cli/exit", "exit-with-code", 7)), "exited with code 7"),
    ],
)
async def test_a_program_is_run_as_a_job(program: Any, error: str | None) -> None:
    guest = WasiGuest()

    async def call(interface: str, function: str) -> Ok | Err:
        assert (interface, function) == ("wasi:cli/run", "run")
        result: Ok | Err = program(guest)
        return result

    tick = cron.Tick(timer="t", scheduled_ms=1, now_ms=2)
    job = bridges.serve(
        guest.host, {"wasi:cli/run"}, call, invocation("Cron.HandleTick", wire.encode(tick)), time.monotonic() + 5
    )
    if error is None:
        assert await job == b""
    else:
        with pytest.raises(errors.GuestError, match=error):
            await job


async def test_a_request_over_http_reaches_a_real_server(tmp_path: Path) -> None:
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=(await request.read())[::-1], headers={"x-path": request.path_qs})

    async with serving(answer) as server, provider_rig(HttpClient, tmp_path) as rig:
        await rig.attach("actor", **LOOPBACK)
        guest = WasiGuest({"wasmcloud:httpclient": rig.provider.handle})
        types = "wasi:http/types"
        request = guest.now(types, "[constructor]outgoing-request", guest.now(types, "[constructor]fields"))
        for name, value in (
            ("method", ("post", None)),
            ("scheme", ("HTTP", None)),
            ("authority", f"127.0.0.1:{server.port}"),
            ("path-with-query", "/p?q=1"),
        ):
            guest.ok(types, f"[method]outgoing-request.set-{name}", request, value)
        body = guest.ok(types, "[method]outgoing-request.body", request)
        future = guest.ok("wasi:http/outgoing-handler", "handle", request, None)
        stream = guest.ok(types, "[method]outgoing-body.write", body)
        await guest.write_all(stream, b"abc" * 100_000)
        guest.drop(stream)
        guest.ok(types, "[static]outgoing-body.finish", body, None)
        pollable = guest.now(types, "[method]future-incoming-response.subscribe", future)
        await guest.call("wasi:io/poll", "[method]pollable.block", pollable)
        response = guest.now(types, "[method]future-incoming-response.get", future).value.value
        assert ("x-path", b"/p?q=1") in response.headers.entries
        incoming = guest.ok(types, "[method]incoming-response.consume", response)
        assert await guest.read_all(guest.ok(types, "[method]incoming-body.stream", incoming)) == b"cba" * 100_000
