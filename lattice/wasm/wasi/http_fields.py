"""The resource `fields` of wasi:http: header and trailer fields, checked when they are set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from lattice import errors
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi.instance import Instance

FIELDS_MAX = 1000
"""Fields in one set. Programs send some tens; each costs the host a hundred bytes besides its text."""
FIELD_BYTES_MAX = 256 * 1024
"""Names and values of one set together; servers take some tens of KiB."""

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
FORBIDDEN = frozenset(
    {"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"}
    | {"transfer-encoding", "upgrade", "host", "http2-settings"}
)
"""About the connection and not the message. The host speaks for it; guests see the host's name as `authority`."""

Entry = tuple[str, bytes]
INVALID = Err(("invalid-syntax", None))
IS_FORBIDDEN = Err(("forbidden", None))
IMMUTABLE = Err(("immutable", None))


class Fields:
    """Names are lower case; their order, and that of values, is kept."""

    __slots__ = ("_size", "entries", "immutable")

    def __init__(self, entries: Iterable[Entry] = (), *, immutable: bool = False) -> None:
        self.entries = list(entries)
        self.immutable = immutable
        self._size = sum(len(name) + len(value) for name, value in self.entries)

    @classmethod
    def of(cls, header: Mapping[str, list[str] | str] | None) -> Fields:
        """Those of a message of a contract, without the forbidden ones; they cannot be changed."""
        entries = [
            (lower, value.encode("utf-8", "surrogateescape"))
            for name, values in (header or {}).items()
            if (lower := name.lower()) not in FORBIDDEN
            for value in ((values,) if isinstance(values, str) else values)
        ]
        return cls(entries, immutable=True)

    def header(self) -> dict[str, list[str]]:
        """For a message of a contract."""
        found: dict[str, list[str]] = {}
        for name, value in self.entries:
            found.setdefault(name, []).append(text(value))
        return found

    def get(self, name: str) -> list[bytes]:
        lower = name.lower()
        return [value for other, value in self.entries if other == lower]

    def content_length(self) -> int | None:
        """None when there is none that is a number, or several that differ."""
        values = set(self.get("content-length"))
        if len(values) != 1:
            return None
        value = values.pop()
        return int(value) if value.isdigit() and len(value) < 20 else None

    def add(self, name: str, value: bytes) -> None:
        self._size += len(name) + len(value)
        if len(self.entries) >= FIELDS_MAX or self._size > FIELD_BYTES_MAX:
            raise errors.GuestError(f"the guest sets more than {FIELDS_MAX} fields or {FIELD_BYTES_MAX} bytes of them")
        self.entries.append((name.lower(), value))

    def remove(self, name: str) -> None:
        lower = name.lower()
        self.entries = [entry for entry in self.entries if entry[0] != lower]
        self._size = sum(len(other) + len(value) for other, value in self.entries)

    def close(self) -> None:
        """Nothing to free."""


def text(value: bytes) -> str:
    """A value for a message, which holds text: UTF-8, or else Latin-1 as HTTP once said."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _problem(fields: Fields, name: str, values: Iterable[bytes] = ()) -> Err | None:
    """Why a guest may not set this: an `Err` of the variant `header-error`."""
    if fields.immutable:
        return IMMUTABLE
    if not TOKEN.fullmatch(name) or not all(_VALUE.fullmatch(value) for value in values):
        return INVALID
    return IS_FORBIDDEN if name.lower() in FORBIDDEN else None


def constructor(instance: Instance) -> Fields:
    return instance.own(Fields())


def from_list(instance: Instance, entries: list[Entry]) -> Ok | Err:
    fields = Fields()
    for name, value in entries:
        problem = _problem(fields, name, (value,))
        if problem is not None:
            return problem
        fields.add(name, value)
    return Ok(instance.own(fields))


def get(fields: Fields, name: str) -> list[bytes]:
    return fields.get(name)


def has(fields: Fields, name: str) -> bool:
    return bool(fields.get(name))


def set_(fields: Fields, name: str, values: list[bytes]) -> Ok | Err:
    problem = _problem(fields, name, values)
    if problem is not None:
        return problem
    fields.remove(name)
    for value in values:
        fields.add(name, value)
    return Ok()


def delete(fields: Fields, name: str) -> Ok | Err:
    problem = _problem(fields, name)
    if problem is not None:
        return problem
    fields.remove(name)
    return Ok()


def append(fields: Fields, name: str, value: bytes) -> Ok | Err:
    problem = _problem(fields, name, (value,))
    if problem is not None:
        return problem
    fields.add(name, value)
    return Ok()


def entries(fields: Fields) -> list[Entry]:
    return list(fields.entries)


def clone(instance: Instance, fields: Fields) -> Fields:
    return instance.own(Fields(fields.entries))
