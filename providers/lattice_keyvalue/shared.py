"""Clients of a server, one for each address however many links use it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from lattice.errors import ConfigError

Client = TypeVar("Client")

CLIENTS_MAX = 64
"""Different addresses of one provider. Each holds connections and buffers; more is a manifest gone wrong."""


class SharedClients(Generic[Client]):
    """Opens a client when the first link needs it and closes it with the last."""

    def __init__(self, connect: Callable[[str], Awaitable[Client]], close: Callable[[Client], Awaitable[None]]) -> None:
        self._connect = connect
        self._close = close
        self._clients: dict[str, Client] = {}
        self._uses: dict[str, int] = {}
        # Two links attached at once must not open two clients for one address.
        self._lock = asyncio.Lock()

    async def acquire(self, url: str) -> Client:
        """The client for `url`; raises what connecting raises, and `ConfigError` over the limit."""
        async with self._lock:
            client = self._clients.get(url)
            if client is None:
                if len(self._clients) >= CLIENTS_MAX:
                    raise ConfigError(f"more than {CLIENTS_MAX} different url settings on the links of one provider")
                client = self._clients[url] = await self._connect(url)
                self._uses[url] = 0
            self._uses[url] += 1
            return client

    async def release(self, url: str) -> None:
        async with self._lock:
            if url not in self._clients:
                return
            self._uses[url] -= 1
            if self._uses[url] == 0:
                del self._uses[url]
                await self._close(self._clients.pop(url))

    def all(self) -> dict[str, Client]:
        """The open clients by url."""
        return dict(self._clients)

    async def close(self) -> None:
        async with self._lock:
            clients, self._clients = self._clients, {}
            self._uses.clear()
            for client in clients.values():
                await self._close(client)


def without_password(url: str) -> str:
    """A url for error texts and logs: whoever reads those need not know the password."""
    named = []
    for part in url.split(","):
        split = urlsplit(part)
        named.append(split._replace(netloc=split.netloc.rpartition("@")[2]).geturl())
    return ",".join(named)
