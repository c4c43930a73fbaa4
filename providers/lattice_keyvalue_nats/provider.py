"""Settings and life of the NATS provider, and the making of its buckets."""

from __future__ import annotations

from typing import Annotated, Literal

import nats.js.errors
import pydantic
from lattice_keyvalue import Bucket, KeyValueProvider, SharedClients
from nats.js import api

from lattice.errors import ConfigError
from lattice.provider import Link, Settings
from lattice_keyvalue_nats.bucket import NatsBucket
from lattice_keyvalue_nats.connection import NatsConnection

SERVER_ALONE = 10074
"""JetStream's code for: replicas need a cluster. A cluster with too few servers up has another, and is an error: a
bucket made with one copy while the others start would keep that one copy."""
MADE_MEANWHILE = 10058
"""JetStream's code for: the name is taken. Another host was faster."""
AUTOMATIC_REPLICAS = (3, 1)
"""What is tried in turn when the number is left to the provider."""

BucketName = Annotated[str, pydantic.Field(min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_-]+$")]


class ProviderSettings(Settings):
    """For the provider as a whole; docs/providers/keyvalue-nats.md explains each."""

    url: str = "nats://127.0.0.1:4222"
    credentials: str = ""
    domain: str = pydantic.Field("", pattern=r"^[^\s.*>]*$")
    timeout_s: float = pydantic.Field(10.0, gt=0, le=60)
    """More than the nine seconds that choosing a leader takes at the longest."""


class LinkSettings(Settings):
    """For one link. `replicas` 0: three in a cluster, one on a server alone."""

    url: str = ""
    bucket: BucketName = "default"
    replicas: int = pydantic.Field(0, ge=0, le=5)
    reads: Literal["leader", "any"] = "leader"


class KeyValueNats(KeyValueProvider):
    """`builtin://keyvalue-nats`: links with the same url share one connection."""

    name = "keyvalue-nats"
    replicable = True
    settings_type = ProviderSettings
    attach_settings_type = LinkSettings
    settings: ProviderSettings

    async def start(self) -> None:
        self._connections = SharedClients(self._connect, NatsConnection.close)

    async def _connect(self, url: str) -> NatsConnection:
        settings = self.settings
        connection = NatsConnection(url, settings.credentials, settings.domain, settings.timeout_s, self.context.log)
        await connection.open()
        return connection

    async def attach(self, link: Link, settings: LinkSettings) -> NatsBucket:
        url = settings.url or self.settings.url
        connection = await self._connections.acquire(url)
        try:
            config = await _open_bucket(connection, link, settings)
        except BaseException:
            await self._connections.release(url)
            raise
        stale_reads = settings.reads == "any" and bool(config.allow_direct)
        return NatsBucket(connection, settings.bucket, stale_reads=stale_reads, ttl=bool(config.allow_msg_ttl))

    async def detach(self, link: Link, attached: Bucket) -> None:
        assert isinstance(attached, NatsBucket)
        await self._connections.release(attached.url)

    async def health(self) -> None:
        for connection in self._connections.all().values():
            await connection.ping()

    async def stop(self) -> None:
        await self._connections.close()


async def _open_bucket(connection: NatsConnection, link: Link, settings: LinkSettings) -> api.StreamConfig:
    """The configuration of the link's bucket, which is made when it is not there."""
    stream = f"KV_{settings.bucket}"
    with connection.translated(f"the bucket {settings.bucket!r}"):
        try:
            config = (await connection.jetstream.stream_info(stream)).config
        except nats.js.errors.NotFoundError:
            await _create_bucket(connection, settings)
            config = (await connection.jetstream.stream_info(stream)).config
    if settings.replicas and config.num_replicas != settings.replicas:
        raise ConfigError(
            f"link {link}: replicas is {settings.replicas}, but the bucket {settings.bucket!r} is there with "
            f"{config.num_replicas}",
            remedy=f"change the bucket (nats stream edit {stream} --replicas {settings.replicas}) or the setting",
        )
    return config


async def _create_bucket(connection: NatsConnection, settings: LinkSettings) -> None:
    choices = (settings.replicas,) if settings.replicas else AUTOMATIC_REPLICAS
    for replicas in choices:
        try:
            await connection.jetstream.create_key_value(bucket=settings.bucket, replicas=replicas, direct=True)
            return
        except nats.js.errors.APIError as error:
            if error.err_code == MADE_MEANWHILE:
                return
            if error.err_code != SERVER_ALONE or replicas == choices[-1]:
                raise
