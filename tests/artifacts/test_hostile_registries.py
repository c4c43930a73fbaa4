"""Registries that lie, never end, or send this host where it should not go. Each test is one attack."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from yarl import URL

from lattice import errors
from lattice.artifacts import oci
from lattice.artifacts.connections import Connections
from lattice.artifacts.credentials import Credential, Login
from lattice.artifacts.settings import RegistrySettings
from tests.artifacts.hostile import MODULE, PATIENCE, Answer, Hostile, Names, files, hostile, victim

SECRET = "a-password-that-nobody-may-see"


def answer(body: bytes = b"", status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def give(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=named)

    return give


def redirect(to: str) -> Answer:
    return answer(status=307, Location=to)


async def endless(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": oci.OCI_MANIFEST})
    await response.prepare(request)
    while True:
        await response.write(b" " * 65536)


def changed(registry: Hostile, change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(registry.manifest)
    change(document)
    return json.dumps(document).encode()


async def refused(
    registry: Hostile, folder: Path, error: type[errors.LatticeError], match: str, tag: str = ":1", **more: Any
) -> None:
    """The pull fails so, and no module is left behind by it."""
    images = registry.images(folder, **more)
    with pytest.raises(error, match=match):
        await images.pull(registry.reference(tag))
    assert registry.digest.removeprefix("sha256:") not in files(folder)


# Digest, size and type.


async def test_an_honest_registry_is_believed(tmp_path: Path) -> None:
    async with hostile() as registry:
        pulled = await registry.images(tmp_path).pull(registry.reference())
        assert pulled.path.read_bytes() == MODULE
        assert (pulled.module, pulled.digest) == (registry.digest, oci.digest_of(registry.manifest))


async def test_a_module_of_another_content_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async with hostile() as registry:
        registry.answers["module"] = answer(MODULE[:-1] + b"!")
        await refused(registry, tmp_path, errors.ArtifactMismatch, "does not have the digest")
        assert not [name for name in files(tmp_path) if name.endswith(".part")]


async def test_a_manifest_of_another_digest_is_refused(tmp_path: Path) -> None:
    async with hostile() as registry:
        right = oci.digest_of(registry.manifest)
        registry.manifest = changed(registry, lambda document: document.update(annotations={"x": "y"}))
        await refused(registry, tmp_path, errors.ArtifactMismatch, "has the digest", f"@{right}")
        assert files(tmp_path) == []


async def test_a_manifest_that_is_not_what_its_header_says_is_refused(tmp_path: Path) -> None:
    async with hostile() as registry:
        headers = {"Content-Type": oci.OCI_MANIFEST, "Docker-Content-Digest": oci.digest_of(b"other")}
        registry.answers["manifest"] = answer(registry.manifest, **headers)
        await refused(registry, tmp_path, errors.ArtifactMismatch, "has the digest")


async def test_a_configuration_of_another_content_is_refused(tmp_path: Path) -> None:
    async with hostile() as registry:
        registry.answers["config"] = answer(registry.config.replace(b"wasip1", b"wasip2"))
        await refused(registry, tmp_path, errors.ArtifactMismatch, "its configuration is not")


@pytest.mark.parametrize("by", [-1, 1, 1000])
async def test_a_module_of_another_size_than_the_manifest_says_is_refused(tmp_path: Path, by: int) -> None:
    async with hostile() as registry:
        registry.manifest = changed(registry, lambda found: found["layers"][0].update(size=len(MODULE) + by))
        images = registry.images(tmp_path)
        told: list[int] = []
        with pytest.raises(errors.ArtifactMismatch, match="and its manifest says"):
            await images.pull(registry.reference(), lambda done, size: told.append(done))
        assert told == [], "before any of it is taken in"
        assert registry.digest.removeprefix("sha256:") not in files(tmp_path)


async def test_a_module_whose_size_nobody_says_is_cut_off_where_it_should_end(tmp_path: Path) -> None:
    async def unsaid(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(MODULE)
        return response

    async with hostile() as registry:
        registry.answers["module"] = unsaid
        await refused(registry, tmp_path, errors.ArtifactMismatch, "sends more")


async def test_a_module_that_ends_early_and_regularly_is_refused(tmp_path: Path) -> None:
    async def short(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(MODULE[:1000])
        return response

    async with hostile() as registry:
        registry.answers["module"] = short
        await refused(registry, tmp_path, errors.ArtifactMismatch, "sends 1000 bytes")


async def test_what_is_called_wasm_and_is_none_is_refused(tmp_path: Path) -> None:
    async with hostile(b"#!/bin/sh\n" * 100) as registry:
        await refused(registry, tmp_path, errors.NotWasm, "is no WebAssembly")
        assert registry.digest.removeprefix("sha256:") not in files(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda found: found["layers"].append(found["layers"][0]), "2 layers of WebAssembly"),
        (lambda found: found["layers"].clear(), "no layer of WebAssembly"),
        (lambda found: found["layers"][0].update(mediaType="application/octet-stream"), "no layer of WebAssembly"),
        (lambda found: found["layers"][0].update(size=2**40), "is larger than 256 MiB"),
        (lambda found: found["layers"][0].update(size=-1), "names -1 bytes"),
        (lambda found: found["layers"][0].update(digest="sha256:../../../etc/passwd"), "is no digest"),
        (lambda found: found["layers"][0].update(digest="sha512:" + "0" * 128), "is no digest"),
        (lambda found: found["config"].update(size=2**40), "bytes, at most"),
        (lambda found: found.update(manifests=[]), "a manifest and an index at once"),
        (lambda found: found.update(mediaType=oci.OCI_INDEX), "calls itself"),
        (lambda found: found.update(schemaVersion=1), "has schema 1"),
        (lambda found: found.pop("config"), "has no config"),
        (lambda found: found.pop("layers"), "has no layers"),
        (lambda found: found.update(layers=[found["layers"][0]] * 1001), "1001 entries"),
        (lambda found: found.update(layers="x"), "sent no manifest"),
    ],
)
async def test_a_manifest_that_is_not_one_module_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    async with hostile() as registry:
        registry.manifest = changed(registry, change)
        await refused(registry, tmp_path, errors.ArtifactError, said)
        assert files(tmp_path) == []


async def test_a_document_of_another_type_is_refused(tmp_path: Path) -> None:
    async with hostile() as registry:
        registry.answers["manifest"] = answer(b"<html>", Content_Type="text/html")
        await refused(registry, tmp_path, errors.ArtifactMismatch, "sent no manifest")
        registry.answers["manifest"] = answer(b'{"schemaVersion": 2}', Content_Type="application/vnd.other+json")
        await refused(registry, tmp_path, errors.UnsupportedGuest, "which is not read")


# Indexes.


def index(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": oci.OCI_INDEX, "manifests": entries}).encode()


def entry(manifest: bytes, architecture: str | None = "wasm", **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"mediaType": oci.OCI_MANIFEST, "digest": oci.digest_of(manifest), "size": len(manifest)}
    if architecture is not None:
        found["platform"] = {"architecture": architecture, "os": "wasip1"}
    return found | more


def serve_index(registry: Hostile, document: bytes) -> None:
    async def give(request: web.BaseRequest) -> web.StreamResponse:
        if request.path.endswith("/1"):
            return web.Response(body=document, headers={"Content-Type": oci.OCI_INDEX})
        return await registry.honest(request)

    registry.answers["manifest"] = give


async def test_of_an_index_the_entry_for_wasm_is_taken_and_kept(tmp_path: Path) -> None:
    async with hostile() as registry:
        other = b'{"schemaVersion": 2}'
        document = index(entry(other, "amd64"), entry(registry.manifest), entry(other, "arm64"))
        serve_index(registry, document)
        images = registry.images(tmp_path)
        pulled = await images.pull(registry.reference())
        assert (pulled.digest, pulled.module) == (oci.digest_of(document), registry.digest)
        asked = len(registry.seen)
        again = await images.pull(registry.reference(f"@{pulled.digest}"))
        assert (again.path, len(registry.seen)) == (pulled.path, asked), "by digest the cache is enough"


async def test_the_only_entry_of_an_index_needs_no_platform(tmp_path: Path) -> None:
    async with hostile() as registry:
        serve_index(registry, index(entry(registry.manifest, None)))
        assert (await registry.images(tmp_path).pull(registry.reference())).module == registry.digest


@pytest.mark.parametrize(
    ("entries", "error", "said"),
    [
        (lambda m: [entry(m), entry(m + b" ")], errors.UnsupportedGuest, "several manifests"),
        (lambda m: [entry(m, "amd64")], errors.UnsupportedGuest, "no manifest for wasm"),
        (lambda m: [], errors.UnsupportedGuest, "no manifest for wasm"),
        (lambda m: [entry(m, mediaType=oci.OCI_INDEX)], errors.UnsupportedGuest, "no manifest for wasm"),
        (lambda m: [entry(m, size=len(m) - 1)], errors.ArtifactMismatch, "another size or type"),
        (lambda m: [entry(m, mediaType=oci.DOCKER_MANIFEST)], errors.ArtifactMismatch, "another size or type"),
        (lambda m: [entry(m, digest=oci.digest_of(b"other"))], errors.ArtifactMismatch, "has the digest"),
    ],
)
async def test_an_index_that_does_not_lead_to_one_module_is_refused(
    tmp_path: Path, entries: Callable[[bytes], list[Any]], error: type[errors.LatticeError], said: str
) -> None:
    async with hostile() as registry:
        serve_index(registry, index(*entries(registry.manifest)))
        await refused(registry, tmp_path, error, said)


async def test_an_index_of_an_index_is_refused(tmp_path: Path) -> None:
    async with hostile() as registry:
        inner = index(entry(registry.manifest))
        document = index(entry(inner, mediaType=oci.OCI_MANIFEST))

        async def give(request: web.BaseRequest) -> web.StreamResponse:
            body = document if request.path.endswith("/1") else inner
            return web.Response(body=body, headers={"Content-Type": oci.OCI_INDEX})

        registry.answers["manifest"] = give
        await refused(registry, tmp_path, errors.ArtifactError, "another size or type|index of indexes")


# What never ends.


async def test_a_manifest_without_end_is_cut_off(tmp_path: Path) -> None:
    async with hostile() as registry:
        registry.answers["manifest"] = endless
        await refused(registry, tmp_path, errors.ArtifactMismatch, "more than 4194304 bytes")


async def test_a_configuration_without_end_is_cut_off(tmp_path: Path) -> None:
    async with hostile() as registry:
        registry.answers["config"] = endless
        await refused(registry, tmp_path, errors.ArtifactMismatch, "sends more than")


async def test_a_module_that_trickles_ends_with_its_time(tmp_path: Path) -> None:
    async def trickle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(MODULE))})
        await response.prepare(request)
        for place in range(len(MODULE)):
            await response.write(MODULE[place : place + 1])
            await asyncio.sleep(0.01)
        return response

    async with hostile() as registry:
        registry.answers["module"] = trickle
        patience = msgspec.structs.replace(PATIENCE, answer_s=0.5, bytes_per_s_min=10**9)
        await refused(registry, tmp_path, errors.RegistryUnavailable, "did not do within", patience=patience)


@pytest.mark.parametrize("what", ["manifest", "config", "module"])
async def test_an_answer_that_falls_silent_is_given_up(tmp_path: Path, what: str) -> None:
    async def silent(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": oci.OCI_MANIFEST})
        await response.prepare(request)
        await asyncio.sleep(3600)
        return response

    async with hostile() as registry:
        registry.answers[what] = silent
        patience = msgspec.structs.replace(PATIENCE, idle_s=0.1)
        await refused(registry, tmp_path, errors.RegistryUnavailable, "does not answer in time", patience=patience)


async def test_a_server_that_takes_connections_and_says_nothing_is_given_up(tmp_path: Path) -> None:
    async def nothing(_request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(3600)
        raise AssertionError

    async with hostile() as registry:
        registry.answers["manifest"] = nothing
        patience = msgspec.structs.replace(PATIENCE, idle_s=0.1)
        await refused(registry, tmp_path, errors.RegistryUnavailable, "does not answer in time", patience=patience)


@pytest.mark.parametrize("what", ["manifest", "config", "module"])
async def test_packed_answers_are_not_unpacked(tmp_path: Path, what: str) -> None:
    bomb = gzip.compress(bytes(64 * 2**20))
    async with hostile() as registry:
        registry.answers[what] = answer(bomb, Content_Encoding="gzip", Content_Type=oci.OCI_MANIFEST)
        await refused(registry, tmp_path, errors.ArtifactMismatch, "packed")
        assert {request.headers["Accept-Encoding"] for request in registry.seen} == {"identity"}


async def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    async with hostile() as registry:
        registry.answers["manifest"] = answer(b"{}", **{"X-Long": "x" * 100_000})
        await refused(registry, tmp_path, errors.RegistryRefused, "does not answer in HTTP")


async def test_what_is_deeply_nested_is_refused(tmp_path: Path) -> None:
    async with hostile() as registry:
        registry.answers["manifest"] = answer(b"[" * 2**20, Content_Type=oci.OCI_MANIFEST)
        await refused(registry, tmp_path, errors.ArtifactMismatch, "sent no manifest")
        deep = b'{"schemaVersion": 2, "x": ' + b"[" * 2**20 + b"]" * 2**20 + b"}"
        registry.answers["manifest"] = answer(deep, Content_Type=oci.OCI_MANIFEST)
        await refused(registry, tmp_path, errors.ArtifactMismatch, "sent no manifest")


# Where it sends this host.


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("file:///etc/passwd", "is no web address"),
        ("ftp://registry.example/x", "is no web address"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "is no web address"),
        ("data:application/wasm;base64,AGFzbQEAAAA=", "is no web address"),
        ("https://user:word@registry.example/x", "has a user in it"),
        ("http://registry.example/x", "without TLS"),
        ("https://10.0.0.1/x", "whose address is not public"),
        ("https://169.254.169.254/latest/meta-data", "whose address is not public"),
        ("https://[::1]/x", "whose address is not public"),
        ("https://[::ffff:10.0.0.1]/x", "whose address is not public"),
        ("https://[64:ff9b::7f00:1]/x", "whose address is not public"),
        ("https://[fe80::1]/x", "whose address is not public"),
        ("https://0.0.0.0/x", "whose address is not public"),
        ("https://[/x", "gave no address"),
    ],
)
@pytest.mark.parametrize("what", ["manifest", "module"])
async def test_a_redirect_to_where_it_must_not_lead_is_refused(tmp_path: Path, to: str, said: str, what: str) -> None:
    async with hostile() as registry:
        registry.answers[what] = redirect(to)
        await refused(registry, tmp_path, errors.RegistryRefused, said)


@pytest.mark.parametrize("target", ["127.0.0.1", "localhost", "inside.test", "2130706433", "0x7f.1"])
async def test_no_redirect_reaches_this_machine(tmp_path: Path, target: str) -> None:
    names = {"registry.test": ["127.0.0.1"], "inside.test": ["127.0.0.1"], "localhost": ["127.0.0.1"]}
    names |= {"2130706433": ["127.0.0.1"], "0x7f.1": ["127.0.0.1"]}  # as the system's own resolver reads them
    async with hostile(host="registry.test") as registry, victim() as inside:
        registry.answers["module"] = redirect(f"https://{target}:{inside.port}/x")
        await refused(registry, tmp_path, errors.RegistryRefused, "not public|request .* failed", resolver=Names(names))
        assert inside.connections == 0


async def test_addresses_are_looked_at_before_names_are_and_again_at_the_socket() -> None:
    """Three checks stand one behind the other; each of them alone."""
    async with victim() as inside:
        settings = RegistrySettings(insecure=frozenset({"registry.test:80"}))
        base = URL("http://registry.test/v2/")
        connections = Connections(base, settings, Names({"inside.test": ["127.0.0.1"]}))
        await connections.open()
        try:
            with pytest.raises(errors.RegistryRefused, match="whose address is not public"):
                connections.target(base, f"https://127.0.0.1:{inside.port}/", "redirect")
            for host in ("127.0.0.1", "inside.test"):
                with pytest.raises(errors.RegistryRefused, match="whose address is not public"):
                    await connections.send("GET", URL(f"https://{host}:{inside.port}/"), {})
        finally:
            await connections.close()
        assert inside.connections == 0


async def test_a_token_server_on_this_machine_is_not_asked(tmp_path: Path) -> None:
    names = Names({"registry.test": ["127.0.0.1"], "tokens.test": ["127.0.0.1"]})
    async with hostile(host="registry.test") as registry, victim() as inside:
        wanted = f'Bearer realm="https://tokens.test:{inside.port}/token",service="x"'
        registry.answers["manifest"] = answer(status=401, WWW_Authenticate=wanted)
        await refused(registry, tmp_path, errors.RegistryRefused, "not public", resolver=names)
        assert inside.connections == 0


async def test_a_private_host_is_reached_when_a_setting_names_it(tmp_path: Path) -> None:
    names = Names({"registry.test": ["127.0.0.1"], "store.test": ["127.0.0.1"]})
    async with hostile(host="registry.test") as registry, hostile(host="store.test") as store:
        registry.answers["module"] = redirect(f"http://{store.name}/blobs/x?signed=1")
        named = frozenset({registry.name, store.name})
        pulled = await registry.images(tmp_path, names, insecure=named).pull(registry.reference())
        assert pulled.path.read_bytes() == MODULE
        assert [str(request.rel_url) for request in store.seen] == ["/blobs/x?signed=1"]


async def test_a_name_means_the_same_machine_throughout_a_pull(tmp_path: Path) -> None:
    """First the registry, then a machine inside that answers at the same port: what is called DNS rebinding."""
    names = Names({"registry.test": ["127.0.0.1", "127.0.0.2"]})
    async with hostile(host="registry.test") as registry, victim("127.0.0.2", registry.port) as inside:

        async def closing(request: web.BaseRequest) -> web.StreamResponse:
            response = await registry.honest(request)
            response.force_close()
            return response

        registry.answers["manifest"] = registry.answers["config"] = closing
        pulled = await registry.images(tmp_path, names).pull(registry.reference())
        assert pulled.path.read_bytes() == MODULE
        assert inside.connections == 0
        assert names.asked == ["registry.test"]


async def test_redirects_in_a_circle_and_without_end_are_refused(tmp_path: Path) -> None:
    async with hostile() as registry:
        registry.answers["module"] = redirect("?again")
        await refused(registry, tmp_path, errors.RegistryRefused, "in a circle")

        async def further(request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": f"?{len(registry.seen)}"})

        registry.answers["module"] = further
        before = len(registry.seen)
        await refused(registry, tmp_path, errors.RegistryRefused, "redirects more than 5 times")
        assert len(registry.seen) - before < 12


# What it would like to know.


def with_login(registry: Hostile) -> dict[str, Any]:
    return {"login": Login(registry.name, Credential("user", SECRET))}


async def wants_basic(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})


async def test_a_password_is_not_sent_along_with_a_redirect(tmp_path: Path) -> None:
    async with hostile() as registry, hostile() as other:

        async def lead_away(request: web.BaseRequest) -> web.StreamResponse:
            if "Authorization" not in request.headers:
                return await wants_basic(request)
            return web.Response(status=307, headers={"Location": f"http://{other.name}{request.path}"})

        registry.answers["module"] = registry.answers["manifest"] = lead_away
        named = frozenset({registry.name, other.name})
        await registry.images(tmp_path, insecure=named, **with_login(registry)).pull(registry.reference())
        assert any("Authorization" in request.headers for request in registry.seen)
        assert other.seen
        assert not any("Authorization" in request.headers for request in other.seen)


async def test_another_server_that_asks_for_a_password_gets_none(tmp_path: Path) -> None:
    async with hostile() as registry, hostile() as other:
        registry.answers["manifest"] = redirect(f"http://{other.name}/manifests/1")
        other.answers["manifest"] = wants_basic
        named = frozenset({registry.name, other.name})
        await refused(
            registry, tmp_path, errors.RegistryRefused, "does not allow it", insecure=named, **with_login(registry)
        )
        assert not any("Authorization" in request.headers for request in other.seen)


async def test_another_server_that_names_a_token_server_gets_no_password(tmp_path: Path) -> None:
    async with hostile() as registry, hostile() as other:
        registry.answers["manifest"] = redirect(f"http://{other.name}/manifests/1")
        wanted = f'Bearer realm="http://{other.name}/token",service="x"'
        other.answers["manifest"] = answer(status=401, WWW_Authenticate=wanted)
        other.answers["token"] = answer(b'{"token": "x"}')
        named = frozenset({registry.name, other.name})
        await refused(
            registry, tmp_path, errors.RegistryRefused, "does not allow it", insecure=named, **with_login(registry)
        )
        assert [request.path for request in other.seen] == ["/manifests/1"]


async def test_a_token_server_without_tls_gets_no_password(tmp_path: Path) -> None:
    async with hostile() as registry, hostile() as tokens:
        wanted = f'Bearer realm="http://{tokens.name}/token",service="x"'
        registry.answers["manifest"] = answer(status=401, WWW_Authenticate=wanted)
        await refused(registry, tmp_path, errors.RegistryRefused, "without TLS", **with_login(registry))
        assert tokens.seen == []


async def test_a_login_goes_to_its_own_registry_only(tmp_path: Path) -> None:
    async with hostile() as registry, hostile() as other:
        other.answers["manifest"] = wants_basic
        images = other.images(tmp_path, **with_login(registry))
        with pytest.raises(errors.RegistryRefused, match="wants a user and a password"):
            await images.pull(other.reference())
        assert not any("Authorization" in request.headers for request in other.seen)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_a_password_that_is_said_back_shows_up_nowhere(
    tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with hostile() as registry:

        async def say_back(request: web.BaseRequest) -> web.StreamResponse:
            if "Authorization" not in request.headers:
                return await wants_basic(request)
            said = {"errors": [{"code": SECRET, "message": f"{SECRET} {request.headers['Authorization']}"}]}
            return web.json_response(said, status=status, reason=SECRET, headers={"Location": f"https://x/{SECRET}"})

        registry.answers["manifest"] = say_back
        images = registry.images(tmp_path, **with_login(registry))
        with pytest.raises(errors.ArtifactError) as caught:
            await images.pull(registry.reference())
        shown = f"{caught.value!r} {caught.value} {caught.value.remedy} {images.pull._settings!r} {caplog.text}"
        basic = Credential("user", SECRET).basic.removeprefix("Basic ")
        assert SECRET not in shown
        assert basic not in shown


@pytest.mark.parametrize("token", ["", "two\r\nlines", 'a"b c', 7, None, ["x"], "\u20ac"])
async def test_a_token_that_is_none_is_refused(tmp_path: Path, token: Any) -> None:
    async with hostile() as registry:
        wanted = f'Bearer realm="http://{registry.name}/token",service="x"'
        registry.answers["manifest"] = answer(status=401, WWW_Authenticate=wanted)
        registry.answers["token"] = answer(json.dumps({"token": token}).encode())
        await refused(registry, tmp_path, errors.RegistryRefused, "gave no token")


async def test_a_token_without_end_is_cut_off_and_a_token_server_is_followed_nowhere(tmp_path: Path) -> None:
    async with hostile() as registry:
        wanted = f'Bearer realm="http://{registry.name}/token",service="x",scope="repository:other/secret:push"'
        registry.answers["manifest"] = answer(status=401, WWW_Authenticate=wanted)
        registry.answers["token"] = endless
        await refused(registry, tmp_path, errors.ArtifactMismatch, "more than 65536 bytes")
        registry.answers["token"] = redirect("/other")
        await refused(registry, tmp_path, errors.RegistryRefused, "answers with status 307")
        asked = [request.query for request in registry.seen if request.path == "/token"]
        assert {query["scope"] for query in asked} == {"repository:team/module:pull"}, (
            "what is needed, not what it says"
        )


async def test_a_login_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    async with hostile() as registry:
        registry.answers["manifest"] = answer(status=401, WWW_Authenticate="Negotiate abc==")
        await refused(registry, tmp_path, errors.RegistryRefused, "of a kind that is not known", **with_login(registry))
        registry.answers["manifest"] = answer(status=401)
        await refused(registry, tmp_path, errors.RegistryRefused, "of a kind that is not known", **with_login(registry))


async def test_a_registry_that_is_not_named_as_insecure_is_not_spoken_to_without_tls(tmp_path: Path) -> None:
    async with hostile() as registry:
        named = frozenset({f"127.0.0.1:{registry.port + 1}"})
        await refused(registry, tmp_path, errors.RegistryRefused, "does not prove who it is", insecure=named)
        assert registry.seen == []
