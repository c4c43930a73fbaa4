"""Images of every kind into guests: the kind, the code from the cache or compiled in a thread, what the kind needs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgspec

from lattice import errors
from lattice.artifacts.actor_image import ActorImage
from lattice.artifacts.cache import CompiledCache
from lattice.config import Surroundings
from lattice.wasm import components
from lattice.wasm.component.instantiate import Component
from lattice.wasm.engine import Engine, Module
from lattice.wasm.guest import ActorContext, Guest
from lattice.wasm.wagi import WagiHost
from lattice.wasm.wapc import WapcHost
from lattice.wasmfile import GuestKind

_log = logging.getLogger("lattice.actors")

T = TypeVar("T")

INLINE_READ_BYTES_MAX = 256 * 1024
"""Files up to this size are read and looked at on the loop, in well under a millisecond; larger ones in a thread, and
compiling them takes long enough that people want to know."""
REFUSED_KINDS = {
    "unknown": "it exports neither __guest_call (waPC) nor _start (WASI)",
}


def require_guest(kind: GuestKind, surroundings: Surroundings) -> None:
    """Raises `errors.UnsupportedGuest` for a kind that does not run here, and `errors.ConfigError` for surroundings of
    one that has none."""
    if kind in REFUSED_KINDS:
        raise errors.UnsupportedGuest(REFUSED_KINDS[kind])
    if kind == "wapc" and msgspec.structs.replace(surroundings, config={}) != Surroundings():
        raise errors.ConfigError(
            "environment, volumes, sockets and entrypoint are for commands and components, and this is a waPC actor",
            remedy="take them out of the manifest; what an actor needs it gets from providers",
        )
    if kind == "command" and surroundings.sockets:
        raise errors.ConfigError(
            "sockets are for components, and this is a WASI command",
            remedy="take them out of the manifest; WASI preview 1 has no way to open a connection",
        )
    if kind == "component" and surroundings.entrypoint != Surroundings().entrypoint:
        raise errors.ConfigError(
            "entrypoint is for WASI commands, and this is a component",
            remedy="take it out of the manifest; a component answers by the interfaces that it exports",
        )


class Guests:
    """Loads guests on one engine."""

    def __init__(self, engine: Engine, cache: CompiledCache | None) -> None:
        self._engine = engine
        self._wapc = WapcHost(engine)
        self._commands = WagiHost(engine)
        self.cache = cache
        self._compiling: set[asyncio.Future[Any]] = set()

    async def load(self, image: ActorImage, actor: ActorContext) -> tuple[Guest, bool]:
        """The loaded code of an admitted image, and whether it came from the cache. Raises as `require_guest`, and
        `errors.ArtifactError` for code that cannot be run."""
        kind = image.file.guest
        require_guest(kind, actor.surroundings)
        if kind == "component":
            return await self._component(image, actor)
        module, from_cache = await self._compiled(image)
        host = self._commands if kind == "command" else self._wapc
        try:
            return host.load(module, image.file, actor), from_cache
        except errors.LatticeError:
            module.close()
            raise

    async def close(self) -> None:
        """After the guests that it loaded."""
        await asyncio.gather(*self._compiling, return_exceptions=True)
        self._commands.close()

    async def _component(self, image: ActorImage, actor: ActorContext) -> tuple[Guest, bool]:
        if len(image.data) > INLINE_READ_BYTES_MAX:
            _log.info("loading %s (%d KiB)", image.path.name, len(image.data) // 1024)
        load = partial(components.load, self._engine, image.data, self.cache)
        component, from_cache = await self._in_thread(load, _close_component)
        return components.guest(component, actor), from_cache

    async def _compiled(self, image: ActorImage) -> tuple[Module, bool]:
        large = len(image.data) > INLINE_READ_BYTES_MAX
        if self.cache is not None:
            found = self.cache.get
            path = await asyncio.to_thread(found, image.digest) if large else found(image.digest)
            if path is not None:
                try:
                    return self._engine.load(path), True
                except errors.EngineError as error:
                    _log.warning("compiled code of %s is not used: %s", image.path, error)
        if large:
            _log.info("compiling %s (%d KiB)", image.path.name, len(image.data) // 1024)
        module = await self._in_thread(partial(self._engine.compile, image.data), Module.close)
        if self.cache is not None:
            try:
                await asyncio.to_thread(self.cache.put, image.digest, module.serialize())
            except BaseException:
                module.close()
                raise
        return module, False

    async def _in_thread(self, compile_: Callable[[], T], close: Callable[[T], None]) -> T:
        """Compiles in a thread, which cannot be stopped: what nobody waits for any more is closed when it is done, and
        the engine stays until then."""
        compiling = asyncio.get_running_loop().run_in_executor(None, compile_)
        self._compiling.add(compiling)
        compiling.add_done_callback(self._compiling.discard)
        try:
            return await asyncio.shield(compiling)
        except asyncio.CancelledError:
            compiling.add_done_callback(partial(_close_unwanted, close))
            raise


def _close_unwanted(close: Callable[[T], None], compiled: asyncio.Future[T]) -> None:
    if not compiled.cancelled() and compiled.exception() is None:
        close(compiled.result())


def _close_component(loaded: tuple[Component, bool]) -> None:
    loaded[0].close()
