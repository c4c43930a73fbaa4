"""wasi:clocks: what time it is, and pollables that become ready at a time."""

from __future__ import annotations

from functools import partial

from lattice.streams import Waiter
from lattice.wasm import nature as natures
from lattice.wasm.nature import Nature
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.poll import Pollable
from lattice.wasm.wasi.table import Interface

ALARM_S_MAX = 3600.0
"""The longest a timer is set for; it is set again then. Guests may ask for centuries, which timers cannot count."""


class Alarm:
    """Ready from a time of the monotonic clock on."""

    __slots__ = ("_nature", "_timers", "_when_ns")

    def __init__(self, nature: Nature, when_ns: int) -> None:
        self._nature = nature
        self._when_ns = when_ns
        self._timers: dict[Waiter, natures.Alarm] = {}

    def ready(self) -> bool:
        return self._nature.monotonic_ns() >= self._when_ns

    def attach(self, waiter: Waiter) -> None:
        left_s = max(0.0, (self._when_ns - self._nature.monotonic_ns()) / 1e9)
        self._timers[waiter] = self._nature.call_later(min(left_s, ALARM_S_MAX), partial(_wake, waiter))

    def detach(self, waiter: Waiter) -> None:
        timer = self._timers.pop(waiter, None)
        if timer is not None:
            timer.cancel()


def _wake(waiter: Waiter) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _subscribe_instant(instance: Instance, when_ns: int) -> Pollable:
    return instance.own(Pollable(Alarm(instance.actor.nature, when_ns)))


def _subscribe_duration(instance: Instance, duration_ns: int) -> Pollable:
    nature = instance.actor.nature
    return instance.own(Pollable(Alarm(nature, nature.monotonic_ns() + duration_ns)))


def _resolution() -> int:
    return 1


def _now(instance: Instance) -> int:
    return instance.actor.nature.monotonic_ns()


def _wall_now(instance: Instance) -> tuple[int, int]:
    return divmod(instance.actor.nature.wall_ns(), 1_000_000_000)


def _wall_resolution() -> tuple[int, int]:
    return (0, 1)


def _display(_when: tuple[int, int]) -> tuple[int, str, bool]:
    return (0, "UTC", False)


def _utc_offset(_when: tuple[int, int]) -> int:
    return 0


MONOTONIC = Interface(
    "wasi:clocks/monotonic-clock",
    functions={"now": _now, "subscribe-instant": _subscribe_instant, "subscribe-duration": _subscribe_duration},
    plain={"resolution": _resolution},
)

WALL = Interface("wasi:clocks/wall-clock", functions={"now": _wall_now}, plain={"resolution": _wall_resolution})

TIMEZONE = Interface("wasi:clocks/timezone", plain={"display": _display, "utc-offset": _utc_offset})
"""Every guest is in UTC: where its host stands is none of its business."""
