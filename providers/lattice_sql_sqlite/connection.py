"""One SQLite connection on a thread of its own, with statements that end in time."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lattice_sql import SqlFailure

from lattice_sql_sqlite.authorizer import REFUSED_TEXT, allows

STEPS_BETWEEN_LOOKS = 10_000
"""Instructions of SQLite's machine between two looks at the clock: below a millisecond, and below 1 % of the time."""
CLOSE_S_MAX = 5.0
"""From asking the running statement to end until the connection is left to itself."""
LIMITS = {
    # A value of 64 MiB is four times what an actor can send; zeroblob(1e9) would take the memory of the host.
    sqlite3.SQLITE_LIMIT_LENGTH: 64 * 1024 * 1024,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    # Matching is one instruction, which nothing interrupts, and its time grows with the pattern's length.
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
}

Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class Job:
    """One statement: when it must have ended, and whether somebody still waits for it."""

    deadline: float
    cancelled: bool = False

    @property
    def over(self) -> bool:
        return self.cancelled or time.monotonic() > self.deadline


class Connection:
    """`pragmas` are set when it opens. A writer makes the file when it is not there."""

    def __init__(self, path: Path, writer: bool, pragmas: dict[str, str | int], busy_s: float, queue_max: int) -> None:
        self.savepoint = f"own_{secrets.token_hex(16)}"
        self._path = path
        self._writer = writer
        self._pragmas = pragmas
        self._busy_s = busy_s
        self._queue_max = queue_max
        self._thread = ThreadPoolExecutor(1, "sql-sqlite")
        self._pending: set[Job] = set()
        self._job: Job | None = None
        self._connection: sqlite3.Connection | None = None

    @property
    def load(self) -> int:
        """Statements that run or wait."""
        return len(self._pending)

    async def run(self, work: Callable[[sqlite3.Connection], Result], timeout_s: float) -> Result:
        """`work` with the connection, on its thread. Raises `SqlFailure`, and what else `work` raises."""
        if len(self._pending) >= self._queue_max:
            raise SqlFailure("provider", f"{self._queue_max} statements are waiting (queue_max); try again later")
        job = Job(time.monotonic() + timeout_s)
        self._pending.add(job)
        try:
            return await asyncio.wrap_future(self._thread.submit(self._do, work, job))
        finally:
            job.cancelled = True  # matters only when the caller is gone before the statement has ended
            self._pending.discard(job)

    async def close(self) -> None:
        for job in self._pending:
            job.cancelled = True
        closing = asyncio.wrap_future(self._thread.submit(self._close))
        self._thread.shutdown(wait=False)
        await asyncio.wait([closing], timeout=CLOSE_S_MAX)

    def _do(self, work: Callable[[sqlite3.Connection], Result], job: Job) -> Result:
        if job.over:
            raise SqlFailure("provider", "the statement had no turn in time (statement_timeout_s)")
        self._job = job
        try:
            return work(self._open())
        except (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError) as error:
            raise failure(error, job) from error
        finally:
            self._job = None
            if self._connection is not None and self._connection.in_transaction:
                self._connection.rollback()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            mode = "rwc" if self._writer else "rw"
            connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode={mode}", timeout=self._busy_s, isolation_level=None, uri=True
            )
            try:
                for name, value in self._pragmas.items():
                    connection.execute(f"PRAGMA {name} = {value}")
            except BaseException:
                connection.close()
                raise
            for limit, value in LIMITS.items():
                connection.setlimit(limit, value)
            connection.set_authorizer(self._authorize)
            connection.set_progress_handler(self._must_stop, STEPS_BETWEEN_LOOKS)
            self._connection = connection
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _authorize(self, action: int, first: str | None, second: str | None, *_where: Any) -> int:
        own = self._job is None  # the rollback after a statement
        return sqlite3.SQLITE_OK if own or allows(action, first, second, self.savepoint) else sqlite3.SQLITE_DENY

    def _must_stop(self) -> bool:
        return self._job is not None and self._job.over


def failure(error: Exception, job: Job) -> SqlFailure:
    """What the actor is told about an error of SQLite."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if str(error).startswith("not authorized"):  # a refused function has the code of a syntax error
        code = sqlite3.SQLITE_AUTH
    match code:
        case sqlite3.SQLITE_INTERRUPT if job.over:
            return SqlFailure("provider", "the statement took too long and was stopped (statement_timeout_s)")
        case sqlite3.SQLITE_AUTH:
            return SqlFailure("db", REFUSED_TEXT)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return SqlFailure("db", f"{error}: another connection was writing all the time; try again")
        case sqlite3.SQLITE_FULL:
            return SqlFailure("io", f"{error} (the limit is database_bytes_max)")
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return SqlFailure("io", str(error))
        case sqlite3.SQLITE_TOOBIG:
            return SqlFailure("provider", f"{error}: values end at {LIMITS[sqlite3.SQLITE_LIMIT_LENGTH]} bytes")
    if isinstance(error, OverflowError):
        return SqlFailure("decoding", "a parameter is an integer of more than 64 bits, which SQLite does not have")
    return SqlFailure("db", str(error))
