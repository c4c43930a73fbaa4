"""Redis: connections, deadlines, attempts, keys."""

from __future__ import annotations

from collections.abc import AsyncIterator

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError, RedisError, ResponseError, TimeoutError

from .models import Click, Link
from .settings import Settings

GROUP, CONSUMER = "counters", "counter"
BATCH = 100
BLOCK_MS = 1000


class StoreUnavailable(Exception):
    """Redis did not answer, or said no."""


class Store:
    """Links by their codes, and the stream of clicks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redis = Redis(
            connection_pool=BlockingConnectionPool.from_url(
                settings.redis_url,
                max_connections=64,
                timeout=settings.redis_timeout_s,
                socket_timeout=settings.redis_timeout_s + BLOCK_MS / 1000,
                socket_connect_timeout=settings.redis_timeout_s,
                health_check_interval=10,
                decode_responses=True,
                retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), settings.redis_attempts - 1),
                retry_on_error=[ConnectionError, TimeoutError],
            )
        )

    async def ping(self) -> None:
        try:
            await self._redis.ping()
        except RedisError as error:
            raise StoreUnavailable(str(error)) from error

    async def create(self, code: str, url: str) -> bool:
        """False when the code is taken."""
        try:
            return bool(await self._redis.set(f"url:{code}", url, nx=True))
        except RedisError as error:
            raise StoreUnavailable(str(error)) from error

    async def url(self, code: str) -> str | None:
        try:
            return await self._redis.get(f"url:{code}")
        except RedisError as error:
            raise StoreUnavailable(str(error)) from error

    async def link(self, code: str) -> Link | None:
        try:
            url, clicks = await self._redis.mget(f"url:{code}", f"clicks:{code}")
        except RedisError as error:
            raise StoreUnavailable(str(error)) from error
        return Link(code=code, url=url, clicks=int(clicks or 0)) if url is not None else None

    async def delete(self, code: str) -> bool:
        try:
            return bool(await self._redis.delete(f"url:{code}"))
        except RedisError as error:
            raise StoreUnavailable(str(error)) from error

    async def publish(self, click: Click) -> None:
        settings = self._settings
        try:
            await self._redis.xadd(
                settings.stream,
                {"click": click.model_dump_json()},
                maxlen=settings.stream_length_max,
                approximate=True,
            )
        except RedisError as error:
            raise StoreUnavailable(str(error)) from error

    async def clicks(self) -> AsyncIterator[tuple[str, str]]:
        """Ids and texts of clicks, for ever: first those that were read before and not counted."""
        stream = self._settings.stream
        try:
            await self._redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise StoreUnavailable(str(error)) from error
        except RedisError as error:
            raise StoreUnavailable(str(error)) from error
        after = "0"
        while True:
            try:
                found = await self._redis.xreadgroup(GROUP, CONSUMER, {stream: after}, count=BATCH, block=BLOCK_MS)
            except RedisError as error:
                raise StoreUnavailable(str(error)) from error
            entries = found[0][1] if found else []
            if not entries:
                after = ">"
            for entry, fields in entries:
                yield entry, fields.get("click", "")

    async def count(self, entry: str, click: Click | None) -> None:
        """Counts and acknowledges in one transaction. None: a message that nobody can read is put aside."""
        try:
            async with self._redis.pipeline(transaction=True) as pipeline:
                if click is not None:
                    pipeline.incr(f"clicks:{click.code}")
                pipeline.xack(self._settings.stream, GROUP, entry)
                await pipeline.execute()
        except RedisError as error:
            raise StoreUnavailable(str(error)) from error

    async def close(self) -> None:
        await self._redis.aclose(close_connection_pool=True)
