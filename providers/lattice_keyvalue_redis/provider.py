"""Settings and life of the Redis provider."""

from __future__ import annotations

import pydantic
from lattice_keyvalue import Bucket, KeyValueProvider, SharedClients

from lattice.errors import ConfigError
from lattice.provider import Link, Settings
from lattice_keyvalue_redis.bucket import RedisBucket
from lattice_keyvalue_redis.client import RedisClient


class ProviderSettings(Settings):
    """For the provider as a whole; docs/providers/keyvalue-redis.md explains each."""

    url: str = ""
    connections_max: int = pydantic.Field(16, ge=1, le=1000)
    timeout_s: float = pydantic.Field(2.0, gt=0, le=60)


class LinkSettings(Settings):
    """For one link."""

    url: str = ""
    prefix: str = pydantic.Field("", max_length=256)


class KeyValueRedis(KeyValueProvider):
    """`builtin://keyvalue-redis`: links with the same url share its connections."""

    name = "keyvalue-redis"
    replicable = True
    settings_type = ProviderSettings
    attach_settings_type = LinkSettings
    settings: ProviderSettings

    async def start(self) -> None:
        self._clients = SharedClients(self._connect, RedisClient.close)

    async def _connect(self, url: str) -> RedisClient:
        client = RedisClient(url, self.settings.connections_max, self.settings.timeout_s)
        try:
            await client.ping()
        except BaseException:
            await client.close()
            raise
        return client

    async def attach(self, link: Link, settings: LinkSettings) -> RedisBucket:
        url = settings.url or self.settings.url
        if not url:
            raise ConfigError(
                f"link {link}: url is not set, neither here nor for the provider",
                remedy="set url to the server, such as redis://127.0.0.1:6379/0",
            )
        return RedisBucket(await self._clients.acquire(url), url, settings.prefix)

    async def detach(self, link: Link, attached: Bucket) -> None:
        assert isinstance(attached, RedisBucket)
        await self._clients.release(attached.url)

    async def health(self) -> None:
        for client in self._clients.all().values():
            await client.ping()

    async def stop(self) -> None:
        await self._clients.close()
