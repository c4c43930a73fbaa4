"""What a place for bytes must be able to do. Ids are any non-empty text; how they become names is the store's affair.

Every method may raise `NoContainer`, `NoObject`, `errors.ProviderUnavailable` when the place cannot be reached, and
`errors.ProviderError` when it refuses. Times are seconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from lattice import errors


class Container(msgspec.Struct, frozen=True):
    id: str
    created_ns: int | None = None


class ObjectInfo(msgspec.Struct, frozen=True):
    """`length` in bytes. Listings leave the content type and encoding out: some stores would need a look at each."""

    id: str
    length: int
    modified_ns: int | None = None
    content_type: str | None = None
    content_encoding: str | None = None


class NoContainer(errors.ProviderError):
    def __init__(self, container: str) -> None:
        super().__init__(f"there is no container {container!r}", remedy="create it with Blobstore.CreateContainer")


class NoObject(errors.ProviderError):
    def __init__(self, container: str, object_: str) -> None:
        super().__init__(f"there is no object {object_!r} in container {container!r}")


class ContainerNotEmpty(errors.ProviderError):
    def __init__(self, container: str) -> None:
        super().__init__(f"container {container!r} still holds objects", remedy="remove its objects first")


class Writer(Protocol):
    """One object on its way in. Nothing of it can be seen before `commit` returns; then all of it, at once.

    Exactly one of `commit` and `abort` is the last call; `abort` may follow a `commit` that failed.
    """

    async def write(self, data: bytes) -> None:
        """Appends `data`."""

    async def commit(self) -> None:
        """Makes the object visible, instead of an earlier one of the same id."""

    async def abort(self) -> None:
        """Forgets everything written. Raises only what a person should see in the log."""


class Reader(Protocol):
    """One object as it was when it was opened: what is put later under its id does not change what is read."""

    @property
    def info(self) -> ObjectInfo: ...

    async def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, both inside the object. Never fewer."""

    async def close(self) -> None:
        """May be called more than once."""


class Store(Protocol):
    async def check(self) -> None:
        """Raises when the place cannot be used now. Called every few seconds."""

    async def container(self, container: str) -> Container: ...

    async def containers(self) -> list[Container]:
        """All of them, by id."""

    async def create(self, container: str) -> None:
        """Nothing happens when it is there already."""

    async def remove_container(self, container: str) -> None:
        """Raises `ContainerNotEmpty` rather than remove objects."""

    async def info(self, container: str, object_: str) -> ObjectInfo: ...

    async def objects(self, container: str, prefix: str, after: str, size: int) -> list[ObjectInfo]:
        """The first `size` objects whose ids begin with `prefix` and follow `after`, in the order of the ids' UTF-8."""

    async def remove(self, container: str, object_: str) -> None:
        """Nothing happens when it is not there."""

    async def reader(self, container: str, object_: str, offset: int, size: int) -> Reader:
        """Opens an object. `offset` and `size` say what will be read first: a distant store fetches it on the way."""

    async def writer(
        self, container: str, object_: str, content_type: str | None, content_encoding: str | None
    ) -> Writer: ...

    async def close(self) -> None:
        """Every reader and writer is closed before."""
