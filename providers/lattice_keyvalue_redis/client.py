"""Connections to one Redis server: bounded in number and time, and failures in this project's words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio as redis
from lattice_keyvalue.shared import without_password
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from lattice.errors import CallError, ConfigError, PayloadTooLarge, ProviderError, ProviderUnavailable


class RedisClient:
    """A pool of connections. A lost connection is opened again by the next call; no call is sent twice.

    `timeout_s` bounds one call, the wait for a free connection and connecting included.
    """

    def __init__(self, url: str, connections_max: int, timeout_s: float) -> None:
        self._name = without_password(url)
        self._timeout_s = timeout_s
        try:
            pool = redis.BlockingConnectionPool.from_url(
                url,
                max_connections=connections_max,
                timeout=None,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                # Whether a lost call was carried out is not known, and an increment must not happen twice.
                retry=Retry(NoBackoff(), 0),
                protocol=2,
                client_name="nanolattice",
            )
        except ValueError as error:
            raise ConfigError(
                f"url: {self._name!r} is not the address of a Redis server: {error}",
                remedy="use redis://[user:password@]host:port/database, rediss://... or unix://...",
            ) from error
        self._redis: redis.Redis = redis.Redis.from_pool(pool)

    async def run(self, *command: Any) -> Any:
        """Sends one command and returns its reply.

        Raises `ProviderUnavailable`; then a write may have happened. A refusal of the server is a `ProviderError`.
        """
        send: Callable[..., Awaitable[Any]] = self._redis.execute_command
        return await self._bounded(lambda: send(*command))

    async def run_script(self, script: Callable[..., Awaitable[Any]], keys: list[bytes], *arguments: Any) -> Any:
        """Runs a script of `register`: on the server nothing comes between its commands. Raises like `run`."""
        return await self._bounded(lambda: script(keys=keys, args=list(arguments)))

    def register(self, source: str) -> Callable[..., Awaitable[Any]]:
        """A Lua script for `run_script`; it is sent when the server does not know it."""
        return self._redis.register_script(source)

    async def ping(self) -> None:
        await self.run("PING")

    async def close(self) -> None:
        await self._redis.aclose()

    async def _bounded(self, send: Callable[[], Awaitable[Any]]) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await send()
        except (TimeoutError, exceptions.RedisError, OSError) as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> CallError:
        where = f"redis at {self._name}"
        match error:
            case TimeoutError() | exceptions.TimeoutError():
                return ProviderUnavailable(f"{where} did not answer within {self._timeout_s:g} s")
            case exceptions.AuthenticationError() | exceptions.AuthorizationError() | exceptions.NoPermissionError():
                return ProviderUnavailable(f"{where} refused: {error}", remedy="check user and password in the url")
            case exceptions.ConnectionError() | OSError():
                return ProviderUnavailable(f"{where} cannot be reached: {error}", remedy="is the server running?")
            case exceptions.OutOfMemoryError() | exceptions.ReadOnlyError() | exceptions.ClusterDownError():
                return ProviderUnavailable(f"{where} takes no writes: {error}")
            case exceptions.ResponseError() if str(error).startswith(("MISCONF", "LOADING", "NOREPLICAS", "BUSY")):
                return ProviderUnavailable(f"{where} is not ready: {error}")
            case exceptions.ResponseError() if "string exceeds maximum" in str(error):
                return PayloadTooLarge(f"{where}: {error}")
            case _:
                return ProviderError(f"{where}: {error}")
