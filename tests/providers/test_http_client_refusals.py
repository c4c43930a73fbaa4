"""Where the HTTP client refuses to go, and what it refuses to send: nothing on a link reaches past its rules."""

import socket

import pytest
from lattice_http_client import HttpClient, addresses

from lattice import errors
from lattice.contracts.httpclient import HttpRequest
from lattice.testing import provider_rig
from tests.providers.http_client_servers import FixedResolver, client, echo, redirecting, resolving_by, serving, told


async def test_a_link_without_allowed_hosts_allows_nothing(tmp_path):
    async with client(tmp_path, allowed_hosts="") as send:
        with pytest.raises(errors.HostNotAllowed, match=r"link \(nothing\)"):
            await send("http://example.org/")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://10.1.2.3/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.100.100.200/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://[ff02::1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[2001:0:1::1]/",
    ],
)
async def test_private_addresses_are_refused_in_every_spelling(tmp_path, url):
    async with client(tmp_path, allowed_hosts="*", allow_private="false") as send:
        with pytest.raises(errors.HostNotAllowed, match="is not public"):
            await send(url)


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1", "1.2.3.4.5", "127.0.0.1.."]
)
async def test_other_spellings_of_ipv4_are_not_hosts_at_all(tmp_path, host):
    async with client(tmp_path, allowed_hosts="*") as send:
        with pytest.raises(errors.ProviderError, match="cannot be used"):
            await send(f"http://{host}/")


async def test_a_name_of_this_machine_is_refused_after_it_is_resolved(tmp_path):
    async with serving(echo) as server, client(tmp_path, allowed_hosts="localhost:*", allow_private="false") as send:
        with pytest.raises(errors.HostNotAllowed, match=r"localhost resolves to .*127\.0\.0\.1"):
            await send(f"http://localhost:{server.port}/")


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "10.0.0.1", "fe80::1%1", "::1"])
async def test_a_public_name_with_a_private_address_is_refused(tmp_path, address):
    resolver = FixedResolver([address])
    async with client(tmp_path, resolver, allowed_hosts="evil.example", allow_private="false") as send:
        with pytest.raises(errors.HostNotAllowed, match="which is not public"):
            await send("http://evil.example/")
    assert resolver.asked == ["evil.example"]


async def test_a_name_that_changes_its_address_cannot_slip_in_between(tmp_path):
    """The first answer is public (and answers to nobody here), the second is this machine: it is never asked for."""
    resolver = FixedResolver(["192.0.0.9", "127.0.0.1"], ["127.0.0.1"])
    async with serving(echo) as server:
        link = {"allowed_hosts": "evil.example:*", "allow_private": "false", "connect_timeout": "0.3"}
        async with client(tmp_path, resolver, **link) as send:
            for _ in range(2):
                with pytest.raises(errors.HostNotAllowed):
                    await send(f"http://evil.example:{server.port}/")
    assert resolver.asked == ["evil.example"] * 2


async def test_the_socket_itself_refuses_a_private_address(tmp_path, monkeypatch):
    """Whatever the checks before it let through."""
    monkeypatch.setattr(addresses.PublicResolver, "resolve", lambda self, *a, **b: self._resolver.resolve(*a, **b))
    async with serving(echo) as server:
        link = {"allowed_hosts": "evil.example:*", "allow_private": "false"}
        async with client(tmp_path, FixedResolver(["127.0.0.1"]), **link) as send:
            with pytest.raises(errors.HostNotAllowed, match=r"address 127\.0\.0\.1 is not public"):
                await send(f"http://evil.example:{server.port}/")


async def test_a_redirect_to_this_machine_is_refused(tmp_path):
    """The first hop is let through to a real server by name; the second names the address outright."""
    async with redirecting({"/from": (302, "http://127.0.0.1:9/"), "/name": (302, "http://[::1]:9/")}) as server:
        port = server.port

        def only_this_port(info):
            if info[4][1] != port:
                raise addresses.AddressRefused("only the test's own server")
            return socket.socket(info[0], info[1], info[2])

        async with provider_rig(resolving_by(FixedResolver(["127.0.0.1"])), tmp_path) as rig:
            await rig.attach(allowed_hosts="public.example:*, 127.0.0.1:*, [::1]:*", allow_private="false")
            session = rig.provider.attached("actor", "default")._session
            session.connector._resolver = FixedResolver(["127.0.0.1"])
            session.connector._socket_factory = only_this_port
            for path in ("/from", "/name"):
                request = HttpRequest(method="GET", url=f"http://public.example:{port}{path}")
                with pytest.raises(errors.HostNotAllowed, match="is not public"):
                    await rig.call("HttpClient.Request", request)


@pytest.mark.parametrize(
    "url",
    [
        "http://user@127.0.0.1/",
        "http://user:pw@127.0.0.1/",
        "http://@127.0.0.1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
    ],
)
async def test_credentials_and_other_schemes_are_refused(tmp_path, url):
    async with client(tmp_path) as send:
        with pytest.raises((errors.HostNotAllowed, errors.ProviderError)):
            await send(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX: y",
        "http://127.0.0.1\\@evil.example/",
        "/path",
        "http://",
        "http:///x",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/" + "x" * 9000,
        "http://[::1%25eth0]/",
    ],
)
async def test_a_url_that_can_be_misread_is_refused(tmp_path, url):
    async with client(tmp_path) as send:
        with pytest.raises(errors.ProviderError):
            await send(url)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"host": "evil.example"}, "host says"),
        ({"Transfer-Encoding": "chunked"}, "belongs to the connection"),
        ({"connection": "upgrade"}, "belongs to the connection"),
        ({"upgrade": "websocket"}, "belongs to the connection"),
        ({"te": "trailers"}, "belongs to the connection"),
        ({"proxy-authorization": "x"}, "belongs to the connection"),
        ({"expect": "100-continue"}, "belongs to the connection"),
        ({"content-length": "3"}, "content-length says"),
        ({"x": "a\r\nevil: 1"}, "line break"),
        ({"x": ["ok", "a\nb"]}, "line break"),
        ({"x": "a\0b"}, "line break"),
        ({"x y": "1"}, "not a header name"),
        ({"x\r\ny": "1"}, "not a header name"),
        ({"": "1"}, "not a header name"),
        ({f"x-{i}": "1" for i in range(101)}, "more than 100 headers"),
        ({"x": "y" * 40_000}, "more than 100 headers or"),
    ],
)
async def test_headers_that_smuggle_are_refused(tmp_path, headers, message):
    async with client(tmp_path) as send:
        with pytest.raises(errors.ProviderError, match=message):
            await send("http://127.0.0.1:1/", headers=headers)


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "", "GE T", "GET / HTTP/1.1\r\nX: y"])
async def test_methods_that_are_none_are_refused(tmp_path, method):
    async with client(tmp_path) as send:
        with pytest.raises(errors.ProviderError, match="method"):
            await send("http://127.0.0.1:1/", method)


async def test_a_host_header_and_a_length_that_repeat_the_request_are_fine(tmp_path):
    async with serving(echo) as server, client(tmp_path) as send:
        headers = {"Host": f"127.0.0.1:{server.port}", "Content-Length": "2"}
        seen = told(await send(server.make_url("/"), "POST", headers, b"ab"))
    names = [name for name, _ in seen["headers"]]
    assert (names.count("host"), names.count("content-length")) == (1, 1)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"allowed_hosts": "http://example.org/"}, "allowed_hosts"),
        ({"allowed_hosts": "example.org:99999"}, "allowed_hosts"),
        ({"allowed_hosts": "ok.example, 127.1"}, "allowed_hosts"),
        ({"timeout": "0"}, "timeout"),
        ({"ca_file": "/nonexistent.pem"}, "ca_file"),
        ({"alowed_hosts": "x"}, "alowed_hosts"),
    ],
)
async def test_a_link_that_cannot_be_used_is_refused_with_its_key(tmp_path, config, key):
    async with provider_rig(HttpClient, tmp_path) as rig:
        with pytest.raises(errors.ConfigError, match=key):
            await rig.attach(**config)


@pytest.mark.parametrize("location", ["http://[]@x/", "//["])
async def test_a_redirect_to_nonsense_is_an_error_of_the_provider(tmp_path, location):
    async with redirecting({"/from": (302, location)}) as server, client(tmp_path) as send:
        with pytest.raises(errors.ProviderError, match="redirects to what is not a URL"):
            await send(server.make_url("/from"))


@pytest.mark.parametrize("location", ["http://elsewhere.example/", "file:///etc/passwd", "http://u:p@127.0.0.1:1/"])
async def test_a_redirect_goes_nowhere_that_a_request_may_not_go(tmp_path, location):
    async with redirecting({"/from": (302, location)}) as server, client(tmp_path) as send:
        with pytest.raises(errors.HostNotAllowed):
            await send(server.make_url("/from"))
