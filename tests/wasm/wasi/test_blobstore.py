"""wasi:blobstore with a real store of objects behind it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from lattice_blobstore_fs import BlobstoreFs

from lattice import errors
from lattice.invocation import Invocation
from lattice.streams import PIPE_BYTES_MAX
from lattice.testing import provider_rig
from lattice.wasm.component.host import Err
from lattice.wasm.wasi.blobs import PIECE_BYTES
from tests.support.wasi import WasiGuest, settle

BLOBSTORE, CONTAINER, TYPES = "wasi:blobstore/blobstore", "wasi:blobstore/container", "wasi:blobstore/types"
STREAMS = "wasi:io/streams"
EVERYTHING = 2**64 - 1


@pytest.fixture(params=[512 * 1024, 1000], ids=["chunks of the usual size", "small chunks"])
async def guest(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[WasiGuest]:
    async with provider_rig(BlobstoreFs, tmp_path) as rig:
        await rig.attach("actor", chunk_bytes=str(request.param), sync="false")
        found = WasiGuest({"wasmcloud:blobstore": rig.provider.handle}, payload_bytes_max=1024 * 1024)
        yield found
        found.host.close()
        await settle()


async def container(guest: WasiGuest, name: str = "box") -> Any:
    return await guest.good(BLOBSTORE, "create-container", name)


async def store(guest: WasiGuest, box: Any, name: str, data: bytes, given_first: bool = True) -> None:
    value = guest.now(TYPES, "[static]outgoing-value.new-outgoing-value")
    stream = guest.ok(TYPES, "[method]outgoing-value.outgoing-value-write-body", value)
    assert guest.now(TYPES, "[method]outgoing-value.outgoing-value-write-body", value) == Err()
    if given_first:
        await guest.good(CONTAINER, "[method]container.write-data", box, name, value)
    await guest.write_all(stream, data)
    if not given_first:
        await guest.good(CONTAINER, "[method]container.write-data", box, name, value)
    guest.drop(stream)
    await guest.good(TYPES, "[static]outgoing-value.finish", value)


async def load(guest: WasiGuest, box: Any, name: str, start: int = 0, last: int = EVERYTHING) -> bytes:
    value = await guest.good(CONTAINER, "[method]container.get-data", box, name, start, last)
    size = guest.now(TYPES, "[method]incoming-value.size", value)
    stream = await guest.good(TYPES, "[static]incoming-value.incoming-value-consume-async", value)
    data = await guest.read_all(stream)
    guest.drop(stream)
    assert size == len(data)
    return data


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 5])
@pytest.mark.parametrize("given_first", [True, False])
async def test_an_object_comes_back_as_it_was_written(guest: WasiGuest, size: int, given_first: bool) -> None:
    data = os.urandom(size)
    box = await container(guest)
    await store(guest, box, "it", data, given_first)
    assert await load(guest, box, "it") == data
    value = await guest.good(CONTAINER, "[method]container.get-data", box, "it", 0, EVERYTHING)
    assert await guest.good(TYPES, "[static]incoming-value.incoming-value-consume-sync", value) == data
    name, parent, created_at, length = await guest.good(CONTAINER, "[method]container.object-info", box, "it")
    assert (name, parent, length) == ("it", "box", size)
    assert created_at > 0
    assert guest.host.held == 1, "the container"


async def test_a_part_of_an_object_has_both_its_ends(guest: WasiGuest) -> None:
    box = await container(guest)
    await store(guest, box, "it", bytes(range(256)) * 8)
    assert await load(guest, box, "it", 10, 19) == bytes(range(10, 20))
    assert await load(guest, box, "it", 2040, 99_999) == bytes(range(248, 256))
    for start, last in ((3000, 3001), (5, 4)):
        assert "provider_error" in await guest.bad(CONTAINER, "[method]container.get-data", box, "it", start, last)


async def test_containers_and_objects_are_made_listed_copied_and_removed(guest: WasiGuest) -> None:
    box = await container(guest)
    other = await container(guest, "other")
    assert await guest.good(CONTAINER, "[method]container.name", box) == "box"
    assert (await guest.good(CONTAINER, "[method]container.info", box))[0] == "box"
    for number in range(5):
        await store(guest, box, f"n{number}", b"%d" % number)
    listing = await guest.good(CONTAINER, "[method]container.list-objects", box)
    read = "[method]stream-object-names.read-stream-object-names"
    assert await guest.good(CONTAINER, read, listing, 2) == (["n0", "n1"], False)
    skip = "[method]stream-object-names.skip-stream-object-names"
    assert await guest.good(CONTAINER, skip, listing, 1) == (1, False)
    names, ended = await guest.good(CONTAINER, read, listing, 100)
    assert names == ["n3", "n4"]
    assert ended
    assert await guest.good(CONTAINER, read, listing, 100) == ([], True)
    await guest.good(BLOBSTORE, "copy-object", ("box", "n1"), ("other", "copied"))
    await guest.good(BLOBSTORE, "move-object", ("box", "n2"), ("other", "moved"))
    assert await load(guest, other, "copied") == b"1"
    assert await load(guest, other, "moved") == b"2"
    has = "[method]container.has-object"
    assert await guest.good(CONTAINER, has, box, "n1") is True
    assert await guest.good(CONTAINER, has, box, "n2") is False
    await guest.good(CONTAINER, "[method]container.delete-object", box, "n1")
    await guest.good(CONTAINER, "[method]container.delete-objects", box, ["n3", "n4"])
    await guest.good(CONTAINER, "[method]container.clear", box)
    assert await guest.good(CONTAINER, has, box, "n0") is False
    assert await guest.good(BLOBSTORE, "container-exists", "other") is True
    await guest.good(CONTAINER, "[method]container.clear", other)
    await guest.good(BLOBSTORE, "delete-container", "other")
    assert await guest.good(BLOBSTORE, "container-exists", "other") is False
    assert "there is no container" in await guest.bad(BLOBSTORE, "get-container", "other")


async def test_an_object_that_is_not_finished_is_none(guest: WasiGuest) -> None:
    box = await container(guest)
    value = guest.now(TYPES, "[static]outgoing-value.new-outgoing-value")
    stream = guest.ok(TYPES, "[method]outgoing-value.outgoing-value-write-body", value)
    await guest.good(CONTAINER, "[method]container.write-data", box, "it", value)
    assert "before" in await guest.bad(CONTAINER, "[method]container.write-data", box, "it", value)
    await guest.write_all(stream, bytes(2 * PIECE_BYTES))
    guest.drop(stream, value)
    while guest.host.working:
        await asyncio.sleep(0.001)
    assert await guest.good(CONTAINER, "[method]container.has-object", box, "it") is False
    lost = guest.now(TYPES, "[static]outgoing-value.new-outgoing-value")
    assert "no container was given" in await guest.bad(TYPES, "[static]outgoing-value.finish", lost)


async def test_a_value_too_large_for_one_piece_is_read_as_a_stream(guest: WasiGuest) -> None:
    box = await container(guest)
    data = os.urandom(1024 * 1024 + 1)
    await store(guest, box, "it", data)
    value = await guest.good(CONTAINER, "[method]container.get-data", box, "it", 0, EVERYTHING)
    text = await guest.bad(TYPES, "[static]incoming-value.incoming-value-consume-sync", value)
    assert text.startswith("payload_too_large")
    assert await load(guest, box, "it") == data


async def test_a_store_that_fails_in_the_middle_is_said_at_the_end() -> None:
    calls: list[str] = []

    async def broken(call: Invocation) -> bytes:
        calls.append(call.operation)
        if call.operation == "Blobstore.PutChunk":
            raise errors.ProviderError("the disk is full")
        return b"\x81\xa8streamId\xa11"

    guest = WasiGuest({"wasmcloud:blobstore": broken})
    box = await guest.good(BLOBSTORE, "create-container", "box")
    value = guest.now(TYPES, "[static]outgoing-value.new-outgoing-value")
    stream = guest.ok(TYPES, "[method]outgoing-value.outgoing-value-write-body", value)
    await guest.good(CONTAINER, "[method]container.write-data", box, "it", value)
    write = "[method]output-stream.blocking-write-and-flush"
    for _ in range(4 * PIECE_BYTES // 4096):
        result = await guest.call(STREAMS, write, stream, bytes(4096))
        if isinstance(result, Err):
            break
    assert result == Err(("closed", None))
    guest.drop(stream)
    assert await guest.bad(TYPES, "[static]outgoing-value.finish", value) == "provider_error: the disk is full"
    assert calls[-1] == "Blobstore.PutChunk", "it was taken back"
    guest.host.close()


async def test_a_download_is_read_no_faster_than_the_guest_reads(guest: WasiGuest) -> None:
    box = await container(guest)
    await store(guest, box, "it", bytes(4 * PIECE_BYTES))
    value = await guest.good(CONTAINER, "[method]container.get-data", box, "it", 0, EVERYTHING)
    stream = await guest.good(TYPES, "[static]incoming-value.incoming-value-consume-async", value)
    while stream.source.held < PIPE_BYTES_MAX:
        await asyncio.sleep(0.001)
    await settle()
    assert stream.source.held == PIPE_BYTES_MAX
    assert guest.host.working == 1, "it waits for the guest"
    guest.drop(stream)
    while guest.host.working:
        await asyncio.sleep(0.001)
