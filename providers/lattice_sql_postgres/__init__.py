"""SQL in a PostgreSQL server."""

from lattice_sql_postgres.provider import SqlPostgres

__all__ = ["SqlPostgres"]
