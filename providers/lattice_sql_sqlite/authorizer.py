"""Which parts of a statement SQLite may run for an actor. Pure; called by SQLite while it compiles a statement."""

from __future__ import annotations

import sqlite3

READING_PRAGMAS = frozenset(
    {
        "collation_list",
        "compile_options",
        "data_version",
        "foreign_key_check",
        "foreign_key_list",
        "function_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "quick_check",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)
"""Those that only tell something. The others change files, limits or what the next statement of somebody else does."""

REFUSED = frozenset(
    {
        # Other files, and this is also how VACUUM INTO would write one.
        sqlite3.SQLITE_ATTACH,
        sqlite3.SQLITE_DETACH,
        # The next statement may be another caller's, or run on another connection.
        sqlite3.SQLITE_TRANSACTION,
        # Only one of the connections would have them.
        sqlite3.SQLITE_CREATE_TEMP_INDEX,
        sqlite3.SQLITE_CREATE_TEMP_TABLE,
        sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
        sqlite3.SQLITE_CREATE_TEMP_VIEW,
    }
)
REFUSED_TEXT = (
    "this statement is not allowed: ATTACH, DETACH, VACUUM, transactions over several statements, temporary tables, "
    "load_extension and settings by PRAGMA are refused"
)


def allows(action: int, first: str | None, second: str | None, own_savepoint: str) -> bool:
    """`own_savepoint` is the one name that the provider itself uses; nobody else can know it."""
    if action in REFUSED:
        return False
    if action == sqlite3.SQLITE_SAVEPOINT:
        return second == own_savepoint
    if action == sqlite3.SQLITE_PRAGMA:
        return (first or "").lower() in READING_PRAGMAS
    if action == sqlite3.SQLITE_FUNCTION:
        return (second or "").lower() != "load_extension"
    return True
