"""What capabilities hold, for a test to arrange and to look at."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from lattice import errors, wire
from lattice.contracts import messaging

Value: TypeAlias = str | list[str] | set[str]
"""A value or counter, a list, a set."""


class KeyValueView(MutableMapping[str, Value]):
    """One bucket: values and counters as text, lists as lists, sets as sets. What is put in may also be a number, or a
    dict, which is kept as JSON."""

    def __init__(self, bucket: Any) -> None:
        self._bucket = bucket

    def __getitem__(self, key: str) -> Value:
        held = self._bucket.held(key)
        match held:
            case None:
                raise KeyError(f"{key!r}; there are {', '.join(map(repr, self)) or 'no keys'}")
            case bytes():
                return held.decode("utf-8", "backslashreplace")
            case list():
                return [item.decode("utf-8", "backslashreplace") for item in held]
        return {item.decode("utf-8", "backslashreplace") for item in held}

    def __setitem__(self, key: str, value: Any) -> None:
        self.put(key, value)

    def put(self, key: str, value: Any, expires_s: float = 0) -> None:
        """With an end in virtual time; 0 is none."""
        held: bytes | list[bytes] | set[bytes]
        if isinstance(value, (list, tuple)):
            held = [_bytes(item) for item in value]
        elif isinstance(value, (set, frozenset)):
            held = {_bytes(item) for item in value}
        else:
            held = _bytes(value)
        self._bucket.put(key, held, expires_s)

    def __delitem__(self, key: str) -> None:
        self[key]
        self._bucket.forget(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._bucket.keys())

    def __len__(self) -> int:
        return len(self._bucket.keys())

    def json(self, key: str) -> Any:
        """The value as JSON. Raises `AssertionError` when it is none."""
        value = self[key]
        if not isinstance(value, str):
            raise AssertionError(f"{key!r} holds a {type(value).__name__}, not a value")
        try:
            return json.loads(value)
        except ValueError as error:
            raise AssertionError(f"the value of {key!r} is no JSON: {value[:500]!r}") from error

    def __repr__(self) -> str:
        return repr(dict(self))


def _bytes(value: Any) -> bytes:
    match value:
        case bytes():
            return value
        case str():
            return value.encode()
        case bool():
            return b"true" if value else b"false"
        case int() | float():
            return str(value).encode()
        case dict():
            return json.dumps(value).encode()
    raise errors.ConfigError(
        f"a {type(value).__name__} cannot be kept: text, bytes, numbers, dicts, lists and sets can"
    )


class BlobsView(MutableMapping[tuple[str, str], bytes]):
    """Objects by (container, name). A container that is put into is made."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getitem__(self, place: tuple[str, str]) -> bytes:
        try:
            return bytes(self._store.object(*place).data)
        except errors.ProviderError as error:
            raise KeyError(str(error)) from None

    def __setitem__(self, place: tuple[str, str], data: bytes | str) -> None:
        container, name = place
        self._store.place(container, name, data.encode() if isinstance(data, str) else data)

    def __delitem__(self, place: tuple[str, str]) -> None:
        self[place]
        self._store.forget(*place)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._store.places())

    def __len__(self) -> int:
        return len(self._store.places())

    def text(self, container: str, name: str) -> str:
        return self[container, name].decode()

    def __repr__(self) -> str:
        return repr(dict(self))


class SqlView:
    """A database, beside the actor that uses it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def execute(self, statement: str, *parameters: Any) -> int:
        """How many rows it changed. Raises `sqlite3.Error`."""
        with closing(sqlite3.connect(self._file)) as connection, connection:
            return connection.execute(statement, parameters).rowcount

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._file)) as connection, connection:
            return connection.execute(statement, parameters).fetchall()


class Published(msgspec.Struct, frozen=True):
    """A message that an actor published; `by` is the actor's name."""

    subject: str
    body: bytes
    reply_to: str | None = None
    by: str = ""

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


def published(invocations: Sequence[tuple[str, bytes]]) -> list[Published]:
    """Of the (actor, message) of each publication."""
    read = wire.decoder(messaging.PubMessage, "a publication")
    found = []
    for actor, payload in invocations:
        message: messaging.PubMessage = read(payload)
        found.append(Published(message.subject, message.body, message.reply_to, actor))
    return found


def only(buckets: Mapping[str, Any]) -> str:
    """The name of the bucket that is meant when none is named. Raises `errors.ConfigError`."""
    if len(buckets) > 1 and "default" not in buckets:
        raise errors.ConfigError(
            f"the application uses the buckets {', '.join(sorted(buckets))}", remedy='name one: h.bucket("NAME")'
        )
    return next(iter(buckets)) if len(buckets) == 1 else "default"
