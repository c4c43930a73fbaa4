"""Addresses and certificates: what is served where, and what cannot start says why."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lattice_http_server import HttpServer
from lattice_http_server.settings import parse_address

from lattice import errors
from lattice.testing import provider_rig
from tests.providers.http_server_client import WAIT_S, echo, get, on_both_loops, post, serving, until


def certificate(folder: Path, password: bytes | None = None) -> tuple[str, str]:
    """A new self-signed certificate for 127.0.0.1 and its key, as paths of PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return str(files[0]), str(files[1])


@on_both_loops
async def test_https_serves_requests(tmp_path: Path) -> None:
    chain, key = certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=chain)
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    async with serving(tmp_path, tls_certificate=chain, tls_key=key) as served:
        assert served.rig.provider.urls() == [f"https://127.0.0.1:{served.port}/"]
        client = await served.connect(trusting)
        secure = client.writer.get_extra_info("ssl_object")
        assert secure.selected_alpn_protocol() == "http/1.1"
        assert secure.version() == "TLSv1.3"
        assert (await client.ask(post(bytes(200_000)))).status == 200
        assert (await client.ask(get("/", "Connection: close"))).status == 200
        assert await client.ended() == b""
        refused = await served.connect(trusting)
        refused.send(b"oops\r\n\r\n")
        assert (await refused.response()).status == 400
        assert await refused.ended() == b""


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
@on_both_loops
async def test_old_tls_and_silent_handshakes_are_refused(tmp_path: Path) -> None:
    chain, key = certificate(tmp_path)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(chain)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(tmp_path, tls_certificate=chain, tls_key=key, tls_handshake_timeout="0.2") as served:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await served.connect(old)
        silent = await served.connect()
        assert await silent.ended() == b""
        plain = await served.connect()
        plain.send(get())
        async with asyncio.timeout(WAIT_S):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await plain.response()
        assert not served.calls


@pytest.mark.parametrize("fault", ["no key", "no certificate", "missing file", "other key", "password", "not PEM"])
async def test_certificates_that_cannot_be_used_say_so(tmp_path: Path, fault: str) -> None:
    (tmp_path / "other").mkdir()
    chain, key = certificate(tmp_path, b"secret" if fault == "password" else None)
    _, other = certificate(tmp_path / "other")
    (tmp_path / "text").write_text("hello")
    settings = {
        "no key": {"tls_certificate": chain},
        "no certificate": {"tls_key": key},
        "missing file": {"tls_certificate": chain, "tls_key": str(tmp_path / "none")},
        "other key": {"tls_certificate": chain, "tls_key": other},
        "password": {"tls_certificate": chain, "tls_key": key},
        "not PEM": {"tls_certificate": str(tmp_path / "text"), "tls_key": key},
    }[fault]
    with pytest.raises(errors.ConfigError) as caught:
        async with provider_rig(HttpServer, tmp_path, None, **settings):
            pass
    assert caught.value.remedy


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        async with provider_rig(HttpServer, tmp_path, None, address=address) as rig:
            with pytest.raises(errors.ConfigError, match=address) as caught:
                await rig.route()
            assert "reuse_port" in caught.value.remedy
            assert rig.provider.urls() == []


async def test_two_servers_share_a_port_when_both_say_so(tmp_path: Path) -> None:
    async with serving(tmp_path, reuse_port="true") as first:
        address = f"127.0.0.1:{first.port}"
        async with serving(tmp_path, address=address, reuse_port="true") as second:
            assert second.port == first.port
            assert (await second.ask(get())).status == 200


@pytest.mark.parametrize("address", ["", "8080", "localhost", "127.0.0.1:http", "1.2.3.4:70000", "::1:80", "[::g]:80"])
async def test_an_address_that_is_none_is_refused_at_the_start(tmp_path: Path, address: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        async with provider_rig(HttpServer, tmp_path, None, address=address):
            pass
    assert "write HOST:PORT" in str(caught.value)


def test_addresses_are_read() -> None:
    assert parse_address("[::1]:8080") == ("::1", 8080)
    assert parse_address("[::1]:8080").text == "[::1]:8080"
    assert parse_address(":80") == ("", 80)
    assert parse_address("localhost:0") == ("localhost", 0)


async def test_an_address_this_machine_lacks_is_named(tmp_path: Path) -> None:
    async with provider_rig(HttpServer, tmp_path, None) as rig:
        with pytest.raises(errors.ConfigError, match=r"192\.0\.2\.1:0"):
            await rig.route(address="192.0.2.1:0")


async def test_each_address_has_its_own_routes_until_the_last_one_goes(tmp_path: Path) -> None:
    async def actors(*parts: object) -> object:
        return await echo(*parts[::2])  # type: ignore[arg-type]

    async with provider_rig(HttpServer, tmp_path, actors, address="127.0.0.1:0") as rig:
        one, one_route = await rig.route("one", path="/one")
        await rig.route("two", address="localhost:0", path="=/two", host="api.test")
        assert len(rig.provider.urls()) >= 2
        assert rig.provider.urls()[0].endswith("/one")
        assert all(url.startswith("http://api.test:") and url.endswith("/two") for url in rig.provider.urls()[1:])
        await rig.provider.health()
        await rig.provider.unroute(one, one_route)
        assert not any(url.endswith("/one") for url in rig.provider.urls())
        await rig.provider.unroute(one, one_route)


async def test_a_route_can_go_and_come_while_the_address_stays(tmp_path: Path) -> None:
    async with serving(tmp_path, routes={"stays": {"path": "/stays"}}) as served:
        client = await served.connect()
        link, route = await served.rig.route("goes", path="/goes")
        assert (await client.ask(get("/goes"))).status == 200
        await served.rig.provider.unroute(link, route)
        assert (await client.ask(get("/goes"))).status == 404
        await served.rig.route("goes", path="/goes")
        assert (await client.ask(get("/goes"))).status == 200


async def test_unrouting_the_last_route_finishes_what_was_begun(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def answer(link: object, request: object) -> object:
        await gate.wait()
        return await echo(link, request)  # type: ignore[arg-type]

    async with serving(tmp_path, answer, routes={"other": {"address": "127.0.0.1:0"}}) as served:
        link, route = await served.rig.route("actor", address="localhost:0")
        port = int(served.rig.provider.urls()[-1].rsplit(":", 1)[1].rstrip("/"))
        served.port = port
        client = await served.connect()
        client.send(get())
        await until(lambda: served.running == 1)
        unrouting = asyncio.create_task(served.rig.provider.unroute(link, route))
        await asyncio.sleep(0.1)
        gate.set()
        assert (await client.response()).header("connection") == "close"
        await client.close()
        async with asyncio.timeout(WAIT_S):
            await unrouting


async def test_stopping_leaves_no_task_and_no_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.connect()
        busy = await served.connect()
        busy.send(post(bytes(100))[:-1])
        await until(lambda: len(served.service.connections) == 2)
        await served.rig.provider.stop()
        await asyncio.sleep(0)
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert not [name for name in names if "sweep" in name]
        assert served.rig.provider.urls() == []
