"""SQL in files, by SQLite."""

from lattice_sql_sqlite.provider import SqlSqlite

__all__ = ["SqlSqlite"]
