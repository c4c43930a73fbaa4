"""What every call goes through, in this order: find the target, ask whether it may, count, call.

The deadline is the target's to keep: an actor bounds its own run, and what it calls inherits what is left.
Tracing joins here when it comes, between the question and the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from lattice import errors
from lattice.invocation import Invocation
from lattice.router import Route
from lattice.telemetry.metrics import Metrics

Authorise: TypeAlias = Callable[[Invocation, Route], None]
"""Raises `errors.NotGranted` or `errors.Denied`. Pure, and asked for every call: links already decide who may call
whom; signed claims and policy add to that here."""

Resolve: TypeAlias = Callable[[Invocation], Route]

UNRESOLVED = "(unresolved)"


def allow_linked(_invocation: Invocation, _route: Route) -> None:
    """The rule of a host without claims: what the router could resolve is linked, and so allowed."""


class Pipeline:
    """A `Handler`: the way in for every call. `resolve` is the router's `resolve` for calls that are made here, and its
    `resolve_here` for those that come from other hosts."""

    def __init__(self, resolve: Resolve, metrics: Metrics, authorise: Authorise = allow_linked) -> None:
        self._resolve = resolve
        self._authorise = authorise
        self._metrics = metrics

    async def __call__(self, invocation: Invocation) -> bytes:
        target = UNRESOLVED
        try:
            route = self._resolve(invocation)
            target = route.target.key
            self._authorise(invocation, route)
            self._metrics.calls[target] += 1
            return await route.handler(invocation)
        except errors.CallError as error:
            self._metrics.failures[target, error.code] += 1
            raise
