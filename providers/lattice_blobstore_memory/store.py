"""A `lattice_blobstore.Store` in dictionaries."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from lattice_blobstore import Container, ContainerNotEmpty, NoContainer, NoObject, ObjectInfo


class Object(msgspec.Struct, frozen=True):
    info: ObjectInfo
    data: bytes


class Held(msgspec.Struct, frozen=True):
    """One container."""

    container: Container
    objects: dict[str, Object]


class MemoryStore:
    """`now_ns` says when something was made, in ns since 1970-01-01 UTC."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._containers: dict[str, Held] = {}

    async def check(self) -> None:
        """It is always there."""

    async def container(self, container: str) -> Container:
        return self._held(container).container

    async def containers(self) -> list[Container]:
        return [self._containers[name].container for name in sorted(self._containers, key=str.encode)]

    async def create(self, container: str) -> None:
        self._make(container)

    def _make(self, container: str) -> None:
        self._containers.setdefault(container, Held(Container(container, self._now_ns()), {}))

    async def remove_container(self, container: str) -> None:
        if self._held(container).objects:
            raise ContainerNotEmpty(container)
        del self._containers[container]

    async def info(self, container: str, object_: str) -> ObjectInfo:
        return self.object(container, object_).info

    async def objects(self, container: str, prefix: str, after: str, size: int) -> list[ObjectInfo]:
        held, last = self._held(container).objects, after.encode()
        ids = sorted((id_ for id_ in held if id_.startswith(prefix) and id_.encode() > last), key=str.encode)
        listed = (held[id_].info for id_ in ids[:size])
        return [ObjectInfo(info.id, info.length, info.modified_ns) for info in listed]

    async def remove(self, container: str, object_: str) -> None:
        self.forget(container, object_)

    async def reader(self, container: str, object_: str, offset: int, size: int) -> MemoryReader:
        return MemoryReader(self.object(container, object_))

    async def writer(
        self, container: str, object_: str, content_type: str | None, content_encoding: str | None
    ) -> MemoryWriter:
        self._held(container)
        return MemoryWriter(self, container, ObjectInfo(object_, 0, None, content_type, content_encoding))

    async def close(self) -> None:
        self._containers.clear()

    def object(self, container: str, object_: str) -> Object:
        """Raises `NoContainer`, `NoObject`."""
        found = self._held(container).objects.get(object_)
        if found is None:
            raise NoObject(container, object_)
        return found

    def put(self, container: str, info: ObjectInfo, data: bytes) -> None:
        """The object with this data, instead of an earlier one. Raises `NoContainer`."""
        info = msgspec.structs.replace(info, length=len(data), modified_ns=self._now_ns())
        self._held(container).objects[info.id] = Object(info, data)

    def place(self, container: str, name: str, data: bytes) -> None:
        """An object, and its container if there is none."""
        self._make(container)
        self.put(container, ObjectInfo(name, 0), data)

    def places(self) -> list[tuple[str, str]]:
        """(container, object) of all there is, sorted."""
        return sorted((name, object_) for name, held in self._containers.items() for object_ in held.objects)

    def forget(self, container: str, object_: str) -> None:
        """Nothing happens when it is not there. Raises `NoContainer`."""
        self._held(container).objects.pop(object_, None)

    def _held(self, container: str) -> Held:
        found = self._containers.get(container)
        if found is None:
            raise NoContainer(container)
        return found


class MemoryReader:
    """An object as it was when it was opened."""

    def __init__(self, opened: Object) -> None:
        self.info = opened.info
        self._data = opened.data

    async def read(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]

    async def close(self) -> None:
        """There is nothing to close."""


class MemoryWriter:
    """An object on its way in."""

    def __init__(self, store: MemoryStore, container: str, info: ObjectInfo) -> None:
        self._store = store
        self._container = container
        self._info = info
        self._data = bytearray()

    async def write(self, data: bytes) -> None:
        self._data += data

    async def commit(self) -> None:
        self._store.put(self._container, self._info, bytes(self._data))

    async def abort(self) -> None:
        self._data.clear()
