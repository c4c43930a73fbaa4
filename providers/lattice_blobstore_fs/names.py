"""Ids as file names and back. Whatever an id holds, its name is one plain, safe component of a path. Pure.

A short id is written out, with every byte that some file system treats specially as %xx; so a person finds an object.
A long one is named by its SHA-256. The mark in front keeps the two apart, and any name from being hidden (".x"), a
folder ("..") or a device ("con").
"""

from __future__ import annotations

import hashlib
import re
import string

NAME_CHARS_MAX = 200
"""File systems allow 255 bytes; the rest is for what is put behind the name of a data file."""

_PLAIN = frozenset((string.ascii_lowercase + string.digits + "._-").encode())
_WRITTEN_OUT = re.compile(r"=(?:[a-z0-9._-]|%[0-9a-f]{2})*")
_HASHED = re.compile(r"#[0-9a-f]{64}")


def name_of(id_: str) -> str:
    """The name of an id. Different ids have names that differ in more than case and Unicode form."""
    data = id_.encode()
    name = "=" + "".join(chr(byte) if byte in _PLAIN else f"%{byte:02x}" for byte in data)
    if name.endswith("."):
        name = name[:-1] + "%2e"  # some network shares drop a trailing dot
    if len(name) <= NAME_CHARS_MAX:
        return name
    return "#" + hashlib.sha256(data).hexdigest()


def id_of(name: str) -> str | None:
    """The id written out in a name; None when the name is a hash or none of ours."""
    if not _WRITTEN_OUT.fullmatch(name):
        return None
    data = re.sub(rb"%(..)", lambda found: bytes([int(found[1], 16)]), name[1:].encode())
    try:
        id_ = data.decode()
    except UnicodeDecodeError:
        return None
    return id_ if name_of(id_) == name else None


def is_hashed(name: str) -> bool:
    return _HASHED.fullmatch(name) is not None


def is_name(name: str) -> bool:
    """Whether `name` is one that `name_of` may have given."""
    return is_hashed(name) or id_of(name) is not None
