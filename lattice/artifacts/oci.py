"""Manifests and indexes of registries, read and written. Pure bytes; those that are read are a stranger's.

Formats: OCI image specification 1.1 (manifest.md, image-index.md) and Docker's image manifest version 2, schema 2.
Wasm images follow the layout of the CNCF's working group for Wasm: one layer `application/wasm`, and a configuration
that says so; the two older types of a layer are those of the actor generation.
"""

from __future__ import annotations

import hashlib
import re
from typing import TypeVar

import msgspec

from lattice import errors, wasmfile

MANIFEST_BYTES_MAX = 4 * 1024 * 1024
"""A manifest or an index; the specification has registries take 4 MiB."""
CONFIG_BYTES_MAX = 1024 * 1024
"""A configuration of an image has some kilobytes."""
ENTRIES_MAX = 1000
"""Layers of a manifest, or manifests of an index."""

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)
WASM_LAYERS = (
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
)
CONFIG = "application/vnd.wasm.config.v0+json"
TITLE = "org.opencontainers.image.title"
EPOCH = "1970-01-01T00:00:00Z"
"""When every image was made, so that pushing the same file twice gives the same digest."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

T = TypeVar("T")


class Platform(msgspec.Struct, frozen=True):
    architecture: str = ""
    os: str = ""


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a registry says of a content: its type, its digest and its size in bytes."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: dict[str, str] | None = None

    @property
    def hex(self) -> str:
        return self.digest.removeprefix("sha256:")


class Manifest(msgspec.Struct, frozen=True):
    """One image."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


class Index(msgspec.Struct, frozen=True):
    """Several images under one name, one for each platform."""

    manifests: tuple[Descriptor, ...]


class _Document(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    schema_version: int
    media_type: str = ""
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    manifests: list[Descriptor] | None = None
    annotations: dict[str, str] | None = None


class _Config(msgspec.Struct, frozen=True, rename="camel"):
    created: str
    architecture: str
    os: str
    layer_digests: list[str]


def digest_of(data: bytes | memoryview) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def read(data: bytes, media_type: str, name: str) -> Manifest | Index:
    """A document that was sent as `media_type`, "" when it comes from the cache; `name` is what errors call it.

    Raises `errors.ArtifactMismatch` when it is not what it was called, `errors.UnsupportedGuest` for what is not read.
    """
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.ArtifactMismatch(f"{name}: the registry sent no manifest: {error}") from error
    said, own = media_type.partition(";")[0].strip().lower(), document.media_type
    if said and own and said != own:
        raise errors.ArtifactMismatch(f"{name}: the registry calls it {said!r} and it calls itself {own!r}")
    type_ = own or said or (OCI_INDEX if document.manifests is not None else OCI_MANIFEST)
    if type_ not in MANIFESTS + INDEXES:
        raise errors.UnsupportedGuest(
            f"{name} is {type_[:100]!r}, which is not read", remedy="push it as an OCI image or with Docker's schema 2"
        )
    if document.schema_version != 2:
        raise errors.UnsupportedGuest(f"{name} has schema {document.schema_version}; 2 is read")
    # What could be read as either is how one digest means two things (CVE-2021-41190).
    if document.manifests is not None and (document.layers is not None or document.config is not None):
        raise errors.ArtifactMismatch(f"{name} is a manifest and an index at once")
    if type_ in INDEXES:
        return Index(_checked(_there(document.manifests, name, "manifests"), name, MANIFEST_BYTES_MAX))
    config = _there(document.config, name, "config")
    _checked([config], name, CONFIG_BYTES_MAX)
    return Manifest(config, _checked(_there(document.layers, name, "layers"), name, None))


def wasm_layer(manifest: Manifest, name: str) -> Descriptor:
    """The one layer that is a module. Raises `errors.UnsupportedGuest` for none or several."""
    found = [layer for layer in manifest.layers if layer.media_type in WASM_LAYERS]
    if not found:
        there = ", ".join(sorted({layer.media_type[:100] for layer in manifest.layers})[:5]) or "none"
        raise errors.UnsupportedGuest(f"{name} has no layer of WebAssembly; its layers are {there}")
    if len(found) > 1:
        raise errors.UnsupportedGuest(f"{name} has {len(found)} layers of WebAssembly, and an actor is one module")
    if found[0].size > wasmfile.WASM_BYTES_MAX:
        raise errors.ArtifactUnreadable(f"{name} is larger than {wasmfile.WASM_BYTES_MAX // 2**20} MiB")
    return found[0]


def wasm_entry(index: Index, name: str) -> Descriptor:
    """The manifest of an index that is for Wasm: the one whose platform says so, or the only one without a platform.

    Raises `errors.UnsupportedGuest` when it is not clear which.
    """
    entries = [entry for entry in index.manifests if entry.media_type in MANIFESTS]
    found = [entry for entry in entries if entry.platform is not None and entry.platform.architecture == "wasm"]
    if not found and len(entries) == 1 and entries[0].platform is None:
        found = entries
    if len({entry.digest for entry in found}) != 1:
        many = "several manifests" if found else "no manifest"
        raise errors.UnsupportedGuest(
            f"{name} is an index with {many} for wasm", remedy="name the manifest that is meant by its digest"
        )
    return found[0]


def _there(value: T | None, name: str, what: str) -> T:
    if value is None:
        raise errors.ArtifactMismatch(f"{name}: its manifest has no {what}")
    return value


def _checked(found: list[Descriptor], name: str, size_max: int | None) -> tuple[Descriptor, ...]:
    if len(found) > ENTRIES_MAX:
        raise errors.ArtifactMismatch(f"{name}: its manifest has {len(found)} entries, and at most {ENTRIES_MAX}")
    for descriptor in found:
        if not _DIGEST.fullmatch(descriptor.digest):
            raise errors.UnsupportedGuest(f"{name}: {descriptor.digest[:80]!r} is no digest by SHA-256")
        if descriptor.size < 0 or (size_max is not None and descriptor.size > size_max):
            raise errors.ArtifactMismatch(f"{name}: its manifest names {descriptor.size} bytes, at most {size_max}")
    return tuple(found)


def make(data: bytes, digest: str, title: str) -> tuple[bytes, bytes]:
    """Configuration and manifest of an image that is one module with this digest; equal for equal arguments."""
    config = msgspec.json.encode(_Config(EPOCH, "wasm", "wasip1", [digest]))
    layer = Descriptor(WASM_LAYERS[0], digest, len(data), annotations={TITLE: title})
    described = Descriptor(CONFIG, digest_of(config), len(config))
    return config, msgspec.json.encode(_Document(2, OCI_MANIFEST, described, [layer]))
