"""The only engine: compiles modules, counts live instances, and keeps every guest from holding the loop.

Invariant: one thread (the event loop's) polls fibers; `running` is the fiber that it polls right now, and host
callbacks find their instance there. Polls never nest: a callback answers at once, or only notes what the guest wants,
and the loop does it after the fiber has gone to sleep.
"""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import wasmtime

from lattice import errors
from lattice.config import LINES_VARIABLE, EngineSettings
from lattice.wasm import capi
from lattice.wasm.ticker import Ticker

if TYPE_CHECKING:
    from lattice.wasm.fiber import Fiber

_log = logging.getLogger("lattice.engine")

INSTANCES_MIN = 16
"""With room for fewer a host is of no use."""

NO_LIMIT = -1

TABLE_ELEMENTS_MAX = 20_000
"""Entries of one function table. Large programs have some thousands, Python about nine thousand."""


class Engine:
    """One per process. `close` when every module and instance is gone."""

    def __init__(self, settings: EngineSettings | None = None) -> None:
        self.settings = settings or EngineSettings()
        self.running: Fiber | None = None
        self.live_instances = 0
        capi.check()
        self.instances_max = self._fitting(self.settings.instances_max)
        self._has_lines = os.environ.get(LINES_VARIABLE) == "1"
        self._engine = wasmtime.Engine(
            capi.engine_config(
                instances_max=self.instances_max,
                memory_bytes_max=self.settings.memory_bytes_max,
                stack_bytes_max=self.settings.stack_bytes_max,
                table_elements_max=TABLE_ELEMENTS_MAX,
            )
        )
        self.address = capi.address(self._engine.ptr())
        self._linkers: list[Linker] = []
        self.ticker = Ticker(self, self.settings.tick_s)

    @staticmethod
    def _fitting(wanted: int) -> int:
        """As many instances as the address space has room for, at most `wanted`."""
        instances = wanted
        while not capi.room_for(instances):
            instances //= 2
            if instances < INSTANCES_MIN:
                raise errors.EngineError(
                    "the process may not reserve the address space that instances need",
                    remedy="lift the limit on virtual memory (ulimit -v unlimited)",
                )
        if instances < wanted:
            _log.warning("the address space has room for %d live instances, not %d", instances, wanted)
        return instances

    @property
    def fingerprint(self) -> str:
        """What compiled code depends on besides the module: a cache key."""
        s = self.settings
        lines = "-lines" if self._has_lines else ""
        return f"wasmtime-{capi.WASMTIME_VERSION}-m{s.memory_bytes_max}-s{s.stack_bytes_max}{lines}"

    def compile(self, wasm: bytes) -> Module:
        """Compiles a core module; takes seconds for large ones, so call it in a thread.

        Raises `errors.UnsupportedGuest` with the engine's reason.
        """
        found = ctypes.c_void_p()
        reason = capi.take_error(capi.module_new(self.address, wasm, len(wasm), ctypes.addressof(found)))
        if reason is not None or found.value is None:
            raise errors.UnsupportedGuest(f"the module does not compile: {' '.join((reason or '').split())}")
        return Module(self, found.value)

    def load(self, path: str) -> Module:
        """A module from a file that begins with what `Module.serialize` gave. It is trusted: it is machine code.

        The file is mapped, not read. Raises `errors.EngineError` when another version or configuration made it.
        """
        found = ctypes.c_void_p()
        reason = capi.take_error(capi.module_deserialize_file(self.address, os.fsencode(path), ctypes.addressof(found)))
        if reason is not None or found.value is None:
            raise errors.EngineError(f"compiled code cannot be loaded: {reason}")
        return Module(self, found.value)

    def linker(self) -> Linker:
        """A new set of host functions; lives as long as the engine, unless it is forgotten."""
        linker = Linker(self)
        self._linkers.append(linker)
        return linker

    def forget(self, linker: Linker) -> None:
        """Frees a set of host functions that no instance uses any more."""
        linker.close()
        self._linkers.remove(linker)

    def close(self) -> None:
        self.ticker.stop()
        for linker in self._linkers:
            linker.close()
        self._linkers.clear()
        # At once and not whenever the garbage collector comes by: the pool holds tens of TiB of address space.
        self._engine.close()


class Module:
    """Compiled code. Closed by its owner, after the instances made from it."""

    def __init__(self, engine: Engine, address: int) -> None:
        self.engine = engine
        self.address = address

    def serialize(self) -> bytes:
        vector = capi.ByteVec()
        reason = capi.take_error(capi.module_serialize(self.address, ctypes.addressof(vector)))
        if reason is not None:
            raise errors.EngineError(f"compiled code cannot be saved: {reason}")
        return capi.take_bytes(vector)

    def close(self) -> None:
        if self.address:
            capi.module_delete(self.address)
            self.address = 0


HostFunction: TypeAlias = Callable[[Any, Any], None]
"""(the fiber that called, its arguments) -> None."""


def _trap_for(error: Exception, name: str) -> int:
    """Host callbacks never raise into the engine: the guest gets a trap instead."""
    if isinstance(error, errors.LatticeError):
        return capi.new_trap(error.message)
    _log.error("the host function %s failed", name, exc_info=error)
    return capi.new_trap(f"the host function {name} failed")


class Linker:
    """Host functions by (module name, function name), and the callbacks that must outlive every call."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.address: int = capi.linker_new(engine.address)
        self.names: set[tuple[str, str]] = set()
        self._kept: list[Any] = []

    def define(self, module: str, name: str, parameters: str, results: str, function: HostFunction) -> None:
        """A function that returns at once: `function(fiber, arguments)` writes its result into `arguments.a0`.

        What it raises becomes a trap. Types as in `capi.function_type`.
        """
        engine = self._engine

        view = capi.RawArguments.from_address

        def callback(_env: Any, caller: Any, arguments: int, _count: int) -> int | None:
            fiber = engine.running
            try:
                if fiber is not None and fiber.instantiating:
                    fiber.find_memory(caller)
                function(fiber, view(arguments))
            except Exception as error:
                return _trap_for(error, name)
            return None

        self._define(capi.linker_define, capi.UncheckedCallback(callback), module, name, parameters, results)

    def define_raw(
        self, module: str, name: str, parameters: str, results: str, function: Callable[[Any, int], None]
    ) -> None:
        """As `define`, for any number of values: the function gets the address of an array of untyped values, 16 bytes
        each, and puts its result in place of the first."""
        engine = self._engine

        def callback(_env: Any, _caller: Any, arguments: int, _count: int) -> int | None:
            try:
                function(engine.running, arguments)
            except Exception as error:
                return _trap_for(error, name)
            return None

        self._define(capi.linker_define, capi.UncheckedCallback(callback), module, name, parameters, results)

    def define_async(self, module: str, name: str, parameters: str, results: str, function: HostFunction) -> None:
        """A function the guest may sleep in: `function(fiber, arguments)` sets `fiber.pending` to sleep until that is
        done, and gives its result by `fiber.set_result`. What it raises becomes a trap."""

        def typed(fiber: Any, arguments: int, results: int) -> None:
            fiber.result_address = results + capi.VALUE_OFFSET
            function(fiber, capi.TypedArguments.from_address(arguments))

        self.define_typed(module, name, parameters, results, typed)

    def define_typed(
        self, module: str, name: str, parameters: str, results: str, function: Callable[[Any, int, int], None]
    ) -> None:
        """As `define_async`, for any number of values: the function gets the addresses of arrays of typed values."""
        engine = self._engine

        def callback(
            _env: Any, caller: Any, arguments: int, _n: int, results: int, _m: int, trap: int, continuation: int
        ) -> None:
            fiber = engine.running
            assert fiber is not None
            left = capi.Continuation.from_address(continuation)
            left.callback = capi.string_length
            left.env = fiber.ready_address
            left.finalizer = None
            try:
                if fiber.instantiating:
                    fiber.find_memory(caller)
                function(fiber, arguments, results)
            except Exception as error:
                ctypes.c_void_p.from_address(trap).value = _trap_for(error, name)

        self._define(capi.linker_define_async, capi.AsyncCallback(callback), module, name, parameters, results)

    def _define(self, define: Any, callback: Any, module: str, name: str, parameters: str, results: str) -> None:
        type_ = capi.function_type(parameters, results)
        self._kept.append(callback)
        m, n = module.encode(), name.encode()
        function = capi.address(callback)
        reason = capi.take_error(
            define(self.address, m, len(m), n, len(n), capi.address(type_.ptr()), function, None, None)
        )
        if reason is not None:
            raise errors.EngineError(f"the host function {module}.{name} cannot be defined: {reason}")
        self.names.add((module, name))

    def prepare(self, module: Module) -> Prepared:
        """Resolves the imports of `module` once, for all its instances.

        Raises `errors.UnsupportedGuest` that names the import which does not fit.
        """
        found = ctypes.c_void_p()
        reason = capi.take_error(capi.linker_instantiate_pre(self.address, module.address, ctypes.addressof(found)))
        if reason is not None or found.value is None:
            raise errors.UnsupportedGuest(
                f"the module's imports do not fit this host: {' '.join((reason or '').split())}"
            )
        return Prepared(found.value)

    def close(self) -> None:
        if self.address:
            capi.linker_delete(self.address)
            self.address = 0


class Prepared:
    """A module with its imports resolved: what instances are made from."""

    def __init__(self, address: int) -> None:
        self.address = address

    def close(self) -> None:
        if self.address:
            capi.instance_pre_delete(self.address)
            self.address = 0
