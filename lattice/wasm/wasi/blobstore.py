"""wasi:blobstore (0.2.0-draft) over wasmcloud:blobstore."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from lattice import errors, wire
from lattice.contracts import blobstore as api
from lattice.streams import Pipe, Reader, Signal, Waiter, Writer, wait_any
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi import blobs
from lattice.wasm.wasi.instance import Instance, Outgoing
from lattice.wasm.wasi.streams import InputStream, IoError, OutputStream
from lattice.wasm.wasi.table import Interface

PAGE_MAX = 1000
"""Names asked for at once, as many as providers give."""

_EXISTS = Outgoing(api.CONTRACT, "Blobstore.ContainerExists")
_CREATE = Outgoing(api.CONTRACT, "Blobstore.CreateContainer")
_CONTAINER_INFO = Outgoing(api.CONTRACT, "Blobstore.GetContainerInfo")
_REMOVE_CONTAINERS = Outgoing(api.CONTRACT, "Blobstore.RemoveContainers")
_OBJECT_EXISTS = Outgoing(api.CONTRACT, "Blobstore.ObjectExists")
_LIST = Outgoing(api.CONTRACT, "Blobstore.ListObjects")
_REMOVE = Outgoing(api.CONTRACT, "Blobstore.RemoveObjects")

ObjectId = tuple[str, str]
Method = Callable[..., Awaitable[Any]]


class Container:
    """The resource `container`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def close(self) -> None:
        """Nothing to free."""


class OutgoingValue:
    """The resource `outgoing-value`: what the guest writes, and where it goes once a container was given it."""

    __slots__ = ("_changed", "_done", "error", "given", "pipe", "stream_taken")

    def __init__(self, limit: int) -> None:
        # Until a container takes it, all that is written waits here.
        self.pipe = Pipe(limit)
        self.stream_taken = False
        self.given = False
        self.error = ""
        self._done = False
        self._changed = Signal()

    async def send(self, instance: Instance, container: str, name: str) -> None:
        try:
            await blobs.upload(instance, container, name, self.pipe)
        except errors.CallError as error:
            self.error = wire.error_text(error)
        finally:
            self._done = True
            self._changed.fire()

    def ready(self) -> bool:
        return self._done

    def attach(self, waiter: Waiter) -> None:
        self._changed.attach(waiter)

    def detach(self, waiter: Waiter) -> None:
        self._changed.detach(waiter)

    def close(self) -> None:
        """The guest let go of it without finishing it: what was written is no object."""
        self.pipe.fail(IoError("the value was dropped before it was finished"))


class IncomingValue:
    """The resource `incoming-value`: an object, or part of one, that is read when it is consumed."""

    __slots__ = ("part",)

    def __init__(self, part: blobs.Span) -> None:
        self.part = part

    def close(self) -> None:
        """Nothing to free."""


class ObjectNames:
    """The resource `stream-object-names`."""

    __slots__ = ("_container", "_continuation", "_last", "_names")

    def __init__(self, container: str) -> None:
        self._container = container
        self._continuation: str | None = None
        self._names: list[str] = []
        self._last = False

    async def read(self, instance: Instance, count: int) -> tuple[list[str], bool]:
        """At most `count` names, and whether that was all."""
        if not self._names and not self._last and count:
            page: api.ListObjectsResponse = await instance.call(
                _LIST,
                api.ListObjectsRequest(
                    container_id=self._container, continuation=self._continuation, max_items=min(count, PAGE_MAX)
                ),
            )
            self._names = [found.object_id for found in page.objects]
            self._continuation = page.continuation
            self._last = page.is_last or page.continuation is None
        taken, self._names = self._names[:count], self._names[count:]
        return taken, self._last and not self._names

    def close(self) -> None:
        self._names.clear()


def fallible(method: Method) -> Method:
    """Failures are texts in this interface."""

    @wraps(method)
    async def answer(instance: Instance, *arguments: Any) -> Ok | Err:
        try:
            return Ok(await method(instance, *arguments))
        except errors.CallError as error:
            return Err(wire.error_text(error))

    return answer


@fallible
async def _create_container(instance: Instance, name: str) -> Container:
    await instance.call(_CREATE, name)
    return instance.own(Container(name))


@fallible
async def _get_container(instance: Instance, name: str) -> Container:
    if not await instance.call(_EXISTS, name):
        raise errors.ProviderError(f"there is no container {name[:100]!r}")
    return instance.own(Container(name))


@fallible
async def _delete_container(instance: Instance, name: str) -> None:
    _require_none(await instance.call(_REMOVE_CONTAINERS, [name]))


@fallible
async def _container_exists(instance: Instance, name: str) -> bool:
    return bool(await instance.call(_EXISTS, name))


def _require_none(failures: list[api.ItemResult]) -> None:
    if failures:
        raise errors.ProviderError(f"{failures[0].key[:100]!r}: {failures[0].error or 'not removed'}")


@fallible
async def _copy_object(instance: Instance, source: ObjectId, target: ObjectId) -> None:
    await _copy(instance, source, target)


@fallible
async def _move_object(instance: Instance, source: ObjectId, target: ObjectId) -> None:
    if source != target:
        await _copy(instance, source, target)
        await _remove(instance, source[0], [source[1]])


async def _copy(instance: Instance, source: ObjectId, target: ObjectId) -> None:
    part = await blobs.span(instance, *source, 0, 2**63)
    pipe = Pipe()
    reading = instance.start(blobs.download(instance, part, pipe))
    try:
        await blobs.upload(instance, *target, pipe)
    finally:
        reading.cancel()


async def _remove(instance: Instance, container: str, names: list[str]) -> None:
    _require_none(await instance.call(_REMOVE, api.RemoveObjectsRequest(container_id=container, objects=names)))


@fallible
async def _name(_instance: Instance, container: Container) -> str:
    return container.name


def _seconds(time: api.Timestamp | None) -> int:
    return max(0, time.sec) if time is not None else 0


@fallible
async def _info(instance: Instance, container: Container) -> tuple[str, int]:
    found: api.ContainerMetadata = await instance.call(_CONTAINER_INFO, container.name)
    return (found.container_id, _seconds(found.created_at))


@fallible
async def _get_data(instance: Instance, container: Container, name: str, start: int, last: int) -> IncomingValue:
    return instance.own(IncomingValue(await blobs.span(instance, container.name, name, start, last)))


@fallible
async def _write_data(instance: Instance, container: Container, name: str, value: OutgoingValue) -> None:
    if value.given:
        raise errors.GuestProtocolError("the value was given to a container before")
    value.given = True
    value.pipe.narrow(blobs.PIECE_BYTES)
    instance.start(value.send(instance, container.name, name))


@fallible
async def _list_objects(instance: Instance, container: Container) -> ObjectNames:
    return instance.own(ObjectNames(container.name))


@fallible
async def _delete_object(instance: Instance, container: Container, name: str) -> None:
    await _remove(instance, container.name, [name])


@fallible
async def _delete_objects(instance: Instance, container: Container, names: list[str]) -> None:
    await _remove(instance, container.name, names)


@fallible
async def _has_object(instance: Instance, container: Container, name: str) -> bool:
    return bool(await instance.call(_OBJECT_EXISTS, api.ContainerObject(container_id=container.name, object_id=name)))


@fallible
async def _object_info(instance: Instance, container: Container, name: str) -> tuple[str, str, int, int]:
    found = await blobs.info(instance, container.name, name)
    return (found.object_id, found.container_id, _seconds(found.last_modified), found.content_length)


@fallible
async def _clear(instance: Instance, container: Container) -> None:
    while True:
        names, _ = await ObjectNames(container.name).read(instance, PAGE_MAX)
        if not names:
            return
        await _remove(instance, container.name, names)


def _new_outgoing(instance: Instance) -> OutgoingValue:
    return instance.own(OutgoingValue(instance.actor.limits.payload_bytes_max))


def _write_body(instance: Instance, value: OutgoingValue) -> Ok | Err:
    if value.stream_taken:
        return Err()
    value.stream_taken = True
    return Ok(instance.own(OutputStream(Writer(value.pipe))))


@fallible
async def _finish(instance: Instance, value: OutgoingValue) -> None:
    """The object is stored when this returns."""
    instance.moved(value)
    value.pipe.end()
    if not value.given:
        raise errors.GuestProtocolError("no container was given the value, with write-data, before it was finished")
    await wait_any((value,))
    if value.error:
        raise wire.error_from_text(value.error)


@fallible
async def _consume_sync(instance: Instance, value: IncomingValue) -> bytes:
    part = instance.moved(value).part
    limit = instance.actor.limits.payload_bytes_max
    if part.size > limit:
        raise errors.PayloadTooLarge(
            f"{part.size} bytes of an object at once are over limits.payload ({limit} bytes)",
            remedy="consume the value as a stream",
        )
    return b"".join([data async for data in blobs.pieces(instance, part)])


@fallible
async def _consume_async(instance: Instance, value: IncomingValue) -> InputStream:
    pipe = Pipe()
    instance.start(blobs.download(instance, instance.moved(value).part, pipe))
    return instance.own(InputStream(Reader(pipe)))


def _size(value: IncomingValue) -> int:
    return value.part.size


@fallible
async def _read_names(instance: Instance, names: ObjectNames, count: int) -> tuple[list[str], bool]:
    return await names.read(instance, count)


@fallible
async def _skip_names(instance: Instance, names: ObjectNames, count: int) -> tuple[int, bool]:
    skipped, ended = await names.read(instance, count)
    return len(skipped), ended


_OF_CONTAINERS: dict[str, Method] = {
    "[method]container.name": _name,
    "[method]container.info": _info,
    "[method]container.get-data": _get_data,
    "[method]container.write-data": _write_data,
    "[method]container.list-objects": _list_objects,
    "[method]container.delete-object": _delete_object,
    "[method]container.delete-objects": _delete_objects,
    "[method]container.has-object": _has_object,
    "[method]container.object-info": _object_info,
    "[method]container.clear": _clear,
    "[method]stream-object-names.read-stream-object-names": _read_names,
    "[method]stream-object-names.skip-stream-object-names": _skip_names,
}

CONTAINER = Interface(
    "wasi:blobstore/container",
    functions=_OF_CONTAINERS,
    resources=frozenset({"container", "stream-object-names"}),
)

BLOBSTORE = Interface(
    "wasi:blobstore/blobstore",
    functions={
        "create-container": _create_container,
        "get-container": _get_container,
        "delete-container": _delete_container,
        "container-exists": _container_exists,
        "copy-object": _copy_object,
        "move-object": _move_object,
    },
)

TYPES = Interface(
    "wasi:blobstore/types",
    functions={
        "[static]outgoing-value.new-outgoing-value": _new_outgoing,
        "[method]outgoing-value.outgoing-value-write-body": _write_body,
        "[static]outgoing-value.finish": _finish,
        "[static]incoming-value.incoming-value-consume-sync": _consume_sync,
        "[static]incoming-value.incoming-value-consume-async": _consume_async,
    },
    plain={"[method]incoming-value.size": _size},
    resources=frozenset({"outgoing-value", "incoming-value"}),
)
