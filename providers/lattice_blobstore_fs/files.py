"""One object being read or written: an open file that is closed once, never while a thread uses it. Blocking."""

from __future__ import annotations

import os
import secrets
import threading
import time

from lattice_blobstore import NoContainer, ObjectInfo

from lattice_blobstore_fs.layout import ObjectRecord, Root, damaged, open_plain, read_record, write_all
from lattice_blobstore_fs.names import name_of

REPLACED_MAX = 100
"""How often an object may be replaced between reading its record and opening its data, before that is an error."""


class OpenFile:
    """A descriptor that several threads may use one after the other: a cancelled call may still be running."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._turn = threading.Lock()

    def read(self, offset: int, size: int) -> bytes:
        parts = []
        with self._turn:
            while size and (part := os.pread(self._open_fd(), size, offset)):
                parts.append(part)
                offset += len(part)
                size -= len(part)
        if size:
            raise damaged("an object that was cut short")
        return b"".join(parts)

    def write(self, data: bytes) -> None:
        with self._turn:
            write_all(self._open_fd(), data)

    def settle(self, root: Root) -> None:
        with self._turn:
            root.settle(self._open_fd())

    def close(self) -> None:
        with self._turn:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _open_fd(self) -> int:
        if self._fd < 0:
            raise ValueError("the file is closed")
        return self._fd


class Incoming:
    """An object being written: a file among the uploads until `commit` moves it to its container."""

    def __init__(self, root: Root, container: str, object_: str, headers: tuple[str | None, str | None]) -> None:
        # Early, so that nobody uploads for an hour into a container that is not there.
        with root.container(container):
            pass
        self._root = root
        self._container = container
        self._object = object_
        self._headers = headers
        self._length = 0
        self._name, fd = root.new_file()
        self._file = OpenFile(fd)

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._length += len(data)

    def commit(self, replacing: threading.Lock) -> None:
        """`replacing` keeps two commits of one object from each leaving the other's data behind."""
        self._file.settle(self._root)
        self._file.close()
        root, name = self._root, name_of(self._object)
        data = f"{name}.{secrets.token_hex(8)}"
        kind, encoding = self._headers
        record = ObjectRecord(self._object, data, self._length, time.time_ns(), kind, encoding)
        record_file = root.write_record(record)
        try:
            with root.container(self._container) as (_, objects_fd, data_fd):
                os.rename(self._name, data, src_dir_fd=root.uploads_fd, dst_dir_fd=data_fd)
                root.settle(data_fd)
                try:
                    with replacing:
                        before = _record_before(name, objects_fd)
                        os.rename(record_file, name, src_dir_fd=root.uploads_fd, dst_dir_fd=objects_fd)
                        root.settle(objects_fd)
                except FileNotFoundError:
                    root.discard(data, data_fd)
                    raise NoContainer(self._container) from None  # removed at this very moment
                except BaseException:
                    root.discard(data, data_fd)
                    raise
                if before:
                    root.discard(before, data_fd)
        except BaseException:
            root.discard(record_file, root.uploads_fd)
            raise

    def abort(self) -> None:
        self._file.close()
        self._root.discard(self._name, self._root.uploads_fd)


def _record_before(name: str, objects_fd: int) -> str | None:
    """The data file that a record names now; None when there is none, or none that can be trusted."""
    try:
        return owned_data(name, read_record(name, objects_fd, ObjectRecord))
    except Exception:  # whatever stands there is about to be replaced
        return None


def owned_data(name: str, record: ObjectRecord) -> str:
    """The data file of a record, which must be one that belongs to it."""
    if record.data.rpartition(".")[0] != name or "/" in record.data:
        raise damaged(name)
    return record.data


def info_of(record: ObjectRecord) -> ObjectInfo:
    return ObjectInfo(record.id, record.length, record.modified_ns, record.content_type, record.content_encoding)


def open_object(root: Root, container: str, object_: str) -> tuple[ObjectRecord, OpenFile]:
    """The record and the bytes that belong to it, however often the object is replaced meanwhile.

    Raises `NoContainer`, and FileNotFoundError when there is no such object.
    """
    name = name_of(object_)
    with root.container(container) as (_, objects_fd, data_fd):
        for _ in range(REPLACED_MAX):
            record = read_record(name, objects_fd, ObjectRecord)
            try:
                fd = open_plain(owned_data(name, record), data_fd)
            except FileNotFoundError:
                continue  # replaced after its record was read
            if os.fstat(fd).st_size != record.length:
                os.close(fd)
                raise damaged(name)
            return record, OpenFile(fd)
    raise damaged(name)
