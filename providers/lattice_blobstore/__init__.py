"""The half of a blob store that does not depend on where the bytes are: the contract above, `Store` below."""

from lattice_blobstore.provider import BlobSettings, Blobstore
from lattice_blobstore.store import (
    Container,
    ContainerNotEmpty,
    NoContainer,
    NoObject,
    ObjectInfo,
    Reader,
    Store,
    Writer,
)

__all__ = [
    "BlobSettings",
    "Blobstore",
    "Container",
    "ContainerNotEmpty",
    "NoContainer",
    "NoObject",
    "ObjectInfo",
    "Reader",
    "Store",
    "Writer",
]
