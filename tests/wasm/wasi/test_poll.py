"""Waiting: for clocks, for streams, for the first of many."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from lattice import errors
from lattice.streams import Pipe, Reader
from lattice.wasm.wasi.streams import InputStream
from tests.support.wasi import WasiGuest, settle

MONOTONIC = "wasi:clocks/monotonic-clock"


def after(guest: WasiGuest, ms: float) -> Any:
    return guest.now(MONOTONIC, "subscribe-duration", int(ms * 1e6))


async def test_a_clock_becomes_ready_at_its_time_and_not_before() -> None:
    guest = WasiGuest()
    pollable = after(guest, 20)
    began = time.monotonic()
    assert guest.now("wasi:io/poll", "[method]pollable.ready", pollable) is False
    await guest.call("wasi:io/poll", "[method]pollable.block", pollable)
    assert time.monotonic() - began >= 0.02
    assert guest.now("wasi:io/poll", "[method]pollable.ready", pollable) is True


async def test_instants_are_of_the_clock_that_now_tells() -> None:
    guest = WasiGuest()
    now = guest.now(MONOTONIC, "now")
    past = guest.now(MONOTONIC, "subscribe-instant", now)
    never = guest.now(MONOTONIC, "subscribe-instant", 2**64 - 1)
    assert await guest.call("wasi:io/poll", "poll", [never, past]) == [1]
    seconds, nanoseconds = guest.now("wasi:clocks/wall-clock", "now")
    assert abs(seconds + nanoseconds / 1e9 - time.time()) < 60
    assert guest.now(MONOTONIC, "resolution") == 1


async def test_a_poll_answers_with_all_that_are_ready_and_the_same_one_twice() -> None:
    guest = WasiGuest()
    pipe = Pipe()
    stream = guest.host.own(InputStream(Reader(pipe)))
    first = guest.now("wasi:io/streams", "[method]input-stream.subscribe", stream)
    slow = after(guest, 60_000)
    waiting = asyncio.create_task(guest.call("wasi:io/poll", "poll", [slow, first, first]))
    await settle()
    assert not waiting.done()
    pipe.put(b"x")
    assert await waiting == [1, 2]


async def test_a_wait_that_is_cancelled_leaves_nothing_behind() -> None:
    guest = WasiGuest()
    pipe = Pipe()
    stream = guest.host.own(InputStream(Reader(pipe)))
    pollables = [guest.now("wasi:io/streams", "[method]input-stream.subscribe", stream), after(guest, 60_000)]
    waiting = asyncio.create_task(guest.call("wasi:io/poll", "poll", pollables))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    pipe.put(b"x")  # wakes nobody
    assert await guest.call("wasi:io/poll", "poll", pollables) == [0]


async def test_a_poll_of_nothing_or_of_too_much_traps() -> None:
    guest = WasiGuest()
    with pytest.raises(errors.GuestProtocolError, match="no pollables"):
        await guest.call("wasi:io/poll", "poll", [])
    with pytest.raises(errors.GuestProtocolError, match="1025 pollables"):
        await guest.call("wasi:io/poll", "poll", [after(guest, 0)] * 1025)
