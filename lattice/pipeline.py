"""What every call goes through, in this order: find the target, ask whether it may, count, call.

What takes no bodies in pieces gets them whole in here, and nowhere else.

The deadline is the target's to keep: an actor bounds its own run, and what it calls inherits what is left.
Tracing joins here when it comes, between the question and the call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from lattice import errors
from lattice.bodies import gather
from lattice.invocation import Invocation
from lattice.router import Route
from lattice.telemetry.audit import Audit
from lattice.telemetry.metrics import Metrics

Authorise: TypeAlias = Callable[[Invocation, Route], Awaitable[None] | None]
"""Raises `errors.NotGranted` or `errors.Denied`, at once or when the awaitable that it returned is awaited. Asked for
every call: links already decide who may call whom; signed claims and policy add to that here."""

Resolve: TypeAlias = Callable[[Invocation], Route]

UNRESOLVED = "(unresolved)"
REFUSALS = (errors.NotLinked, errors.NotGranted, errors.Denied)


def allow_linked(_invocation: Invocation, _route: Route) -> None:
    """The rule of a host without claims: what the router could resolve is linked, and so allowed."""


class Pipeline:
    """A `Handler`: the way in for every call. `resolve` is the router's `resolve` for calls that are made here, and its
    `resolve_here` for those that come from other hosts."""

    def __init__(
        self, resolve: Resolve, metrics: Metrics, authorise: Authorise = allow_linked, audit: Audit | None = None
    ) -> None:
        """`audit` None writes no refusals to the log."""
        self._resolve = resolve
        self._authorise = authorise
        self._metrics = metrics
        self._audit = audit

    async def __call__(self, invocation: Invocation) -> bytes:
        target = UNRESOLVED
        try:
            route = self._resolve(invocation)
            target = route.target.key
            waiting = self._authorise(invocation, route)
            if waiting is not None:
                await waiting
        except errors.CallError as error:
            self._metrics.failures[target, error.code] += 1
            if isinstance(error, REFUSALS):
                self._refused(invocation, target, error)
            raise
        self._metrics.calls[target] += 1
        try:
            if invocation.bodies is not None and not route.in_pieces(invocation.operation):
                invocation = await made_whole(invocation)
            return await route.handler(invocation)
        except errors.CallError as error:
            self._metrics.failures[target, error.code] += 1
            raise

    def _refused(self, invocation: Invocation, target: str, error: errors.CallError) -> None:
        """Counts a refusal and tells of it."""
        origin = invocation.origin.key
        self._metrics.refuse(origin, error.code)
        if self._audit is not None:
            if target == UNRESOLVED and invocation.target is not None:
                target = invocation.target.key
            reason = f"{error.code}, {error.rule}" if isinstance(error, errors.Denied) and error.rule else error.code
            self._audit.refused(origin, target, invocation.contract, reason, error.message, time.monotonic())


async def made_whole(invocation: Invocation) -> Invocation:
    """The same call with its body in the payload. Raises `errors.PayloadTooLarge`, and what broke the body off."""
    bodies = invocation.bodies
    assert bodies is not None, "asked for calls that have them"
    payload = invocation.payload
    if bodies.request is not None:
        try:
            async with asyncio.timeout_at(invocation.deadline):
                payload = bodies.whole(await gather(bodies.request, bodies.bytes_max))
        except TimeoutError:
            raise errors.DeadlineExceeded("the body of the call had not come before its deadline") from None
    return msgspec.structs.replace(invocation, payload=payload, bodies=None)
