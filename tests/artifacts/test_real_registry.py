"""Pushing to and pulling from a real registry: open, with a password, with tokens, with a private authority."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lattice import errors
from lattice.artifacts import oci, push
from lattice.artifacts.credentials import Credential, Login
from lattice.artifacts.images import Images
from lattice.artifacts.reference import parse
from lattice.artifacts.settings import Patience, RegistrySettings
from tests.artifacts.hostile import MODULE, files
from tests.artifacts.token_server import IDENTITY, token_server
from tests.nats_server.certificates import write_certificates
from tests.support.registry import PASSWORD, USER, registry_server, registry_with_password
from tests.support.servers import Server

PATIENCE = Patience(backoff_s=0.01, attempts=2)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.wasm"
    path.write_bytes(MODULE)
    return path


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "registry").mkdir()
    with registry_server(tmp_path / "registry") as server:
        yield server


def settings(server: Server, **more: Any) -> RegistrySettings:
    more.setdefault("insecure", frozenset({f"127.0.0.1:{server.port}"}))
    return RegistrySettings(patience=PATIENCE, **more)


def images(folder: Path, server: Server, **more: Any) -> Images:
    return Images(folder / "cache", registries=settings(server, **more))


def name(server: Server, tag: str = ":1.0") -> str:
    return f"127.0.0.1:{server.port}/team/module{tag}"


async def test_what_is_pushed_is_pulled_by_tag_and_by_digest(tmp_path: Path, module: Path, registry: Server) -> None:
    told: list[tuple[int, int]] = []
    reached = settings(registry)
    pushed = await push.push(module, parse(name(registry)), reached, lambda done, size: told.append((done, size)))
    assert told[-1] == (len(MODULE), len(MODULE))
    assert pushed.sent > len(MODULE), "and its configuration"
    by_tag = await images(tmp_path / "one", registry).pull(parse(name(registry)))
    by_digest = await images(tmp_path / "two", registry).pull(parse(name(registry, f"@{pushed.digest}")))
    both = await images(tmp_path / "three", registry).pull(parse(name(registry, f":other@{pushed.digest}")))
    for pulled in (by_tag, by_digest, both):
        assert pulled.path.read_bytes() == MODULE
        assert (pulled.digest, pulled.module, pulled.from_cache) == (pushed.digest, pushed.module, False)


async def test_what_is_there_is_neither_sent_nor_fetched_again(tmp_path: Path, module: Path, registry: Server) -> None:
    first = await push.push(module, parse(name(registry)), settings(registry))
    again = await push.push(module, parse(name(registry, ":2.0")), settings(registry))
    assert (again.digest, again.sent) == (first.digest, 0), "the same file is the same image"
    cache = images(tmp_path, registry)
    await cache.pull(parse(name(registry)))
    assert (await cache.pull(parse(name(registry, ":2.0")))).from_cache


async def test_a_module_goes_in_pieces_where_it_does_not_go_whole(
    tmp_path: Path, module: Path, registry: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "NOT_WHOLE", (*push.NOT_WHOLE, 201))
    monkeypatch.setattr(push, "CHUNK_BYTES", 50_000)
    await push.push(module, parse(name(registry)), settings(registry))
    log = (registry.folder / "server.log").read_text()
    assert log.count('"PATCH ') >= len(MODULE) // 50_000
    pulled = await images(tmp_path, registry).pull(parse(name(registry)))
    assert pulled.path.read_bytes() == MODULE


@pytest.mark.parametrize("there", [1, 100_000, len(MODULE)])
async def test_a_download_goes_on_where_it_ended(tmp_path: Path, module: Path, registry: Server, there: int) -> None:
    await push.push(module, parse(name(registry)), settings(registry))
    cache = images(tmp_path, registry)
    part = cache.blobs.begin(oci.digest_of(MODULE).removeprefix("sha256:"))
    assert part is not None
    part.write(MODULE[:there])
    part.close()
    pulled = await cache.pull(parse(name(registry)))
    assert pulled.path.read_bytes() == MODULE
    log = (registry.folder / "server.log").read_text()
    assert log.count('" 206 ') == (there < len(MODULE))


async def test_a_part_that_is_wrong_is_thrown_away(tmp_path: Path, module: Path, registry: Server) -> None:
    await push.push(module, parse(name(registry)), settings(registry))
    cache = images(tmp_path, registry)
    for wrong in (b"x" * 1000, b"x" * len(MODULE), b"x" * (len(MODULE) + 1)):
        digest = oci.digest_of(MODULE).removeprefix("sha256:")
        part = cache.blobs.begin(digest)
        assert part is not None
        part.write(wrong)
        part.close()
        assert (await cache.pull(parse(name(registry)))).path.read_bytes() == MODULE
        cache.blobs.path(digest).unlink()


async def test_without_the_registry_the_cache_serves(
    tmp_path: Path, module: Path, registry: Server, caplog: pytest.LogCaptureFixture
) -> None:
    pushed = await push.push(module, parse(name(registry)), settings(registry))
    cache = images(tmp_path, registry)
    await cache.pull(parse(name(registry)))
    registry.stop()
    said: list[str] = []
    path = await cache.fetch(f"oci://{name(registry)}", said.append)
    assert path.read_bytes() == MODULE
    assert "its registry cannot be reached" in said[0]
    assert "is taken from the cache as it was" in caplog.text
    by_digest = await cache.pull(parse(name(registry, f"@{pushed.digest}")))
    assert (by_digest.path, by_digest.stale_s) == (path, None)
    for unknown in (":other", "@" + oci.digest_of(b"other")):
        with pytest.raises(errors.RegistryUnavailable, match="Connection refused"):
            await cache.pull(parse(name(registry, unknown)))
    with pytest.raises(errors.RegistryUnavailable):
        await cache.pull(parse(name(registry)), stale=False)


async def test_a_tag_that_is_gone_is_not_served_from_the_cache(tmp_path: Path, module: Path, registry: Server) -> None:
    await push.push(module, parse(name(registry)), settings(registry))
    cache = images(tmp_path, registry)
    await cache.pull(parse(name(registry)))
    registry.stop()
    import shutil

    shutil.rmtree(tmp_path / "registry" / "content")
    registry.start()
    with pytest.raises(errors.RegistryRefused, match=r"has no 127\.0\.0\.1:"):
        await cache.pull(parse(name(registry)))


async def test_what_is_corrupt_in_the_cache_is_fetched_again(tmp_path: Path, module: Path, registry: Server) -> None:
    await push.push(module, parse(name(registry)), settings(registry))
    cache = images(tmp_path, registry)
    path = (await cache.pull(parse(name(registry)))).path
    for name_ in files(tmp_path):
        file = path.parent / name_
        file.chmod(0o600)
        file.write_bytes(b"!" + file.read_bytes()[1:])
    pulled = await cache.pull(parse(name(registry)))
    assert (pulled.path.read_bytes(), pulled.from_cache) == (MODULE, False)


async def test_several_pulls_at_once_download_once(tmp_path: Path, module: Path, registry: Server) -> None:
    await push.push(module, parse(name(registry)), settings(registry))
    caches = [images(tmp_path, registry) for _ in range(8)]
    pulled = await asyncio.gather(*(cache.pull(parse(name(registry))) for cache in caches))
    assert {one.path.read_bytes() for one in pulled} == {MODULE}
    log = (registry.folder / "server.log").read_text()
    assert log.count(f'"GET /v2/team/module/blobs/{oci.digest_of(MODULE)}') == 1


PULLER = """
import asyncio, sys
from pathlib import Path
from lattice.artifacts.images import Images
from lattice.artifacts.reference import parse
from lattice.artifacts.settings import RegistrySettings

name = sys.argv[2]
settings = RegistrySettings(insecure=frozenset({name.partition("/")[0]}))
print(asyncio.run(Images(Path(sys.argv[1]), registries=settings).pull(parse(name))).path.stat().st_size)
"""


async def test_processes_share_a_cache(tmp_path: Path, module: Path, registry: Server) -> None:
    await push.push(module, parse(name(registry)), settings(registry))
    command = [sys.executable, "-c", PULLER, str(tmp_path / "cache"), name(registry)]
    pipe = asyncio.subprocess.PIPE
    children = [await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe) for _ in range(4)]
    done = await asyncio.gather(*(child.communicate() for child in children))
    assert [out.strip() for out, _ in done] == [str(len(MODULE)).encode()] * 4, done
    log = (registry.folder / "server.log").read_text()
    assert log.count(f'"GET /v2/team/module/blobs/{oci.digest_of(MODULE)}') == 1
    assert not [one for one in files(tmp_path) if one.endswith(".part")]


@pytest.mark.parametrize("what", ["text.wasm", "missing.wasm"])
async def test_what_is_no_module_is_not_pushed(tmp_path: Path, registry: Server, what: str) -> None:
    (tmp_path / "text.wasm").write_text("not this")
    with pytest.raises(errors.ArtifactError, match=what):
        await push.push(tmp_path / what, parse(name(registry)), settings(registry))


async def test_a_file_that_is_not_what_its_digest_says_is_not_pushed(module: Path, registry: Server) -> None:
    reference = parse(name(registry, "@" + oci.digest_of(b"other")))
    with pytest.raises(errors.ArtifactMismatch, match="was to be pushed"):
        await push.push(module, reference, settings(registry))


async def test_an_image_that_is_not_there_is_said_to_be_missing(tmp_path: Path, registry: Server) -> None:
    with pytest.raises(errors.RegistryRefused, match="has no"):
        await images(tmp_path, registry).pull(parse(name(registry, ":nothing")))


# Logins.


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "registry").mkdir()
    with registry_with_password(tmp_path / "registry") as server:
        yield server


def docker_config(folder: Path, document: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(document))
    return folder


async def test_a_password_opens_a_registry_and_a_wrong_one_does_not(
    tmp_path: Path, module: Path, locked: Server
) -> None:
    place = f"127.0.0.1:{locked.port}"
    for login in (None, Login(place, Credential(USER, "wrong")), Login("other:1", Credential(USER, PASSWORD))):
        with pytest.raises(errors.RegistryRefused, match=r"wants a user|does not accept") as caught:
            await push.push(module, parse(name(locked)), settings(locked, login=login))
        assert f"docker login {place}" in caught.value.remedy
    login = Login(place, Credential(USER, PASSWORD))
    await push.push(module, parse(name(locked)), settings(locked, login=login))
    pulled = await images(tmp_path, locked, login=login).pull(parse(name(locked)))
    assert pulled.path.read_bytes() == MODULE


async def test_docker_s_file_opens_a_registry(tmp_path: Path, module: Path, locked: Server) -> None:
    place = f"127.0.0.1:{locked.port}"
    auth = Credential(USER, PASSWORD).basic.removeprefix("Basic ")
    folder = docker_config(tmp_path / "docker", {"auths": {place: {"auth": auth}}})
    await push.push(module, parse(name(locked)), settings(locked, docker_config=folder))


async def test_tokens_for_anybody_pull_and_with_a_password_push(tmp_path: Path, module: Path) -> None:
    write_certificates(tmp_path)
    (tmp_path / "registry").mkdir()
    async with token_server(tmp_path) as tokens:
        with registry_server(tmp_path / "registry", auth=tokens.auth) as server:
            place, its = f"127.0.0.1:{server.port}", f"127.0.0.1:{tokens.port}"
            both = frozenset({place, its})
            with pytest.raises(errors.RegistryRefused, match="does not a"):
                await push.push(module, parse(name(server)), settings(server, insecure=both))
            for login in (Credential(USER, PASSWORD), Credential("", "", IDENTITY)):
                reached = settings(server, insecure=both, login=Login(place, login))
                await push.push(module, parse(name(server)), reached)
            wrong = Login(place, Credential(USER, "wrong"))
            with pytest.raises(errors.RegistryRefused, match="does not give this user a token"):
                await push.push(module, parse(name(server)), settings(server, insecure=both, login=wrong))
            pulled = await images(tmp_path, server, insecure=both).pull(parse(name(server)))
            assert pulled.path.read_bytes() == MODULE
            scopes = {(method, asked["scope"].rpartition(":")[2]) for method, asked in tokens.seen}
            assert scopes == {("GET", "pull,push"), ("POST", "pull,push"), ("GET", "pull")}


# TLS.


async def test_a_private_authority_is_trusted_when_it_is_named(tmp_path: Path, module: Path) -> None:
    write_certificates(tmp_path)
    (tmp_path / "registry").mkdir()
    tls = {"certificate": str(tmp_path / "server.pem"), "key": str(tmp_path / "server.key")}
    with registry_with_password(tmp_path / "registry", tls=tls) as server:
        login = Login(f"127.0.0.1:{server.port}", Credential(USER, PASSWORD))
        strict = {"insecure": frozenset(), "login": login}
        with pytest.raises(errors.RegistryRefused, match="does not prove who it is") as caught:
            await push.push(module, parse(name(server)), settings(server, **strict))
        assert "--registry-ca" in caught.value.remedy
        trusted = {**strict, "ca": tmp_path / "ca.pem"}
        await push.push(module, parse(name(server)), settings(server, **trusted))
        pulled = await images(tmp_path, server, **trusted).pull(parse(name(server)))
        assert pulled.path.read_bytes() == MODULE
        # Whoever stands between may make the cache old by cutting the line, and not by showing another certificate.
        with pytest.raises(errors.RegistryRefused):
            await images(tmp_path, server, **strict).pull(parse(name(server)))
        with pytest.raises(errors.ConfigError, match="no certificates"):
            await images(tmp_path, server, **{**strict, "ca": module}).pull(parse(name(server)))
