"""What the lattice keeps of an application: its versions, which one is deployed, and what was done when.

A record is one value in a bucket and changes as a whole. Next to the manifest's text it has what the text means, so
that hosts need not read YAML; it is packed, because a bucket takes values up to 1 MiB.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec

from lattice import errors
from lattice.control.manifest import Application, component_key
from lattice.control.state import Wanted
from lattice.links import Link

VERSIONS_MAX = 10
"""Kept besides the deployed one; the oldest go."""
HISTORY_MAX = 50
RECORD_BYTES_MAX = 900 * 1024
UNPACKED_BYTES_MAX = 64 * 1024 * 1024
"""A packed value of strangers may unpack to much more than it is."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version as it was put. `created` is RFC 3339."""

    version: str
    created: str
    manifest: str
    description: str = ""
    wanted: tuple[Wanted, ...] = ()
    links: tuple[Link, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done to an application."""

    at: str
    action: str
    version: str = ""


class ApplicationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`deployed` is a version, "" when none shall run. `since` is when it was first deployed without a break."""

    name: str
    versions: tuple[Version, ...] = ()
    deployed: str = ""
    since: str = ""
    history: tuple[Step, ...] = ()

    def version(self, name: str) -> Version | None:
        return next((version for version in self.versions if version.version == name), None)

    @property
    def latest(self) -> Version | None:
        return self.versions[-1] if self.versions else None


def pack(record: ApplicationRecord) -> bytes:
    """Raises `errors.PayloadTooLarge`, naming what to do."""
    packed = zlib.compress(msgspec.json.encode(record), 6)
    if len(packed) > RECORD_BYTES_MAX:
        raise errors.PayloadTooLarge(
            f"the application {record.name} takes {len(packed) // 1024} KiB with its versions;"
            f" {RECORD_BYTES_MAX // 1024} are kept",
            remedy="make several applications of it, or delete versions",
        )
    return packed


def unpack(data: bytes) -> ApplicationRecord:
    """Raises `errors.MalformedMessage`."""
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(data, UNPACKED_BYTES_MAX)
        if unpacker.unconsumed_tail:
            raise errors.MalformedMessage(f"a stored application unpacks to more than {UNPACKED_BYTES_MAX} bytes")
        return msgspec.json.decode(text, type=ApplicationRecord)
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.MalformedMessage(f"a stored application cannot be read: {error}") from error


def meaning(
    application: Application, version: str, claimed: Mapping[str, str]
) -> tuple[tuple[Wanted, ...], tuple[Link, ...]]:
    """What a manifest wants. `claimed` are the keys that images claim for themselves, by component."""
    keys = {
        component.name: claimed.get(component.name) or component_key(application.name, component)
        for component in application.components
    }
    wanted = tuple(
        Wanted(
            key=keys[component.name],
            name=component.name,
            kind=component.kind,
            image=f"file://{component.image.path}" if component.image.path else component.image.text,
            application=application.name,
            version=version,
            contract=component.contract,
            alias=component.alias,
            config=component.config,
            limits=component.limits,
            scaling=component.scaling,
        )
        for component in application.components
    )
    links = tuple(
        Link(
            source=keys[spec.source],
            target=keys[spec.target],
            contract=spec.contract,
            name=spec.name,
            source_config=spec.source_config,
            target_config=spec.target_config,
        )
        for spec in application.links
    )
    return wanted, links
