"""Objects that arrive in chunks, over many calls: who sends which, how far it is, and when to give up on it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from lattice import errors
from lattice_blobstore.store import Writer

Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]
"""`Context.spawn`: a task that ends with the provider."""


class Upload:
    """One unfinished object. `received` counts its bytes, so it is also the offset that the next chunk must have."""

    def __init__(
        self, container: str, object_: str, writer: Writer, bytes_max: int, spawn: Spawn, log: logging.Logger
    ) -> None:
        self.container = container
        self.object = object_
        self.received = 0
        self._writer = writer
        self._bytes_max = bytes_max
        # Chunks of one upload may arrive at the same time when an actor does not wait for replies.
        self._turn = asyncio.Lock()
        self._over = False
        self._spawn = spawn
        self._log = log

    def __str__(self) -> str:
        return f"the upload of {self.object!r} to container {self.container!r}"

    async def add(self, data: bytes, offset: int, last: bool) -> None:
        """Takes one chunk; with `last` the object is there when this returns.

        A wrong offset leaves the upload as it was; any other failure ends it with nothing kept.
        """
        async with self._turn:
            if self._over:
                raise errors.ProviderError(f"{self} is over", remedy="begin again with Blobstore.PutObject")
            if offset != self.received:
                raise errors.ProviderError(
                    f"a chunk of {self} has offset {offset}; the next one must have {self.received}",
                    remedy="send the chunks in order, each once",
                )
            try:
                if self.received + len(data) > self._bytes_max:
                    raise errors.PayloadTooLarge(f"{self} is over object_bytes_max ({self._bytes_max} bytes)")
                await self._writer.write(data)
                self.received += len(data)
                if last:
                    await self._writer.commit()
                    self._over = True
            except BaseException:
                await self._abandon()
                raise

    async def abort(self) -> None:
        """Ends it with nothing kept; nothing happens when it is over."""
        async with self._turn:
            if not self._over:
                await self._abandon()

    @property
    def over(self) -> bool:
        return self._over

    async def _abandon(self) -> None:
        self._over = True
        # A task of its own: whoever calls may be cancelled meanwhile, and the rest must go all the same.
        await asyncio.shield(self._spawn(self._clean_up(), f"clean up {self}"))

    async def _clean_up(self) -> None:
        try:
            await self._writer.abort()
        except Exception as error:  # whatever a store raises: the upload is over, and the log says what may remain
            self._log.warning("%s could not be cleaned up: %s", self, error)


class Uploads:
    """The unfinished uploads of one link, at most `count_max`; each ends by itself `idle_s` after its last chunk."""

    def __init__(self, count_max: int, idle_s: float, spawn: Spawn, log: logging.Logger) -> None:
        self._count_max = count_max
        self._idle_s = idle_s
        self._spawn = spawn
        self._log = log
        self._open: dict[str, Upload] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._opening = 0

    def __len__(self) -> int:
        return len(self._open)

    async def begin(self, make: Callable[[], Awaitable[Upload]], data: bytes) -> str:
        """Opens an upload, gives it its first chunk and returns the stream id of those that follow."""
        if len(self._open) + self._opening >= self._count_max:
            raise errors.Overloaded(
                f"this link already has {self._count_max} unfinished uploads (uploads_max)",
                remedy="finish or cancel some, or raise uploads_max",
            )
        self._opening += 1
        try:
            upload = await make()
            await upload.add(data, 0, last=False)
        finally:
            self._opening -= 1
        stream = secrets.token_hex(12)
        self._open[stream] = upload
        self._touch(stream)
        return stream

    async def add(self, stream: str, upload: Upload, data: bytes, offset: int, last: bool) -> None:
        self._pause(stream)  # a slow store does not make an upload idle
        try:
            await upload.add(data, offset, last)
        finally:
            if upload.over:
                self._forget(stream)
            else:
                self._touch(stream)

    def find(self, stream: str | None, container: str, object_: str) -> tuple[str, Upload]:
        """An upload by its stream id, or without one (old actors leave it out) by what it uploads, if that is clear."""
        fitting = [
            (id_, upload)
            for id_, upload in self._open.items()
            if (upload.container, upload.object) == (container, object_) and stream in (None, "", id_)
        ]
        if len(fitting) == 1:
            return fitting[0]
        what = f"{object_!r} in container {container!r}"
        if fitting:
            raise errors.ProviderError(f"several uploads of {what} are open", remedy="send the chunk's streamId")
        raise errors.ProviderError(
            f"no upload of {what} is open under streamId {stream!r}; it is over, or was idle for {self._idle_s:g} s",
            remedy="begin again with Blobstore.PutObject",
        )

    async def cancel(self, stream: str, upload: Upload) -> None:
        self._forget(stream)
        await upload.abort()

    async def close(self) -> None:
        """Ends all of them with nothing kept."""
        for stream, upload in list(self._open.items()):
            await self.cancel(stream, upload)

    def _pause(self, stream: str) -> None:
        if timer := self._timers.pop(stream, None):
            timer.cancel()

    def _touch(self, stream: str) -> None:
        self._pause(stream)
        if stream in self._open:
            self._timers[stream] = asyncio.get_running_loop().call_later(self._idle_s, self._expire, stream)

    def _forget(self, stream: str) -> None:
        self._open.pop(stream, None)
        self._pause(stream)

    def _expire(self, stream: str) -> None:
        upload = self._open.get(stream)
        if upload is None:
            return
        self._forget(stream)
        self._log.warning("%s was idle for %g s and is dropped", upload, self._idle_s)
        self._spawn(upload.abort(), "drop an idle upload")
