"""The SQL contract on PostgreSQL."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit

import pydantic
from lattice_sql import Database, Sql, SqlSettings
from lattice_sql.named import read_names

from lattice import errors
from lattice_sql_postgres.database import PostgresDatabase, open_pool


class PostgresSettings(SqlSettings):
    url: pydantic.SecretStr
    """The database "default": postgresql://user:password@host:port/database, with libpq's options after a "?"."""
    databases: dict[str, pydantic.SecretStr] = pydantic.Field(default_factory=dict)
    """More databases: a JSON object from name to URL."""
    connections_max: int = pydantic.Field(5, ge=1, le=100)
    """Connections to each database, and so statements at a time. A server allows 100 by default, for all its users."""
    queue_max: int = pydantic.Field(500, ge=1)
    """Statements that run or wait for a connection to one database. One more is refused."""
    connect_timeout_s: float = pydantic.Field(5.0, gt=0)
    idle_s: float = pydantic.Field(60.0, gt=0)
    """A connection not used for so long is closed."""

    @pydantic.field_validator("databases", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return read_names(value)


class SqlPostgres(Sql):
    """Connections are made when the first statement needs one: a link can be there before its server is."""

    name = "sql-postgres"
    replicable = True
    attach_settings_type: ClassVar[type[PostgresSettings]] = PostgresSettings

    async def open_databases(self, settings: SqlSettings) -> dict[str, Database]:
        assert isinstance(settings, PostgresSettings)
        opened: dict[str, Database] = {}
        try:
            for name, url in {"default": settings.url, **settings.databases}.items():
                opened[name] = await _open(settings, name, url.get_secret_value())
        except BaseException:
            for open_one in opened.values():
                await open_one.close()
            raise
        return opened


async def _open(settings: PostgresSettings, name: str, url: str) -> PostgresDatabase:
    try:
        parts = urlsplit(url)
        # The port is read to have it checked.
        if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or parts.port == 0:
            raise ValueError(url)
        pool = await open_pool(
            url,
            settings.connections_max,
            settings.connect_timeout_s,
            settings.idle_s,
            settings.statement_timeout_s,
        )
    except ValueError:
        # Neither the URL nor the parser's words: both may hold the password.
        raise errors.ConfigError(
            f"the URL of the database {name!r} cannot be used",
            remedy="write postgresql://user:password@host:port/database, with special characters as %xx",
        ) from None
    return PostgresDatabase(pool, settings.queue_max, settings.statement_timeout_s)
