"""Open files and folders of a guest: work on them in threads, and streams over them.

A descriptor is closed when the guest has let go of it and no thread works with it any more: its number would belong to
another file then.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from typing import TypeVar

from lattice.streams import Signal, StreamClosed, StreamFailed, Waiter
from lattice.wasm.wasi.streams import IoError

PIECE_BYTES = 64 * 1024
"""What a stream over a file reads ahead, and what it takes before it is written."""

CODES = {
    errno.EACCES: "access",
    errno.EAGAIN: "would-block",
    errno.EALREADY: "already",
    errno.EBADF: "bad-descriptor",
    errno.EBUSY: "busy",
    errno.EDEADLK: "deadlock",
    errno.EDQUOT: "quota",
    errno.EEXIST: "exist",
    errno.EFBIG: "file-too-large",
    errno.EILSEQ: "illegal-byte-sequence",
    errno.EINPROGRESS: "in-progress",
    errno.EINTR: "interrupted",
    errno.EINVAL: "invalid",
    errno.EIO: "io",
    errno.EISDIR: "is-directory",
    errno.ELOOP: "loop",
    errno.EMLINK: "too-many-links",
    errno.EMSGSIZE: "message-size",
    errno.ENAMETOOLONG: "name-too-long",
    errno.ENODEV: "no-device",
    errno.ENOENT: "no-entry",
    errno.ENOLCK: "no-lock",
    errno.ENOMEM: "insufficient-memory",
    errno.ENOSPC: "insufficient-space",
    errno.ENOTDIR: "not-directory",
    errno.ENOTEMPTY: "not-empty",
    errno.ENOTRECOVERABLE: "not-recoverable",
    errno.ENOTSUP: "unsupported",
    errno.ENOTTY: "no-tty",
    errno.ENXIO: "no-such-device",
    errno.EOVERFLOW: "overflow",
    errno.EPERM: "not-permitted",
    errno.EPIPE: "pipe",
    errno.EROFS: "read-only",
    errno.ESPIPE: "invalid-seek",
    errno.ETXTBSY: "text-file-busy",
    errno.EXDEV: "cross-device",
    errno.EMFILE: "insufficient-memory",
    errno.ENFILE: "insufficient-memory",
}

T = TypeVar("T")


def code_of(error: OSError | ValueError | OverflowError) -> str:
    """The WIT `error-code` of a failure of the system."""
    return CODES.get(error.errno or 0, "io") if isinstance(error, OSError) else "invalid"


class OpenFile:
    """One descriptor of the host, and who works with it. `share` makes one more owner, `close` ends one."""

    __slots__ = ("_owners", "_working", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self._owners = 1
        self._working = 0

    def share(self) -> OpenFile:
        self._owners += 1
        return self

    async def do(self, work: Callable[[int], T]) -> T:
        """`work(descriptor)` in a thread, which goes on when nobody waits any more."""
        return await asyncio.shield(self.work(work))

    def work(self, do: Callable[[int], T]) -> asyncio.Future[T]:
        """The same without waiting. The future must not be cancelled: the thread would not know."""
        future = asyncio.get_running_loop().run_in_executor(None, do, self.number)
        self._working += 1
        future.add_done_callback(self._worked)
        return future

    async def do_with(self, other: OpenFile, work: Callable[[int, int], T]) -> T:
        """`work(descriptor, descriptor of the other)` in a thread; both stay open until it is done."""
        number = other.number
        other._working += 1
        future = self.work(lambda own: work(own, number))
        future.add_done_callback(other._worked)
        return await asyncio.shield(future)

    def _worked(self, _future: asyncio.Future[T]) -> None:
        self._working -= 1
        self._close_unused()

    def close(self) -> None:
        self._owners -= 1
        self._close_unused()

    def _close_unused(self) -> None:
        if self._owners <= 0 and not self._working and self.number >= 0:
            os.close(self.number)
            self.number = -1


class FileSource:
    """Reads a file from an offset on, one piece ahead."""

    __slots__ = ("_ahead", "_at", "_changed", "_ended", "_failure", "_file", "_open", "_reading")

    def __init__(self, file: OpenFile, offset: int) -> None:
        self._file = file.share()
        self._at = offset
        self._ahead = b""
        self._ended = False
        self._open = True
        self._reading = False
        self._failure: IoError | None = None
        self._changed = Signal()

    def take(self, size: int) -> bytes:
        if self._ahead:
            taken, self._ahead = self._ahead[:size], self._ahead[size:]
            return taken
        if self._failure is not None:
            raise StreamFailed(self._failure)
        if self._ended:
            raise StreamClosed
        if size:
            self._read()
        return b""

    def _read(self) -> None:
        if self._reading or not self._open:
            return
        self._reading = True
        at = self._at
        self._file.work(lambda number: os.pread(number, PIECE_BYTES, at)).add_done_callback(self._read_is_done)

    def _read_is_done(self, future: asyncio.Future[bytes]) -> None:
        self._reading = False
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, OSError | OverflowError):
            self._failure = IoError(str(error), file_code=code_of(error))
        elif error is not None:
            self._failure = IoError(str(error), file_code="io")
        else:
            self._ahead = future.result()
            self._at += len(self._ahead)
            self._ended = not self._ahead
        self._changed.fire()

    def ready(self) -> bool:
        return bool(self._ahead) or self._ended or self._failure is not None

    def attach(self, waiter: Waiter) -> None:
        self._changed.attach(waiter)
        self._read()

    def detach(self, waiter: Waiter) -> None:
        self._changed.detach(waiter)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._file.close()


class FileSink:
    """Writes a file from an offset on, or at its end, one piece at a time."""

    __slots__ = ("_at", "_changed", "_failure", "_file", "_let_go", "_open", "_pending", "_writing")

    def __init__(self, file: OpenFile, offset: int | None) -> None:
        self._file = file.share()
        self._at = offset
        """None: at the end."""
        self._pending = bytearray()
        self._writing = self._let_go = False
        self._open = True
        self._failure: IoError | None = None
        self._changed = Signal()

    def room(self) -> int:
        if self._failure is not None:
            raise StreamFailed(self._failure)
        return max(0, PIECE_BYTES - len(self._pending))

    def put(self, data: bytes) -> None:
        self._pending += data
        self._write()

    def flush(self) -> None:
        self._write()

    def flushed(self) -> bool:
        return not self._pending and not self._writing

    def _write(self) -> None:
        if self._writing or not self._pending or self._failure is not None:
            return
        self._writing = True
        data, at = bytes(self._pending), self._at
        self._pending.clear()
        self._file.work(lambda number: _write_all(number, data, at)).add_done_callback(self._write_is_done)

    def _write_is_done(self, future: asyncio.Future[int]) -> None:
        self._writing = False
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            code = code_of(error) if isinstance(error, OSError | OverflowError) else "io"
            self._failure = IoError(str(error), file_code=code)
            self._pending.clear()
        elif self._at is not None:
            self._at += future.result()
        self._write()
        self._end_if_done()
        self._changed.fire()

    def ready(self) -> bool:
        return self._failure is not None or len(self._pending) < PIECE_BYTES

    def attach(self, waiter: Waiter) -> None:
        self._changed.attach(waiter)

    def detach(self, waiter: Waiter) -> None:
        self._changed.detach(waiter)

    def close(self) -> None:
        """What was put is still written."""
        self._open = False
        self._end_if_done()

    def _end_if_done(self) -> None:
        if not self._open and not self._let_go and not self._writing and not self._pending:
            self._let_go = True
            self._file.close()


def _write_all(number: int, data: bytes, at: int | None) -> int:
    if at is None:
        at = os.fstat(number).st_size
    view = memoryview(data)
    while view:
        view = view[os.pwrite(number, view, at + len(data) - len(view)) :]
    return len(data)
