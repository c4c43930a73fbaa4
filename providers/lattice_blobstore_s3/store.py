"""A `Store` in an S3 service: a container is a bucket, an object's id is its key."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Any, Protocol

from botocore.exceptions import ClientError
from lattice_blobstore import Container, ObjectInfo

from lattice import errors
from lattice_blobstore_s3.failures import RANGE, code_of, translated
from lattice_blobstore_s3.writer import S3Writer

PAGE_MAX = 1000
"""Keys in one answer of S3, whatever is asked for."""
OWNED = {"BucketAlreadyOwnedByYou"}


class ClientContext(Protocol):
    """What the client library gives to open a client."""

    async def __aenter__(self) -> Any: ...
    async def __aexit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class S3Store:
    """`client` is the open client of `context`, which closes it."""

    def __init__(self, context: ClientContext, client: Any, bucket_prefix: str, region: str, part_bytes: int) -> None:
        self._context = context
        self._client = client
        self._prefix = bucket_prefix
        self._region = region
        self._part_bytes = part_bytes

    def _bucket(self, container: str) -> str:
        return self._prefix + container

    async def check(self) -> None:
        try:
            with translated("looking at the S3 service"):
                await self._client.list_buckets(MaxBuckets=1)
        except errors.ProviderUnavailable:
            raise
        except errors.ProviderError as error:
            cause = error.__cause__
            # Keys without the right to list buckets are common; the service is there all the same.
            if not (isinstance(cause, ClientError) and code_of(cause) == "AccessDenied"):
                raise

    async def container(self, container: str) -> Container:
        with translated(f"looking for container {container!r}", container):
            await self._client.head_bucket(Bucket=self._bucket(container))
        return Container(container)

    async def containers(self) -> list[Container]:
        found: list[Container] = []
        more: dict[str, str] = {}
        with translated("listing the containers"):
            while True:
                answer = await self._client.list_buckets(**more)
                for bucket in answer.get("Buckets", []):
                    name = bucket["Name"]
                    if name.startswith(self._prefix) and name != self._prefix:
                        found.append(Container(name[len(self._prefix) :], nanoseconds(bucket.get("CreationDate"))))
                if not answer.get("ContinuationToken"):
                    return sorted(found, key=lambda container: container.id)
                more = {"ContinuationToken": answer["ContinuationToken"]}

    async def create(self, container: str) -> None:
        where: dict[str, Any] = {}
        if self._region != "us-east-1":  # the one region whose name S3 refuses here
            where = {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        with translated(f"creating container {container!r}", container):
            try:
                await self._client.create_bucket(Bucket=self._bucket(container), **where)
            except ClientError as error:
                if code_of(error) not in OWNED:
                    raise

    async def remove_container(self, container: str) -> None:
        with translated(f"removing container {container!r}", container):
            await self._client.delete_bucket(Bucket=self._bucket(container))

    async def info(self, container: str, object_: str) -> ObjectInfo:
        with translated(f"looking at {object_!r}", container, object_):
            answer = await self._client.head_object(Bucket=self._bucket(container), Key=object_)
        return info_of(object_, answer["ContentLength"], answer)

    async def objects(self, container: str, prefix: str, after: str, size: int) -> list[ObjectInfo]:
        found: list[ObjectInfo] = []
        more: dict[str, str] = {"StartAfter": after} if after else {}
        with translated(f"listing container {container!r}", container):
            while True:
                count = min(size - len(found), PAGE_MAX)
                answer = await self._client.list_objects_v2(
                    Bucket=self._bucket(container), Prefix=prefix, MaxKeys=count, **more
                )
                found += [
                    ObjectInfo(entry["Key"], entry["Size"], nanoseconds(entry.get("LastModified")))
                    for entry in answer.get("Contents", [])
                ]
                if len(found) >= size or not answer.get("IsTruncated"):
                    return found[:size]
                more = {"ContinuationToken": answer["NextContinuationToken"]}

    async def remove(self, container: str, object_: str) -> None:
        with translated(f"removing {object_!r}", container):
            await self._client.delete_object(Bucket=self._bucket(container), Key=object_)

    async def reader(self, container: str, object_: str, offset: int, size: int) -> S3Reader:
        """One request when the range is inside the object, which is the rule."""
        what = f"reading {object_!r}"
        with translated(what, container, object_):
            try:
                answer = await self._client.get_object(
                    Bucket=self._bucket(container), Key=object_, Range=f"bytes={offset}-{offset + size - 1}"
                )
            except ClientError as error:
                if code_of(error) not in RANGE:
                    raise
                return S3Reader(self._client, self._bucket(container), await self.info(container, object_), "")
            data = await body_of(answer, size)
        length = int(answer["ContentRange"].rpartition("/")[2]) if "ContentRange" in answer else len(data)
        reader = S3Reader(self._client, self._bucket(container), info_of(object_, length, answer), answer["ETag"])
        reader.first = (offset, data)
        return reader

    async def writer(
        self, container: str, object_: str, content_type: str | None, content_encoding: str | None
    ) -> S3Writer:
        headers = {"ContentType": content_type, "ContentEncoding": content_encoding}
        given = {name: value for name, value in headers.items() if value}
        return S3Writer(self._client, container, self._bucket(container), object_, given, self._part_bytes)

    async def close(self) -> None:
        await self._context.__aexit__(None, None, None)


class S3Reader:
    """Each read is a request for that range, of the same version of the object (its ETag); nothing stays open."""

    def __init__(self, client: Any, bucket: str, info: ObjectInfo, etag: str) -> None:
        self.info = info
        self.first: tuple[int, bytes] | None = None
        self._client = client
        self._bucket = bucket
        self._etag = etag

    async def read(self, offset: int, size: int) -> bytes:
        first, self.first = self.first, None
        if first is not None and first[0] == offset and len(first[1]) >= size:
            return first[1][:size]
        what = f"reading {self.info.id!r}"
        with translated(what, self._bucket, self.info.id):
            answer = await self._client.get_object(
                Bucket=self._bucket,
                Key=self.info.id,
                Range=f"bytes={offset}-{offset + size - 1}",
                IfMatch=self._etag,
            )
            data = await body_of(answer, size)
        if len(data) != size:
            raise errors.ProviderUnavailable(f"{what} failed: {len(data)} bytes came instead of {size}")
        return data

    async def close(self) -> None:
        self.first = None


async def body_of(answer: dict[str, Any], size: int) -> bytes:
    """At most `size` bytes: a service that ignores ranges must not fill the memory."""
    async with answer["Body"] as body:
        data = b""
        while len(data) < size and (part := await body.read(size - len(data))):
            data += part
        return data


def info_of(id_: str, length: int, answer: dict[str, Any]) -> ObjectInfo:
    return ObjectInfo(
        id_,
        length,
        nanoseconds(answer.get("LastModified")),
        answer.get("ContentType"),
        answer.get("ContentEncoding"),
    )


def nanoseconds(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp()) * 1_000_000_000 + time.microsecond * 1000
