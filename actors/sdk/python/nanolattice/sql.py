"""Statements with parameters: the contract wasmcloud:sqldb."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from nanolattice import cbor, host, records
from nanolattice.errors import Error

CONTRACT = "wasmcloud:sqldb"

T = TypeVar("T")


@dataclass(frozen=True)
class Rows:
    """What a query found: the names of its columns, and each row as a list."""

    columns: list[str]
    rows: list[list[Any]]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each row as a dict by column."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)

    def of(self, type_: type[T]) -> list[T]:
        """Each row as a dataclass whose fields are the columns. Raises `Error` "invalid"."""
        return [records.decode(type_, row, "a row") for row in self]


class Database:
    """The database at the end of one link. Raises `Error`; what the database itself refuses has the code "sql"."""

    def __init__(self, link: str = "default") -> None:
        self.link = link

    def execute(self, statement: str, *parameters: Any) -> int:
        """Changes something; returns how many rows were changed. Each `?` stands for a parameter, in order."""
        return int(self._ask("Execute", statement, parameters)["rowsAffected"])

    def query(self, statement: str, *parameters: Any) -> Rows:
        found = self._ask("Query", statement, parameters)
        return Rows([column["name"] for column in found["columns"]], cbor.load(found["rows"]))

    def _ask(self, operation: str, statement: str, parameters: tuple[Any, ...]) -> dict[str, Any]:
        message = {"sql": statement, "parameters": [cbor.dump(value) for value in parameters]}
        found: dict[str, Any] = host.ask(self.link, CONTRACT, f"SqlDb.{operation}", message)
        if error := found.get("error"):
            raise Error("sql", f"{error['code']}: {error['message']}")
        return found


def open(link: str) -> Database:
    """The database at the end of the link with that name."""
    return Database(link)


_default = Database()
execute = _default.execute
query = _default.query
