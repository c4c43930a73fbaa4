"""Stores shared by links: the same place is opened once, with its files, connections and threads, and closed once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from lattice_blobstore.store import Store

OPEN_S_MAX = 30.0
"""How long a link may wait for its store to open: long enough for a folder on a slow network share."""


class _Shared:
    def __init__(self, opening: asyncio.Task[Store]) -> None:
        self.opening = opening
        self.links = 0


class SharedStores:
    """Open stores by what makes them the same."""

    def __init__(self) -> None:
        self._stores: dict[object, _Shared] = {}

    async def take(self, key: object, open_store: Callable[[], Coroutine[Any, Any, Store]]) -> Store:
        """The store of `key`, opened if it is not. Every `take` that returns needs one `give_back`."""
        shared = self._stores.get(key)
        if shared is None:
            shared = self._stores[key] = _Shared(asyncio.create_task(open_store()))
        shared.links += 1
        try:
            async with asyncio.timeout(OPEN_S_MAX):
                # Shielded: others may wait for the same store when this link is given up.
                return await asyncio.shield(shared.opening)
        except BaseException:
            await self.give_back(key)
            raise

    async def give_back(self, key: object) -> None:
        shared = self._stores[key]
        shared.links -= 1
        if not shared.links:
            del self._stores[key]
            await _close(shared)

    async def check(self) -> None:
        """Raises when one of the stores cannot be used now."""
        for shared in list(self._stores.values()):
            if shared.opening.done():
                await shared.opening.result().check()

    async def close(self) -> None:
        stores, self._stores = list(self._stores.values()), {}
        for shared in stores:
            await _close(shared)


async def _close(shared: _Shared) -> None:
    shared.opening.cancel()
    (store,) = await asyncio.gather(shared.opening, return_exceptions=True)
    if not isinstance(store, BaseException):
        await store.close()
