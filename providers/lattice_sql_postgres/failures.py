"""What PostgreSQL and its client raise, as the contract's errors."""

from __future__ import annotations

import asyncpg
from lattice_sql import SqlFailure

MESSAGE_CHARS_MAX = 500
"""Some errors quote the whole value that caused them."""
STATEMENT_TOO_LONG = "57014"
CONFIG_CLASSES = {"28", "3D"}
"""Who may log in, and which databases there are."""
IO_CLASSES = {"08", "57", "58"}
"""Connections, the operator's interventions, the server's own system."""
IO_STATES = {"53100", "53200", "53300", "53400"}
"""No disk, no memory, no connections left."""
WRONG_VALUE = "invalid input for query argument"
"""How the client library begins its error about a parameter of a type that PostgreSQL does not expect there."""


def failure(error: Exception) -> SqlFailure | None:
    """The failure that fits; None for an error that is neither the server's nor the network's."""
    text = str(error.args[0] if error.args else type(error).__name__)[:MESSAGE_CHARS_MAX]
    if isinstance(error, asyncpg.PostgresError):
        return _from_server(error, text)
    if isinstance(error, asyncpg.InterfaceError):
        # Also what the library says of a connection that has just been lost.
        lost = "connection" in text and ("closed" in text or "released" in text)
        return SqlFailure("io", text) if lost else SqlFailure("db", text)
    if isinstance(error, (OSError, asyncpg.InternalClientError)):
        return SqlFailure("io", f"the server cannot be reached: {error or type(error).__name__}"[:MESSAGE_CHARS_MAX])
    return None


def _from_server(error: asyncpg.PostgresError, text: str) -> SqlFailure:
    if text.startswith(WRONG_VALUE):
        return SqlFailure("decoding", text)
    state = str(getattr(error, "sqlstate", "") or "")
    told = f"{text} (SQLSTATE {state})" if state else text
    if state == STATEMENT_TOO_LONG:
        return SqlFailure("provider", "the statement took too long and was stopped (statement_timeout_s)")
    if state[:2] in CONFIG_CLASSES:
        return SqlFailure("config", told)
    if state[:2] in IO_CLASSES or state in IO_STATES:
        return SqlFailure("io", told)
    return SqlFailure("db", told)
