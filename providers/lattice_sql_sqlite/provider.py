"""The SQL contract on SQLite files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar, Literal

import pydantic
from lattice_sql import Database, Sql, SqlFailure, SqlSettings
from lattice_sql.named import read_names

from lattice import errors
from lattice_sql_sqlite.database import SqliteDatabase

PAGE_BYTES = 4096
"""SQLite's own default, which files made by it have; a limit in bytes becomes one in pages by it."""


class SqliteSettings(SqlSettings):
    path: str = "default.db"
    """The file of the database "default". A relative path is inside the provider's data folder."""
    databases: dict[str, str] = pydantic.Field(default_factory=dict)
    """More databases: a JSON object from name to path."""
    readers: int = pydantic.Field(2, ge=1, le=16)
    """Connections of each database for queries. More than cores bring nothing."""
    queue_max: int = pydantic.Field(500, ge=1)
    """Statements that wait for one connection. One more is refused."""
    database_bytes_max: int = pydantic.Field(1024 * 1024 * 1024, ge=64 * PAGE_BYTES)
    """The size of each file: one actor must not fill the disk."""
    synchronous: Literal["full", "normal"] = "full"
    """`full`: what was acknowledged survives a power cut. `normal`: the last moments may be lost; writes are faster."""

    @pydantic.field_validator("databases", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return read_names(value)


class SqlSqlite(Sql):
    name = "sql-sqlite"
    attach_settings_type: ClassVar[type[SqliteSettings]] = SqliteSettings

    async def open_databases(self, settings: SqlSettings) -> dict[str, Database]:
        assert isinstance(settings, SqliteSettings)
        pragmas: dict[str, str | int] = {
            "journal_mode": "WAL",
            "synchronous": settings.synchronous,
            "foreign_keys": 1,
            "max_page_count": settings.database_bytes_max // PAGE_BYTES,
        }
        opened: dict[str, Database] = {}
        try:
            for name, path in {"default": settings.path, **settings.databases}.items():
                file = self._file(path)
                await asyncio.to_thread(_make_folder, file)
                database = SqliteDatabase(
                    file, pragmas, settings.readers, settings.queue_max, settings.statement_timeout_s
                )
                opened[name] = database
                await _open(database, name, file)
        except BaseException:
            for open_one in opened.values():
                await open_one.close()
            raise
        return opened

    def _file(self, path: str) -> Path:
        given = Path(path)
        if not given.name or ".." in given.parts or "\0" in path or path == ":memory:":
            raise errors.ConfigError(
                f"the database path {path!r} cannot be used",
                remedy='name a file: an absolute path, or one inside the provider\'s data folder without ".."',
            )
        return self.context.data / given


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise errors.ConfigError(f"the folder of {str(file)!r} cannot be made: {error.strerror}") from error


async def _open(database: SqliteDatabase, name: str, file: Path) -> None:
    try:
        await database.open()
    except SqlFailure as error:
        raise errors.ConfigError(
            f"the database {name!r} ({file}) cannot be opened: {error.message}",
            remedy="name a file that is a SQLite database or not there yet, in a folder this process may write",
        ) from error
