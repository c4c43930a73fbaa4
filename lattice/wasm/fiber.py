"""A live guest: its store, its memory, and calls into it that sleep while the host works for them."""

from __future__ import annotations

import ctypes
import time
import types
from collections.abc import Coroutine, Generator
from ctypes import addressof, memmove
from typing import Any

from lattice import errors
from lattice.wasm import capi
from lattice.wasm.engine import NO_LIMIT, TABLE_ELEMENTS_MAX, Engine, Prepared
from lattice.wasm.guest import ActorContext

# Where things are in `capi.Cells`; the arguments come first.
RESULT: int = capi.Cells.result_kind.offset
INSTANCE: int = capi.Cells.instance.offset
MEMORY: int = capi.Cells.memory.offset
FUNCTION: int = capi.Cells.function.offset
EXPORT: int = capi.Cells.export.offset
EXPORT_VALUE: int = EXPORT + capi.EXPORT_VALUE_OFFSET
TRAP: int = capi.Cells.trap.offset
ERROR: int = capi.Cells.error.offset
NO_MEMORY = memoryview(b"")
READY_CELL: int = capi.Cells.ready.offset
MEMORY_BYTES, FUNCTION_BYTES = capi.Cells.memory.size, capi.Cells.function.size


class Fiber:
    """One instance of a module, or all those of a component, in a store of its own. One call at a time; useless after
    any failure.

    `instantiate` fills it, and so runs the module's start function. `close` frees the store; no call may be running.
    """

    __slots__ = (
        "_cells",
        "_cells_address",
        "_instances",
        "_memory_known",
        "_store",
        "actor",
        "context",
        "deadline",
        "engine",
        "exit_code",
        "instantiating",
        "memory",
        "output",
        "pending",
        "result_address",
        "usable",
    )

    def __init__(self, engine: Engine, actor: ActorContext, instances: int = 1, memories: int = 1) -> None:
        if engine.live_instances + instances > engine.instances_max:
            raise errors.InstancesExhausted(
                f"{engine.live_instances} instances are live, the most this process can hold",
                remedy="lower limits.instances of the actors, or run more hosts",
            )
        self.engine = engine
        self.actor = actor
        self._store: int = capi.store_new(engine.address, None, None)
        self.context: int = capi.store_context(self._store)
        engine.live_instances += instances
        self._instances = instances
        capi.store_limiter(
            self._store, actor.limits.memory_bytes_max, TABLE_ELEMENTS_MAX, instances, NO_LIMIT, memories
        )
        self._give_way_at_epochs()
        # Kept until the store is gone: the engine writes into them.
        self._cells = capi.Cells()
        self._cells_address = addressof(self._cells)
        self._memory_known = False
        self.memory = NO_MEMORY
        """What is known of the guest's memory; see `_look_at_memory`."""
        self.output: Any = None
        self.pending: Coroutine[Any, Any, None] | None = None
        self._cells.ready = capi.READY
        self.result_address = 0
        self.deadline = 0.0
        self.exit_code: int | None = None
        self.instantiating = False
        self.usable = True

    def _give_way_at_epochs(self) -> None:
        capi.set_epoch_yield(self.context, 1)

    async def instantiate(self, prepared: Prepared, deadline: float) -> None:
        """Makes the instance. Raises `errors.GuestTrapped` or `errors.UnsupportedGuest`."""
        self.deadline = deadline
        cells = self._cells_address
        self.instantiating = True
        capi.set_epoch_deadline(self.context, 1)
        await self._run(
            capi.instance_pre_instantiate_async(
                prepared.address, self.context, cells + INSTANCE, cells + TRAP, cells + ERROR
            )
        )
        self.instantiating = False
        if self._find_export(b"memory"):
            self._adopt_memory()

    def find_memory(self, caller: int) -> None:
        """For a start function that calls the host: its instance cannot be asked yet, the caller can."""
        name = b"memory"
        if capi.caller_export_get(caller, name, len(name), self._cells_address + EXPORT):
            self._adopt_memory()

    def _adopt_memory(self) -> None:
        if self._cells.export.kind == capi.EXTERN_MEMORY:
            memmove(self._cells_address + MEMORY, self._cells_address + EXPORT_VALUE, MEMORY_BYTES)
            self._memory_known = True
            self._look_at_memory()

    def _find_export(self, name: bytes) -> bool:
        """Puts the export of that name into its cell."""
        cells = self._cells_address
        found: bool = capi.instance_export_get(self.context, cells + INSTANCE, name, len(name), cells + EXPORT)
        return found

    def signature(self, name: bytes) -> str:
        """The type of an exported function, as "ii->i"; "" when there is no such function."""
        if not self._find_export(name) or self._cells.export.kind != capi.EXTERN_FUNCTION:
            return ""
        return capi.signature(self.context, self._cells_address + EXPORT_VALUE)

    def select(self, name: bytes) -> None:
        """Chooses the exported function that `call` calls. Its parameters and result are i32: see `signature`."""
        found = self._find_export(name)
        assert found, "the exports of a guest are looked at before it is loaded"
        memmove(self._cells_address + FUNCTION, self._cells_address + EXPORT_VALUE, FUNCTION_BYTES)

    def call(self, a: int, b: int, deadline: float, parameters: int = 2, results: int = 1) -> Coroutine[Any, Any, int]:
        """Calls the selected function; returns its i32, or 0 when it has no result.

        Raises `errors.GuestTrapped`, or `errors.DeadlineExceeded` when the guest computes past `deadline`.
        """
        cells = self._cells
        cells.argument_0 = a
        cells.argument_1 = b
        self.deadline = deadline
        context = self.context
        at = self._cells_address
        capi.set_epoch_deadline(context, 1)
        return self._run(
            capi.func_call_async(context, at + FUNCTION, at, parameters, at + RESULT, results, at + TRAP, at + ERROR)
        )

    async def _run(self, future: int) -> int:
        """Polls a call to its end, on the loop's own stack, doing in between what the guest asks for."""
        engine = self.engine
        ticker = engine.ticker
        looks = ticker.looks
        self.usable = False
        try:
            while True:
                ticker.polls += 1
                if ticker.asleep:
                    ticker.wake()
                engine.running = self
                done = capi.future_poll(future)
                engine.running = None
                if done:
                    break
                pending = self.pending
                if pending is not None:
                    self.pending = None
                    await pending
                    self._cells.ready = capi.READY
                    if ticker.looks == looks:
                        continue
                    # The calls of a guest may all be answered at once, and then nothing of this waits.
                looks = ticker.looks
                if time.monotonic() > self.deadline:
                    raise errors.DeadlineExceeded("the guest went on past its deadline")
                await turn()
        finally:
            capi.future_delete(future)
        cells = self._cells
        if cells.trap or cells.error:
            self._raise_failure()
        self.usable = True
        result: int = cells.result
        return result

    def _raise_failure(self) -> None:
        """Turns what the engine left behind into an error; a guest that left by `proc_exit(0)` did not fail."""
        cells = self._cells
        trap, error = capi.take_trap(cells.trap), capi.take_error(cells.error)
        cells.trap = cells.error = None
        if self.exit_code is not None:
            raise errors.GuestTrapped(f"the guest exited with code {self.exit_code}")
        size = f" ({self._look_at_memory() // 1024} KiB of memory in use)" if len(self.memory) else ""
        report = trap or error or ""
        trapped = errors.GuestTrapped(f"the guest trapped: {_cause(report)}{size}")
        trapped.stack = report
        raise trapped

    # What host callbacks use, while the guest runs.

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the guest's memory. Raises `errors.GuestProtocolError` when they are not all inside it."""
        data = self.memory[offset : offset + length].tobytes()
        if len(data) != length:
            if offset + length > self._look_at_memory():
                raise errors.GuestProtocolError(f"the guest named {length} bytes at {offset}, outside its memory")
            data = self.memory[offset : offset + length].tobytes()
        return data

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Copies into the guest's memory. Raises `errors.GuestProtocolError` when it does not fit there."""
        try:
            self.memory[offset : offset + len(data)] = data
        except ValueError:  # the slice was cut: past the end of what is known of the memory
            if offset + len(data) > self._look_at_memory():
                raise errors.GuestProtocolError(f"the guest wants {len(data)} bytes at {offset}, outside") from None
            self.memory[offset : offset + len(data)] = data

    def _look_at_memory(self) -> int:
        """Renews the view of the memory, which may have grown, and returns its size in bytes.

        Memory never shrinks, and in the pool it never moves: an older view is too short at worst.
        """
        if not self._memory_known:
            return 0
        record = self._cells_address + MEMORY
        size: int = capi.memory_data_size(self.context, record)
        if size != len(self.memory):
            self.memory = capi.view(capi.memory_data(self.context, record), size)
        return size

    def sleep(self, work: Coroutine[Any, Any, None]) -> None:
        """From an asynchronous host function: the guest sleeps until `work` is done; what it raises ends the call."""
        self._cells.ready = capi.NOT_READY
        self.pending = work

    @property
    def ready_address(self) -> int:
        """Where the engine looks whether the guest may go on."""
        return self._cells_address + READY_CELL

    def set_result(self, value: int) -> None:
        """The result of the asynchronous host function that the guest is in."""
        ctypes.c_int32.from_address(self.result_address).value = value

    def close(self) -> None:
        """Frees the store and everything in it."""
        if self._store:
            capi.store_delete(self._store)
            self._store = 0
            self.engine.live_instances -= self._instances
            self.usable = False


def _cause(report: str) -> str:
    """The reason at the end of the engine's report, which begins with a backtrace."""
    lines = [line.strip() for line in report.strip().splitlines() if line.strip()]
    # Where there are several causes they are numbered.
    return lines[-1].lstrip("0123456789: ").removeprefix("wasm trap: ") if lines else "no reason given"


@types.coroutine
def turn() -> Generator[None, None, None]:
    """Gives every other task of the loop a turn."""
    yield
