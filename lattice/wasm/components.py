"""Components as actors: compiled, the interfaces of WASI behind their imports, an instance of its own for each call."""

from __future__ import annotations

from pathlib import Path

from lattice import errors
from lattice.config import Surroundings
from lattice.wasm.component.guest import ComponentGuest
from lattice.wasm.component.instantiate import CodeCache, Component, ComponentType
from lattice.wasm.engine import Engine
from lattice.wasm.guest import ActorContext
from lattice.wasm.wasi.bridges import ANSWERING, IN_PIECES, serve
from lattice.wasm.wasi.instance import FileGrant, Grants
from lattice.wasm.wasi.interfaces import InstanceInterfaces


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
    if not any(interface in ANSWERING for interface, _ in component_type.plan.exports):
        raise errors.UnsupportedGuest(
            f"the component exports nothing that this host calls, which is {', '.join(sorted(ANSWERING))}"
        )
    if cache is None:
        return component_type.compile(engine), False
    noting = _Noting(cache)
    component = component_type.compile(engine, noting)
    return component, not noting.compiled


def grants_of(around: Surroundings) -> Grants:
    """What the interfaces give of what a manifest grants."""
    return Grants(
        files=tuple(FileGrant(Path(volume.host), volume.guest, volume.writable) for volume in around.volumes),
        environment=tuple(around.environment.items()),
        config=around.config,
    )


def guest(component: Component, actor: ActorContext) -> ComponentGuest:
    """The component as the code of an actor, with what its surroundings grant it."""
    grants = grants_of(actor.surroundings)

    def imports(of: ActorContext) -> InstanceInterfaces:
        return InstanceInterfaces(of, grants)

    return component.guest(actor, imports, serve, in_pieces=IN_PIECES)
