"""Objects in containers: the contract wasmcloud:blobstore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nanolattice import host
from nanolattice.errors import Error, not_found

CONTRACT = "wasmcloud:blobstore"
PIECE = 256 * 1024
"""Bytes asked for and sent at once: far below every payload limit."""


@dataclass(frozen=True)
class Blob:
    data: bytes
    content_type: str = ""

    @property
    def text(self) -> str:
        """Raises `Error` "invalid" if it is none."""
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            raise Error("invalid", "the object is not text") from error


class Container:
    """A container of objects, at the end of a link. Raises `Error` when the store cannot do it."""

    def __init__(self, name: str, link: str = "default") -> None:
        self.name = name
        self.link = link

    def create(self) -> None:
        """Makes the container unless it is there."""
        if not self._ask("ContainerExists", self.name):
            self._ask("CreateContainer", self.name)

    def put(self, name: str, data: bytes | str, content_type: str = "") -> None:
        """Stores an object, in place of one that was there."""
        body = data.encode() if isinstance(data, str) else data
        first: dict[str, Any] = {"chunk": self._chunk(name, body, 0)}
        if content_type:
            first["contentType"] = content_type
        stream = (self._ask("PutObject", first) or {}).get("streamId")
        for offset in range(PIECE, len(body), PIECE):
            self._ask("PutChunk", {"chunk": self._chunk(name, body, offset), "streamId": stream})

    def get(self, name: str) -> Blob:
        """The whole object. Raises `Error` "not_found"."""
        found = self._piece(name, 0)
        if not found["success"]:
            raise not_found(f"there is no object {name} in {self.name}")
        data = bytearray(_bytes(found))
        # The length in the reply is what there is of the piece; a provider with small chunks sends less of it at once.
        whole = len(data) == found["contentLength"] < PIECE
        size = len(data) if whole else self._size(name)
        while len(data) < size:
            more = _bytes(self._piece(name, len(data)))
            if not more or len(data) + len(more) > size:
                raise Error("provider_error", f"the object {name} changed while it was read")
            data += more
        return Blob(bytes(data), found.get("contentType") or "")

    def exists(self, name: str) -> bool:
        return bool(self._ask("ObjectExists", {"containerId": self.name, "objectId": name}))

    def delete(self, name: str) -> None:
        """Deletes it if it is there."""
        for failed in self._ask("RemoveObjects", {"containerId": self.name, "objects": [name]}) or []:
            if not failed["success"]:
                raise Error("provider_error", failed.get("error") or f"{name} was not deleted")

    def list(self, prefix: str = "") -> list[str]:
        """The names of its objects, in order."""
        names: list[str] = []
        message: dict[str, Any] = {"containerId": self.name}
        if prefix:
            message["startWith"] = prefix
        while True:
            found = self._ask("ListObjects", message)
            names += [each["objectId"] for each in found["objects"]]
            if found["isLast"] or not found.get("continuation"):
                return names
            message["continuation"] = found["continuation"]

    def _ask(self, operation: str, message: Any) -> Any:
        return host.ask(self.link, CONTRACT, f"Blobstore.{operation}", message)

    def _chunk(self, name: str, body: bytes, offset: int) -> dict[str, Any]:
        piece = body[offset : offset + PIECE]
        return {
            "objectId": name,
            "containerId": self.name,
            "bytes": piece,
            "offset": offset,
            "isLast": offset + len(piece) == len(body),
        }

    def _piece(self, name: str, start: int) -> dict[str, Any]:
        message = {
            "objectId": name,
            "containerId": self.name,
            "rangeStart": start,
            "rangeEnd": start + PIECE - 1,
        }
        found: dict[str, Any] = self._ask("GetObject", message)
        return found

    def _size(self, name: str) -> int:
        return int(self._ask("GetObjectInfo", {"containerId": self.name, "objectId": name})["contentLength"])


def _bytes(found: dict[str, Any]) -> bytes:
    chunk = found.get("initialChunk")
    return chunk["bytes"] if chunk else b""


def container(name: str, link: str = "default") -> Container:
    """The container with that name. It is made by `create()`."""
    return Container(name, link)
