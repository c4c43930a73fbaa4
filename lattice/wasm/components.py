"""Components as actors: compiled, the interfaces of WASI behind their imports, an instance of its own for each call."""

from __future__ import annotations

import logging
import time

from lattice import errors
from lattice.wasm.component.guest import ComponentGuest
from lattice.wasm.component.instantiate import CodeCache, Component, ComponentType
from lattice.wasm.engine import Engine
from lattice.wasm.guest import ActorContext
from lattice.wasm.wasi.bridges import ANSWERING, serve
from lattice.wasm.wasi.instance import Grants
from lattice.wasm.wasi.interfaces import InstanceInterfaces

_log = logging.getLogger("lattice.audit")

REFUSALS_MAX = 20
"""Lines about one actor in AGAIN_S; one that tries for ever would fill the log."""
AGAIN_S = 60.0


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


def guest(component: Component, actor: ActorContext, grants: Grants) -> ComponentGuest:
    """The component as the code of an actor that is granted this much."""
    refusals = _Refusals(actor.key)

    def imports(of: ActorContext) -> InstanceInterfaces:
        return InstanceInterfaces(of, grants, refusals.refused)

    return ComponentGuest(component, actor, imports, serve)


class _Refusals:
    """What one actor asked for and was not granted, in the audit log."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._told = 0
        self._since = float("-inf")

    def refused(self, what: str, why: str) -> None:
        now = time.monotonic()
        if now - self._since >= AGAIN_S:
            self._since, self._told = now, 0
        self._told += 1
        if self._told <= REFUSALS_MAX:
            _log.warning("refused: %s: %r: %s", self._key, what, why)
        elif self._told == REFUSALS_MAX + 1:
            _log.warning("refused: %s: more than %d times in a minute; the rest is not told", self._key, REFUSALS_MAX)
