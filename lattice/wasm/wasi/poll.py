"""wasi:io/poll: waiting for one of many things, with one future however many they are."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, Protocol

from lattice import errors
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.table import Interface

Waiter = asyncio.Future[None]

POLLABLES_MAX = 1024
"""In one `poll`. Each is looked at on the loop before and after the wait; event loops of guests have some tens."""


class Awaitable(Protocol):
    """Something that becomes ready. Who waits attaches a future, and looks again when it is done."""

    def ready(self) -> bool: ...

    def attach(self, waiter: Waiter) -> None:
        """`waiter` gets a result when `ready` may have changed."""
        ...

    def detach(self, waiter: Waiter) -> None: ...


class Signal:
    """Those who wait for a change of something."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: set[Waiter] = set()

    def attach(self, waiter: Waiter) -> None:
        self._waiting.add(waiter)

    def detach(self, waiter: Waiter) -> None:
        self._waiting.discard(waiter)

    def fire(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


class Pollable:
    """The resource `pollable`."""

    __slots__ = ("source",)

    def __init__(self, source: Awaitable) -> None:
        self.source = source

    def close(self) -> None:
        """Nothing waits for it: a guest that waits does nothing else."""


async def wait_any(sources: Collection[Awaitable]) -> None:
    """Returns when one of them is ready. The deadline of the call that waits ends it from outside."""
    while not any(source.ready() for source in sources):
        waiter: Waiter = asyncio.get_running_loop().create_future()
        try:
            for source in sources:
                source.attach(waiter)
            await waiter
        finally:
            for source in sources:
                source.detach(waiter)


def _ready(pollable: Pollable) -> bool:
    return pollable.source.ready()


def _block(pollable: Pollable) -> Coroutine[Any, Any, None] | None:
    return None if pollable.source.ready() else wait_any((pollable.source,))


def _poll(pollables: list[Pollable]) -> list[int] | Coroutine[Any, Any, list[int]]:
    if not pollables:
        raise errors.GuestProtocolError("wasi:io/poll.poll of no pollables would never return")
    if len(pollables) > POLLABLES_MAX:
        raise errors.GuestProtocolError(f"wasi:io/poll.poll of {len(pollables)} pollables; {POLLABLES_MAX} is the most")
    return _which(pollables) or _first(pollables)


async def _first(pollables: list[Pollable]) -> list[int]:
    found: list[int] = []
    while not found:
        await wait_any({pollable.source for pollable in pollables})
        found = _which(pollables)
    return found


def _which(pollables: list[Pollable]) -> list[int]:
    return [index for index, pollable in enumerate(pollables) if pollable.source.ready()]


def subscribe(instance: Instance, source: Awaitable) -> Pollable:
    """The `subscribe` of every resource that can be waited for."""
    return instance.own(Pollable(source))


POLL = Interface(
    "wasi:io/poll",
    plain={"[method]pollable.ready": _ready, "[method]pollable.block": _block, "poll": _poll},
    resources=frozenset({"pollable"}),
)
