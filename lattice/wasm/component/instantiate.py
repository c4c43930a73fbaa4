"""A component's code: planned and compiled once, and what its instances are made from."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from lattice import errors
from lattice.config import Limits
from lattice.invocation import Invocation
from lattice.wasm import capi
from lattice.wasm.component import linker
from lattice.wasm.component.core import REALLOC
from lattice.wasm.component.coremodule import start_exported
from lattice.wasm.component.crossings import Inward
from lattice.wasm.component.guest import Bridge, ComponentGuest, InstanceImports
from lattice.wasm.component.host import HostInterfaces
from lattice.wasm.component.instance import ComponentInstance
from lattice.wasm.component.linear import epoch_callback
from lattice.wasm.component.linked import Linked, fits
from lattice.wasm.component.places import Places
from lattice.wasm.component.plan import CoreCode, CoreExport, Lowered, Plan
from lattice.wasm.component.shims import see_through
from lattice.wasm.component.trampolines import Known, Trampolines, nothing_known
from lattice.wasm.component.wiring import Wiring
from lattice.wasm.engine import Engine, Module
from lattice.wasm.guest import ActorContext


class CodeCache(Protocol):
    """Compiled code by the digest of what it was compiled from; see `lattice.artifacts.cache.CompiledCache`."""

    def get(self, digest: str) -> str | None: ...

    def put(self, digest: str, code: bytes) -> None: ...


class LoadedCode(msgspec.Struct, frozen=True):
    """A core module, compiled. `start` is the export that is called after it was instantiated, or ""."""

    module: Module
    start: str


class ComponentType:
    """A component, read and planned; nothing is compiled."""

    def __init__(self, data: bytes) -> None:
        """Raises `errors.NotWasm` or `errors.UnsupportedGuest`."""
        self._data = data
        self.plan = see_through(linker.plan_of(data), data)

    @classmethod
    def load(
        cls, engine: Engine, data: bytes, cache: CodeCache | None = None, known: Known = nothing_known
    ) -> Component:
        """Reads, plans and compiles. Takes seconds for large components that are not in the cache, so call it in a
        thread. `known` are the functions that every instance's `HostInterfaces` has.

        Raises `errors.NotWasm` or `errors.UnsupportedGuest`.
        """
        return cls(data).compile(engine, cache, known)

    def compile(self, engine: Engine, cache: CodeCache | None = None, known: Known = nothing_known) -> Component:
        """As `load`, of what was read."""
        codes: list[LoadedCode] = []
        try:
            for code in self.plan.modules:
                codes.append(_load(engine, self._data, code, cache))  # noqa: PERF401  # the ones so far are closed below
            return Component(engine, self.plan, codes, known)
        except BaseException:
            for loaded in codes:
                loaded.module.close()
            raise


def _load(engine: Engine, data: bytes, code: CoreCode, cache: CodeCache | None) -> LoadedCode:
    wasm, start = data[code.start : code.end], ""
    if code.starts:
        wasm, start = start_exported(wasm)
    if cache is None:
        return LoadedCode(engine.compile(wasm), start)
    digest = hashlib.sha256(wasm).hexdigest()
    path = cache.get(digest)
    if path is not None:
        try:
            return LoadedCode(engine.load(path), start)
        except errors.EngineError:
            pass  # of another version after all; compiled again and replaced
    module = engine.compile(wasm)
    cache.put(digest, module.serialize())
    return LoadedCode(module, start)


class Component:
    """A component's compiled code and the host's side of its imports. `close` after its instances."""

    def __init__(self, engine: Engine, plan: Plan, codes: list[LoadedCode], known: Known) -> None:
        self.engine = engine
        self.plan = plan
        self.codes = codes
        starts = [CoreExport(n, codes[step.module].start) for n, step in enumerate(plan.steps)]
        self.places = Places(plan, [start for start in starts if start.name])
        self.calls = [
            (Inward(lifted.type), function, self.places.options[lifted.canonical])
            for lifted, function in zip(plan.lifted, self.places.functions, strict=True)
        ]
        """Of each lifted function: the way in, the core function, the options."""
        self._epoch_callback = epoch_callback()
        self.epoch_callback = capi.address(self._epoch_callback)
        self.proven = False
        """Whether the types of the core functions that are called were looked at."""
        self._context: ActorContext | None = None
        trampolines = Trampolines(plan, known)
        way = Linked if fits(plan) else Wiring
        self.maker: Linked | Wiring = way(engine, plan, [code.module for code in codes], trampolines.define)
        self.groups = [self.places.options[canonical] for canonical in trampolines.groups]
        """The options of functions that are known; see `ComponentInstance.crossing`."""

    def context(self, limits: Limits) -> ActorContext:
        """What a fiber wants of its actor; kept, since nearly every instance has the same limits."""
        if self._context is None or self._context.limits is not limits:
            self._context = ActorContext("component", _nobody, limits)
        return self._context

    async def instantiate(self, host: HostInterfaces, limits: Limits, deadline: float = 0.0) -> ComponentInstance:
        """A new instance, its start functions run. Raises `errors.GuestError`, `errors.UnsupportedGuest`,
        `errors.InstancesExhausted`."""
        instance = ComponentInstance(self, host, limits)
        try:
            await instance.start(deadline or time.monotonic() + limits.time_s_max)
            if not self.proven:
                self._prove(instance)
        except BaseException:
            instance.close()
            raise
        return instance

    def guest(
        self,
        actor: ActorContext,
        imports: Callable[[ActorContext], InstanceImports],
        bridge: Bridge,
        *,
        calls_max: int = 1,
        in_pieces: frozenset[str] = frozenset(),
    ) -> ComponentGuest:
        """This component behind the protocol of all guests, which closes it. See `ComponentGuest`."""
        return ComponentGuest(self, actor, imports, bridge, calls_max=calls_max, in_pieces=in_pieces)

    def _prove(self, instance: ComponentInstance) -> None:
        """Looks at the types of the core functions that are called; they are the same for every instance.

        Raises `errors.UnsupportedGuest`.
        """
        wanted: dict[Any, str] = {}
        for (inward, _, _), lifted in zip(self.calls, self.plan.lifted, strict=True):
            canonical = lifted.canonical
            _want(wanted, lifted.function, f"{inward.parameters}->{inward.results}")
            _want(wanted, canonical.realloc, REALLOC)
            _want(wanted, canonical.post_return, f"{inward.results}->")
        for what in self.plan.trampolines:
            if isinstance(what, Lowered):
                _want(wanted, what.canonical.realloc, REALLOC)
        for destructor in self.plan.destructors:
            _want(wanted, destructor.function, "i->")
        for item, expected in wanted.items():
            found = instance.core_signature(self.places.number(item))
            if found != expected:
                raise errors.UnsupportedGuest(
                    f"the core function {item.name} has type {found}, and the component's types want {expected}"
                )
        self.proven = True

    def close(self) -> None:
        self.maker.close()
        for code in self.codes:
            code.module.close()


async def _nobody(invocation: Invocation) -> bytes:
    """A component calls by its interfaces, which have their own way out."""
    raise errors.TargetUnknown(f"a component makes no calls of its own ({invocation.operation})")


def _want(wanted: dict[Any, str], item: Any, signature: str) -> None:
    if item is not None and wanted.setdefault(item, signature) != signature:
        raise errors.UnsupportedGuest(f"the core function {item.name} is used as {wanted[item]} and as {signature}")
