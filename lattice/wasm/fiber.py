"""A live guest: its store, its memory, and calls into it that sleep while the host works for them."""

from __future__ import annotations

import ctypes
import logging
import time
import types
from collections.abc import Coroutine, Generator
from ctypes import addressof, memmove, string_at
from typing import Any

from lattice import errors
from lattice.wasm import capi
from lattice.wasm.engine import NO_LIMIT, Engine, Prepared

TABLE_ELEMENTS_MAX = 100_000
"""Entries of all function tables of an instance. Large programs have some thousands."""


class Fiber:
    """One instance of a module in a store of its own. One call at a time; useless after any failure.

    Made by `start`, which also runs the module's start function. `close` frees the store; no call may be running.
    """

    __slots__ = (
        "_arguments",
        "_call",
        "_error",
        "_instance",
        "_result",
        "_store",
        "_trap",
        "context",
        "deadline",
        "engine",
        "exit_code",
        "log",
        "memory",
        "output",
        "pending",
        "ready",
        "result_address",
        "usable",
    )

    def __init__(self, engine: Engine, memory_bytes_max: int, log: logging.Logger) -> None:
        if engine.live_instances >= engine.instances_max:
            raise errors.InstancesExhausted(
                f"{engine.live_instances} instances are live, the most this process can hold",
                remedy="lower limits.instances of the actors, or run more hosts",
            )
        self.engine = engine
        self.log = log
        self._store: int = capi.store_new(engine.address, None, None)
        self.context: int = capi.store_context(self._store)
        engine.live_instances += 1
        # One instance and one memory to a store: an actor is one module.
        capi.store_limiter(self._store, memory_bytes_max, TABLE_ELEMENTS_MAX, 1, NO_LIMIT, 1)
        capi.set_epoch_yield(self.context, 1)
        self._instance = capi.InstanceStruct()
        self._trap = ctypes.c_void_p()
        self._error = ctypes.c_void_p()
        self._arguments = (capi.Val * 2)()
        self._result = capi.Val()
        self._call: tuple[Any, ...] = ()
        self.memory: Any = None
        self.output: Any = None
        self.pending: Coroutine[Any, Any, None] | None = None
        self.ready = True
        self.result_address = 0
        self.deadline = 0.0
        self.exit_code: int | None = None
        self.usable = True

    async def instantiate(self, prepared: Prepared, deadline: float) -> None:
        """Makes the instance. Raises `errors.GuestTrapped` or `errors.UnsupportedGuest`."""
        self.deadline = deadline
        capi.set_epoch_deadline(self.context, 1)
        future = capi.instance_pre_instantiate_async(
            prepared.address,
            self.context,
            addressof(self._instance),
            addressof(self._trap),
            addressof(self._error),
        )
        await self._run(future)
        self._raise_failure()
        memory = self.export(b"memory")
        if memory is not None:
            self.memory = capi.Memory.from_buffer_copy(memory.of.memory)

    def export(self, name: bytes) -> Any:
        """The export of that name as the C API's record, or None."""
        found = capi.Extern()
        if capi.instance_export_get(self.context, addressof(self._instance), name, len(name), addressof(found)):
            return found
        return None

    def signature(self, name: bytes) -> str:
        """The type of an exported function, as "ii->i"; "" when there is no such function."""
        found = self.export(name)
        return "" if found is None or found.kind != 0 else capi.signature(self.context, addressof(found.of.func))

    def function(self, name: bytes, parameters: int, results: int) -> Any:
        """An exported function made ready for `call`, or None when there is none.

        Its parameters and result are i32: see `signature`.
        """
        found = self.export(name)
        if found is None:
            return None
        function = capi.Func.from_buffer_copy(found.of.func)
        return (
            function,  # kept alive: the next address points into it
            self.context,
            addressof(function),
            addressof(self._arguments),
            parameters,
            addressof(self._result),
            results,
            addressof(self._trap),
            addressof(self._error),
        )

    async def call(self, function: Any, a: int, b: int, deadline: float) -> int:
        """Calls what `function` gave; returns its i32, or 0 when it has no result.

        Raises `errors.GuestTrapped`, or `errors.DeadlineExceeded` when the guest computes past `deadline`.
        """
        arguments = self._arguments
        arguments[0].of.i32 = a
        arguments[1].of.i32 = b
        self.deadline = deadline
        capi.set_epoch_deadline(self.context, 1)
        await self._run(capi.func_call_async(*function[1:]))
        if self._trap.value or self._error.value:
            self._raise_failure()
        result: int = self._result.of.i32
        return result

    async def _run(self, future: int) -> None:
        """Polls a call to its end, on the loop's own stack, doing in between what the guest asks for."""
        engine = self.engine
        ticker = engine.ticker
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
                    self.ready = True
                else:
                    if time.monotonic() > self.deadline:
                        raise errors.DeadlineExceeded("the guest computed past its deadline")
                    await _turn()
        finally:
            capi.future_delete(future)
        self.usable = True

    def _raise_failure(self) -> None:
        """Turns what the engine left behind into an error; a guest that left by `proc_exit(0)` did not fail."""
        if not self._trap.value and not self._error.value:
            return
        self.usable = False
        trap = capi.take_trap(self._trap.value)
        error = capi.take_error(self._error.value)
        self._trap.value = self._error.value = None
        if self.exit_code is not None:
            raise errors.GuestTrapped(f"the guest exited with code {self.exit_code}")
        size = "" if self.memory is None else f" ({self.memory_bytes // 1024} KiB of memory in use)"
        raise errors.GuestTrapped(f"the guest trapped: {_cause(trap or error or '')}{size}")

    @property
    def memory_bytes(self) -> int:
        size: int = capi.memory_data_size(self.context, addressof(self.memory))
        return size

    # What host callbacks use, while the guest runs.

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the guest's memory. Raises `errors.GuestProtocolError` when they are not all inside it."""
        memory = addressof(self.memory)
        if offset + length > capi.memory_data_size(self.context, memory):
            raise errors.GuestProtocolError(f"the guest named {length} bytes at {offset}, which is outside its memory")
        return string_at(capi.memory_data(self.context, memory) + offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Copies into the guest's memory. Raises `errors.GuestProtocolError` when it does not fit there."""
        memory = addressof(self.memory)
        if offset + len(data) > capi.memory_data_size(self.context, memory):
            raise errors.GuestProtocolError(f"the guest wants {len(data)} bytes at {offset}, outside its memory")
        memmove(capi.memory_data(self.context, memory) + offset, data, len(data))

    def sleep(self, work: Coroutine[Any, Any, None]) -> None:
        """From an asynchronous host function: the guest sleeps until `work` is done; what it raises ends the call."""
        self.ready = False
        self.pending = work

    def set_result(self, value: int) -> None:
        """The result of the asynchronous host function that the guest is in."""
        ctypes.c_int32.from_address(self.result_address).value = value

    def close(self) -> None:
        """Frees the store and everything in it."""
        if self._store:
            capi.store_delete(self._store)
            self._store = 0
            self.engine.live_instances -= 1
            self.usable = False


def _cause(report: str) -> str:
    """The reason at the end of the engine's report, which begins with a backtrace."""
    lines = [line.strip() for line in report.strip().splitlines() if line.strip()]
    return lines[-1].removeprefix("wasm trap: ") if lines else "no reason given"


@types.coroutine
def _turn() -> Generator[None, None, None]:
    """Gives every other task of the loop a turn."""
    yield
