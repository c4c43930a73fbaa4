"""Calls at set times: the contract lattice:cron. When, is said by the link in the manifest; its name is the timer's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from nanolattice.answering import answer
from nanolattice.errors import Error

CONTRACT = "lattice:cron"


@dataclass(frozen=True)
class Tick:
    """When it was due and when it was sent, in milliseconds since 1970. `missed` were due before and not sent."""

    timer: str
    scheduled_ms: int
    now_ms: int
    missed: int = 0


H = TypeVar("H", bound=Callable[[Tick], None])

handlers: dict[str, Callable[[Tick], None]] = {}
"""By the name of the timer; "" takes the ticks of every other."""


def on_timer(timer: str = "") -> Callable[[H], H]:
    """Names the function that is called at each tick of a timer, without a name of all that have none of their own."""

    def register(handler: H) -> H:
        handlers[timer] = handler
        answer("Cron", "HandleTick", take)
        return handler

    return register


def take(found: dict[str, Any]) -> None:
    """Gives a tick to the handler that it is for. Raises what that raises."""
    tick = Tick(found["timer"], found["scheduledMs"], found["nowMs"], found.get("missed") or 0)
    handler = handlers.get(tick.timer) or handlers.get("")
    if handler is None:
        raise Error("operation_unknown", f"this actor has no timer {tick.timer}")
    handler(tick)
