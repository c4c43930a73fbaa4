"""Byte ranges as actors ask for them: both ends included, both optional. Pure."""

from __future__ import annotations

from lattice.contracts.blobstore import GetObjectRequest


class Unsatisfiable(Exception):
    """The range lies outside the object, or ends before it begins."""


def first_read(request: GetObjectRequest, chunk_bytes: int) -> tuple[int, int]:
    """(offset, size) of the first chunk, as far as it can be known without the length of the object."""
    start = request.range_start or 0
    if request.range_end is None:
        return start, chunk_bytes
    if request.range_end < start:
        raise Unsatisfiable(f"the range ends at byte {request.range_end}, before it begins at byte {start}")
    return start, min(chunk_bytes, request.range_end - start + 1)


def span(request: GetObjectRequest, length: int) -> tuple[int, int]:
    """The bytes meant, from the first up to and not including the second, in an object of `length` bytes.

    An end past the object is the object's end, as in HTTP; a start past it is an error. All of an empty object is
    no bytes.
    """
    start, _ = first_read(request, 1)
    if start >= length and start > 0:
        raise Unsatisfiable(f"the range begins at byte {start} of an object of {length} bytes")
    end = length if request.range_end is None else min(request.range_end + 1, length)
    return start, end
