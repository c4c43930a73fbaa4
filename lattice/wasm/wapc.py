"""waPC actors: the nine imports, the exports, and one call.

`WapcHost` holds the imports, once per engine. `WapcGuest` is one actor's code, `WapcInstance` one live instance: its
cells hold one call at a time, as the protocol has it. Source: the waPC specification and its published hosts.
"""

from __future__ import annotations

import logging
from typing import Any

from lattice import errors, wire
from lattice.config import Limits
from lattice.invocation import EntityId, Handler, Invocation
from lattice.wasm import preview1
from lattice.wasm.engine import Engine, Linker, Module
from lattice.wasm.fiber import Fiber
from lattice.wasmfile import WasmFile

IMPORT_MODULES = ("wapc", "wasmbus")
"""The imports exist under two names; toolchains use either."""

INITIALISERS = ("_initialize", "_start", "wapc_init")

LOG_BYTES_MAX = 8 * 1024
"""A longer debug line of a guest is cut: it is copied and formatted on the loop."""


ERROR_BYTES_MAX = 64 * 1024
"""A longer error text of a guest is cut; it ends in logs and replies."""


class WapcInstance(Fiber):
    """One live actor. `serve` is the whole protocol of one call, in order."""

    __slots__ = (
        "_guest_call",
        "guest_error",
        "host_error",
        "host_response",
        "invocation",
        "key",
        "operation",
        "outbound",
        "payload",
        "payload_bytes_max",
        "refused",
        "response",
    )

    def __init__(self, engine: Engine, key: str, outbound: Handler, limits: Limits) -> None:
        super().__init__(engine, limits.memory_bytes_max, logging.getLogger(f"lattice.actor.{key}"))
        self.key = key
        self.payload_bytes_max = limits.payload_bytes_max
        self.outbound = outbound
        self.invocation: Invocation | None = None
        self.operation = self.payload = b""
        self.response: bytes | None = None
        self.guest_error: bytes | None = None
        self.refused: errors.PayloadTooLarge | None = None
        self.host_response = self.host_error = b""
        self._guest_call: Any = None

    async def initialise(self, exports: frozenset[str], deadline: float) -> None:
        """Runs what the toolchain wants run first: `_initialize`, else `_start`; then `wapc_init`."""
        first = "_initialize" if "_initialize" in exports else "_start"
        for name in (first, "wapc_init"):
            if name not in exports:
                continue
            try:
                await self.call(self.function(name.encode(), 0, 0), 0, 0, deadline)
            except errors.GuestTrapped:
                # TinyGo's _start leaves through proc_exit(0), which is how it says that it is ready.
                if self.exit_code != 0:
                    raise
                self.exit_code = None
                self.usable = True
        self._guest_call = self.function(b"__guest_call", 2, 1)

    async def serve(self, invocation: Invocation, deadline: float) -> bytes:
        self.operation = operation = invocation.operation.encode()
        self.payload = payload = invocation.payload
        self.invocation = invocation
        self.response = self.guest_error = self.refused = None
        self.host_response = self.host_error = b""
        ok = await self.call(self._guest_call, len(operation), len(payload), deadline)
        self.invocation = None
        if self.refused is not None:
            raise self.refused
        response: bytes | None = self.response
        if ok == 1 and response is not None:
            return response
        if self.guest_error is not None:
            raise errors.GuestError(self.guest_error.decode("utf-8", "replace"))
        if ok == 1:
            raise errors.GuestProtocolError("the guest said that it succeeded and set neither a response nor an error")
        raise errors.GuestError("the guest said that it failed and gave no reason")

    def begin_host_call(self, binding: bytes, namespace: bytes, operation: bytes, payload: bytes) -> None:
        """Notes a call of the guest's; the loop makes it while the fiber sleeps."""
        parent = self.invocation
        if parent is None:
            return self.fail_host_call(errors.GuestProtocolError("a host call outside of a call, during start-up"))
        try:
            child = Invocation(
                origin=EntityId(self.key),
                contract=namespace.decode(),
                operation=operation.decode(),
                payload=payload,
                id=parent.id,
                deadline=self.deadline,
                link_name=binding.decode() or "default",
                depth=parent.depth + 1,
                trace=parent.trace,
            )
        except UnicodeDecodeError:
            return self.fail_host_call(errors.MalformedMessage("a name in a host call is not UTF-8"))
        return self.sleep(self._make_host_call(child))

    async def _make_host_call(self, child: Invocation) -> None:
        try:
            response = await self.outbound(child)
            if len(response) > self.payload_bytes_max:
                raise self.too_large("the reply to a host call", len(response))
        except errors.CallError as error:
            self.fail_host_call(error)
        else:
            self.host_response = response
            self.host_error = b""
            self.set_result(1)

    def too_large(self, what: str, size: int) -> errors.PayloadTooLarge:
        return errors.PayloadTooLarge(
            f"{what} of {size} bytes is over limits.payload of {self.key} ({self.payload_bytes_max} bytes)"
        )

    def fail_host_call(self, error: errors.CallError) -> None:
        """The guest sees result 0 and this error; the code before the colon tells the families apart."""
        self.host_response = b""
        self.host_error = wire.error_text(error).encode()
        self.set_result(0)


class WapcGuest:
    """One actor's compiled code, its imports resolved."""

    def __init__(self, host: WapcHost, module: Module, exports: frozenset[str], linker: Linker) -> None:
        self._engine = host.engine
        self._module = module
        self._exports = exports
        self._prepared = linker.prepare(module)
        self._proven = False

    def _prove(self, instance: WapcInstance) -> None:
        """Looks at the types of the exports that will be called; they are the same for every instance."""
        for name, expected in (("__guest_call", "ii->i"), *((name, "->") for name in INITIALISERS)):
            if name in self._exports and (found := instance.signature(name.encode())) != expected:
                raise errors.UnsupportedGuest(
                    f"the export {name} has type {found or 'none'}, and waPC wants {expected}"
                )
        self._proven = True

    async def instantiate(self, key: str, outbound: Handler, limits: Limits, deadline: float) -> WapcInstance:
        instance = WapcInstance(self._engine, key, outbound, limits)
        try:
            await instance.instantiate(self._prepared, deadline)
            if not self._proven:
                self._prove(instance)
            await instance.initialise(self._exports, deadline)
        except BaseException:
            instance.close()
            raise
        return instance

    def close(self) -> None:
        self._prepared.close()
        self._module.close()


class WapcHost:
    """The imports of waPC actors on one engine. Actors that use WASI get a linker that has it, the others do not."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._plain = engine.linker()
        define_imports(self._plain)
        self._with_wasi: Linker | None = None

    def load(self, code: Module, file: WasmFile) -> WapcGuest:
        """Makes compiled code ready. Raises `errors.UnsupportedGuest` that names what this host does not have."""
        exports = frozenset(entry.name for entry in file.exports)
        if "memory" not in exports:
            raise errors.UnsupportedGuest("the module exports no memory, which the waPC protocol needs")
        linker = self._plain
        wanted = [(entry.module, entry.name) for entry in file.imports]
        if any(module in preview1.IMPORT_MODULES for module, _ in wanted):
            linker = self._with_wasi = self._with_wasi or self._linker_with_wasi()
        unknown = [f"{module}.{name}" for module, name in wanted if (module, name) not in linker.names]
        if unknown:
            raise errors.UnsupportedGuest(
                f"the module imports what this host does not have: {', '.join(unknown[:5])}"
                + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
            )
        return WapcGuest(self, code, exports, linker)

    def _linker_with_wasi(self) -> Linker:
        linker = self.engine.linker()
        define_imports(linker)
        preview1.define_imports(linker)
        return linker


def define_imports(linker: Linker) -> None:
    """The whole waPC ABI, as one list; and the one function AssemblyScript wants besides."""
    for module in IMPORT_MODULES:
        linker.define(module, "__guest_request", "ii", "", _guest_request)
        linker.define(module, "__guest_response", "ii", "", _guest_response)
        linker.define(module, "__guest_error", "ii", "", _guest_error)
        linker.define_async(module, "__host_call", "iiiiiiii", "i", _host_call)
        linker.define(module, "__host_response_len", "", "i", _host_response_len)
        linker.define(module, "__host_response", "i", "", _host_response)
        linker.define(module, "__host_error_len", "", "i", _host_error_len)
        linker.define(module, "__host_error", "i", "", _host_error)
        linker.define(module, "__console_log", "ii", "", _console_log)
    linker.define("env", "abort", "iiii", "", _abort)


def _guest_request(guest: WapcInstance, a: Any) -> None:
    guest.write(a.a0, guest.operation)
    guest.write(a.a1, guest.payload)


def _guest_response(guest: WapcInstance, a: Any) -> None:
    if a.a1 > guest.payload_bytes_max:
        guest.refused = guest.too_large("a reply", a.a1)
    else:
        guest.response = guest.read(a.a0, a.a1)


def _guest_error(guest: WapcInstance, a: Any) -> None:
    guest.guest_error = guest.read(a.a0, min(a.a1, ERROR_BYTES_MAX))


def _host_call(guest: WapcInstance, a: Any) -> None:
    if a.a7 > guest.payload_bytes_max:
        return guest.fail_host_call(guest.too_large("a host call", a.a7))
    read = guest.read
    return guest.begin_host_call(read(a.a0, a.a1), read(a.a2, a.a3), read(a.a4, a.a5), read(a.a6, a.a7))


def _host_response_len(guest: WapcInstance, a: Any) -> None:
    a.a0 = len(guest.host_response)


def _host_response(guest: WapcInstance, a: Any) -> None:
    guest.write(a.a0, guest.host_response)


def _host_error_len(guest: WapcInstance, a: Any) -> None:
    a.a0 = len(guest.host_error)


def _host_error(guest: WapcInstance, a: Any) -> None:
    guest.write(a.a0, guest.host_error)


def _console_log(guest: WapcInstance, a: Any) -> None:
    text = guest.read(a.a0, min(a.a1, LOG_BYTES_MAX))
    guest.log.info("%s", text.decode("utf-8", "backslashreplace"))


def _abort(guest: WapcInstance, a: Any) -> None:
    """AssemblyScript's abort(message, file, line, column); strings are UTF-16 with their byte length before them."""
    message, file = (_assemblyscript_string(guest, pointer) for pointer in (a.a0, a.a1))
    raise errors.GuestTrapped(f"abort: {message or 'no message'} at {file or 'an unknown place'}:{a.a2}:{a.a3}")


def _assemblyscript_string(guest: WapcInstance, pointer: int) -> str:
    if pointer < 4:
        return ""
    length = int.from_bytes(guest.read(pointer - 4, 4), "little")
    return guest.read(pointer, min(length, LOG_BYTES_MAX)).decode("utf-16-le", "replace")
