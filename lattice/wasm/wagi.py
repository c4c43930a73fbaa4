"""WASI commands as HTTP handlers: a program that reads variables and its input, and prints headers and a body.

A command runs once, so each request gets an instance of its own. `WagiHost` holds the imports, once per engine;
`WagiGuest` is one actor's code, `Command` one run.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor

import msgspec

from lattice import errors, wire
from lattice.bodies import Bodies, BodySource, gather
from lattice.contracts import actor as every_actor
from lattice.contracts import httpserver
from lattice.contracts.httpserver import HttpResponse
from lattice.invocation import Invocation
from lattice.streams import StreamClosed
from lattice.wasm import cgi, output, preview1
from lattice.wasm.engine import Engine, Linker, Module
from lattice.wasm.guest import ActorContext, Resting
from lattice.wasm.preview1.process import Process
from lattice.wasm.preview1.volumes import FileTable, Volumes
from lattice.wasmfile import WasmFile

FILE_THREADS_MAX = 4
"""Threads that read and write files for all commands of a host. A file system that hangs keeps these, and no others."""
ROUTES = "_routes"
"""The export that prints a module's own routes."""

_decode = wire.decoder(cgi.Request, f"the request of {httpserver.HANDLE_REQUEST.name}")
_healthy = wire.encode(every_actor.HealthCheckResponse(healthy=True))


class Command(Process):
    """One run of a command. `serve` is all of it."""

    __slots__ = ("_bodies", "_guest", "_refused", "_soon")

    def __init__(self, guest: WagiGuest, files: FileTable) -> None:
        super().__init__(guest.engine, guest.actor, files)
        self._guest = guest
        self._bodies: Bodies | None = None
        self._soon: asyncio.Handle | None = None
        self._refused: errors.CallError | None = None

    async def serve(self, invocation: Invocation, deadline: float) -> bytes:
        if invocation.operation == every_actor.HEALTH_REQUEST.name:
            return _healthy
        if invocation.operation != httpserver.HANDLE_REQUEST.name:
            raise errors.OperationUnknown(
                f"{self.actor.key} is a WASI command, which answers {httpserver.HANDLE_REQUEST.name} and not"
                f" {invocation.operation}",
                remedy="link it to an HTTP server, or write it as a waPC actor",
            )
        request: cgi.Request = _decode(invocation.payload)
        mounted = cgi.matched_route(self.actor.along(invocation))
        route = cgi.find_route(mounted, self._guest.routes, request.path, self.actor.surroundings.entrypoint)
        arguments = [text.encode("utf-8", "surrogateescape") for text in cgi.arguments(request) if "\0" not in text]
        cgi.require_room(arguments)
        # What the manifest says stands above what a client says.
        bodies = self._bodies = invocation.bodies
        given, size = await self._given(request, bodies)
        environment = {**cgi.variables(request, route, size), **self.actor.surroundings.environment}
        self.begin(arguments, cgi.encoded(environment), given)
        if bodies is not None:
            self.when_printed = self._depart_soon
            # On this stack, and not at the first output on the guest's; see `http_bridge.Departure`.
            self._soon = asyncio.get_running_loop().call_soon(self._depart)
        await self.run(route.function, deadline)
        if self.when_printed is not None and self.printed_bytes > self.actor.limits.payload_bytes_max:
            self._depart()  # too large for a message
        if self._refused is not None:
            raise self._refused
        if self.sink is None:
            return wire.encode(self._response())
        self.sink.end(None)
        return b""

    async def _given(self, request: cgi.Request, bodies: Bodies | None) -> tuple[bytes | memoryview | BodySource, int]:
        """The input and its size. A program wants to know that before it reads, so a body that does not say it is
        collected."""
        body = None if bodies is None else bodies.request
        if body is None:
            return request.given, len(request.given)
        if body.length is not None:
            return body, body.length
        whole = await gather(body, self.actor.limits.payload_bytes_max)
        return whole, len(whole)

    def _depart_soon(self) -> None:
        """Output that is not followed by the program's end in the same turn of the loop begins the response."""
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self._depart)

    def _depart(self) -> None:
        self._soon = None
        bodies = self._bodies
        assert bodies is not None, "prepared for calls that have them"
        try:
            response = cgi.read_response(self.printed_so_far())
        except errors.GuestProtocolError:
            return  # more of the headers may come; what they are in the end is looked at then
        length = cgi.content_length(response)
        try:
            sink = bodies.begin(msgspec.structs.replace(response, body=None), length)
            if response.body:
                sink.put(response.body)
        except StreamClosed:
            return
        except errors.CallError as error:
            self._refused, self.when_printed = error, None
            return
        self.sink, self.when_printed = sink, None
        self.printed.clear()

    async def run(self, function: str, deadline: float) -> None:
        """Runs to its end. Raises `errors.GuestError` for an exit code besides 0, and what a call raises."""
        self.select(function.encode())
        try:
            await self.call(0, 0, deadline, parameters=0, results=0)
        except errors.GuestTrapped:
            if self.full is not None:
                raise self.full from None
            if self.exit_code is None:
                raise
            if self.exit_code != 0:
                raise errors.GuestError(f"the command ended with exit code {self.exit_code}") from None
        finally:
            self.usable = False
            if self._soon is not None:
                self._soon.cancel()
            output.finish(self)

    def _response(self) -> HttpResponse:
        try:
            return cgi.read_response(self.printed_so_far())
        except errors.GuestProtocolError as error:
            # Whoever asked gets a response, as from any CGI server, and the owner the reason.
            self.actor.log.warning("%s", error)
            text = f"500 Internal Server Error: {error}\n".encode()
            return HttpResponse(status_code=500, header={"content-type": ["text/plain; charset=utf-8"]}, body=text)


class WagiGuest:
    """One command's compiled code, its imports resolved, its granted folders open."""

    in_pieces = frozenset({httpserver.HANDLE_REQUEST.name})
    resting: Resting | None = None

    def __init__(self, linker: Linker, module: Module, file: WasmFile, actor: ActorContext, volumes: Volumes) -> None:
        self.engine = module.engine
        self.actor = actor
        self.routes: tuple[cgi.Route, ...] = ()
        self._module = module
        self._exports = frozenset(export.name for export in file.exports if export.kind == "func")
        self._volumes = volumes
        self._prepared = linker.prepare(module)
        self._proven = False

    async def instantiate(self, deadline: float) -> Command:
        if not self._proven:
            await self._prove(deadline)
        return await self._new(deadline)

    async def _new(self, deadline: float) -> Command:
        files = self._volumes.table()
        try:
            command = Command(self, files)
        except BaseException:
            files.close()
            raise
        try:
            await command.instantiate(self._prepared, deadline)
        except BaseException:
            command.close()
            raise
        return command

    async def _prove(self, deadline: float) -> None:
        """Looks at the types of the functions that requests call, and asks the module for its routes.

        Raises `errors.UnsupportedGuest`.
        """
        command = await self._new(deadline)
        try:
            entrypoint = self.actor.surroundings.entrypoint
            self._require_function(command, entrypoint, "the entrypoint")
            if ROUTES in self._exports:
                self._require_function(command, ROUTES, "the list of routes")
                await command.run(ROUTES, deadline)
                routes = cgi.read_routes(command.printed_so_far())
                for route in routes:
                    self._require_function(command, route.function, f"the function of {route.path}")
                self.routes = routes
        finally:
            command.close()
        self._proven = True

    def _require_function(self, command: Command, name: str, what: str) -> None:
        if name not in self._exports:
            raise errors.UnsupportedGuest(
                f"the module exports no function {name!r}, {what}",
                remedy=f"it exports {', '.join(sorted(self._exports)[:10])}",
            )
        if (found := command.signature(name.encode())) != "->":
            raise errors.UnsupportedGuest(f"the export {name} has type {found or 'none'}, and a command's has none")

    def close(self) -> None:
        self._prepared.close()
        self._module.close()
        self._volumes.close()


class WagiHost:
    """The imports of commands on one engine, and the threads for their files."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._linker: Linker | None = None
        self._threads: ThreadPoolExecutor | None = None

    def load(self, code: Module, file: WasmFile, actor: ActorContext) -> WagiGuest:
        """Makes compiled code ready. Raises `errors.UnsupportedGuest` that names what this host does not have, and
        `errors.ConfigError` for a granted folder that is not there."""
        if not any(entry.name == "memory" and entry.kind == "memory" for entry in file.exports):
            raise errors.UnsupportedGuest("the module exports no memory, which WASI needs")
        if self._linker is None:
            self._linker = self._engine.linker()
            preview1.define_for_commands(self._linker)
        unknown = [
            f"{entry.module}.{entry.name}"
            for entry in file.imports
            if (entry.module, entry.name) not in self._linker.names
        ]
        if unknown:
            raise errors.UnsupportedGuest(
                f"the module imports what commands do not have here: {', '.join(unknown[:5])}"
                + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
            )
        volumes = Volumes(actor.surroundings.volumes, self._file_threads)
        try:
            return WagiGuest(self._linker, code, file, actor, volumes)
        except BaseException:
            volumes.close()
            raise

    def _file_threads(self) -> Executor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(FILE_THREADS_MAX, "lattice-files")
        return self._threads

    def close(self) -> None:
        """What still runs in a thread is left to end by itself."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None
