"""The blobstore contract over any `Store`. A backend subclasses `Blobstore` and says how to open its store."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Protocol

import pydantic

from lattice import errors
from lattice.contracts import blobstore as api
from lattice.provider import Link, Provider, Settings
from lattice_blobstore import listing, ranges
from lattice_blobstore.downloads import Download, Downloads, Place
from lattice_blobstore.sharing import SharedStores
from lattice_blobstore.store import Container, NoContainer, NoObject, Store
from lattice_blobstore.uploads import Upload, Uploads

MIB = 1024 * 1024
ID_BYTES_MAX = 1024
"""The longest object or container id, in UTF-8: what S3 allows for a key, so that an id fits every backend."""
HEADER_CHARS_MAX = 255
"""The longest content type or encoding. Real ones are below 100; stores keep them in headers and small records."""


class BlobSettings(Settings):
    """What every blob store can be told about a link."""

    chunk_bytes: int = pydantic.Field(512 * 1024, ge=1, le=8 * MIB)
    """The most bytes in one chunk to the actor. Half a MiB keeps one message of a lattice below its 900 KiB."""
    object_bytes_max: int = pydantic.Field(10 * 1024 * MIB, ge=1)
    """The largest object that can be put: one actor must not fill the store with one upload."""
    uploads_max: int = pydantic.Field(32, ge=1)
    """Unfinished uploads of this link. Each holds a temporary file or a buffer."""
    upload_idle_s: float = pydantic.Field(60.0, gt=0)
    """An upload without a new chunk for so long is dropped: its actor is gone."""
    chunk_call_s: float = pydantic.Field(10.0, gt=0)
    """How long the actor may take over one chunk of a download."""


class ProviderSettings(Settings):
    """What is set once for the provider."""

    downloads_max: int = pydantic.Field(64, ge=1)
    """Objects being sent at the same time, over all links. Each holds one chunk and an open object."""


class Attached:
    """One link: where its bytes are and what is unfinished."""

    def __init__(self, link: Link, settings: BlobSettings, store: Store, uploads: Uploads) -> None:
        self.link = link
        self.settings = settings
        self.store = store
        self.uploads = uploads


class Blobstore(Provider[Attached, None]):
    """Subclasses set `name` and `attach_settings_type` and write `open_store`."""

    contract = api.CONTRACT
    settings_type: ClassVar[type[Settings]] = ProviderSettings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._stores = SharedStores()

    @abstractmethod
    async def open_store(self, settings: BlobSettings) -> Store:
        """Opens the place that the settings of a link name. Raises `errors.ConfigError` when they cannot be used."""

    def store_key(self, settings: BlobSettings) -> object:
        """Links for which this is equal share one store."""
        return tuple((name, value) for name, value in settings if name not in BlobSettings.model_fields)

    async def start(self) -> None:
        self._downloads = Downloads(self.context, self.settings.downloads_max)

    async def attach(self, link: Link, settings: BlobSettings) -> Attached:
        store = await self._stores.take(self.store_key(settings), lambda: self.open_store(settings))
        uploads = Uploads(settings.uploads_max, settings.upload_idle_s, self.context.spawn, self.context.log)
        return Attached(link, settings, store, uploads)

    async def detach(self, link: Link, attached: Attached) -> None:
        await self._downloads.cancel(link)
        await attached.uploads.close()
        await self._stores.give_back(self.store_key(attached.settings))

    async def health(self) -> None:
        await self._stores.check()

    async def drain(self) -> None:
        await self._downloads.wait()

    async def stop(self) -> None:
        await self._downloads.cancel()
        for attached in list(self._attached.values()):
            await attached.uploads.close()
        await self._stores.close()

    async def container_exists(self, attached: Attached, container: str) -> bool:
        try:
            await attached.store.container(_id("container", container))
        except NoContainer:
            return False
        return True

    async def create_container(self, attached: Attached, container: str) -> None:
        await attached.store.create(_id("container", container))

    async def get_container_info(self, attached: Attached, container: str) -> api.ContainerMetadata:
        return _container(await attached.store.container(_id("container", container)))

    async def list_containers(self, attached: Attached) -> list[api.ContainerMetadata]:
        return [_container(found) for found in await attached.store.containers()]

    async def remove_containers(self, attached: Attached, containers: list[str]) -> list[api.ItemResult]:
        failed = []
        for container in containers:
            try:
                await attached.store.remove_container(_id("container", container))
            except errors.CallError as error:
                failed.append(api.ItemResult(key=container, success=False, error=error.message))
        return failed

    async def object_exists(self, attached: Attached, which: api.ContainerObject) -> bool:
        try:
            await attached.store.info(*_ids(which))
        except (NoContainer, NoObject):
            return False
        return True

    async def get_object_info(self, attached: Attached, which: api.ContainerObject) -> api.ObjectMetadata:
        return listing.metadata(which.container_id, await attached.store.info(*_ids(which)))

    async def list_objects(self, attached: Attached, request: api.ListObjectsRequest) -> api.ListObjectsResponse:
        _id("container", request.container_id)
        return await listing.page(attached.store, request)

    async def remove_objects(self, attached: Attached, request: api.RemoveObjectsRequest) -> list[api.ItemResult]:
        container = _id("container", request.container_id)
        failed = []
        for object_ in request.objects:
            try:
                await attached.store.remove(container, _id("object", object_))
            except errors.CallError as error:
                failed.append(api.ItemResult(key=object_, success=False, error=error.message))
        return failed

    async def put_object(self, attached: Attached, request: api.PutObjectRequest) -> api.PutObjectResponse:
        chunk = request.chunk
        container, object_ = _ids(chunk)
        if chunk.offset:
            raise errors.ProviderError(
                f"the first chunk of {object_!r} has offset {chunk.offset}", remedy="begin an object at offset 0"
            )

        async def make() -> Upload:
            kind, encoding = _header(request.content_type), _header(request.content_encoding)
            writer = await attached.store.writer(container, object_, kind, encoding)
            return Upload(
                container, object_, writer, attached.settings.object_bytes_max, self.context.spawn, self.context.log
            )

        if chunk.is_last:
            await (await make()).add(chunk.bytes, 0, last=True)
            return api.PutObjectResponse()
        return api.PutObjectResponse(stream_id=await attached.uploads.begin(make, chunk.bytes))

    async def put_chunk(self, attached: Attached, request: api.PutChunkRequest) -> None:
        chunk = request.chunk
        stream, upload = attached.uploads.find(request.stream_id, chunk.container_id, chunk.object_id)
        if request.cancel_and_remove:
            await attached.uploads.cancel(stream, upload)
        else:
            await attached.uploads.add(stream, upload, chunk.bytes, chunk.offset, chunk.is_last)

    async def get_object(self, attached: Attached, request: api.GetObjectRequest) -> api.GetObjectResponse:
        """What is not there and ranges that do not fit are answers with `success` false, as the contract has it."""
        place = self._downloads.reserve()
        try:
            return await self._get_object(attached, request, place)
        except (NoContainer, NoObject, ranges.Unsatisfiable) as error:
            return api.GetObjectResponse(success=False, error=str(error), content_length=0)
        finally:
            place.release()

    async def _get_object(
        self, attached: Attached, request: api.GetObjectRequest, place: Place
    ) -> api.GetObjectResponse:
        container, object_ = _ids(request)
        settings = attached.settings
        offset, size = ranges.first_read(request, settings.chunk_bytes)
        reader = await attached.store.reader(container, object_, offset, size)
        sent_on = False
        try:
            start, end = ranges.span(request, reader.info.length)
            size = min(settings.chunk_bytes, end - start)
            data = await reader.read(start, size) if size else b""
            rest = Download(attached.link, reader, (container, object_), (start + size, end), settings)
            if start + size < end:
                place.start(rest)
                sent_on = True
        finally:
            if not sent_on:
                await reader.close()
        return api.GetObjectResponse(
            success=True,
            initial_chunk=api.Chunk(
                object_id=object_, container_id=container, bytes=data, offset=start, is_last=not sent_on
            ),
            content_length=end - start,
            content_type=reader.info.content_type,
            content_encoding=reader.info.content_encoding,
        )


class _Named(Protocol):
    @property
    def container_id(self) -> str: ...
    @property
    def object_id(self) -> str: ...


def _ids(named: _Named) -> tuple[str, str]:
    return _id("container", named.container_id), _id("object", named.object_id)


def _id(what: str, id_: str) -> str:
    if not id_:
        raise errors.ProviderError(f"the id of the {what} is empty", remedy=f"name the {what}")
    if len(id_) > ID_BYTES_MAX or len(id_.encode()) > ID_BYTES_MAX:
        raise errors.ProviderError(
            f"the id of the {what} is over {ID_BYTES_MAX} bytes: {id_[:40]!r}...", remedy="use a shorter id"
        )
    return id_


def _header(text: str | None) -> str | None:
    if text and not (len(text) <= HEADER_CHARS_MAX and text.isascii() and text.isprintable()):
        raise errors.ProviderError(
            f"not a content type or encoding: {text[:80]!r}",
            remedy=f"use printable ASCII of at most {HEADER_CHARS_MAX} characters",
        )
    return text or None


def _container(found: Container) -> api.ContainerMetadata:
    created = None if found.created_ns is None else listing.timestamp(found.created_ns)
    return api.ContainerMetadata(container_id=found.id, created_at=created)
