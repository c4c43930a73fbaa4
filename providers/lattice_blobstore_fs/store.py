"""A `Store` in folders. The blocking half of each operation is a function; the other half puts it on a thread."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from contextlib import suppress

from lattice_blobstore import Container, ContainerNotEmpty, NoContainer, NoObject, ObjectInfo

from lattice import errors
from lattice_blobstore_fs.disk import Disk
from lattice_blobstore_fs.files import Incoming, OpenFile, info_of, open_object, owned_data
from lattice_blobstore_fs.layout import (
    CONTAINER_FILE,
    DATA,
    FOLDER_MODE,
    OBJECTS,
    ContainerRecord,
    ObjectRecord,
    Root,
    opened,
    read_record,
)
from lattice_blobstore_fs.names import id_of, is_hashed, is_name, name_of


class FsStore:
    def __init__(self, root: Root, disk: Disk) -> None:
        self._root = root
        self._disk = disk
        self._replacing = threading.Lock()

    async def check(self) -> None:
        await self._disk.run(self._check)

    async def container(self, container: str) -> Container:
        return await self._disk.run(self._container, container)

    async def containers(self) -> list[Container]:
        return await self._disk.run(self._containers)

    async def create(self, container: str) -> None:
        await self._disk.run(self._create, container)

    async def remove_container(self, container: str) -> None:
        await self._disk.run(self._remove_container, container)

    async def info(self, container: str, object_: str) -> ObjectInfo:
        return await self._disk.run(self._info, container, object_)

    async def objects(self, container: str, prefix: str, after: str, size: int) -> list[ObjectInfo]:
        return await self._disk.run(self._objects, container, prefix, after, size)

    async def remove(self, container: str, object_: str) -> None:
        await self._disk.run(self._remove, container, object_)

    async def reader(self, container: str, object_: str, offset: int, size: int) -> FileReader:
        return await self._disk.opened(FileReader.release, self._reader, container, object_)

    async def writer(
        self, container: str, object_: str, content_type: str | None, content_encoding: str | None
    ) -> FileWriter:
        headers = (content_type, content_encoding)
        incoming = await self._disk.opened(Incoming.abort, Incoming, self._root, container, object_, headers)
        return FileWriter(incoming, self._disk, self._replacing)

    async def close(self) -> None:
        await self._disk.release(self._root.close)
        self._disk.close()

    def _check(self) -> None:
        there = os.stat(self._root.path)
        if not os.path.samestat(there, os.fstat(self._root.fd)):
            raise errors.ProviderUnavailable(
                f"the root {str(self._root.path)!r} was replaced by another folder", remedy="restart the provider"
            )
        if not os.statvfs(self._root.fd).f_bavail:
            raise errors.ProviderUnavailable("the disk of the root is full", remedy="free space")

    def _container(self, container: str) -> Container:
        with self._root.container(container) as (folder_fd, _, _):
            record = read_record(CONTAINER_FILE, folder_fd, ContainerRecord)
            return Container(record.id, record.created_ns)

    def _containers(self) -> list[Container]:
        found = []
        for name in os.listdir(self._root.fd):
            if not is_name(name):
                continue
            # One that goes away meanwhile, or that somebody else made, is not in the list.
            with suppress(OSError, errors.ProviderError), opened(name, self._root.fd) as folder_fd:
                with opened(OBJECTS, folder_fd):
                    record = read_record(CONTAINER_FILE, folder_fd, ContainerRecord)
                found.append(Container(record.id, record.created_ns))
        return sorted(found, key=lambda container: container.id)

    def _create(self, container: str) -> None:
        """A whole container is made among the uploads and renamed: nobody sees half of one."""
        root, name = self._root, name_of(container)
        try:
            with root.container(container):
                return
        except NoContainer:
            pass
        new = secrets.token_hex(16)
        os.mkdir(new, FOLDER_MODE, dir_fd=root.uploads_fd)
        try:
            with opened(new, root.uploads_fd) as folder_fd:
                os.mkdir(OBJECTS, FOLDER_MODE, dir_fd=folder_fd)
                os.mkdir(DATA, FOLDER_MODE, dir_fd=folder_fd)
                record = root.write_record(ContainerRecord(container, time.time_ns()))
                os.rename(record, CONTAINER_FILE, src_dir_fd=root.uploads_fd, dst_dir_fd=folder_fd)
                root.settle(folder_fd)
            self._rename_container(new, name, container)
            root.settle(root.fd)
        finally:
            root.discard(new, root.uploads_fd)

    def _rename_container(self, new: str, name: str, container: str) -> None:
        root = self._root
        try:
            os.rename(new, name, src_dir_fd=root.uploads_fd, dst_dir_fd=root.fd)
        except OSError:
            try:
                with root.container(container):
                    return  # somebody else made it meanwhile
            except NoContainer:
                # The rest of one whose removal was cut short.
                shutil.rmtree(name, dir_fd=root.fd)
                os.rename(new, name, src_dir_fd=root.uploads_fd, dst_dir_fd=root.fd)

    def _remove_container(self, container: str) -> None:
        """Taking the folder of records away decides it: that works only when it is empty, and then no put can end."""
        with self._root.container(container) as (folder_fd, objects_fd, _):
            try:
                os.rmdir(OBJECTS, dir_fd=folder_fd)
            except FileNotFoundError:
                raise NoContainer(container) from None
            except OSError:
                if os.listdir(objects_fd):
                    raise ContainerNotEmpty(container) from None
                raise
        shutil.rmtree(name_of(container), dir_fd=self._root.fd, ignore_errors=True)
        self._root.settle(self._root.fd)

    def _info(self, container: str, object_: str) -> ObjectInfo:
        with self._root.container(container) as (_, objects_fd, _):
            try:
                return info_of(read_record(name_of(object_), objects_fd, ObjectRecord))
            except FileNotFoundError:
                raise NoObject(container, object_) from None

    def _objects(self, container: str, prefix: str, after: str, size: int) -> list[ObjectInfo]:
        found: list[ObjectInfo] = []
        with self._root.container(container) as (_, objects_fd, _):
            for id_, name in sorted(_ids(objects_fd, prefix, after)):
                # One that goes away meanwhile, or that somebody else put there, is not in the list.
                with suppress(OSError, errors.ProviderError):
                    record = read_record(name, objects_fd, ObjectRecord)
                    found.append(ObjectInfo(id_, record.length, record.modified_ns))
                if len(found) == size:
                    break
        return found

    def _remove(self, container: str, object_: str) -> None:
        name = name_of(object_)
        with self._root.container(container) as (_, objects_fd, data_fd), self._replacing:
            try:
                data = owned_data(name, read_record(name, objects_fd, ObjectRecord))
            except FileNotFoundError:
                return
            os.unlink(name, dir_fd=objects_fd)
            self._root.settle(objects_fd)
            self._root.discard(data, data_fd)

    def _reader(self, container: str, object_: str) -> FileReader:
        try:
            record, file = open_object(self._root, container, object_)
        except FileNotFoundError:
            raise NoObject(container, object_) from None
        return FileReader(info_of(record), file, self._disk)


def _ids(objects_fd: int, prefix: str, after: str) -> list[tuple[str, str]]:
    """(id, name) of the objects of a container that begin with `prefix` and follow `after`, in no order."""
    found = []
    for name in os.listdir(objects_fd):
        id_ = id_of(name)
        if id_ is None and is_hashed(name):
            with suppress(OSError, errors.ProviderError):
                id_ = read_record(name, objects_fd, ObjectRecord).id
        if id_ is not None and id_.startswith(prefix) and id_ > after:
            found.append((id_, name))
    return found


class FileReader:
    def __init__(self, info: ObjectInfo, file: OpenFile, disk: Disk) -> None:
        self.info = info
        self._file = file
        self._disk = disk

    async def read(self, offset: int, size: int) -> bytes:
        return await self._disk.run(self._file.read, offset, size)

    async def close(self) -> None:
        await self._disk.release(self._file.close)

    def release(self) -> None:
        self._file.close()


class FileWriter:
    def __init__(self, incoming: Incoming, disk: Disk, replacing: threading.Lock) -> None:
        self._incoming = incoming
        self._disk = disk
        self._replacing = replacing

    async def write(self, data: bytes) -> None:
        await self._disk.run(self._incoming.write, data)

    async def commit(self) -> None:
        await self._disk.run(self._incoming.commit, self._replacing)

    async def abort(self) -> None:
        await self._disk.release(self._incoming.abort)
