"""Listing objects a page at a time."""

from __future__ import annotations

import base64
import binascii
import json

from lattice import errors
from lattice.contracts.blobstore import ListObjectsRequest, ListObjectsResponse, ObjectMetadata, Timestamp
from lattice_blobstore.store import ObjectInfo, Store

PAGE_MAX = 1000
"""Objects in one reply, also what S3 gives at once: about 200 KiB of reply with ids of usual length."""


async def page(store: Store, request: ListObjectsRequest) -> ListObjectsResponse:
    """One page. Empty texts and 0 items mean "not given": some guest libraries cannot leave a field out."""
    size = min(request.max_items or PAGE_MAX, PAGE_MAX)
    prefix, after = request.start_with or "", ""
    if request.continuation:
        prefix, after = read_continuation(request.continuation)
    # One more than wanted tells whether this is the last page.
    found = await store.objects(request.container_id, prefix, after, size + 1)
    wanted = [info for info in found if _before_end(info.id, request)]
    more = len(wanted) > size
    wanted = wanted[:size]
    return ListObjectsResponse(
        objects=[metadata(request.container_id, info) for info in wanted],
        is_last=not more,
        continuation=continuation(prefix, wanted[-1].id) if more else None,
    )


def _before_end(id_: str, request: ListObjectsRequest) -> bool:
    # Texts of Python compare by code points, which is the order of their UTF-8.
    return not (request.end_with and id_ > request.end_with) and not (request.end_before and id_ >= request.end_before)


def continuation(prefix: str, last: str) -> str:
    """A place in a listing. It holds the prefix, because the contract ignores `startWith` beside a continuation."""
    return base64.urlsafe_b64encode(json.dumps([prefix, last]).encode()).decode()


def read_continuation(text: str) -> tuple[str, str]:
    """The inverse of `continuation`. Raises `errors.MalformedMessage`."""
    try:
        prefix, last = json.loads(base64.b64decode(text, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise errors.MalformedMessage("the continuation of ListObjects is not one that a reply has given") from error
    if not isinstance(prefix, str) or not isinstance(last, str):
        raise errors.MalformedMessage("the continuation of ListObjects is not one that a reply has given")
    return prefix, last


def metadata(container: str, info: ObjectInfo) -> ObjectMetadata:
    return ObjectMetadata(
        object_id=info.id,
        container_id=container,
        content_length=info.length,
        last_modified=None if info.modified_ns is None else timestamp(info.modified_ns),
        content_type=info.content_type,
        content_encoding=info.content_encoding,
    )


def timestamp(time_ns: int) -> Timestamp:
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return Timestamp(sec=seconds, nsec=nanoseconds)
