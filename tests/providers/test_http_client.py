"""The HTTP client: what it sends and returns, and what bounds it. Servers are real, on loopback."""

import asyncio
import gzip
import ssl
import subprocess
import zlib

import pytest
from aiohttp import web

from lattice import errors
from tests.providers.http_client_servers import client, echo, raw_server, redirecting, serving, told
from tests.support.servers import find_program, free_port

# What is sent and returned.


async def test_a_request_arrives_as_the_actor_made_it_and_the_answer_comes_back(tmp_path):
    async with serving(echo) as server, client(tmp_path) as send:
        answer = await send(
            server.make_url("/a%2Fb/c?x=%7e&y=1%202"),
            "post",
            {"X-One": ["1", "2"], "X-Two": "3", "content-type": ["text/plain"]},
            b"hello",
        )
        seen = told(answer)
    assert answer.status_code == 200
    assert answer.header["content-type"] == ["application/json; charset=utf-8"]
    assert (seen["method"], seen["body"]) == ("POST", "hello")
    got = [tuple(h) for h in seen["headers"]]
    assert ("x-one", "1") in got
    assert ("x-one", "2") in got
    assert ("x-two", "3") in got
    assert ("content-length", "5") in got
    assert ("user-agent", "nanolattice") in got


async def test_path_and_query_are_sent_byte_for_byte(tmp_path):
    async def reply(writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    seen = []

    async def serve(reader, writer):
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        await reply(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, client(tmp_path) as send:
        await send(f"http://127.0.0.1:{port}/%7Ea%2fb/../c?sig=a%2Bb%3D&e=#part")
        await send(f"http://127.0.0.1:{port}/grün")
    assert seen[0].startswith(b"GET /%7Ea%2fb/../c?sig=a%2Bb%3D&e= HTTP/1.1\r\n")
    assert seen[1].startswith(b"GET /gr%C3%BCn HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{port}".encode() in seen[0].lower()


async def test_repeated_response_headers_and_odd_bytes_in_them_are_kept(tmp_path):
    async def reply(writer):
        writer.write(
            b"HTTP/1.1 404 Nope\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-L: caf\xe9\r\nX-U: caf\xc3\xa9\r\n"
            b"Connection: close\r\nContent-Length: 2\r\n\r\nno"
        )

    async with raw_server(reply) as url, client(tmp_path) as send:
        answer = await send(url)
    assert (answer.status_code, answer.body) == (404, b"no")
    assert answer.header["set-cookie"] == ["a=1", "b=2"]
    assert (answer.header["x-l"], answer.header["x-u"]) == (["café"], ["café"])
    assert "connection" not in answer.header


async def test_cookies_of_an_answer_are_not_sent_with_the_next_request(tmp_path):
    cookies = []

    async def handler(request):
        cookies.append(request.headers.get("cookie"))
        return web.Response(headers={"set-cookie": "a=1"})

    async with serving(handler) as server, client(tmp_path) as send:
        await send(server.make_url("/"))
        await send(server.make_url("/"))
        await send(server.make_url("/"), headers={"cookie": "mine=1"})
    assert cookies == [None, None, "mine=1"]


async def test_proxies_of_the_environment_are_ignored(tmp_path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    async with serving(echo) as server, client(tmp_path) as send:
        assert (await send(server.make_url("/"))).status_code == 200


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:10]) + gzip.compress(data[10:])),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data)[2:-4]),
    ],
    ids=["gzip", "gzip-of-two-members", "deflate", "deflate-without-wrapper"],
)
async def test_a_compressed_answer_is_unpacked(tmp_path, encoding, pack):
    text = b"so much text " * 1000

    async def handler(request):
        assert request.headers["accept-encoding"] == "gzip, deflate"
        return web.Response(body=pack(text), headers={"content-encoding": encoding})

    async with serving(handler) as server, client(tmp_path) as send:
        answer = await send(server.make_url("/"))
    assert answer.body == text
    assert "content-encoding" not in answer.header
    assert "content-length" not in answer.header


async def test_an_actor_that_asks_for_an_encoding_gets_it_as_it_is(tmp_path):
    packed = gzip.compress(b"text")

    async def handler(_request):
        return web.Response(body=packed, headers={"content-encoding": "gzip"})

    async with serving(handler) as server, client(tmp_path) as send:
        answer = await send(server.make_url("/"), headers={"accept-encoding": "gzip"})
        assert (answer.body, answer.header["content-encoding"]) == (packed, ["gzip"])
        head = await send(server.make_url("/"), "HEAD")
        assert (head.body, head.header["content-encoding"]) == (b"", ["gzip"])


async def test_https_needs_a_certificate_of_a_trusted_authority(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    made = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    command = [find_program("openssl"), "req", *made, "-keyout", key, "-out", certificate, *subject]
    subprocess.run(command, check=True, capture_output=True, timeout=10)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with serving(echo, ssl=tls) as server:
        url = f"https://127.0.0.1:{server.port}/"
        async with client(tmp_path, ca_file=str(certificate)) as send:
            assert (await send(url)).status_code == 200
        async with client(tmp_path) as send:
            with pytest.raises(errors.ProviderError, match=r"certificate of .* is not trusted"):
                await send(url)


# Redirects.


@pytest.mark.parametrize(
    ("status", "method", "method_after", "body_after"),
    [
        (301, "POST", "GET", ""),
        (302, "POST", "GET", ""),
        (303, "PUT", "GET", ""),
        (307, "POST", "POST", "data"),
        (308, "PUT", "PUT", "data"),
        (302, "PUT", "PUT", "data"),
    ],
)
async def test_a_redirect_keeps_or_changes_the_method_as_http_says(tmp_path, status, method, method_after, body_after):
    async with redirecting({"/from": (status, "to?x=1")}) as server, client(tmp_path) as send:
        seen = told(await send(server.make_url("/from"), method, {"content-type": "text/plain"}, b"data"))
    assert (seen["method"], seen["target"], seen["body"]) == (method_after, "/to?x=1", body_after)
    assert ("content-type" in dict(seen["headers"])) == bool(body_after)


async def test_secrets_stay_with_their_origin(tmp_path):
    secrets = {"authorization": "Bearer x", "cookie": "a=1", "x-other": "kept"}
    async with redirecting({}) as other:
        routes = {"/near": (302, "/there"), "/far": (302, str(other.make_url("/there")))}
        async with redirecting(routes) as server, client(tmp_path) as send:
            near = dict(told(await send(server.make_url("/near"), headers=secrets))["headers"])
            far = dict(told(await send(server.make_url("/far"), headers=secrets))["headers"])
    assert (near["authorization"], near["cookie"], near["x-other"]) == ("Bearer x", "a=1", "kept")
    assert "authorization" not in far
    assert "cookie" not in far
    assert far["x-other"] == "kept"


async def test_a_redirect_is_handed_to_the_actor_when_the_link_says_so(tmp_path):
    async with redirecting({"/from": (302, "/to")}) as server, client(tmp_path, follow_redirects="false") as send:
        answer = await send(server.make_url("/from"))
    assert (answer.status_code, answer.header["location"], answer.body) == (302, ["/to"], b"over there")


async def test_a_redirect_loop_ends(tmp_path):
    async with redirecting({"/loop": (302, "/loop")}) as server, client(tmp_path) as send:
        with pytest.raises(errors.ProviderError, match="more than 10 redirects"):
            await send(server.make_url("/loop"))


async def test_a_redirect_with_a_space_in_it_is_followed_as_browsers_do(tmp_path):
    async with redirecting({"/from": (302, "/a b")}) as server, client(tmp_path) as send:
        assert told(await send(server.make_url("/from")))["target"] == "/a%20b"


# What bounds a call.


async def test_an_answer_over_the_limit_is_cut_off_while_it_arrives(tmp_path):
    sent = 0

    async def reply(writer):
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
        for _ in range(10_000):
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with raw_server(reply) as url, client(tmp_path, response_bytes_max="100000") as send:
        with pytest.raises(errors.PayloadTooLarge, match="more than 100000 bytes"):
            await send(url)
    assert sent < 64 * 1024 * 1024


async def test_an_answer_of_exactly_the_limit_is_whole(tmp_path):
    async def handler(_request):
        return web.Response(body=b"x" * 1000)

    async with serving(handler) as server, client(tmp_path, response_bytes_max="1000") as send:
        assert len((await send(server.make_url("/"))).body) == 1000


async def test_a_decompression_bomb_is_cut_off(tmp_path):
    bomb = gzip.compress(b"\0" * 50_000_000)

    async def handler(_request):
        return web.Response(body=bomb, headers={"content-encoding": "gzip"})

    async with serving(handler) as server, client(tmp_path, response_bytes_max="100000") as send:
        with pytest.raises(errors.PayloadTooLarge):
            await send(server.make_url("/"))


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"plain", "not compressed as it says"), (gzip.compress(b"text" * 99)[:-9], "too early")],
    ids=["plain", "cut"],
)
async def test_a_broken_compressed_answer_is_an_error(tmp_path, body, message):
    async def handler(_request):
        return web.Response(body=body, headers={"content-encoding": "gzip"})

    async with serving(handler) as server, client(tmp_path) as send:
        with pytest.raises(errors.ProviderError, match=message):
            await send(server.make_url("/"))


async def test_a_request_body_over_the_limit_is_refused(tmp_path):
    async with client(tmp_path, request_bytes_max="10") as send:
        with pytest.raises(errors.PayloadTooLarge, match="11 bytes"):
            await send("http://127.0.0.1:1/", "POST", body=b"x" * 11)


async def test_a_slow_answer_ends_with_the_timeout(tmp_path):
    async def reply(writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw_server(reply) as url, client(tmp_path, timeout="0.2") as send:
        with pytest.raises(errors.DeadlineExceeded, match=r"within 0\.2 s"):
            await send(url)


async def test_calls_over_the_limits_are_refused_and_waiting_ones_are_served(tmp_path):
    release, running = asyncio.Event(), 0

    async def handler(_request):
        nonlocal running
        running += 1
        assert running <= 2
        await release.wait()
        running -= 1
        return web.Response()

    async with serving(handler) as server, client(tmp_path, connections_max="2", waiting_max="1") as send:
        calls = [asyncio.create_task(send(server.make_url("/"))) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(errors.Overloaded, match="3 requests of this link"):
            await send(server.make_url("/"))
        release.set()
        assert [answer.status_code for answer in await asyncio.gather(*calls)] == [200, 200, 200]


# A server that fails.


async def test_nobody_listening_is_provider_unavailable(tmp_path):
    async with client(tmp_path) as send:
        with pytest.raises(errors.ProviderUnavailable, match="cannot connect"):
            await send(f"http://127.0.0.1:{free_port()}/")


async def test_a_name_that_does_not_resolve_is_provider_unavailable(tmp_path):
    async with client(tmp_path, allowed_hosts="nothing.invalid") as send:
        with pytest.raises(errors.ProviderUnavailable, match="cannot connect"):
            await send("http://nothing.invalid/")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", errors.ProviderUnavailable),
        (b"SSH-2.0-hello\r\n\r\n", errors.ProviderError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", errors.ProviderUnavailable),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", errors.ProviderError),
    ],
    ids=["closed", "not-http", "half-a-body", "huge-header"],
)
async def test_a_broken_answer_is_an_error_of_the_provider(tmp_path, answer, kind):
    async def reply(writer):
        writer.write(answer)

    async with raw_server(reply) as url, client(tmp_path) as send:
        with pytest.raises(kind):
            await send(url, "POST")
