"""Blocking file work on a few threads of its own, so that a slow disk stops neither the loop nor other providers."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from lattice import errors

PENDING_MAX = 1000
"""Operations that run or wait for a thread. Each holds at most one chunk; one more is refused (`Overloaded`)."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_AWAY = {errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.EROFS, errno.EMFILE, errno.ENFILE}

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Disk:
    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, "blobstore-fs")
        self._pending = 0

    async def run(self, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """`work(*args)` on a thread. Raises what it raises; an OSError becomes the `CallError` that fits."""
        return await self._wait(self._submit(work, *args, **kwargs))

    async def opened(
        self,
        release: Callable[[Result], None],
        work: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Like `run` for what must be released: if the caller is gone meanwhile, `release(result)` follows."""
        future = self._submit(work, *args, **kwargs)
        try:
            return await self._wait(future)
        except asyncio.CancelledError:

            def undo(done: Future[Result]) -> None:
                if not done.cancelled() and done.exception() is None:
                    release(done.result())

            future.add_done_callback(undo)
            raise

    async def release(self, work: Callable[[], None]) -> None:
        """Runs what gives something back: never refused, and done also when the caller is cancelled."""
        try:
            await asyncio.shield(asyncio.wrap_future(self._threads.submit(work)))
        except OSError as error:
            raise call_error(error) from error

    def _submit(
        self, work: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        if self._pending >= PENDING_MAX:
            raise errors.Overloaded(f"{PENDING_MAX} file operations are waiting for the disk", remedy="try again later")
        return self._threads.submit(work, *args, **kwargs)

    async def _wait(self, future: Future[Result]) -> Result:
        self._pending += 1
        try:
            return await asyncio.wrap_future(future)
        except OSError as error:
            raise call_error(error) from error
        finally:
            self._pending -= 1

    def close(self) -> None:
        """The threads end when what they do now is done."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def call_error(error: OSError) -> errors.CallError:
    """What the caller is told. File names stay out of it: they are nobody's business but the operator's."""
    if error.errno in _NO_ROOM:
        return errors.ProviderError(
            f"there is no room left for this object: {error.strerror}", remedy="free space on the disk of the root"
        )
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return errors.ProviderError(
            "a link or a file stands where the store keeps a folder or an object",
            remedy="remove what others placed under the root",
        )
    if error.errno in _AWAY:
        return errors.ProviderUnavailable(f"the disk cannot be used: {error.strerror}")
    return errors.ProviderError(f"the file system refused: {error.strerror}", remedy="check the root and its rights")
