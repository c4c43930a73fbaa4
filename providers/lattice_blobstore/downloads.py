"""The chunks of an object that did not fit into the reply: sent to the actor one after the other."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from lattice import errors
from lattice.contracts.blobstore import RECEIVE_CHUNK, Chunk, ChunkResponse
from lattice.provider import Context, Link
from lattice.tasks import end_all
from lattice_blobstore.store import Reader


class Pace(Protocol):
    """What of the settings of a link a download needs; `BlobSettings` says what they mean."""

    @property
    def chunk_bytes(self) -> int: ...
    @property
    def chunk_call_s(self) -> float: ...


class Download:
    """What is still to be sent of one object: the bytes from span[0] up to, not including, span[1]."""

    def __init__(self, link: Link, reader: Reader, ids: tuple[str, str], span: tuple[int, int], pace: Pace) -> None:
        self.link = link
        self.reader = reader
        self._container, self._object = ids
        self._offset, self._end = span
        self._pace = pace

    def __str__(self) -> str:
        return f"the download of {self._object!r} from container {self._container!r} at byte {self._offset}"

    async def send(self, context: Context) -> None:
        """One chunk at a time: the next is read only when the actor has taken the one before, so it sets the pace."""
        while self._offset < self._end:
            data = await self.reader.read(self._offset, min(self._pace.chunk_bytes, self._end - self._offset))
            after = self._offset + len(data)
            chunk = Chunk(
                object_id=self._object,
                container_id=self._container,
                bytes=data,
                offset=self._offset,
                is_last=after == self._end,
            )
            deadline = time.monotonic() + self._pace.chunk_call_s
            # The deadline is the callee's to keep; the timeout is for a callee that does not.
            async with asyncio.timeout(self._pace.chunk_call_s + 1):
                reply: ChunkResponse = await context.call(self.link, RECEIVE_CHUNK, chunk, deadline)
            if reply.cancel_download:
                return
            self._offset = after


class Downloads:
    """The objects being sent by one provider, at most `count_max`: each holds an open object and one chunk."""

    def __init__(self, context: Context, count_max: int) -> None:
        self._context = context
        self._count_max = count_max
        self._count = 0
        self._running: dict[asyncio.Task[None], Download] = {}

    def reserve(self) -> Place:
        """Takes a place before the object is opened. Raises `errors.Overloaded`."""
        if self._count >= self._count_max:
            raise errors.Overloaded(
                f"{self._count_max} objects are being sent (downloads_max)", remedy="try again, or raise downloads_max"
            )
        self._count += 1
        return Place(self)

    def give_back(self) -> None:
        self._count -= 1

    def start(self, download: Download) -> None:
        """Sends the chunks in the background, so that the caller gets its reply first."""
        task = self._context.spawn(self._run(download), str(download))
        self._running[task] = download
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self.give_back()

    async def wait(self) -> None:
        """Returns when every object has been sent; the host bounds the wait."""
        if self._running:
            await asyncio.wait(self._running)

    async def cancel(self, link: Link | None = None) -> None:
        """Ends what is being sent along one link, or all."""
        ending = {task: download for task, download in self._running.items() if link in (None, download.link)}
        await end_all(ending)
        for download in ending.values():
            # A task cancelled before its first step never reached its own clean-up. Closing twice is harmless.
            await download.reader.close()

    async def _run(self, download: Download) -> None:
        log = self._context.log
        try:
            await download.send(self._context)
        except (errors.CallError, TimeoutError) as error:
            # Nobody waits for this result. The actor sees that no chunk with isLast came.
            log.warning("%s stopped: %s", download, error or "the actor did not answer")
        except Exception:  # a bug in one download must not end the provider with all its links
            log.exception("%s failed", download)
        finally:
            await download.reader.close()


class Place:
    """Room for one object: used by `start`, else given back by `release`."""

    def __init__(self, downloads: Downloads) -> None:
        self._downloads: Downloads | None = downloads

    def start(self, download: Download) -> None:
        assert self._downloads is not None, "a place is used once"
        downloads, self._downloads = self._downloads, None
        downloads.start(download)

    def release(self) -> None:
        if self._downloads is not None:
            self._downloads.give_back()
            self._downloads = None
