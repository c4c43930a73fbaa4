"""How the writing of one connection goes on: whether the client takes what waits for it, and how fast."""

from __future__ import annotations

import asyncio
import os
import socket
import struct

from lattice_http_server.settings import ServerSettings

RATE_GRACE_S = 10.0
"""A body has this long before its average rate counts."""


class Writing:
    """`blocked` is a future while more waits than the transport wants to hold; it is done when the client took it."""

    __slots__ = ("_least", "_progress_at", "_since", "_total", "blocked")

    def __init__(self) -> None:
        self.blocked: asyncio.Future[None] | None = None
        self._since = self._progress_at = 0.0
        self._total = self._least = 0

    def pause(self, size: int, now: float) -> None:
        """`size` bytes wait in the transport."""
        self.blocked = asyncio.get_running_loop().create_future()
        self._since = self._progress_at = now
        self._total = self._least = size

    def resume(self) -> None:
        blocked, self.blocked = self.blocked, None
        if blocked is not None and not blocked.done():
            blocked.set_result(None)

    def is_too_slow(self, size: int, now: float, settings: ServerSettings) -> bool:
        """Whether a client that keeps `size` bytes waiting has had its time."""
        if size < self._least:
            self._least, self._progress_at = size, now
        elapsed = now - self._since
        return now - self._progress_at > settings.write_timeout or (
            elapsed > RATE_GRACE_S and self._total - size < settings.rate_bytes_min * elapsed
        )


def reset(transport: asyncio.Transport) -> None:
    """Ends a connection so that the other side sees it broken, even where its end would be taken for the body's."""
    found = transport.get_extra_info("socket")
    if found is not None:
        with socket.socket(fileno=os.dup(found.fileno())) as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
