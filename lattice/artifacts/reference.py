"""Names of images in registries: `registry.example:5000/team/name:1.0`, `…/name@sha256:…`, or both. Pure.

The grammar is that of the distribution project. Two things that others imply are not implied here: the registry is
always named, and so is the tag or the digest. What a manifest means must not depend on somebody's defaults.
"""

from __future__ import annotations

import re

import msgspec

from lattice import errors

SCHEME = "oci://"
REFERENCE_CHARACTERS_MAX = 600
"""A host name has at most 253, a repository 255, a tag 128; a digest in full comes on top of an ordinary name."""
REPOSITORY_CHARACTERS_MAX = 255
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = re.compile(rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FORM = "write REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST"


class ImageReference(msgspec.Struct, frozen=True, kw_only=True):
    """`registry` is HOST or HOST:PORT in lower case. Of `tag` and `digest` at least one is there; the digest counts."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        tag, digest = f":{self.tag}" if self.tag else "", f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def parse(text: str) -> ImageReference:
    """Reads a reference, with `oci://` before it or not. Raises `errors.ConfigError`."""
    if len(text) > REFERENCE_CHARACTERS_MAX:
        raise errors.ConfigError(
            f"a reference has at most {REFERENCE_CHARACTERS_MAX} characters, and {text[:60]!r}… has {len(text)}"
        )
    rest, at, digest = text.removeprefix(SCHEME).partition("@")
    registry, slash, rest = rest.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        raise errors.ConfigError(f"{text!r} names no registry", remedy=f"{_FORM}; no registry is implied")
    host_name(registry, text)
    repository, colon, tag = rest.partition(":")
    if len(repository) > REPOSITORY_CHARACTERS_MAX or not _REPOSITORY.fullmatch(repository):
        raise errors.ConfigError(
            f"{text!r}: {repository!r} is no name of a repository", remedy="lower-case letters, digits, . _ - and /"
        )
    if colon and not _TAG.fullmatch(tag):
        raise errors.ConfigError(f"{text!r}: {tag!r} is no tag", remedy="letters, digits, . _ and -, at most 128")
    if at and not _DIGEST.fullmatch(digest):
        raise errors.ConfigError(
            f"{text!r}: {digest!r} is no digest that is known here", remedy="write @sha256: and 64 hexadecimal digits"
        )
    if not tag and not digest:
        raise errors.ConfigError(f"{text!r} has neither tag nor digest", remedy=f"{_FORM}; no tag is implied")
    return ImageReference(registry=registry.lower(), repository=repository, tag=tag, digest=digest)


def is_reference(text: str) -> bool:
    """Whether `parse` reads it."""
    try:
        parse(text)
    except errors.ConfigError:
        return False
    return True


def host_name(registry: str, text: str = "") -> tuple[str, int | None]:
    """Host and port of a registry's name. Raises `errors.ConfigError`, which names the whole `text`."""
    found = _REGISTRY.fullmatch(registry)
    port = int(found["port"]) if found is not None and found["port"] else None
    if found is None or port == 0 or (port or 0) > 65535:
        raise errors.ConfigError(f"{text or registry!r}: {registry!r} is no name of a registry", remedy="HOST:PORT")
    return found["host"].lower(), port
