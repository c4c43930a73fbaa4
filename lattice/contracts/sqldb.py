"""wasmcloud:sqldb - statements with bound parameters."""

from __future__ import annotations

from typing import Literal

from lattice.contracts.message import U32, U64, Contract, Message, Operation


class Statement(Message, frozen=True, kw_only=True):
    """Each of `parameters` is one CBOR value, bound by position; never spliced into `sql`."""

    sql: str
    parameters: list[bytes] | None = None
    database: str | None = None


class SqlDbError(Message, frozen=True, kw_only=True):
    code: Literal["config", "db", "io", "notFound", "encoding", "decoding", "provider", "other"]
    message: str


class ExecuteResult(Message, frozen=True, kw_only=True):
    rows_affected: U64
    error: SqlDbError | None = None


class Column(Message, frozen=True, kw_only=True):
    ordinal: U32
    name: str
    db_type: str


class QueryResult(Message, frozen=True, kw_only=True):
    """`rows` is a CBOR array of rows, each a CBOR array of values."""

    num_rows: U64
    columns: list[Column]
    rows: bytes
    error: SqlDbError | None = None


CONTRACT = Contract(
    "wasmcloud:sqldb",
    operations=(
        Operation("SqlDb.Execute", "execute", Statement, ExecuteResult),
        Operation("SqlDb.Query", "query", Statement, QueryResult),
    ),
)
