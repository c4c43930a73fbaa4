"""Objects of wasmcloud:blobstore in pieces, both ways: what wasi:blobstore needs of the contract.

Objects are read by ranges that each fit into one reply. What the contract sends beyond a reply it sends to the actor as
calls, and those would reach another instance.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from lattice import errors
from lattice.contracts import blobstore as api
from lattice.streams import Pipe, StreamClosed, StreamFailed
from lattice.wasm.wasi.instance import Instance, Outgoing
from lattice.wasm.wasi.streams import IoError

PIECE_BYTES = 256 * 1024
"""One chunk or range: half of what providers send at once, and well below the size of a message between hosts."""

_INFO = Outgoing(api.CONTRACT, "Blobstore.GetObjectInfo")
_GET = Outgoing(api.CONTRACT, "Blobstore.GetObject")
_PUT = Outgoing(api.CONTRACT, "Blobstore.PutObject")
_PUT_CHUNK = Outgoing(api.CONTRACT, "Blobstore.PutChunk")


class Span:
    """A part of an object, from `start` up to and not including `end`."""

    __slots__ = ("container", "end", "name", "start")

    def __init__(self, container: str, name: str, start: int, end: int) -> None:
        self.container = container
        self.name = name
        self.start = start
        self.end = end

    @property
    def size(self) -> int:
        return self.end - self.start


async def info(instance: Instance, container: str, name: str) -> api.ObjectMetadata:
    found: api.ObjectMetadata = await instance.call(_INFO, api.ContainerObject(container_id=container, object_id=name))
    return found


async def span(instance: Instance, container: str, name: str, start: int, last: int) -> Span:
    """The part from `start` to `last`, both included; an end past the object is the object's end."""
    length = (await info(instance, container, name)).content_length
    if last < start or (start >= length and start > 0):
        raise errors.ProviderError(f"bytes {start} to {last} of {name[:100]!r}, which has {length}")
    return Span(container, name, start, min(length, last + 1))


async def pieces(instance: Instance, part: Span) -> AsyncIterator[bytes]:
    """The bytes of a part in order. Raises `errors.CallError`."""
    at, size = part.start, _piece_bytes(instance)
    while at < part.end:
        reply: api.GetObjectResponse = await instance.call(
            _GET,
            api.GetObjectRequest(
                object_id=part.name,
                container_id=part.container,
                range_start=at,
                range_end=min(at + size, part.end) - 1,
            ),
        )
        data = reply.initial_chunk.bytes if reply.success and reply.initial_chunk is not None else b""
        if not data:
            raise errors.ProviderError(f"{part.name[:100]!r} ended at byte {at}: {reply.error or 'no data came'}")
        data = data[: part.end - at]
        # A provider with smaller chunks would send what is left over to the actor; from now on there is none.
        size = min(size, len(data))
        at += len(data)
        yield data


async def download(instance: Instance, part: Span, pipe: Pipe) -> None:
    """Brings a part into a pipe, as fast as it is read."""
    try:
        async for data in pieces(instance, part):
            await pipe.write(data)
    except StreamClosed:
        return
    except errors.CallError as error:
        pipe.fail(IoError(f"{error.code}: {error.message}"))
    else:
        pipe.end()


async def upload(instance: Instance, container: str, name: str, pipe: Pipe) -> None:
    """Makes an object of what comes through a pipe. Raises `errors.CallError`; then there is no object."""
    stream_id: str | None = None
    at, begun, whole = 0, False, False
    try:
        async for data, last in _chunks(pipe, _piece_bytes(instance)):
            chunk = api.Chunk(object_id=name, container_id=container, bytes=data, offset=at, is_last=last)
            if begun:
                await instance.call(_PUT_CHUNK, api.PutChunkRequest(chunk=chunk, stream_id=stream_id))
            else:
                reply: api.PutObjectResponse = await instance.call(_PUT, api.PutObjectRequest(chunk=chunk))
                stream_id, begun = reply.stream_id, True
            at += len(data)
            whole = last
    except StreamFailed as error:
        raise errors.GuestError(f"the object {name[:100]!r} is not stored: {error}") from error
    finally:
        if not whole:
            pipe.abandon()
        if begun and not whole and instance.invocation is not None:
            await _give_up(instance, container, name, at, stream_id)


async def _give_up(instance: Instance, container: str, name: str, at: int, stream_id: str | None) -> None:
    chunk = api.Chunk(object_id=name, container_id=container, bytes=b"", offset=at, is_last=True)
    request = api.PutChunkRequest(chunk=chunk, stream_id=stream_id, cancel_and_remove=True)
    try:
        await instance.call(_PUT_CHUNK, request)
    except errors.CallError as error:
        instance.actor.log.warning("an upload that failed was not taken back: %s: %s", error.code, error.message)


async def _chunks(pipe: Pipe, size: int) -> AsyncIterator[tuple[bytes, bool]]:
    """(data, whether it is the last): pieces of `size` bytes, the last one shorter or empty."""
    held = bytearray()
    while piece := await pipe.read(size):
        held += piece
        while len(held) > size:
            yield bytes(held[:size]), False
            del held[:size]
    yield bytes(held), True


def _piece_bytes(instance: Instance) -> int:
    return max(1, min(PIECE_BYTES, instance.actor.limits.payload_bytes_max // 2))
