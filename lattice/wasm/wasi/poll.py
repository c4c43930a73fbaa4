"""wasi:io/poll: waiting for one of many things, with one future however many they are."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from lattice import errors
from lattice.streams import Awaitable, wait_any
from lattice.wasm.wasi.instance import Instance
from lattice.wasm.wasi.table import Interface

POLLABLES_MAX = 1024
"""In one `poll`. Each is looked at on the loop before and after the wait; event loops of guests have some tens."""


class Pollable:
    """The resource `pollable`."""

    __slots__ = ("source",)

    def __init__(self, source: Awaitable) -> None:
        self.source = source

    def close(self) -> None:
        """Nothing waits for it: a guest that waits does nothing else."""


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
