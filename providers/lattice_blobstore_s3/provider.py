"""The blobstore contract on S3."""

from __future__ import annotations

from typing import ClassVar

import pydantic
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from lattice_blobstore import BlobSettings, Blobstore, Store

from lattice import errors
from lattice_blobstore_s3.store import S3Store

MIB = 1024 * 1024


class S3Settings(BlobSettings):
    endpoint: str = ""
    """The address of the service, as in http://127.0.0.1:9000. Empty: Amazon's own for the region."""
    region: str = "us-east-1"
    access_key: pydantic.SecretStr
    secret_key: pydantic.SecretStr
    bucket_prefix: str = pydantic.Field("", max_length=40)
    """Stands before every container's id in its bucket's name, and keeps other buckets out of sight."""
    path_style: bool = True
    """Buckets in the path of the address. False: in its host name, as Amazon prefers."""
    part_bytes: int = pydantic.Field(8 * MIB, ge=5 * MIB, le=64 * MIB)
    """Buffered of each upload before a part is sent. S3 demands at least 5 MiB and at most 10,000 parts."""
    connect_timeout_s: float = pydantic.Field(3.0, gt=0)
    read_timeout_s: float = pydantic.Field(20.0, gt=0)
    """From sending a request until its answer begins, and between two pieces of an answer."""
    attempts_max: int = pydantic.Field(3, ge=1, le=10)
    """Attempts of one request when the service is busy or cannot be reached: repeating one does no harm in S3."""
    connections_max: int = pydantic.Field(16, ge=1, le=256)
    """Open connections; one more request waits. More than this rarely brings more throughput from one host."""

    @pydantic.field_validator("endpoint")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value


class BlobstoreS3(Blobstore):
    name = "blobstore-s3"
    replicable = True
    attach_settings_type: ClassVar[type[S3Settings]] = S3Settings

    async def open_store(self, settings: BlobSettings) -> Store:
        assert isinstance(settings, S3Settings)
        config = AioConfig(
            connect_timeout=settings.connect_timeout_s,
            read_timeout=settings.read_timeout_s,
            max_pool_connections=settings.connections_max,
            retries={"mode": "standard", "total_max_attempts": settings.attempts_max},
            s3={"addressing_style": "path" if settings.path_style else "virtual"},
            # Checksums beyond those that S3 has always had are refused by many services that speak its protocol.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            context = get_session().create_client(
                "s3",
                region_name=settings.region,
                endpoint_url=settings.endpoint or None,
                aws_access_key_id=settings.access_key.get_secret_value(),
                aws_secret_access_key=settings.secret_key.get_secret_value(),
                config=config,
            )
            client = await context.__aenter__()
        except ValueError as error:
            raise errors.ConfigError(f"the endpoint {settings.endpoint!r} cannot be used: {error}") from error
        return S3Store(context, client, settings.bucket_prefix, settings.region, settings.part_bytes)
