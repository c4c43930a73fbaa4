"""Components as actors: compiled, what they import behind their imports, the bridges in front of their exports."""

from __future__ import annotations

from pathlib import Path

from lattice import endpoints, errors
from lattice.config import Surroundings
from lattice.wasm.component.guest import ComponentGuest
from lattice.wasm.component.instantiate import CodeCache, Component, ComponentType
from lattice.wasm.engine import Engine
from lattice.wasm.guest import ActorContext
from lattice.wasm.own_interfaces import ComponentImports, OwnExports, OwnImports
from lattice.wasm.wasi.bridges import ANSWERING, calls_max, in_pieces
from lattice.wasm.wasi.instance import FileGrant, Grants
from lattice.wasm.wasi.interfaces import known


class _Noting:
    """A cache that notes whether something had to be compiled."""

    def __init__(self, cache: CodeCache) -> None:
        self.get = cache.get
        self._put = cache.put
        self.compiled = False

    def put(self, digest: str, code: bytes) -> None:
        self.compiled = True
        self._put(digest, code)


def load(engine: Engine, data: bytes, cache: CodeCache | None) -> tuple[Component, bool]:
    """A component's code, and whether all of it came from the cache. For large ones it takes seconds, in a thread.

    Raises `errors.NotWasm` or `errors.UnsupportedGuest`, for one that has no export for any call too.
    """
    component_type = ComponentType(data)
    plan = component_type.plan
    if not any(interface in ANSWERING for interface, _ in plan.exports) and not OwnExports(plan):
        raise errors.UnsupportedGuest(
            f"the component exports nothing that can be called: neither {', '.join(sorted(ANSWERING))}"
            " nor an interface of its own with plain values"
        )
    if cache is None:
        return component_type.compile(engine, known=known), False
    noting = _Noting(cache)
    component = component_type.compile(engine, noting, known)
    return component, not noting.compiled


def grants_of(around: Surroundings) -> Grants:
    """What the interfaces give of what a manifest grants."""
    return Grants(
        files=tuple(FileGrant(Path(volume.host), volume.guest, volume.writable) for volume in around.volumes),
        environment=tuple(around.environment.items()),
        config=around.config,
        sockets=tuple(endpoints.parse(place) for place in around.sockets),
    )


def guest(component: Component, actor: ActorContext) -> ComponentGuest:
    """The component as the code of an actor, with what its surroundings grant it."""
    grants, own = grants_of(actor.surroundings), OwnImports(component.plan)

    def imports(of: ActorContext) -> ComponentImports:
        return ComponentImports(of, grants, own)

    exports = frozenset(interface for interface, _ in component.plan.exports)
    serve = OwnExports(component.plan).serve
    return component.guest(actor, imports, serve, calls_max=calls_max(exports), in_pieces=in_pieces(exports))
