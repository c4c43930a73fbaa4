"""A module from a file into a registry: what is there already is not sent again, and the manifest goes last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from yarl import URL

from lattice import errors, wasmfile
from lattice.artifacts import module_file, oci
from lattice.artifacts.arriving import Progress
from lattice.artifacts.reference import ImageReference
from lattice.artifacts.registry import Registry
from lattice.artifacts.settings import RegistrySettings

_log = logging.getLogger("lattice.registry")

ACTIONS = "pull,push"
WRITE_BYTES = 64 * 1024
"""What is given to a connection at once, and after which progress is told."""
CHUNK_BYTES = 8 * 1024 * 1024
"""A request of an upload in pieces: proxies that refuse whole modules take so much."""
CHUNK_BYTES_MAX = 64 * 1024 * 1024
"""The largest piece that a registry may ask for as its smallest."""
NOT_WHOLE = (404, 405, 411, 413, 415, 501)
"""What registries and proxies answer that take uploads in pieces only."""


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """`digest` is the manifest's, `module` that of the module; `sent` are the bytes of content that were not there."""

    reference: str
    digest: str
    module: str
    size: int
    sent: int


async def push(
    file: Path,
    reference: ImageReference,
    settings: RegistrySettings,
    progress: Progress = lambda done, size: None,
    resolver: AbstractResolver | None = None,
) -> Pushed:
    """Makes `reference` mean the module in a file. Raises `errors.ArtifactError`, `errors.ConfigError`."""
    data = await asyncio.to_thread(read_module, file)
    module = await asyncio.to_thread(oci.digest_of, data)
    config, manifest = oci.make(data, module, file.name)
    digest = oci.digest_of(manifest)
    if reference.digest and reference.digest != digest:
        raise errors.ArtifactMismatch(
            f"{file} makes an image with the digest {digest}, and {reference} was to be pushed",
            remedy="push to a tag",
        )
    sent = 0
    async with Registry(reference, settings, resolver) as registry:
        for content, of in ((config, oci.digest_of(config)), (data, module)):
            upload = Upload(registry, content, of, progress if content is data else lambda done, size: None)
            sent += await registry.repeated(upload.run, registry.patience.transfer_s(len(content)))
        tag = reference.tag or digest
        await registry.repeated(lambda: _put_manifest(registry, tag, manifest, digest), registry.patience.answer_s)
    return Pushed(reference=str(reference), digest=digest, module=module, size=len(data), sent=sent)


def read_module(file: Path) -> bytes:
    """The bytes of a file, which are WebAssembly. Raises `errors.ArtifactUnreadable`, `errors.NotWasm`."""
    data = module_file.read(file)
    try:
        wasmfile.describe(data)
    except errors.ArtifactError as error:
        raise type(error)(f"{file}: {error.message}", remedy=error.remedy) from error
    return data


class Upload:
    """One content on its way."""

    def __init__(self, registry: Registry, data: bytes, digest: str, progress: Progress) -> None:
        self._registry = registry
        self._data = data
        self._digest = digest
        self._progress = progress
        self._whole = True

    async def run(self) -> int:
        """How many bytes were sent: none when the registry has them. Raises `errors.ArtifactError`."""
        registry, size = self._registry, len(self._data)
        async with registry.request("HEAD", registry.base / f"blobs/{self._digest}", actions=ACTIONS) as response:
            if response.status == 200:
                self._progress(size, size)
                return 0
        whole, self._whole = self._whole, False  # what fails is tried again in pieces
        if not whole or not await self._send_whole():
            await self._send_pieces()
        return size

    async def _begin(self) -> tuple[URL, int]:
        """Where an upload goes, and the smallest piece that the registry takes."""
        registry = self._registry
        url = registry.base / "blobs" / "uploads" / ""
        async with registry.request("POST", url, actions=ACTIONS) as response:
            if response.status != 202:
                raise await registry.failure(response, f"place for an upload to {registry.reference}")
            smallest = response.headers.get("OCI-Chunk-Min-Length", "")
            target = registry.upload_url(response.url, response.headers.get("Location", ""))
            return target, int(smallest) if smallest.isascii() and smallest.isdigit() and len(smallest) < 12 else 0

    async def _send_whole(self) -> bool:
        """In one request; False when the registry wants pieces."""
        registry = self._registry
        url, _ = await self._begin()
        async with registry.request(
            "PUT",
            _with_digest(url, self._digest),
            actions=ACTIONS,
            headers=self._headers(len(self._data)),
            body=lambda: self._body(0, len(self._data)),
        ) as response:
            if response.status in NOT_WHOLE:
                return False
            await self._check(response)
            return True

    async def _send_pieces(self) -> None:
        registry = self._registry
        url, smallest = await self._begin()
        step = max(CHUNK_BYTES, smallest)
        if step > CHUNK_BYTES_MAX:
            raise errors.RegistryRefused(f"{registry.reference.registry} wants pieces of {smallest} bytes at least")
        for begin in range(0, len(self._data), step):
            url = await self._send_piece(url, begin, min(begin + step, len(self._data)))
        final = _with_digest(url, self._digest)
        async with registry.request("PUT", final, actions=ACTIONS, headers=self._headers(0)) as response:
            await self._check(response)

    async def _send_piece(self, url: URL, begin: int, end: int) -> URL:
        """Returns where the next one goes."""
        registry = self._registry
        headers = {**self._headers(end - begin), "Content-Range": f"{begin}-{end - 1}"}
        async with registry.request(
            "PATCH", url, actions=ACTIONS, headers=headers, body=lambda: self._body(begin, end)
        ) as response:
            if response.status != 202:
                raise await registry.failure(response, f"upload to {registry.reference}")
            return registry.upload_url(response.url, response.headers.get("Location", str(url)))

    async def _body(self, begin: int, end: int) -> AsyncIterator[bytes]:
        for place in range(begin, end, WRITE_BYTES):
            last = min(place + WRITE_BYTES, end)
            yield self._data[place:last]
            self._progress(last, len(self._data))

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status not in (201, 204):
            raise await self._registry.failure(response, f"upload to {self._registry.reference}")

    @staticmethod
    def _headers(size: int) -> dict[str, str]:
        return {"Content-Type": "application/octet-stream", "Content-Length": str(size)}


def _with_digest(url: URL, digest: str) -> URL:
    """The query that is there may be signed and stays as it is."""
    return URL(f"{url}{'&' if url.raw_query_string else '?'}digest={digest}", encoded=True)


async def _put_manifest(registry: Registry, tag: str, manifest: bytes, digest: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield manifest

    url = registry.base / "manifests" / tag
    headers = {"Content-Type": oci.OCI_MANIFEST, "Content-Length": str(len(manifest))}
    async with registry.request("PUT", url, actions=ACTIONS, headers=headers, body=body) as response:
        if response.status not in (200, 201):
            raise await registry.failure(response, str(registry.reference))
        said = response.headers.get("Docker-Content-Digest", digest)
        if said.startswith("sha256:") and said != digest:
            raise errors.ArtifactMismatch(f"{registry.reference} was kept by the registry as {said}, and is {digest}")
    _log.info("pushed %s as %s", registry.reference, digest)
