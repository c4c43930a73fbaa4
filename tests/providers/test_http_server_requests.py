"""What an actor gets, what a client gets, and what becomes of errors."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from lattice import errors
from lattice.contracts.httpserver import HttpRequest, HttpResponse
from lattice.links import Link
from tests.providers.http_server_client import Response, get, post, serving


async def answered(data: Path, reply: Any, request: bytes = b"") -> Response:
    """The response to one request whose actor replies, or raises, `reply`."""

    async def answer(_link: Link, _request: HttpRequest) -> Any:
        if isinstance(reply, Exception):
            raise reply
        return reply

    async with serving(data, answer) as served:
        return await served.ask(request or get())


async def test_the_actor_gets_method_raw_path_query_headers_and_body(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        headers = ("X-One: a", "x-one: b", "X-Text: caf\xc3\xa9 ", "X-Old: caf\xe9", "X-Empty:")
        await served.ask(post(b"\x00\xffbody", *headers, path="/a%20b//c?q=%zz&r=1?2"))
        (request,) = served.calls
    assert (request.method, request.path, request.query_string) == ("POST", "/a%20b//c", "q=%zz&r=1?2")
    assert request.body == b"\x00\xffbody"
    assert request.header == {
        "host": ["test"],
        "content-length": ["6"],
        "x-one": ["a", "b"],
        "x-text": ["café"],
        "x-old": ["café"],
        "x-empty": [""],
    }


async def test_the_client_gets_status_headers_and_body(tmp_path: Path) -> None:
    header = {"Content-Type": "text/html", "Set-Cookie": ["a=1", "b=2"], "X-Text": ["café"]}
    response = await answered(tmp_path, HttpResponse(status_code=418, header=header, body=b"tea"))
    assert (response.status, response.body) == (418, b"tea")
    assert response.header("content-type") == "text/html"
    assert [value for name, value in response.headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert response.header("x-text") == "caf\xc3\xa9"
    assert str(response.header("date")).endswith(" GMT")
    assert response.header("connection") is None


async def test_a_status_without_a_name_is_sent(tmp_path: Path) -> None:
    assert (await answered(tmp_path, HttpResponse(status_code=299))).status == 299


async def test_a_large_body_arrives_whole_both_ways(tmp_path: Path) -> None:
    async def answer(_link: Link, request: HttpRequest) -> HttpResponse:
        return HttpResponse(body=request.body)

    body = bytes(range(256)) * 12_000
    async with serving(tmp_path, answer) as served:
        assert (await served.ask(post(body))).body == body
        assert served.service.bodies_bytes == 0


@pytest.mark.parametrize("size", [1, 3, 64, 5000])
async def test_a_chunked_body_arrives_whole(tmp_path: Path, size: int) -> None:
    body = bytes(range(256)) * 40
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(body[at : at + size]), body[at : at + size]) for at in range(0, len(body), size)
    )
    head = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: Chunked\r\n\r\n"
    async with serving(tmp_path) as served:
        client = await served.connect()
        assert (await client.ask(head + chunks + b"0\r\nX-Trailer: no\r\n\r\n")).status == 200
        assert (await client.ask(get())).status == 200
    assert served.calls[0].body == body
    assert "x-trailer" not in served.calls[0].header


@pytest.mark.parametrize("name", ["Connection", "Keep-Alive", "Transfer-Encoding", "content-length", "Upgrade", "Date"])
async def test_headers_of_the_connection_are_the_servers(tmp_path: Path, name: str) -> None:
    response = await answered(tmp_path, HttpResponse(header={name: ["1"], "x-kept": ["1"]}, body=b"hello"))
    assert response.header("x-kept") == "1"
    assert response.header(name.lower()) != "1"
    assert response.body == b"hello"


@pytest.mark.parametrize(
    "reply",
    [
        HttpResponse(header={"X": ["a\r\nSet-Cookie: b=c"]}),
        HttpResponse(header={"X": ["a\nb"]}),
        HttpResponse(header={"X": "a\x00b"}),
        HttpResponse(header={"X\r\nY": ["a"]}),
        HttpResponse(header={"X Y": ["a"]}),
        HttpResponse(header={"": ["a"]}),
        HttpResponse(header={"é": ["a"]}),
        HttpResponse(status_code=99),
        HttpResponse(status_code=101),
        HttpResponse(status_code=600),
        {"statusCode": "two hundred"},
        {"statusCode": 70_000},
        {"header": {"x": 1}},
        ["no map"],
    ],
)
async def test_a_reply_that_cannot_be_sent_is_502(tmp_path: Path, reply: Any) -> None:
    response = await answered(tmp_path, reply)
    assert (response.status, response.code) == (502, "malformed_message")
    assert response.header("set-cookie") is None


async def test_head_is_answered_like_get_without_the_body(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        client = await served.connect()
        client.send(b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")
        response = await client.response(head=True)
        assert response.header("content-length") == str(len("actor HEAD /"))
        assert (await client.ask(get())).body == b"actor GET /"


@pytest.mark.parametrize("status", [204, 304])
async def test_these_statuses_have_no_body(tmp_path: Path, status: int) -> None:
    async def answer(_link: Link, _request: HttpRequest) -> HttpResponse:
        return HttpResponse(status_code=status, header={"etag": ['"1"']}, body=b"must not be sent")

    async with serving(tmp_path, answer) as served:
        client = await served.connect()
        for _ in range(2):
            response = await client.ask(get())
            assert (response.status, response.header("etag")) == (status, '"1"')
            assert response.header("content-length") is None


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.GuestTrapped("unreachable"), 502, "guest_trapped"),
        (errors.GuestError("said no"), 502, "guest_error"),
        (errors.ProviderError("it failed"), 502, "provider_error"),
        (errors.PayloadTooLarge("too much"), 413, "payload_too_large"),
        (errors.Overloaded("queue full"), 503, "overloaded"),
        (errors.ProviderUnavailable("down"), 503, "provider_unavailable"),
        (errors.TargetUnknown("gone"), 503, "target_unknown"),
        (errors.DeadlineExceeded("late"), 504, "deadline_exceeded"),
        (errors.EngineError("broken"), 500, "engine"),
    ],
)
async def test_errors_have_their_status_and_code(tmp_path: Path, error: Exception, status: int, code: str) -> None:
    response = await answered(tmp_path, error)
    assert (response.status, response.code) == (status, code)
    assert json.loads(response.body)["message"] == str(error)
    assert (response.header("retry-after") is not None) == (status == 503)
    assert response.header("connection") is None


@pytest.mark.parametrize(
    ("refused", "status"),
    [(errors.NotLinked, 502), (errors.NotGranted, 502), (errors.NotAuthentic, 502), (errors.Denied, 403)],
)
async def test_why_something_is_not_permitted_is_not_for_visitors(
    tmp_path: Path, refused: type[errors.CallError], status: int
) -> None:
    response = await answered(tmp_path, refused("MKEY may not use wasmcloud:sqldb by the rule x"))
    assert (response.status, response.code) == (status, refused.code)
    assert not {"MKEY", "sqldb", "rule"} & set(response.body.decode().replace(":", " ").split())


async def test_an_unforeseen_error_is_logged_and_tells_the_client_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    response = await answered(tmp_path, ZeroDivisionError("secret"))
    assert (response.status, response.code) == (500, "internal")
    assert b"secret" not in response.body
    assert "ZeroDivisionError" in caplog.text


async def test_a_long_error_message_is_cut(tmp_path: Path) -> None:
    assert len((await answered(tmp_path, errors.GuestError("x" * 100_000))).body) < 2000


async def test_http_1_0_is_answered_and_closed_or_kept_when_asked(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        client = await served.connect()
        response = await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert response.header("connection") == "keep-alive"
        response = await client.ask(b"GET / HTTP/1.0\r\n\r\n")
        assert response.header("connection") == "close"
        assert await client.ended() == b""


async def test_connection_close_is_honoured(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        client = await served.connect()
        assert (await client.ask(get("/", "Connection: close"))).header("connection") == "close"
        assert await client.ended() == b""


async def test_a_client_that_expects_it_is_told_to_continue(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        client = await served.connect()
        head = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        for _ in range(2):
            client.send(head)
            assert (await client.response(head=True)).status == 100
            assert (await client.ask(b"abc")).status == 200


async def test_continue_waits_for_the_responses_before_it(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def answer(_link: Link, _request: HttpRequest) -> HttpResponse:
        await gate.wait()
        return HttpResponse(status_code=200)

    async with serving(tmp_path, answer) as served:
        client = await served.connect()
        client.send(get() + b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
        await asyncio.sleep(0.02)
        gate.set()
        assert (await client.response()).status == 200
        assert (await client.response(head=True)).status == 100
        assert (await client.ask(b"x")).status == 200


async def test_a_refused_upload_is_not_told_to_continue(tmp_path: Path) -> None:
    async with serving(tmp_path, body_bytes_max="10") as served:
        client = await served.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.response()).code == "http_body_too_large"
        assert await client.ended() == b""
        assert not served.calls


async def test_the_access_log_has_one_line_for_each_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lattice.access")
    async with serving(tmp_path, routes={"actor": {"path": "/a"}}) as served:
        client = await served.connect()
        await client.ask(get("/a?b=c"))
        await client.ask(get("/none"))
        await client.ask(b"nonsense\r\n\r\n")
    lines = [record.getMessage() for record in caplog.records if record.name == "lattice.access"]
    assert len(lines) == 3
    assert lines[0].startswith('127.0.0.1 "GET /a?b=c" 200 ')
    assert lines[0].endswith("ms actor")
    assert ' "GET /none" 404 ' in lines[1]
    assert ' "- -" 400 ' in lines[2]
