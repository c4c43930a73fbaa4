"""What the lattice keeps of an application: its versions, which one is deployed, and what was done when;
and links that were put by hand.

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
from lattice.links import DEFAULT_LINK, Link
from lattice.security.keys import resembles

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


class StoredLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that was put through the control interface. `source_names` and `target_names` are configurations, whose
    values are looked up when the link is used; `source_config` and `target_config` were given with it."""

    source: str
    target: str
    contract: str = ""
    name: str = DEFAULT_LINK
    interfaces: tuple[str, ...] = ()
    source_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    source_config: dict[str, str] = {}
    target_config: dict[str, str] = {}
    granted_by: str = ""
    operations: tuple[str, ...] = ()

    def link(self, configs: Mapping[str, Mapping[str, str]]) -> Link:
        """With the values of its configurations; of two that have a key, the later one's. One that is not there gives
        none."""

        def merged(names: tuple[str, ...], given: dict[str, str]) -> dict[str, str]:
            values: dict[str, str] = {}
            for name in names:
                values.update(configs.get(name, {}))
            return {**values, **given}

        return Link(
            source=self.source,
            target=self.target,
            contract=self.contract,
            name=self.name,
            source_config=merged(self.source_names, self.source_config),
            target_config=merged(self.target_names, self.target_config),
            granted_by=self.granted_by,
            operations=self.operations,
        )

    def excludes(self, other: StoredLink) -> bool:
        """Whether a caller could not tell which of the two it means. Of routes, which are for the source to tell apart,
        a source may have several."""
        if (self.source, self.contract, self.name) != (other.source, other.contract, other.name):
            return False
        if self.target == other.target or not self.contract or self._is_route or other._is_route:
            return False
        return not self.interfaces or not other.interfaces or bool({*self.interfaces} & {*other.interfaces})

    @property
    def _is_route(self) -> bool:
        return bool(self.source_names or self.source_config)


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
    """What a manifest wants. `claimed` are the keys for which images are signed, by component; "" for one that is not.

    Raises `errors.ConfigError` for an id that is another actor's key than the one that the image is signed for.
    """
    keys = {
        component.name: claimed.get(component.name) or component_key(application.name, component)
        for component in application.components
    }
    for component in application.components:
        signed_for = claimed.get(component.name)
        if signed_for is not None and resembles(component.id, "actor") and component.id != signed_for:
            raise errors.ConfigError(
                f"the id of {component.name} is the key {component.id}, and its image is "
                + (f"signed for {signed_for}" if signed_for else "not signed"),
                remedy="sign it for that key (lattice claims sign FILE --subject), or give it another id",
            )
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
            secrets=component.secrets,
            limits=component.limits,
            surroundings=component.surroundings,
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
            granted_by=keys[spec.granted_by] if spec.granted_by else "",
            operations=spec.operations,
            source_secrets=spec.source_secrets,
            target_secrets=spec.target_secrets,
        )
        for spec in application.links
    )
    return wanted, links
