"""Content that arrives in the cache: one task at a time has the part of a digest, on whatever host of this machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar

from lattice import errors
from lattice.artifacts.blobs import Blobs, Incoming

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many bytes are there, and of how many."""
LOOK_S = 0.1
"""How often is looked whether another process is ready."""

T = TypeVar("T")


@asynccontextmanager
async def incoming(blobs: Blobs, digest: str, wait_s: float) -> AsyncIterator[Incoming | None]:
    """The part of a digest for this task alone; None when somebody else has just put the content there.

    Raises `errors.RegistryUnavailable` when somebody else was fetching it for `wait_s`.
    """
    deadline = asyncio.get_running_loop().time() + wait_s
    while (part := blobs.begin(digest)) is None:
        if asyncio.get_running_loop().time() > deadline:
            raise errors.RegistryUnavailable(f"another process has been fetching {digest[:12]} for {wait_s:g} s")
        await asyncio.sleep(LOOK_S)
    try:
        if await in_thread(blobs.get, digest) is not None:
            part.discard()
            yield None
        else:
            yield part
    finally:
        part.close()


async def in_thread(work: Callable[..., T], *arguments: object) -> T:
    """`asyncio.to_thread` that ends when its thread does, also when cancelled twice: what it uses is closed next."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({running})
        raise


async def keep(blobs: Blobs, digest: str, data: bytes, wait_s: float) -> None:
    """Puts content into the cache, unless somebody else just has. Raises as `incoming` and `Incoming` do."""
    async with incoming(blobs, digest, wait_s) as part:
        if part is not None:
            await in_thread(part.restart)
            await in_thread(part.write, data)
            await in_thread(part.commit)
