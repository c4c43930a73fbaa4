"""waPC actors: the nine imports, the exports, and one call.

`WapcHost` holds the imports, once per engine. `WapcGuest` is one actor's code, `WapcInstance` one live instance: its
cells hold one call at a time, as the protocol has it. Source: the waPC specification and its published hosts.
"""

from __future__ import annotations

from typing import Any

from lattice import errors, wire
from lattice.invocation import Invocation
from lattice.wasm import output, preview1
from lattice.wasm.engine import Engine, Linker, Module
from lattice.wasm.failures import TEXT_BYTES_MAX, failure
from lattice.wasm.fiber import Fiber
from lattice.wasm.guest import ActorContext, Resting
from lattice.wasmfile import WasmFile

IMPORT_MODULES = ("wapc", "wasmbus")
"""The imports exist under two names; toolchains use either."""

INITIALISERS = ("_initialize", "_start", "wapc_init")

NAME_BYTES_MAX = 256
"""A binding, namespace or operation. Keys have 56 characters; names end up in tables and error texts."""

LOG_BYTES_MAX = 8 * 1024
"""A longer debug line of a guest is cut: it is copied and formatted on the loop."""


class WapcInstance(Fiber):
    """One live actor. `serve` is the whole protocol of one call, in order."""

    __slots__ = (
        "guest_error",
        "host_error",
        "host_response",
        "invocation",
        "operation",
        "payload",
        "refused",
        "response",
    )

    def __init__(self, engine: Engine, actor: ActorContext) -> None:
        super().__init__(engine, actor)
        self.invocation: Invocation | None = None
        self.operation = self.payload = b""
        self.response: bytes | None = None
        self.guest_error: bytes | None = None
        self.refused: errors.PayloadTooLarge | None = None
        self.host_response = self.host_error = b""

    async def initialise(self, exports: frozenset[str], deadline: float) -> None:
        """Runs what the toolchain wants run first: `_initialize`, else `_start`; then `wapc_init`."""
        first = "_initialize" if "_initialize" in exports else "_start"
        for name in (first, "wapc_init"):
            if name not in exports:
                continue
            try:
                self.select(name.encode())
                await self.call(0, 0, deadline, parameters=0, results=0)
            except errors.GuestTrapped:
                # TinyGo's _start leaves through proc_exit(0), which is how it says that it is ready.
                if self.exit_code != 0:
                    raise
                self.exit_code = None
                self.usable = True
        self.select(b"__guest_call")

    async def serve(self, invocation: Invocation, deadline: float) -> bytes:
        self.operation = operation = invocation.operation.encode()
        self.payload = payload = invocation.payload
        self.invocation = invocation
        self.response = self.guest_error = self.refused = None
        self.host_response = self.host_error = b""
        ok = await self.call(len(operation), len(payload), deadline)
        self.invocation = None
        if self.refused is not None:
            raise self.refused
        response: bytes | None = self.response
        if ok == 1 and response is not None:
            return response
        if self.guest_error is not None:
            raise failure(self.guest_error, self.host_error)
        if ok == 1:
            raise errors.GuestProtocolError("the guest said that it succeeded and set neither a response nor an error")
        raise errors.GuestError("the guest said that it failed and gave no reason")

    async def host_call(self, where: tuple[int, ...]) -> None:
        """Makes the call whose names and payload lie at `where` in the sleeping guest's memory."""
        try:
            response = await self.actor.outbound(self._invocation_at(*where))
            if len(response) > self.actor.limits.payload_bytes_max:
                raise self.too_large("the reply to a host call", len(response))
        except errors.CallError as error:
            # The guest sees result 0 and this error; the code before the colon tells the families apart.
            self.host_response = b""
            self.host_error = wire.error_text(error).encode()
            self.set_result(0)
        else:
            self.host_response = response
            self.host_error = b""
            self.set_result(1)

    def _invocation_at(self, b: int, b_n: int, n: int, n_n: int, o: int, o_n: int, p: int, p_n: int) -> Invocation:
        """The guest's call, from the (address, length) of binding, namespace, operation and payload."""
        parent = self.invocation
        if parent is None:
            raise errors.GuestProtocolError("a host call outside of a call, during start-up")
        if max(b_n, n_n, o_n) > NAME_BYTES_MAX:
            raise errors.MalformedMessage(f"a name in a host call is longer than {NAME_BYTES_MAX} bytes")
        if p_n > self.actor.limits.payload_bytes_max:
            raise self.too_large("a host call", p_n)
        read = self.read
        try:
            return Invocation(
                origin=self.actor.entity,
                contract=read(n, n_n).decode(),
                operation=read(o, o_n).decode(),
                payload=read(p, p_n),
                id=parent.id,
                deadline=self.deadline,
                link_name=read(b, b_n).decode() or "default",
                depth=parent.depth + 1,
                trace=parent.trace,
            )
        except UnicodeDecodeError as error:
            raise errors.MalformedMessage("a name in a host call is not UTF-8") from error

    def too_large(self, what: str, size: int) -> errors.PayloadTooLarge:
        return errors.PayloadTooLarge(
            f"{what} of {size} bytes is over limits.payload of {self.actor.key}"
            f" ({self.actor.limits.payload_bytes_max} bytes)"
        )


class WapcGuest:
    """One actor's compiled code, its imports resolved."""

    in_pieces: frozenset[str] = frozenset()
    resting: Resting | None = None

    def __init__(self, linker: Linker, module: Module, exports: frozenset[str], actor: ActorContext) -> None:
        self._engine = module.engine
        self._actor = actor
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

    async def instantiate(self, deadline: float) -> WapcInstance:
        instance = WapcInstance(self._engine, self._actor)
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

    def load(self, code: Module, file: WasmFile, actor: ActorContext) -> WapcGuest:
        """Makes compiled code ready. Raises `errors.UnsupportedGuest` that names what this host does not have."""
        exports = frozenset(entry.name for entry in file.exports)
        if not any(entry.name == "memory" and entry.kind == "memory" for entry in file.exports):
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
        return WapcGuest(linker, code, exports, actor)

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
    length = a.a1
    if length > guest.actor.limits.payload_bytes_max:
        guest.refused = guest.too_large("a reply", length)
    else:
        guest.response = guest.read(a.a0, length)


def _guest_error(guest: WapcInstance, a: Any) -> None:
    guest.guest_error = guest.read(a.a0, min(a.a1, TEXT_BYTES_MAX))


def _host_call(guest: WapcInstance, a: Any) -> None:
    # Read and made once the guest sleeps: what runs here runs on the fiber's stack, and every page of it that is
    # touched stays with each of the thousands that may sleep at once.
    guest.sleep(guest.host_call((a.a0, a.a1, a.a2, a.a3, a.a4, a.a5, a.a6, a.a7)))


def _host_response_len(guest: WapcInstance, a: Any) -> None:
    a.a0 = len(guest.host_response)


def _host_response(guest: WapcInstance, a: Any) -> None:
    guest.write(a.a0, guest.host_response)


def _host_error_len(guest: WapcInstance, a: Any) -> None:
    a.a0 = len(guest.host_error)


def _host_error(guest: WapcInstance, a: Any) -> None:
    guest.write(a.a0, guest.host_error)


def _console_log(guest: WapcInstance, a: Any) -> None:
    output.write(guest, output.STDOUT, guest.read(a.a0, min(a.a1, LOG_BYTES_MAX)) + b"\n")


def _abort(guest: WapcInstance, a: Any) -> None:
    """AssemblyScript's abort(message, file, line, column); strings are UTF-16 with their byte length before them."""
    message, file = (_assemblyscript_string(guest, pointer) for pointer in (a.a0, a.a1))
    raise errors.GuestTrapped(f"abort: {message or 'no message'} at {file or 'an unknown place'}:{a.a2}:{a.a3}")


def _assemblyscript_string(guest: WapcInstance, pointer: int) -> str:
    if pointer < 4:
        return ""
    length = int.from_bytes(guest.read(pointer - 4, 4), "little")
    return guest.read(pointer, min(length, LOG_BYTES_MAX)).decode("utf-16-le", "replace")
