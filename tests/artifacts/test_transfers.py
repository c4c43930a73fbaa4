"""Downloads that break and go on, retries that end, and uploads to registries with wishes of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from lattice import errors
from lattice.artifacts import oci
from lattice.artifacts.credentials import Credential, Login
from lattice.artifacts.push import push
from tests.artifacts.hostile import MODULE, PATIENCE, Hostile, files, hostile

PART = oci.digest_of(MODULE).removeprefix("sha256:") + ".part"


class Received:
    """How far a pull says that it is: what breaks a connection waits for it, since what lies in buffers is lost."""

    def __init__(self) -> None:
        self.told: list[int] = []

    def __call__(self, done: int, _size: int) -> None:
        self.told.append(done)

    async def until(self, size: int) -> None:
        while not self.told or self.told[-1] < size:
            await asyncio.sleep(0.005)


async def broken_off(request: web.BaseRequest, received: Received, begin: int, end: int) -> web.StreamResponse:
    """Says that everything comes, sends less, and is gone."""
    status, headers = 200, {"Content-Length": str(len(MODULE) - begin)}
    if begin:
        status, headers["Content-Range"] = 206, f"bytes {begin}-{len(MODULE) - 1}/{len(MODULE)}"
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    await response.write(MODULE[begin:end])
    await received.until(min(end, len(MODULE)))
    assert request.transport is not None
    request.transport.close()
    return response


def asked_from(request: web.BaseRequest) -> int:
    return int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))


def starts(registry: Hostile) -> list[int]:
    return [asked_from(request) for request in registry.seen if request.path.endswith(registry.digest)]


async def test_a_download_that_breaks_goes_on_where_it_ended(tmp_path: Path) -> None:
    received = Received()

    async def breaking(request: web.BaseRequest) -> web.StreamResponse:
        begin = asked_from(request)
        return await broken_off(request, received, begin, begin + 60_000)

    async with hostile() as registry:
        registry.answers["module"] = breaking
        pulled = await registry.images(tmp_path).pull(registry.reference(), received)
        assert pulled.path.read_bytes() == MODULE
        assert starts(registry) == [0, 60_000, 120_000]
        assert received.told == sorted(received.told)
        assert received.told[-1] == len(MODULE)


async def test_attempts_end_and_the_next_pull_goes_on(tmp_path: Path) -> None:
    received = Received()

    async def breaking(request: web.BaseRequest) -> web.StreamResponse:
        begin = asked_from(request)
        return await broken_off(request, received, begin, begin + 10_000)

    async with hostile() as registry:
        registry.answers["module"] = breaking
        with pytest.raises(errors.RegistryUnavailable, match="broke"):
            await registry.images(tmp_path).pull(registry.reference(), received)
        assert len(starts(registry)) == PATIENCE.attempts
        assert PART in files(tmp_path)
        del registry.answers["module"]
        pulled = await registry.images(tmp_path).pull(registry.reference())
        assert pulled.path.read_bytes() == MODULE
        assert starts(registry)[-1] == 30_000, "and a registry that does not know ranges sends all of it"


async def test_a_rest_that_is_another_than_was_asked_for_is_refused(tmp_path: Path) -> None:
    received = Received()

    async def lying(request: web.BaseRequest) -> web.StreamResponse:
        begin = asked_from(request)
        if not begin:
            return await broken_off(request, received, 0, 1000)
        headers = {"Content-Range": f"bytes 0-{len(MODULE) - 1}/{len(MODULE)}"}
        return web.Response(status=206, body=MODULE, headers=headers)

    async with hostile() as registry:
        registry.answers["module"] = lying
        with pytest.raises(errors.ArtifactMismatch, match="another range"):
            await registry.images(tmp_path).pull(registry.reference(), received)
        assert PART not in files(tmp_path)


async def test_where_there_is_no_rest_it_begins_anew(tmp_path: Path) -> None:
    received = Received()

    async def no_rest(request: web.BaseRequest) -> web.StreamResponse:
        if asked_from(request):
            return web.Response(status=416)
        return await (
            broken_off(request, received, 0, 1000) if len(starts(registry)) == 1 else registry.honest(request)
        )

    async with hostile() as registry:
        registry.answers["module"] = no_rest
        pulled = await registry.images(tmp_path).pull(registry.reference(), received)
        assert pulled.path.read_bytes() == MODULE
        assert starts(registry) == [0, 1000, 0]


@pytest.mark.parametrize("what", ["manifest", "config", "module"])
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_registry_that_is_busy_is_asked_again(tmp_path: Path, what: str, status: int) -> None:
    failures = 2

    async def busy(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal failures
        failures -= 1
        return web.Response(status=status) if failures >= 0 else await registry.honest(request)

    async with hostile() as registry:
        registry.answers[what] = busy
        assert (await registry.images(tmp_path).pull(registry.reference())).module == registry.digest
        failures = 1000
        with pytest.raises(errors.RegistryUnavailable, match=f"status {status}"):
            await registry.images(tmp_path / "other").pull(registry.reference())


async def test_a_pull_that_is_cancelled_leaves_its_part_to_the_next(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(MODULE))})
        await response.prepare(request)
        await response.write(MODULE[:100_000])
        begun.set()
        await asyncio.sleep(3600)
        return response

    async with hostile() as registry:
        registry.answers["module"] = slow
        images = registry.images(tmp_path)
        received = asyncio.Event()
        pulling = asyncio.create_task(images.pull(registry.reference(), lambda done, size: received.set()))
        await begun.wait()
        await received.wait()
        pulling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pulling
        part = images.blobs.begin(PART.removesuffix(".part"))
        assert part is not None, "its lock is given back"
        part.resume(len(MODULE))
        assert 0 < part.size <= 100_000
        part.close()


async def test_a_cache_has_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lattice.artifacts.blobs.USED_LATELY_S", -1)
    async with hostile() as registry:
        images = registry.images(tmp_path)
        images.blobs._bytes_max = 10
        old = images.blobs.put(oci.digest_of(b"old" * 40).removeprefix("sha256:"), b"old" * 40)
        with pytest.raises(errors.ArtifactUnreadable, match="did not stay in the cache"):
            await images.pull(registry.reference())
        assert not old.exists()
        assert PART not in files(tmp_path)


# Uploads.


class Wishes(Hostile):
    """Takes uploads. `location` is where it wants them, `whole` whether in one request."""

    def __init__(self) -> None:
        super().__init__()
        self.location = "/upload?state=a%2Fb"
        self.whole = True
        self.smallest = ""
        self.said = ""
        self.received = b""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(request)
        if request.method == "POST":
            return web.Response(status=202, headers={"Location": self.location, "OCI-Chunk-Min-Length": self.smallest})
        if request.method == "PATCH":
            self.received += await request.read()
            return web.Response(status=202, headers={"Location": self.location})
        if request.method == "PUT" and "/manifests/" in request.path:
            headers = {"Docker-Content-Digest": self.said} if self.said else {}
            return web.Response(status=201, headers=headers)
        if request.method == "PUT":
            data = await request.read()
            if data and not self.whole:
                return web.Response(status=413)
            return web.Response(status=201)
        return web.Response(status=404)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.wasm"
    path.write_bytes(MODULE)
    return path


async def pushing(wishes: Wishes, module: Path, **more: Any) -> None:
    async with hostile() as registry:
        registry.__class__ = Wishes
        registry.__dict__ |= {key: value for key, value in wishes.__dict__.items() if key not in ("port", "host")}
        wishes.port = registry.port
        named = more.pop("insecure", frozenset({registry.name}))
        await push(module, registry.reference(), registry.settings(insecure=named, **more))


async def test_an_upload_goes_where_the_registry_says_with_what_it_says(module: Path) -> None:
    wishes = Wishes()
    await pushing(wishes, module)
    places = [str(request.rel_url) for request in wishes.seen if request.method == "PUT" and request.path == "/upload"]
    assert places[-1].endswith(f"/upload?state=a%2Fb&digest={oci.digest_of(MODULE)}"), "its state is not touched"


async def test_pieces_have_the_size_that_the_registry_wants(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lattice.artifacts.push.CHUNK_BYTES", 1000)
    wishes = Wishes()
    wishes.whole, wishes.smallest = False, "70000"
    await pushing(wishes, module)
    ranges = [request.headers["Content-Range"] for request in wishes.seen if request.method == "PATCH"]
    assert ranges[-3:] == ["0-69999", "70000-139999", f"140000-{len(MODULE) - 1}"]


@pytest.mark.parametrize(
    ("wish", "error", "said"),
    [
        ({"location": "file:///etc/passwd"}, errors.RegistryRefused, "no web address"),
        ({"location": "https://10.0.0.1/upload"}, errors.RegistryRefused, "not public"),
        ({"location": "http://registry.example/upload"}, errors.RegistryRefused, "without TLS"),
        ({"whole": False, "smallest": "99999999999"}, errors.RegistryRefused, "wants pieces of"),
        ({"said": oci.digest_of(b"other")}, errors.ArtifactMismatch, "was kept by the registry as"),
    ],
)
async def test_wishes_that_are_not_granted(
    module: Path, wish: dict[str, Any], error: type[errors.LatticeError], said: str
) -> None:
    wishes = Wishes()
    wishes.__dict__ |= wish
    with pytest.raises(error, match=said):
        await pushing(wishes, module)


async def test_an_upload_to_another_host_takes_no_password_along(module: Path) -> None:
    async with hostile() as store:
        store.__class__ = Wishes
        store.__dict__ |= {
            key: value for key, value in Wishes().__dict__.items() if key not in ("port", "host", "seen")
        }
        wishes = Wishes()
        wishes.location = f"http://{store.name}/upload"
        async with hostile() as registry:

            async def locked(request: web.BaseRequest) -> web.StreamResponse:
                if "Authorization" not in request.headers:
                    return web.Response(status=401, headers={"WWW-Authenticate": "Basic realm=x"})
                return await Wishes.__call__(wishes, request)

            registry.answers = {"manifest": locked, "config": locked, "module": locked}
            login = Login(registry.name, Credential("user", "word"))
            named = frozenset({registry.name, store.name})
            await push(module, registry.reference(), registry.settings(insecure=named, login=login))
            assert any(request.method == "PUT" for request in store.seen)
            assert not any("Authorization" in request.headers for request in store.seen)


async def test_a_registry_that_takes_nothing_ends_with_its_time(module: Path) -> None:
    async with hostile() as registry:

        async def stuck(request: web.BaseRequest) -> web.StreamResponse:
            if request.method == "HEAD":
                return web.Response(status=404)
            await asyncio.sleep(3600)
            raise AssertionError

        registry.answers = {"manifest": stuck, "config": stuck, "module": stuck}
        patience = msgspec.structs.replace(PATIENCE, answer_s=0.3)
        with pytest.raises(errors.RegistryUnavailable, match="did not do within"):
            await push(module, registry.reference(), registry.settings(patience=patience))
