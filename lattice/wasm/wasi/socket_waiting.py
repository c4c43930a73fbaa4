"""Waiting for a socket of the system, without a task: the loop looks at it while somebody waits."""

from __future__ import annotations

import asyncio
import select
import socket

from lattice.streams import Signal, Waiter


class Readiness:
    """Whether a socket can be read (or written) now, as an `Awaitable`."""

    __slots__ = ("_changed", "_poll", "_socket", "_waiting", "_writes")

    def __init__(self, system: socket.socket, *, writes: bool = False) -> None:
        self._socket = system
        self._writes = writes
        self._poll = select.poll()
        self._poll.register(system, select.POLLOUT if writes else select.POLLIN)
        self._changed = Signal()
        self._waiting = 0

    def ready(self) -> bool:
        """An error or the end of the connection counts: the next operation then says which."""
        return self._socket.fileno() < 0 or bool(self._poll.poll(0))

    def attach(self, waiter: Waiter) -> None:
        self._changed.attach(waiter)
        self._waiting += 1
        if self._waiting == 1 and self._socket.fileno() >= 0:
            loop = asyncio.get_running_loop()
            (loop.add_writer if self._writes else loop.add_reader)(self._socket, self._changed.fire)

    def detach(self, waiter: Waiter) -> None:
        self._changed.detach(waiter)
        self._waiting -= 1
        if not self._waiting and self._socket.fileno() >= 0:
            loop = asyncio.get_running_loop()
            (loop.remove_writer if self._writes else loop.remove_reader)(self._socket)
