"""Key-value in one SQLite file: the embedded default, nothing to install. See docs/providers/keyvalue-sqlite.md."""

from lattice_keyvalue_sqlite.provider import KeyValueSqlite

__all__ = ["KeyValueSqlite"]
