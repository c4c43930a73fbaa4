"""The half of a SQL provider that does not depend on the database: the contract above, `Database` below."""

from lattice_sql.database import Database, SqlFailure
from lattice_sql.provider import Sql, SqlSettings
from lattice_sql.values import Parameter, RowBuffer, as_text, plain

__all__ = ["Database", "Parameter", "RowBuffer", "Sql", "SqlFailure", "SqlSettings", "as_text", "plain"]
