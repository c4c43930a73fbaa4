"""What the connections of one address share."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from lattice_http_server.request import Names, Request
from lattice_http_server.response import ResponseWriter
from lattice_http_server.routing import RouteTable
from lattice_http_server.settings import ServerSettings

if TYPE_CHECKING:
    from lattice_http_server.connection import Connection


OUTBOX_MAX = 32
"""Responses that wait for the end of the loop's turn; with as many they leave at once."""


class Outbox:
    """Small responses leave together, at the end of the loop's turn.

    A send wakes whoever waits for it, which for a client on the same machine, or behind the same proxy, costs more than
    the send itself; several sends in a row wake it once. Under load this is a quarter of the throughput; alone in its
    turn a response leaves in the next one. What is written past the outbox is preceded by `flush`, to stay in order.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def add(self, transport: asyncio.Transport, data: bytes) -> None:
        waiting = self._waiting
        waiting.append((transport, data))
        if len(waiting) == 1:
            self._loop.call_soon(self.flush)
        elif len(waiting) >= OUTBOX_MAX:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for transport, data in waiting:
                if not transport.is_closing():
                    transport.write(data)


class Service:
    """Routes, limits, caches and a coarse clock.

    `now` is `time.monotonic()` of the last sweep: a connection notes it instead of asking for the time, so timeouts
    cost requests nothing and are late by up to two sweeps.
    """

    def __init__(self, settings: ServerSettings, connections_max: int, log: logging.Logger) -> None:
        self.settings = settings
        # Looked at for each request, and pydantic's attributes are four times as slow as these.
        self.pipelined_max = settings.pipelined_max
        self.body_bytes_max = settings.body_bytes_max
        self.target_bytes_max = settings.target_bytes_max
        self.header_bytes_max = settings.header_bytes_max
        self.header_count_max = settings.header_count_max
        self.idle_timeout = settings.idle_timeout
        self.connections_max = connections_max
        self.log = log
        self.access = logging.getLogger("lattice.access")
        self.routes = RouteTable()
        self.names = Names()
        self.writer = ResponseWriter()
        self.outbox = Outbox()
        self.connections: set[Connection] = set()
        self.emptied = asyncio.Event()
        self.bodies_bytes = 0
        """Of all requests that are arriving, waiting or being answered."""
        self.draining = False
        self.now = time.monotonic()

    def count(self, size: int) -> None:
        """So many more bytes of bodies are held, or fewer."""
        self.bodies_bytes += size

    def log_access(self, transport: asyncio.Transport, request: Request, status: int, started: float) -> None:
        peer = transport.get_extra_info("peername")
        self.access.info(
            '%s "%s %s" %d %.1fms %s',
            peer[0] if peer else "-",
            request.method,
            request.target,
            status,
            (time.monotonic() - started) * 1000,
            request.route.link.target if request.route is not None else "-",
        )

    def sweep(self) -> None:
        """Moves the clock on and lets every connection look at its timeouts."""
        self.now = time.monotonic()
        self.writer.tick()
        for connection in list(self.connections):
            connection.check(self.now)
