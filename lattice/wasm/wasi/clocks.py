"""wasi:clocks: what time it is, and pollables that become ready at a time."""

from __future__ import annotations

import asyncio
import time

from lattice.streams import Waiter
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.poll import Pollable
from lattice.wasm.wasi.table import Interface

ALARM_S_MAX = 3600.0
"""The longest a timer is set for; it is set again then. Guests may ask for centuries, which timers cannot count."""


class Alarm:
    """Ready from a time of the monotonic clock on."""

    __slots__ = ("_timers", "_when_ns")

    def __init__(self, when_ns: int) -> None:
        self._when_ns = when_ns
        self._timers: dict[Waiter, asyncio.TimerHandle] = {}

    def ready(self) -> bool:
        return time.monotonic_ns() >= self._when_ns

    def attach(self, waiter: Waiter) -> None:
        left_s = max(0.0, (self._when_ns - time.monotonic_ns()) / 1e9)
        self._timers[waiter] = asyncio.get_running_loop().call_later(min(left_s, ALARM_S_MAX), _wake, waiter)

    def detach(self, waiter: Waiter) -> None:
        timer = self._timers.pop(waiter, None)
        if timer is not None:
            timer.cancel()


def _wake(waiter: Waiter) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _subscribe_instant(instance: Instance, when_ns: int) -> Pollable:
    return instance.own(Pollable(Alarm(when_ns)))


def _subscribe_duration(instance: Instance, duration_ns: int) -> Pollable:
    return instance.own(Pollable(Alarm(time.monotonic_ns() + duration_ns)))


def _resolution() -> int:
    return 1


def _wall_now() -> tuple[int, int]:
    return divmod(time.time_ns(), 1_000_000_000)


def _wall_resolution() -> tuple[int, int]:
    return (0, 1)


def _display(_when: tuple[int, int]) -> tuple[int, str, bool]:
    return (0, "UTC", False)


def _utc_offset(_when: tuple[int, int]) -> int:
    return 0


MONOTONIC = Interface(
    "wasi:clocks/monotonic-clock",
    functions={"subscribe-instant": _subscribe_instant, "subscribe-duration": _subscribe_duration},
    plain={"now": time.monotonic_ns, "resolution": _resolution},
)

WALL = Interface("wasi:clocks/wall-clock", plain={"now": _wall_now, "resolution": _wall_resolution})

TIMEZONE = Interface("wasi:clocks/timezone", plain={"display": _display, "utc-offset": _utc_offset})
"""Every guest is in UTC: where its host stands is none of its business."""
