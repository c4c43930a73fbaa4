"""How values travel between CBOR and PostgreSQL, beyond what the client library does itself."""

from __future__ import annotations

import json
from typing import Any

from lattice_sql import as_text, plain

TEXT_TYPES = (
    "bit",
    "cidr",
    "date",
    "inet",
    "interval",
    "macaddr",
    "macaddr8",
    "numeric",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "uuid",
    "varbit",
)
"""Types whose values travel as the server's own text: exact in both directions, with nothing that only one side can
hold (numeric of any length, the date "infinity"), and readable by a guest without tags."""
JSON_TYPES = ("json", "jsonb")


async def set_codecs(connection: Any) -> None:
    """For each new connection of the pool: one question to the server for each type."""
    for name in TEXT_TYPES:
        await connection.set_type_codec(name, schema="pg_catalog", encoder=_text, decoder=str, format="text")
    for name in JSON_TYPES:
        await connection.set_type_codec(name, schema="pg_catalog", encoder=_json, decoder=str, format="text")


def _text(value: Any) -> str:
    if isinstance(value, (bytes, bool, list, dict)):
        raise TypeError(f"{type(value).__name__} is not text, a number, a time or a UUID")
    return value if isinstance(value, str) else as_text(value)


def _json(value: Any) -> str:
    """Text is JSON already; anything else becomes it."""
    return value if isinstance(value, str) else json.dumps(plain(value), allow_nan=False)
