"""Clocks, random bytes, waiting and leaving: the same for every kind of guest."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from lattice import errors
from lattice.streams import Awaitable, wait_any
from lattice.wasm.engine import HostFunction
from lattice.wasm.fiber import Fiber
from lattice.wasm.preview1.codes import BADF, INVAL, MODULES, NOSYS, SUCCESS

RANDOM_BYTES_MAX = 1024 * 1024
"""One random_get; generating more would hold the loop."""
SUBSCRIPTIONS_MAX = 256
"""Subscriptions of one poll_oneoff; programs use one or two."""

SLEEP_S_MAX = 30 * 24 * 3600.0
"""Guests may ask for centuries, which timers cannot count. The deadline of the call ends it long before."""

EVENT_BYTES = 32
CLOCK_ABSOLUTE = 1

Ready: TypeAlias = Callable[[Fiber, int], int | Awaitable | None]
"""How many bytes a descriptor has room for or holds, or what has to be waited for until it does; None when it is not
open."""


def _clock_now_ns(fiber: Fiber, clock: int) -> int | None:
    nature = fiber.actor.nature
    match clock:
        case 0:
            return nature.wall_ns()
        case 1:
            return nature.monotonic_ns()
        case 2 | 3:
            return nature.processor_ns()
    return None


def _clock_time_get(fiber: Fiber, a: Any) -> None:
    now = _clock_now_ns(fiber, a.a0)
    if now is None:
        a.a0 = INVAL
        return
    fiber.write(a.a2, now.to_bytes(8, "little"))
    a.a0 = SUCCESS


def _clock_res_get(fiber: Fiber, a: Any) -> None:
    if _clock_now_ns(fiber, a.a0) is None:
        a.a0 = INVAL
        return
    fiber.write(a.a1, (1).to_bytes(8, "little"))
    a.a0 = SUCCESS


def _random_get(fiber: Fiber, a: Any) -> None:
    if a.a1 > RANDOM_BYTES_MAX:
        a.a0 = INVAL
        return
    fiber.write(a.a0, fiber.actor.nature.random(a.a1))
    a.a0 = SUCCESS


def _proc_raise(_fiber: Fiber, a: Any) -> None:
    a.a0 = NOSYS


def _proc_exit(fiber: Fiber, a: Any) -> None:
    fiber.exit_code = a.a0
    raise errors.GuestTrapped(f"exit {a.a0}")


def _sched_yield(fiber: Fiber, _a: Any) -> None:
    fiber.sleep(_turn(fiber))


async def _turn(fiber: Fiber) -> None:
    await asyncio.sleep(0)
    fiber.set_result(SUCCESS)


def poll_oneoff(ready: Ready, module: str) -> HostFunction:
    """The function of that name, for guests whose descriptors `ready` knows, under one name of the interface: the older
    one has eight bytes more before a clock."""
    clock_at = 16 if module == MODULES[0] else 24
    record_bytes = clock_at + 32

    def poll(fiber: Fiber, a: Any) -> None:
        events_at, count, written_at = a.a1, a.a2, a.a3
        if not 0 < count <= SUBSCRIPTIONS_MAX:
            fiber.set_result(INVAL)
            return
        given = fiber.read(a.a0, record_bytes * count)
        wanted = [given[at : at + record_bytes] for at in range(0, len(given), record_bytes)]
        fiber.sleep(_wait(fiber, ready, wanted, clock_at, events_at, written_at))

    return poll


async def _wait(
    fiber: Fiber, ready: Ready, wanted: list[bytes], clock_at: int, events_at: int, written_at: int
) -> None:
    """Sleeps until the first of the clocks, or until a descriptor is ready; most are, or are not there, at once."""
    at_once = bytearray()
    clocks: list[tuple[float, bytes]] = []
    later: list[tuple[Awaitable, bytes]] = []
    for record in wanted:
        user_data, tag = record[:8], record[8]
        if tag != 0:
            size = ready(fiber, int.from_bytes(record[16:20], "little"))
            if size is None or isinstance(size, int):
                at_once += _event(user_data, BADF if size is None else SUCCESS, tag, size or 0)
            else:
                later.append((size, record))
            continue
        clock = int.from_bytes(record[clock_at : clock_at + 4], "little")
        timeout_ns = int.from_bytes(record[clock_at + 8 : clock_at + 16], "little")
        now_ns = _clock_now_ns(fiber, clock)
        if now_ns is None:
            at_once += _event(user_data, INVAL, tag)
            continue
        if int.from_bytes(record[clock_at + 24 : clock_at + 26], "little") & CLOCK_ABSOLUTE:
            timeout_ns = max(0, timeout_ns - now_ns)
        clocks.append((timeout_ns / 1e9, user_data))
    if not at_once:
        first_s = min((wait_s for wait_s, _ in clocks), default=math.inf)
        if later:
            # Never past the call's deadline: that ends the call, from outside.
            limit_s = min(first_s, max(0.0, fiber.deadline - time.monotonic()) + 1.0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit_s):
                    await wait_any([source for source, _ in later])
            for source, record in later:
                if source.ready():
                    size = ready(fiber, int.from_bytes(record[16:20], "little"))
                    at_once += _event(record[:8], SUCCESS, record[8], size if isinstance(size, int) else 0)
        else:
            await fiber.actor.nature.sleep(min(first_s, SLEEP_S_MAX))
        for wait_s, user_data in [] if at_once else clocks:
            if wait_s <= first_s:
                at_once += _event(user_data, SUCCESS, 0)
    fiber.write(events_at, bytes(at_once))
    fiber.write(written_at, (len(at_once) // EVENT_BYTES).to_bytes(4, "little"))
    fiber.set_result(SUCCESS)


def _event(user_data: bytes, error: int, tag: int, size: int = 0) -> bytes:
    head = user_data + error.to_bytes(2, "little") + bytes([tag, 0, 0, 0, 0, 0])
    return head + size.to_bytes(8, "little") + bytes(EVENT_BYTES - 24)


AT_ONCE: dict[str, HostFunction] = {
    "clock_res_get": _clock_res_get,
    "clock_time_get": _clock_time_get,
    "random_get": _random_get,
    "proc_raise": _proc_raise,
    "proc_exit": _proc_exit,
}
MAY_WAIT: dict[str, HostFunction] = {"sched_yield": _sched_yield}
