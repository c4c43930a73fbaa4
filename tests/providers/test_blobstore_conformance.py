"""What every blob store does, whatever is behind it: one suite in memory, over the file system and a real S3
service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from lattice_blobstore_fs import BlobstoreFs
from lattice_blobstore_memory import BlobstoreMemory
from lattice_blobstore_s3 import BlobstoreS3

from lattice import errors
from lattice.contracts.blobstore import (
    Chunk,
    ChunkResponse,
    ContainerObject,
    GetObjectRequest,
    ListObjectsRequest,
    PutChunkRequest,
    PutObjectRequest,
    RemoveObjectsRequest,
)
from lattice.testing import ProviderRig, provider_rig
from tests.support.s3 import ACCESS_KEY, SECRET_KEY, s3_server

MIB = 1024 * 1024


@dataclass
class Blobs:
    """A provider with one link, the contract in short calls, and an actor that takes chunks."""

    rig: ProviderRig
    config: dict[str, str]
    chunks: asyncio.Queue[Chunk] = field(default_factory=asyncio.Queue)
    cancel_after: int | None = None
    hold: asyncio.Event | None = None

    async def receive(self, chunk: Chunk) -> ChunkResponse:
        if self.hold is not None:
            await self.hold.wait()
        await self.chunks.put(chunk)
        return ChunkResponse(cancel_download=self.chunks.qsize() == self.cancel_after)

    async def call(self, operation: str, message: Any = None, **how: str) -> Any:
        return await self.rig.call(f"Blobstore.{operation}", message, **how)

    async def put(self, object_: str, data: bytes, container: str = "box-one", **headers: str) -> None:
        chunk = Chunk(object_id=object_, container_id=container, bytes=data, offset=0, is_last=True)
        reply = await self.call("PutObject", PutObjectRequest(chunk=chunk, **headers))
        assert reply.stream_id is None

    async def begin(self, object_: str, data: bytes, container: str = "box-one", **headers: str) -> str:
        chunk = Chunk(object_id=object_, container_id=container, bytes=data, offset=0, is_last=False)
        stream = (await self.call("PutObject", PutObjectRequest(chunk=chunk, **headers))).stream_id
        assert stream
        return stream

    async def add(
        self, stream: str | None, object_: str, data: bytes, offset: int, last: bool = False, cancel: bool = False
    ) -> None:
        chunk = Chunk(object_id=object_, container_id="box-one", bytes=data, offset=offset, is_last=last)
        await self.call("PutChunk", PutChunkRequest(chunk=chunk, stream_id=stream, cancel_and_remove=cancel))

    async def get(
        self, object_: str, start: int | None = None, end: int | None = None, container: str = "box-one"
    ) -> Any:
        request = GetObjectRequest(object_id=object_, container_id=container, range_start=start, range_end=end)
        return await self.call("GetObject", request)

    async def content(self, object_: str, start: int | None = None, end: int | None = None) -> bytes:
        """All of an object, through however many chunks; checks that they are in order and complete."""
        reply = await self.get(object_, start, end)
        assert reply.success, reply.error
        chunk = reply.initial_chunk
        data, first = chunk.bytes, chunk.offset
        while not chunk.is_last:
            async with asyncio.timeout(10):
                chunk = await self.chunks.get()
            assert (chunk.object_id, chunk.container_id) == (object_, "box-one")
            assert chunk.offset == first + len(data)
            data += chunk.bytes
        assert len(data) == reply.content_length
        return data

    async def exists(self, object_: str) -> bool:
        return await self.call("ObjectExists", ContainerObject(container_id="box-one", object_id=object_))

    async def ids(self, **how: Any) -> list[str]:
        reply = await self.call("ListObjects", ListObjectsRequest(container_id="box-one", **how))
        return [found.object_id for found in reply.objects]


@pytest.fixture(scope="module")
def s3(tmp_path_factory) -> Iterator[Any]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["memory", "fs", "s3"])
async def blobs(request, tmp_path) -> AsyncIterator[Blobs]:
    """Small chunks, so that everything that chunks do is cheap to see. The S3 service is shared: names are unique."""
    config = {"chunk_bytes": "1000", "upload_idle_s": "5"}
    kind: Any = BlobstoreFs
    if request.param == "s3":
        kind = BlobstoreS3
        server = request.getfixturevalue("s3")
        config |= {"endpoint": server.url, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
        config["bucket_prefix"] = f"t{time.monotonic_ns():x}-"
    elif request.param == "memory":
        kind = BlobstoreMemory
    else:
        config |= {"root": str(tmp_path / "root"), "sync": "false"}

    async def actor(_link: Any, operation: str, chunk: Chunk) -> ChunkResponse:
        assert operation == "ChunkReceiver.ReceiveChunk"
        return await blobs.receive(chunk)

    async with provider_rig(kind, tmp_path, actor) as rig:
        await rig.attach(**config)
        blobs = Blobs(rig, config)
        await blobs.call("CreateContainer", "box-one")
        yield blobs
        assert rig.failures == []


async def test_containers_are_made_listed_described_and_removed(blobs):
    assert await blobs.call("ContainerExists", "box-one")
    assert not await blobs.call("ContainerExists", "box-two")
    await blobs.call("CreateContainer", "box-two")
    await blobs.call("CreateContainer", "box-two")  # again is no error
    assert (await blobs.call("GetContainerInfo", "box-two")).container_id == "box-two"
    listed = await blobs.call("ListContainers")
    assert [found.container_id for found in listed] == ["box-one", "box-two"]
    assert all(abs(found.created_at.sec - time.time()) < 60 for found in listed)
    assert await blobs.call("RemoveContainers", ["box-two"]) == []
    assert not await blobs.call("ContainerExists", "box-two")
    with pytest.raises(errors.ProviderError, match="no container 'box-two'"):
        await blobs.call("GetContainerInfo", "box-two")


async def test_removing_containers_reports_each_failure_and_removes_the_rest(blobs):
    await blobs.put("a", b"1")
    await blobs.call("CreateContainer", "box-two")
    failed = await blobs.call("RemoveContainers", ["box-one", "nowhere", "box-two"])
    assert [(item.key, item.success) for item in failed] == [("box-one", False), ("nowhere", False)]
    assert "still holds objects" in failed[0].error
    assert "no container" in failed[1].error
    assert await blobs.content("a") == b"1"
    assert not await blobs.call("ContainerExists", "box-two")


async def test_an_object_comes_back_with_its_headers_and_can_be_replaced(blobs):
    await blobs.put("notes/today.txt", b"hello", content_type="text/plain", content_encoding="identity")
    reply = await blobs.get("notes/today.txt")
    assert (reply.success, reply.content_length, reply.content_type) == (True, 5, "text/plain")
    assert reply.content_encoding == "identity"
    assert (reply.initial_chunk.bytes, reply.initial_chunk.offset, reply.initial_chunk.is_last) == (b"hello", 0, True)
    await blobs.put("notes/today.txt", b"bye", content_type="text/html")
    which = ContainerObject(container_id="box-one", object_id="notes/today.txt")
    info = await blobs.call("GetObjectInfo", which)
    assert (info.content_length, info.content_type, info.content_encoding) == (3, "text/html", None)
    assert abs(info.last_modified.sec - time.time()) < 60
    assert await blobs.content("notes/today.txt") == b"bye"


async def test_an_empty_object_is_an_object(blobs):
    await blobs.put("empty", b"")
    reply = await blobs.get("empty")
    assert (reply.success, reply.content_length, reply.initial_chunk.bytes) == (True, 0, b"")
    assert reply.initial_chunk.is_last
    assert await blobs.exists("empty")


async def test_what_is_not_there_is_said_to_be_not_there(blobs):
    assert not await blobs.exists("nothing")
    assert not await blobs.call("ObjectExists", ContainerObject(container_id="nowhere", object_id="x"))
    reply = await blobs.get("nothing")
    assert (reply.success, reply.initial_chunk, reply.content_length) == (False, None, 0)
    assert "no object 'nothing'" in reply.error
    assert "no container 'nowhere'" in (await blobs.get("x", container="nowhere")).error
    with pytest.raises(errors.ProviderError, match="no object 'nothing'"):
        await blobs.call("GetObjectInfo", ContainerObject(container_id="box-one", object_id="nothing"))
    with pytest.raises(errors.ProviderError, match="no container 'nowhere'"):
        await blobs.put("x", b"x", container="nowhere")
    with pytest.raises(errors.ProviderError, match="no container 'nowhere'"):
        await blobs.call("ListObjects", ListObjectsRequest(container_id="nowhere"))


async def test_removing_objects_leaves_the_others_and_reports_only_failures(blobs):
    for name in ("a", "b", "c"):
        await blobs.put(name, name.encode())
    request = RemoveObjectsRequest(container_id="box-one", objects=["a", "never-there", "c"])
    assert await blobs.call("RemoveObjects", request) == []
    assert await blobs.ids() == ["b"]
    failed = await blobs.call("RemoveObjects", RemoveObjectsRequest(container_id="nowhere", objects=["a"]))
    assert [(item.key, item.success) for item in failed] == [("a", False)]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 9, slice(0, 10)),
        (None, 4, slice(0, 5)),
        (2495, None, slice(2495, 2500)),
        (10, 10, slice(10, 11)),
        (900, 2100, slice(900, 2101)),
        (2000, 99_999, slice(2000, 2500)),
        (0, None, slice(0, 2500)),
    ],
)
async def test_ranges_include_both_ends_and_end_with_the_object(blobs, start, end, expected):
    data = bytes(i % 251 for i in range(2500))
    await blobs.put("data", data)
    assert await blobs.content("data", start, end) == data[expected]


async def test_a_range_outside_the_object_is_an_answer_with_the_reason(blobs):
    await blobs.put("data", b"x" * 10)
    assert "begins at byte 10 of an object of 10 bytes" in (await blobs.get("data", 10)).error
    assert "before it begins" in (await blobs.get("data", 5, 4)).error


async def test_a_large_object_reaches_the_actor_in_order_and_whole(blobs):
    data = bytes(i % 253 for i in range(10_500))
    await blobs.put("large", data)
    reply = await blobs.get("large")
    assert len(reply.initial_chunk.bytes) == 1000
    assert not reply.initial_chunk.is_last
    received = [await asyncio.wait_for(blobs.chunks.get(), 10) for _ in range(10)]
    assert [chunk.offset for chunk in received] == [1000 * i for i in range(1, 11)]
    assert [chunk.is_last for chunk in received] == [False] * 9 + [True]
    assert reply.initial_chunk.bytes + b"".join(chunk.bytes for chunk in received) == data


async def test_an_actor_stops_a_download(blobs):
    await blobs.put("large", b"x" * 10_000)
    blobs.cancel_after = 3
    await blobs.get("large")
    await blobs.rig.provider.drain()
    assert blobs.chunks.qsize() == 3


async def test_an_object_replaced_during_a_download_is_never_mixed(blobs):
    await blobs.put("large", b"x" * 3000)
    blobs.hold = asyncio.Event()
    await blobs.get("large")
    await blobs.put("large", b"y" * 3000)
    blobs.hold.set()
    await blobs.rig.provider.drain()
    received = b"".join(blobs.chunks.get_nowait().bytes for _ in range(blobs.chunks.qsize()))
    assert b"y" not in received


async def test_the_number_of_downloads_is_limited(blobs):
    await blobs.put("large", b"x" * 3000)
    blobs.hold = asyncio.Event()
    for _ in range(64):
        assert (await blobs.get("large")).success
    with pytest.raises(errors.Overloaded, match="downloads_max"):
        await blobs.get("large")
    blobs.hold.set()
    await blobs.rig.provider.drain()
    assert blobs.chunks.qsize() == 64 * 2
    assert (await blobs.get("large", 0, 1)).success


async def test_an_object_put_in_chunks_is_seen_only_when_it_is_whole(blobs):
    stream = await blobs.begin("parts", b"one,", content_type="text/csv")
    await blobs.add(stream, "parts", b"two,", 4)
    assert not await blobs.exists("parts")
    assert await blobs.ids() == []
    await blobs.add(stream, "parts", b"three", 8, last=True)
    assert await blobs.content("parts") == b"one,two,three"
    assert (await blobs.get("parts")).content_type == "text/csv"
    with pytest.raises(errors.ProviderError, match="no upload"):
        await blobs.add(stream, "parts", b"more", 13)


async def test_a_large_object_put_in_chunks_is_stored_whole(blobs):
    """Past the 8 MiB where the S3 backend begins to send parts."""
    block = bytes(range(256)) * 4096
    stream = await blobs.begin("huge", block)
    for number in range(1, 10):
        await blobs.add(stream, "huge", block, number * MIB, last=number == 9)
    which = ContainerObject(container_id="box-one", object_id="huge")
    assert (await blobs.call("GetObjectInfo", which)).content_length == 10 * MIB
    for start in (0, 8 * MIB - 100, 10 * MIB - 200):
        assert await blobs.content("huge", start, start + 199) == (block * 2)[start % MIB : start % MIB + 200]


async def test_a_cancelled_upload_leaves_what_was_there_before(blobs):
    await blobs.put("kept", b"before")
    stream = await blobs.begin("kept", b"x" * (9 * MIB))
    await blobs.add(stream, "kept", b"", 9 * MIB, cancel=True)
    assert await blobs.content("kept") == b"before"
    with pytest.raises(errors.ProviderError, match="no upload"):
        await blobs.add(stream, "kept", b"more", 9 * MIB)


async def test_chunks_out_of_order_are_refused_and_the_upload_goes_on(blobs):
    stream = await blobs.begin("ordered", b"abc")
    for offset in (0, 2, 4, 2**40):
        with pytest.raises(errors.ProviderError, match="must have 3"):
            await blobs.add(stream, "ordered", b"x", offset)
    await blobs.add(stream, "ordered", b"def", 3, last=True)
    assert await blobs.content("ordered") == b"abcdef"
    chunk = Chunk(object_id="o", container_id="box-one", bytes=b"x", offset=1, is_last=True)
    with pytest.raises(errors.ProviderError, match="has offset 1"):
        await blobs.call("PutObject", PutObjectRequest(chunk=chunk))


async def test_an_upload_without_its_stream_id_is_found_when_that_is_clear(blobs):
    first = await blobs.begin("plain", b"abc")
    await blobs.add(None, "plain", b"def", 3)
    await blobs.begin("plain", b"another")
    with pytest.raises(errors.ProviderError, match="several uploads"):
        await blobs.add("", "plain", b"ghi", 6)
    await blobs.add(first, "plain", b"ghi", 6, last=True)
    assert await blobs.content("plain") == b"abcdefghi"


async def test_an_upload_belongs_to_the_link_that_began_it(blobs):
    stream = await blobs.begin("mine", b"abc")
    await blobs.rig.attach("stranger", **blobs.config)
    chunk = Chunk(object_id="mine", container_id="box-one", bytes=b"!", offset=3, is_last=True)
    with pytest.raises(errors.ProviderError, match="no upload"):
        await blobs.call("PutChunk", PutChunkRequest(chunk=chunk, stream_id=stream), actor="stranger")
    await blobs.add(stream, "mine", b"def", 3, last=True)
    assert await blobs.content("mine") == b"abcdef"


async def test_the_number_and_the_size_of_uploads_are_limited(blobs):
    link = await blobs.rig.attach("small", **(blobs.config | {"uploads_max": "2", "object_bytes_max": "10"}))

    async def put(name: str, size: int, last: bool) -> Any:
        chunk = Chunk(object_id=name, container_id="box-one", bytes=b"x" * size, offset=0, is_last=last)
        return await blobs.call("PutObject", PutObjectRequest(chunk=chunk), actor=link.source)

    with pytest.raises(errors.PayloadTooLarge, match="object_bytes_max"):
        await put("one", 11, True)
    stream = (await put("one", 6, False)).stream_id
    await put("two", 6, False)
    with pytest.raises(errors.Overloaded, match="uploads_max"):
        await put("three", 6, False)
    chunk = Chunk(object_id="one", container_id="box-one", bytes=b"12345", offset=6, is_last=True)
    with pytest.raises(errors.PayloadTooLarge):
        await blobs.call("PutChunk", PutChunkRequest(chunk=chunk, stream_id=stream), actor=link.source)
    await put("three", 6, False)
    assert await blobs.ids() == []


async def test_an_idle_upload_is_dropped(blobs):
    link = await blobs.rig.attach("slow", **(blobs.config | {"upload_idle_s": "0.05"}))
    chunk = Chunk(object_id="late", container_id="box-one", bytes=b"x", offset=0, is_last=False)
    reply = await blobs.call("PutObject", PutObjectRequest(chunk=chunk), actor=link.source)
    uploads = blobs.rig.provider.attached(link.source, link.name).uploads
    async with asyncio.timeout(5):
        while len(uploads):
            await asyncio.sleep(0.01)
    with pytest.raises(errors.ProviderError, match=r"idle for 0\.05 s"):
        await blobs.call("PutChunk", PutChunkRequest(chunk=chunk, stream_id=reply.stream_id), actor=link.source)


async def test_listing_is_in_order_and_takes_prefix_and_ends(blobs):
    names = ["a", "b/1", "b/2", "b/3", "c", "Z", "ä"]
    for name in names:
        await blobs.put(name, name.encode())
    assert await blobs.ids() == sorted(names)
    assert await blobs.ids(start_with="b/") == ["b/1", "b/2", "b/3"]
    assert await blobs.ids(start_with="b/", end_with="b/2") == ["b/1", "b/2"]
    assert await blobs.ids(end_before="b/2") == ["Z", "a", "b/1"]
    assert await blobs.ids(start_with="", end_with="", end_before="", continuation="", max_items=0) == sorted(names)
    assert await blobs.ids(start_with="nothing") == []
    listed = await blobs.call("ListObjects", ListObjectsRequest(container_id="box-one", start_with="c"))
    assert (listed.objects[0].content_length, listed.objects[0].container_id) == (1, "box-one")


async def test_listing_goes_on_page_by_page_with_the_prefix_kept(blobs):
    names = [f"p{i:02}" for i in range(7)] + ["q"]
    for name in names:
        await blobs.put(name, b"")
    found, token, pages = [], None, 0
    while True:
        request = ListObjectsRequest(
            container_id="box-one", start_with=None if token else "p", max_items=3, continuation=token
        )
        reply = await blobs.call("ListObjects", request)
        found += [item.object_id for item in reply.objects]
        pages += 1
        if reply.is_last:
            assert reply.continuation is None
            break
        token = reply.continuation
    assert (found, pages) == (names[:7], 3)
    exact = await blobs.call("ListObjects", ListObjectsRequest(container_id="box-one", max_items=8))
    assert exact.is_last
    for wrong in ("!", "e30=", "WzEsMl0=", "[" * 50):
        with pytest.raises(errors.MalformedMessage, match="continuation"):
            await blobs.ids(continuation=wrong)


async def test_ids_and_headers_that_cannot_be_are_refused(blobs):
    for wrong in ("", "x" * 1025, "ä" * 513):
        with pytest.raises(errors.ProviderError, match="id of the object"):
            await blobs.put(wrong, b"")
    with pytest.raises(errors.ProviderError, match="id of the container"):
        await blobs.call("CreateContainer", "")
    with pytest.raises(errors.ProviderError, match="content type"):
        await blobs.put("x", b"", content_type="text/plain\r\nX-Evil: 1")


async def test_many_puts_of_one_object_leave_one_of_them_whole(blobs):
    contents = [bytes([65 + i]) * 5000 for i in range(20)]
    seen: set[bytes] = set()

    async def read() -> None:
        for _ in range(20):
            reply = await blobs.get("contended", 0, 999)
            if reply.success:
                seen.add(reply.initial_chunk.bytes)

    await asyncio.gather(read(), *(blobs.put("contended", content) for content in contents))
    assert await blobs.content("contended") in contents
    assert all(len(set(found)) == 1 and len(found) == 1000 for found in seen)


async def test_detaching_ends_what_is_unfinished(blobs):
    link = await blobs.rig.attach("leaver", **blobs.config)
    chunk = Chunk(object_id="half", container_id="box-one", bytes=b"x" * (9 * MIB), offset=0, is_last=False)
    await blobs.call("PutObject", PutObjectRequest(chunk=chunk), actor="leaver")
    await blobs.put("large", b"x" * 10_000)
    blobs.hold = asyncio.Event()
    await blobs.call("GetObject", GetObjectRequest(object_id="large", container_id="box-one"), actor="leaver")
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await blobs.rig.provider.detach_link(link)
        await blobs.rig.provider.drain()
    assert blobs.chunks.qsize() == 0
    assert await blobs.ids() == ["large"]


async def test_a_working_store_is_healthy(blobs):
    await blobs.rig.provider.health()
