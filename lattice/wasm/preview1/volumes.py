"""Granted folders of one actor, and the descriptors of one of its instances. Files are read and written in threads."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TypeVar

from lattice import errors
from lattice.config import Volume
from lattice.wasm.preview1.codes import BADF, MFILE, NOTCAPABLE, NOTDIR

OPEN_MAX = 32
"""Files and folders that one instance has open besides those it was given; programs that answer a request use a few."""
OPEN_ALL_MAX = 64
"""The same for all instances of one actor: descriptors are the host's, and its connections need them too."""
FIRST_GIVEN = 3
"""Descriptors 0 to 2 are input and output; granted folders come next, where programs look for them."""

Result = TypeVar("Result")


class Refusal(Exception):  # not an error of this program: how a function of the interface fails
    """`code` is the error number the guest gets."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class NotGranted(Refusal):
    """What the host's owner is told: the guest tried `what` with this path."""

    def __init__(self, what: str, path: bytes) -> None:
        super().__init__(NOTCAPABLE)
        self.what = what
        self.path = path


class Descriptor:
    """A file or folder that a guest has open. `name` is what a granted folder is called, empty for all others."""

    __slots__ = ("append", "entries", "file", "is_folder", "name", "position", "readable", "writable")

    def __init__(
        self, file: int, *, is_folder: bool, writable: bool, readable: bool = True, append: bool = False
    ) -> None:
        self.file = file
        self.is_folder = is_folder
        self.readable = readable
        self.writable = writable
        """In a folder: whether what is in it may be changed."""
        self.append = append
        self.name = b""
        self.position = 0
        self.entries: list[tuple[int, int, bytes]] = []
        """What a folder held when it was listed from its start: inode, kind, name."""


class Volumes:
    """The folders that one actor was granted, open for as long as instances use them."""

    def __init__(self, volumes: tuple[Volume, ...], threads: Callable[[], Executor]) -> None:
        """Raises `errors.ConfigError` for a folder that cannot be opened."""
        self.threads = threads
        self.open_files = 0
        self._counting = threading.Lock()
        self._roots: list[tuple[bytes, int, bool]] = []
        self._users = 0
        self._closing = False
        for volume in volumes:
            try:
                root = os.open(volume.host, os.O_RDONLY | os.O_DIRECTORY)
            except (OSError, ValueError) as error:
                self.close()
                reason = error.strerror if isinstance(error, OSError) else error
                raise errors.ConfigError(
                    f"the folder {volume.host} of the volume {volume.guest} cannot be opened: {reason}",
                    remedy="make the folder, or take the volume out of the manifest",
                ) from error
            self._roots.append((volume.guest.encode(), root, volume.writable))

    def count(self, change: int) -> None:
        """Files are opened and closed in several threads."""
        with self._counting:
            self.open_files += change

    def table(self) -> FileTable:
        """Descriptors for a new instance. `FileTable.close` ends its use."""
        self._users += 1
        table = FileTable(self)
        for number, (name, root, writable) in enumerate(self._roots, FIRST_GIVEN):
            given = Descriptor(root, is_folder=True, writable=writable)
            given.name = name
            table.entries[number] = given
        return table

    def release(self) -> None:
        self._users -= 1
        if self._closing:
            self.close()

    def close(self) -> None:
        """At once, or when the last instance is gone: its last operation may still be on its way in a thread."""
        self._closing = True
        if self._users == 0:
            for _, root, _ in self._roots:
                os.close(root)
            self._roots.clear()


class FileTable:
    """One instance's descriptors above those of its input and output. At most one operation runs at a time."""

    def __init__(self, volumes: Volumes) -> None:
        self.entries: dict[int, Descriptor] = {}
        self._volumes = volumes
        self._opened = 0
        self._busy = False
        self._closing = False

    def get(self, number: int) -> Descriptor:
        entry = self.entries.get(number)
        if entry is None:
            raise Refusal(BADF)
        return entry

    def folder(self, number: int) -> Descriptor:
        entry = self.get(number)
        if not entry.is_folder:
            raise Refusal(NOTDIR)
        return entry

    def require_room(self) -> None:
        if self._opened >= OPEN_MAX or self._volumes.open_files >= OPEN_ALL_MAX:
            raise Refusal(MFILE)

    def add(self, entry: Descriptor) -> int:
        """The number of a new descriptor: the lowest that is free."""
        number = FIRST_GIVEN
        while number in self.entries:
            number += 1
        self.entries[number] = entry
        self._opened += 1
        self._volumes.count(1)
        return number

    def remove(self, number: int) -> None:
        """Closes a descriptor. A granted folder is only forgotten: it belongs to all instances."""
        entry = self.get(number)
        del self.entries[number]
        if not entry.name:
            self._opened -= 1
            self._volumes.count(-1)
            os.close(entry.file)

    def move(self, number: int, to: int) -> None:
        """Gives a descriptor the number of another one, which is closed."""
        self.get(number)
        if number != to:
            self.remove(to)
            self.entries[to] = self.entries.pop(number)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Does `work` in a thread. Cancelled, it is left to end by itself, and what it uses stays open until then."""
        loop = asyncio.get_running_loop()
        job: Future[Result] = self._volumes.threads().submit(work)
        self._busy = True
        job.add_done_callback(lambda _job: loop.call_soon_threadsafe(self._ended))
        try:
            return await asyncio.shield(asyncio.wrap_future(job))
        except asyncio.CancelledError:
            job.cancel()
            raise

    def _ended(self) -> None:
        self._busy = False
        if self._closing:
            self._close()

    def close(self) -> None:
        """Closes everything, at once or when the operation that still runs has ended."""
        if not self._closing:
            self._closing = True
            if not self._busy:
                self._close()

    def _close(self) -> None:
        for number in list(self.entries):
            self.remove(number)
        self._volumes.release()
