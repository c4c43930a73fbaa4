"""One database file, its connections, and when what was written counts as written.

All statements run on the event loop's thread: a hop to another costs more than the statement. What waits for a disk
runs on the store's own threads. Writes of one turn of the loop share one transaction, committed when the turn ends;
each writer is told the outcome of that commit. Reads have a connection of their own and see what is committed, so a
read waits for nothing and never shows what may yet be undone.

    crash   the commit hands the data to the kernel, on the loop (10 us); a thread flushes it to disk once a second
    power   the commit flushes to disk, on a thread; writers meanwhile wait for the next batch

Invariant: while `_held` is set a thread works on the writing connection, or is about to, and nobody else touches it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

from lattice.errors import Overloaded, ProviderUnavailable
from lattice_keyvalue_sqlite.file import DatabaseFile
from lattice_keyvalue_sqlite.tables import Tables

Result = TypeVar("Result")
Durability = Literal["crash", "power"]

STALL_S = 10.0
"""How long a writer waits for a thread that waits for the disk. Longer than a busy disk takes, and not for ever."""
WAITING_MAX = 10_000
"""Writers that wait for the next batch. Each is a caller with its payload in memory; one more is refused."""
WORKERS = 2
"""Threads: one flushes commits while the other moves the log into the database file."""


class Batch(asyncio.Future[str | None]):
    """Resolved when the transaction has ended: None when it is committed, else why it is not.

    It has many waiters, so one that is cancelled must not cancel it: refusing makes the task take its cancellation
    when the batch ends, which is within the turn.
    """

    def cancel(self, msg: object = None) -> bool:
        return False


class Store:
    """Runs the operations of `Tables`. Owned by one event loop; `open` first, `close` last."""

    def __init__(self, path: Path, durability: Durability, items_max: int, log: logging.Logger) -> None:
        self._file = DatabaseFile(path, flush_commits=durability == "power")
        self._flushes = durability == "power"
        self._items_max = items_max
        self._log = log
        self._batch: Batch | None = None
        self._held: asyncio.Future[None] | None = None
        self._waiting = 0
        self._unflushed = False
        self._failure: str | None = None
        self._flush_failure: str | None = None

    async def open(self) -> None:
        """Opens or creates the file. Raises `ConfigError` when it is not usable."""
        self._loop = asyncio.get_running_loop()
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="keyvalue-sqlite")
        try:
            await self._loop.run_in_executor(self._workers, self._file.open)
        except BaseException:
            self._workers.shutdown()
            raise
        self._writing = Tables(self._file.writer, self._items_max)
        self._reading = Tables(self._file.reader, self._items_max)
        self._execute = self._file.writer.execute

    async def close(self) -> None:
        """Commits what is open, moves the log into the file and lets go of it. `flush` and the like must be over."""
        await self._alone(self._file.close)
        self._workers.shutdown()

    async def flush(self) -> None:
        """Brings to disk what was committed before. A failure is logged and remembered for `check`."""
        if self._flushes or not self._unflushed:
            return
        self._unflushed = False
        try:
            await self._loop.run_in_executor(self._workers, self._file.flush)
            self._flush_failure = None
        except OSError as error:
            self._unflushed = True
            self._flush_failure = f"{self._file.path} cannot be flushed to disk: {error}"
            self._log.error("%s", self._flush_failure)

    async def trim_log(self, log_bytes_max: int) -> None:
        """Starts the log over when it is longer than that. Writers wait for the end of it only, some milliseconds."""
        if self._file.log_bytes() <= log_bytes_max:
            return
        try:
            await self._loop.run_in_executor(self._workers, self._file.move_log)
            if not await self._alone(self._file.start_log):
                self._log.warning("%s: another program reads the file for long; its log grows", self._file.path)
        except sqlite3.Error as error:
            self._flush_failure = self._describe("cannot take its log in", error)
            self._log.error("%s", self._flush_failure)

    @property
    def tables(self) -> Tables:
        """Whose methods to hand to `write`."""
        return self._writing

    @property
    def snapshot(self) -> Tables:
        """Whose methods to hand to `read` and `read_whole`."""
        return self._reading

    def check(self) -> None:
        """Raises `ProviderUnavailable` when the last commit, or the last flush, failed."""
        failure = self._failure or self._flush_failure
        if failure is not None:
            raise ProviderUnavailable(failure)

    def read(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Runs one statement against what is committed."""
        try:
            return work(*arguments)
        except sqlite3.Error as error:
            raise ProviderUnavailable(self._describe("cannot be read", error)) from error

    def read_whole(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Like `read` for several statements: a commit of another thread does not come between them."""
        try:
            self._file.reader.execute("BEGIN")
            try:
                return work(*arguments)
            finally:
                self._file.reader.execute("COMMIT")
        except sqlite3.Error as error:
            raise ProviderUnavailable(self._describe("cannot be read", error)) from error

    async def write(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Runs `work` in the current batch and returns its result when that is committed.

        Raises `ProviderUnavailable` when it is not, with nothing of the batch kept, and what `work` refuses with.
        """
        while self._held is not None:
            await self._released(self._held)
        batch = self._batch or self._begin()
        try:
            result = work(*arguments)
        except sqlite3.Error as error:
            # SQLite may have undone the transaction or only the statement; what is left of it is not whole.
            raise ProviderUnavailable(self._abort(batch, error)) from error
        failure = await (self._patiently(batch) if self._flushes else batch)
        if failure is not None:
            raise ProviderUnavailable(failure, remedy="nothing of it was kept; it is safe to try again")
        return result

    def _begin(self) -> Batch:
        try:
            self._execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._failure = self._describe("cannot be written", error)
            raise ProviderUnavailable(self._failure) from error
        self._batch = batch = Batch(loop=self._loop)
        self._loop.call_soon(self._end_batch, batch)
        return batch

    def _end_batch(self, batch: Batch) -> None:
        if self._batch is not batch:
            return  # it was aborted, or committed early by `_alone`
        self._batch = None
        if self._flushes:
            self._hold()
            committed = self._loop.run_in_executor(self._workers, self._commit)
            committed.add_done_callback(lambda done: self._committed(batch, done.result()))
        else:
            self._settle(batch, self._commit())

    def _committed(self, batch: Batch, failure: str | None) -> None:
        self._release()
        self._settle(batch, failure)

    def _commit(self) -> str | None:
        """Runs on a thread when commits are flushed. Returns why it failed."""
        try:
            self._execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            return self._describe("cannot be written", error)
        return None

    def _rollback(self) -> None:
        if self._file.writer.in_transaction:
            try:
                self._execute("ROLLBACK")
            except sqlite3.Error as error:
                self._log.error("%s: rollback failed: %s", self._file.path, error)

    def _settle(self, batch: Batch, failure: str | None) -> None:
        if failure is not None:
            self._log.error("%s", failure)
        self._failure = failure
        self._unflushed = True
        batch.set_result(failure)

    def _abort(self, batch: Batch, error: sqlite3.Error) -> str:
        failure = self._describe("cannot be written", error)
        self._rollback()
        self._batch = None
        self._settle(batch, failure)
        return failure

    def _describe(self, what: str, error: sqlite3.Error) -> str:
        return f"{self._file.path} {what}: {error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"

    async def _patiently(self, batch: Batch) -> str | None:
        """Waits for a batch that a thread commits; unlike in the turn's own commit, the caller may leave meanwhile."""
        try:
            async with asyncio.timeout(STALL_S):
                return await asyncio.shield(batch)
        except TimeoutError:
            raise ProviderUnavailable(f"{self._file.path}: the disk did not answer in {STALL_S:g} s") from None

    async def _released(self, held: asyncio.Future[None]) -> None:
        if self._waiting >= WAITING_MAX:
            raise Overloaded(f"{self._file.path}: {WAITING_MAX} writes already wait for the disk")
        self._waiting += 1
        try:
            async with asyncio.timeout(STALL_S):
                await asyncio.shield(held)
        except TimeoutError:
            raise ProviderUnavailable(f"{self._file.path}: the disk did not answer in {STALL_S:g} s") from None
        finally:
            self._waiting -= 1

    def _hold(self) -> None:
        assert self._held is None
        self._held = self._loop.create_future()

    def _release(self) -> None:
        assert self._held is not None
        held, self._held = self._held, None
        held.set_result(None)

    async def _alone(self, work: Callable[[], Result]) -> Result:
        """Runs `work` on a thread while nobody else uses the writing connection; open batches are committed first."""
        while self._held is not None or self._batch is not None:
            if self._held is not None:
                await asyncio.shield(self._held)
            elif self._batch is not None:
                self._end_batch(self._batch)
        self._hold()
        done = self._loop.run_in_executor(self._workers, work)
        # By callback, not after an await: the thread goes on when the caller is cancelled.
        done.add_done_callback(lambda _: self._release())
        return await asyncio.shield(done)
