"""wasmcloud:blobstore - objects in containers, moved in chunks."""

from __future__ import annotations

from typing import TypeAlias

from lattice.contracts.message import U32, U64, Contract, Message, Operation

Octets: TypeAlias = bytes
"""The type of `Chunk.bytes`, where the field's own name hides the type's."""


class Timestamp(Message, frozen=True, kw_only=True):
    """Seconds and nanoseconds since 1970-01-01 UTC."""

    sec: int
    nsec: U32


class ContainerMetadata(Message, frozen=True, kw_only=True):
    container_id: str
    created_at: Timestamp | None = None


class ContainerObject(Message, frozen=True, kw_only=True):
    container_id: str
    object_id: str


class ObjectMetadata(Message, frozen=True, kw_only=True):
    object_id: str
    container_id: str
    content_length: U64
    last_modified: Timestamp | None = None
    content_type: str | None = None
    content_encoding: str | None = None


class ListObjectsRequest(Message, frozen=True, kw_only=True):
    """Objects in order of their ids: `start_with` is a prefix; `end_with` the last id wanted, `end_before` the first
    not wanted; `continuation` comes from the reply before."""

    container_id: str
    start_with: str | None = None
    continuation: str | None = None
    end_with: str | None = None
    end_before: str | None = None
    max_items: U32 | None = None


class ListObjectsResponse(Message, frozen=True, kw_only=True):
    objects: list[ObjectMetadata]
    is_last: bool
    continuation: str | None = None


class RemoveObjectsRequest(Message, frozen=True, kw_only=True):
    container_id: str
    objects: list[str]


class ItemResult(Message, frozen=True, kw_only=True):
    key: str
    success: bool
    error: str | None = None


class Chunk(Message, frozen=True, kw_only=True):
    object_id: str
    container_id: str
    bytes: Octets
    offset: U64
    is_last: bool


class PutObjectRequest(Message, frozen=True, kw_only=True):
    """The first chunk of an object, or with `is_last` the whole of it."""

    chunk: Chunk
    content_type: str | None = None
    content_encoding: str | None = None


class PutObjectResponse(Message, frozen=True, kw_only=True):
    """`stream_id` names the upload in the chunks that follow; none when the object is already whole."""

    stream_id: str | None = None


class PutChunkRequest(Message, frozen=True, kw_only=True):
    chunk: Chunk
    stream_id: str | None = None
    cancel_and_remove: bool = False


class GetObjectRequest(Message, frozen=True, kw_only=True):
    """Both ends of the range are included; no range means the whole object."""

    object_id: str
    container_id: str
    range_start: U64 | None = None
    range_end: U64 | None = None


class GetObjectResponse(Message, frozen=True, kw_only=True):
    """What does not fit into `initial_chunk` follows as `ChunkReceiver.ReceiveChunk` calls to the actor."""

    success: bool
    error: str | None = None
    initial_chunk: Chunk | None = None
    content_length: U64
    content_type: str | None = None
    content_encoding: str | None = None


class ChunkResponse(Message, frozen=True, kw_only=True):
    cancel_download: bool | None = None


RECEIVE_CHUNK = Operation("ChunkReceiver.ReceiveChunk", "receive_chunk", Chunk, ChunkResponse)

CONTRACT = Contract(
    "wasmcloud:blobstore",
    operations=(
        Operation("Blobstore.ContainerExists", "container_exists", str, bool),
        Operation("Blobstore.CreateContainer", "create_container", str, None),
        Operation("Blobstore.GetContainerInfo", "get_container_info", str, ContainerMetadata),
        Operation("Blobstore.ListContainers", "list_containers", None, list[ContainerMetadata]),
        Operation("Blobstore.RemoveContainers", "remove_containers", list[str], list[ItemResult]),
        Operation("Blobstore.ObjectExists", "object_exists", ContainerObject, bool),
        Operation("Blobstore.GetObjectInfo", "get_object_info", ContainerObject, ObjectMetadata),
        Operation("Blobstore.ListObjects", "list_objects", ListObjectsRequest, ListObjectsResponse),
        Operation("Blobstore.RemoveObjects", "remove_objects", RemoveObjectsRequest, list[ItemResult]),
        Operation("Blobstore.PutObject", "put_object", PutObjectRequest, PutObjectResponse),
        Operation("Blobstore.PutChunk", "put_chunk", PutChunkRequest, None),
        Operation("Blobstore.GetObject", "get_object", GetObjectRequest, GetObjectResponse),
    ),
    actor_operations=(RECEIVE_CHUNK,),
)
