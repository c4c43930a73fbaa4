"""Large values in JetStream, in the form of its object stores: a stream `OBJ_NAME`, chunks under `$O.NAME.C.>`, one
record for each object under `$O.NAME.M.>`. A value is never in memory twice: chunks are cut from it and joined once.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lattice import errors
from lattice.transport.nats_buckets import JetStream, JetStreamRefusal

if TYPE_CHECKING:
    from lattice.transport.nats import NatsTransport

CHUNK_BYTES = 128 * 1024
CHUNKS_AT_ONCE = 8
"""Chunks that are sent before the first is acknowledged."""
_NO_MESSAGE = 10037


LAG_LOOK_S, LAG_S_MAX = 0.02, 3.0
"""How often, and how long, chunks are looked for that a replica does not have yet."""


class NatsObjects:
    """An `Objects`."""

    def __init__(self, transport: NatsTransport, name: str, domain: str) -> None:
        self._jetstream = JetStream(transport, domain)
        self._name = name
        self._stream = f"OBJ_{name}"

    async def create(self, replicas: int | None, keep_s: float | None, grows: bool = True) -> None:
        """`keep_s`: how long objects are kept, None: until they are deleted. Raises as a bucket's `create`."""
        config = {
            "name": self._stream,
            "subjects": [f"$O.{self._name}.C.>", f"$O.{self._name}.M.>"],
            "max_age": int((keep_s or 0) * 1e9),
            "storage": "file",
            "discard": "new",
            "allow_rollup_hdrs": True,
            "allow_direct": True,
        }
        await self._jetstream.ensure(config, replicas, grows)

    async def put(self, name: str, data: bytes | memoryview, timeout_s: float = 30.0) -> None:
        old = await self._record(name, timeout_s)
        nuid = secrets.token_hex(11)
        view = memoryview(data)
        subject = f"$O.{self._name}.C.{nuid}"
        starts = range(0, len(view), CHUNK_BYTES)
        digest = hashlib.sha256()
        async with asyncio.timeout(timeout_s):
            for first in range(0, len(starts), CHUNKS_AT_ONCE):
                chunks = [view[start : start + CHUNK_BYTES] for start in starts[first : first + CHUNKS_AT_ONCE]]
                for chunk in chunks:
                    digest.update(chunk)
                # One after the other onto the connection, so that the stream has them in order.
                await asyncio.gather(
                    *(self._jetstream.write(subject, bytes(chunk), None, timeout_s) for chunk in chunks)
                )
            record = {
                "name": name,
                "bucket": self._name,
                "nuid": nuid,
                "size": len(view),
                "chunks": len(starts),
                "digest": f"SHA-256={base64.urlsafe_b64encode(digest.digest()).decode()}",
                "mtime": datetime.now(UTC).isoformat(),
                "options": {"max_chunk_size": CHUNK_BYTES},
            }
            await self._write_record(name, record, timeout_s)
        if old is not None and not old.get("deleted"):
            await self._purge(str(old["nuid"]), timeout_s)

    async def get(self, name: str, timeout_s: float = 30.0, size_max: int | None = None) -> bytes:
        record = await self._record(name, timeout_s)
        if record is None or record.get("deleted"):
            raise errors.TargetUnknown(f"{self._name} has no object {name}")
        try:
            subject, size, wanted = f"$O.{self._name}.C.{record['nuid']}", int(record["size"]), int(record["chunks"])
        except (KeyError, TypeError, ValueError) as error:
            raise errors.MalformedMessage(f"the record of object {name} cannot be read") from error
        if size_max is not None and size > size_max:
            raise errors.MalformedMessage(f"object {name} has {size} bytes where at most {size_max} are expected")
        whole = io.BytesIO()  # gives its bytes away without copying them
        digest = hashlib.sha256()
        read = after = 0
        loop = asyncio.get_running_loop()
        until = loop.time() + min(timeout_s, LAG_S_MAX)
        async with asyncio.timeout(timeout_s):
            while read < wanted:
                body = {"seq": after + 1, "next_by_subj": subject, "batch": min(wanted - read, CHUNKS_AT_ONCE)}
                found = await self._jetstream.batch(self._stream, body, timeout_s)
                if not found:
                    # The record is read from the leader and chunks from any replica, which may be behind.
                    if loop.time() > until:
                        raise errors.MalformedMessage(f"object {name} has {read} chunks of {wanted}")
                    await asyncio.sleep(LAG_LOOK_S)
                    continue
                for message in found:
                    whole.write(message.data)
                    digest.update(message.data)
                    after = int((message.headers or {})["Nats-Sequence"])
                    if whole.tell() > size:
                        raise errors.MalformedMessage(f"object {name} has more bytes than its record says")
                read += len(found)
                until = loop.time() + min(timeout_s, LAG_S_MAX)
        if whole.tell() != size or not _is_digest(str(record.get("digest", "")), digest.digest()):
            raise errors.MalformedMessage(f"object {name} is not what was put: its digest differs")
        return whole.getvalue()

    async def delete(self, name: str, timeout_s: float = 5.0) -> None:
        record = await self._record(name, timeout_s)
        if record is None or record.get("deleted"):
            return
        gone = {**record, "deleted": True, "size": 0, "chunks": 0, "digest": ""}
        await self._write_record(name, gone, timeout_s)
        await self._purge(str(record.get("nuid", "")), timeout_s)

    async def _record(self, name: str, timeout_s: float) -> dict[str, Any] | None:
        try:
            body = {"last_by_subj": self._record_subject(name)}
            found = await self._jetstream.api(f"STREAM.MSG.GET.{self._stream}", body, timeout_s)
            record = json.loads(base64.b64decode(found["message"].get("data", "")))
        except JetStreamRefusal as refusal:
            if refusal.number == _NO_MESSAGE:
                return None
            raise
        except (ValueError, KeyError) as error:
            raise errors.MalformedMessage(f"the record of object {name} cannot be read") from error
        if not isinstance(record, dict):
            raise errors.MalformedMessage(f"the record of object {name} is not a mapping")
        return record

    async def _write_record(self, name: str, record: dict[str, Any], timeout_s: float) -> None:
        headers = {"Nats-Rollup": "sub"}
        await self._jetstream.write(self._record_subject(name), json.dumps(record).encode(), headers, timeout_s)

    async def _purge(self, nuid: str, timeout_s: float) -> None:
        body = {"filter": f"$O.{self._name}.C.{nuid}"}
        await self._jetstream.api(f"STREAM.PURGE.{self._stream}", body, timeout_s)

    def _record_subject(self, name: str) -> str:
        return f"$O.{self._name}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


def _is_digest(text: str, digest: bytes) -> bool:
    return text == f"SHA-256={base64.urlsafe_b64encode(digest).decode()}"
