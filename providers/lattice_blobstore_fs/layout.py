"""Where things are under the root, and how folders are opened so that nothing leads out of it.

    root/lock                  held shared by every provider that uses the root, exclusively by one that cleans it
    root/uploads/<random>      what is being written
    root/<name>/               a container; it exists while it has the folder objects
      container.json           its id and when it was made
      objects/<name>           the record of an object: its id, length, content type, and which data file is its
      data/<name>.<random>     bytes. Renaming a record into objects is what makes an object visible or replaces it.

Every step is one component, opened relative to the folder before it, without following links. Blocking.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
from lattice_blobstore import NoContainer

from lattice import errors
from lattice_blobstore_fs.names import is_name, name_of

OBJECTS, DATA, UPLOADS, LOCK, CONTAINER_FILE = "objects", "data", "uploads", "lock", "container.json"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: opening a pipe that somebody placed there would wait for its other end for ever.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
LOCK_FILE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_MODE, FOLDER_MODE = 0o600, 0o700
RECORD_BYTES_MAX = 64 * 1024
"""A record holds an id of 1 KiB and two header values: more is not ours."""
LOCK_S_MAX = 10.0
"""How long another provider may clean the same root at its start."""


class ContainerRecord(msgspec.Struct, frozen=True):
    id: str
    created_ns: int


class ObjectRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    data: str
    length: int
    modified_ns: int
    content_type: str | None = None
    content_encoding: str | None = None


RecordType = TypeVar("RecordType", ContainerRecord, ObjectRecord)


class Root:
    """An open root. `sync` false leaves it to the system when things reach the disk."""

    def __init__(self, path: Path, sync: bool) -> None:
        self.path = path
        self._sync = sync
        self.fd = self.uploads_fd = self._lock_fd = -1

    def open(self) -> None:
        """Makes what is missing and, if nobody else uses the root, removes what a crash has left."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._lock_fd = os.open(LOCK, LOCK_FILE, FILE_MODE, dir_fd=self.fd)
            with suppress(FileExistsError):
                os.mkdir(UPLOADS, FOLDER_MODE, dir_fd=self.fd)
            self.uploads_fd = os.open(UPLOADS, FOLDER, dir_fd=self.fd)
            try:
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._lock_shared()
            else:
                self._clean()
                self._lock_shared()
        except OSError as error:
            self.close()
            raise errors.ConfigError(
                f"the root {str(self.path)!r} cannot be used: {error.strerror}",
                remedy="name a folder that this process may write",
            ) from error

    def close(self) -> None:
        for fd in (self.uploads_fd, self._lock_fd, self.fd):
            if fd >= 0:
                os.close(fd)
        self.fd = self.uploads_fd = self._lock_fd = -1

    def _lock_shared(self) -> None:
        deadline = time.monotonic() + LOCK_S_MAX
        while True:
            try:
                fcntl.flock(self._lock_fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def _clean(self) -> None:
        for name in os.listdir(self.uploads_fd):
            self.discard(name, self.uploads_fd)
        for name in os.listdir(self.fd):
            if is_name(name) and stat.S_ISDIR(os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_mode):
                self._clean_container(name)

    def _clean_container(self, name: str) -> None:
        try:
            with opened(name, self.fd) as folder_fd:
                try:
                    os.stat(OBJECTS, dir_fd=folder_fd, follow_symlinks=False)
                except FileNotFoundError:
                    shutil.rmtree(name, dir_fd=self.fd)  # a removal that a crash has cut short
                    return
                with opened(OBJECTS, folder_fd) as objects_fd, opened(DATA, folder_fd) as data_fd:
                    self._clean_data(objects_fd, data_fd)
        except (OSError, errors.ProviderError):
            # Something there is not ours, or broken. Whoever uses it is told so; the rest of the root works.
            return

    def _clean_data(self, objects_fd: int, data_fd: int) -> None:
        files: dict[str, list[str]] = defaultdict(list)
        for file in os.listdir(data_fd):
            files[file.rpartition(".")[0]].append(file)
        objects = set(os.listdir(objects_fd))
        for owner, owned in files.items():
            # One file of a known object is its data; only when there are more does the record need a look.
            if owner in objects and len(owned) == 1:
                continue
            keep = read_record(owner, objects_fd, ObjectRecord).data if owner in objects else None
            for file in owned:
                if file != keep:
                    self.discard(file, data_fd)

    def discard(self, name: str, folder_fd: int) -> None:
        """Removes a file or folder of ours, if it is there."""
        try:
            os.unlink(name, dir_fd=folder_fd)
        except FileNotFoundError:
            pass
        except (IsADirectoryError, PermissionError):
            shutil.rmtree(name, dir_fd=folder_fd)

    @contextmanager
    def container(self, container: str) -> Iterator[tuple[int, int, int]]:
        """The folders of a container: (itself, objects, data). Raises `NoContainer`."""
        with (
            self._of(container, name_of(container), self.fd) as folder_fd,
            self._of(container, OBJECTS, folder_fd) as objects_fd,
            self._of(container, DATA, folder_fd) as data_fd,
        ):
            yield folder_fd, objects_fd, data_fd

    @contextmanager
    def _of(self, container: str, name: str, parent_fd: int) -> Iterator[int]:
        try:
            fd = os.open(name, FOLDER, dir_fd=parent_fd)
        except FileNotFoundError:
            raise NoContainer(container) from None
        try:
            yield fd
        finally:
            os.close(fd)

    def new_file(self) -> tuple[str, int]:
        """An empty file among the uploads: its name and descriptor."""
        name = secrets.token_hex(16)
        return name, os.open(name, CREATE, FILE_MODE, dir_fd=self.uploads_fd)

    def write_record(self, record: msgspec.Struct) -> str:
        """A record as a file among the uploads, on disk; returns its name."""
        name, fd = self.new_file()
        try:
            write_all(fd, msgspec.json.encode(record))
            self.settle(fd)
        except BaseException:
            self.discard(name, self.uploads_fd)
            raise
        finally:
            os.close(fd)
        return name

    def settle(self, fd: int) -> None:
        """Returns when what was written, or renamed in a folder, survives a power cut."""
        if self._sync:
            os.fsync(fd)


@contextmanager
def opened(name: str, parent_fd: int) -> Iterator[int]:
    fd = os.open(name, FOLDER, dir_fd=parent_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def read_record(name: str, folder_fd: int, type_: type[RecordType]) -> RecordType:
    """Raises FileNotFoundError, or `errors.ProviderError` when what is there is not a record of ours."""
    data = b""
    fd = open_plain(name, folder_fd)
    try:
        while len(data) <= RECORD_BYTES_MAX and (part := os.read(fd, RECORD_BYTES_MAX)):
            data += part
    finally:
        os.close(fd)
    try:
        return msgspec.json.decode(data, type=type_)
    except msgspec.DecodeError as error:
        raise damaged(name) from error


def open_plain(name: str, folder_fd: int) -> int:
    """Opens a file for reading that is nothing but a file."""
    fd = os.open(name, READ, dir_fd=folder_fd)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise damaged(name)
    return fd


def damaged(name: str) -> errors.ProviderError:
    return errors.ProviderError(
        f"the store is damaged: {name!r} is not what the store wrote", remedy="restore it from a copy, or remove it"
    )


def write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
