"""One object on its way to S3: small ones in a single request, larger ones in parts."""

from __future__ import annotations

from typing import Any

from lattice import errors
from lattice_blobstore_s3.failures import translated

PARTS_MAX = 10_000
"""Parts of one upload that S3 allows."""


class S3Writer:
    """Gathers bytes until they are a part. S3 shows an object only when the last request of it has succeeded."""

    def __init__(
        self, client: Any, container: str, bucket: str, key: str, headers: dict[str, str], part_bytes: int
    ) -> None:
        self._client = client
        self._container = container
        self._target = {"Bucket": bucket, "Key": key}
        self._headers = headers
        self._part_bytes = part_bytes
        self._buffer = bytearray()
        self._upload: str | None = None
        self._etags: list[str] = []

    def _translated(self) -> Any:
        return translated(f"writing {self._target['Key']!r}", self._container)

    async def write(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= self._part_bytes:
            part = bytes(self._buffer[: self._part_bytes])
            await self._send(part)
            del self._buffer[: self._part_bytes]

    async def _send(self, part: bytes) -> None:
        if len(self._etags) == PARTS_MAX:
            raise errors.PayloadTooLarge(
                f"{self._target['Key']!r} has more than {PARTS_MAX} parts", remedy="raise part_bytes"
            )
        with self._translated():
            if self._upload is None:
                answer = await self._client.create_multipart_upload(**self._target, **self._headers)
                self._upload = answer["UploadId"]
            number = len(self._etags) + 1
            answer = await self._client.upload_part(**self._target, UploadId=self._upload, PartNumber=number, Body=part)
        self._etags.append(answer["ETag"])

    async def commit(self) -> None:
        if self._upload is None:
            with self._translated():
                await self._client.put_object(**self._target, **self._headers, Body=bytes(self._buffer))
            return
        if self._buffer:
            await self._send(bytes(self._buffer))
        parts = [{"ETag": etag, "PartNumber": number} for number, etag in enumerate(self._etags, 1)]
        with self._translated():
            await self._client.complete_multipart_upload(
                **self._target, UploadId=self._upload, MultipartUpload={"Parts": parts}
            )

    async def abort(self) -> None:
        self._buffer.clear()
        if self._upload is not None:
            with self._translated():
                await self._client.abort_multipart_upload(**self._target, UploadId=self._upload)
            self._upload = None
