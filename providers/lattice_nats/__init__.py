"""How providers connect to NATS: addresses in their order, for ever, and a silent server noticed within seconds."""

from __future__ import annotations

import socket
from typing import Any, Final

from nats.aio.client import Client

__all__ = ["CONNECT_OPTIONS", "SEND_TIMEOUT_MS", "bound_sends"]

SEND_TIMEOUT_MS: Final = 3000
"""Sent and not acknowledged by the other kernel for so long: the connection is dead. Without it the client library
waits for a full send buffer to empty before it connects elsewhere, which behind a broken network takes minutes."""

CONNECT_OPTIONS: Final[dict[str, Any]] = {
    "dont_randomize": True,
    # A silent server is noticed after two unanswered pings, in 4 to 6 s; a closed connection is opened again at once.
    "ping_interval": 2,
    "max_outstanding_pings": 2,
    "connect_timeout": 1,
    "reconnect_time_wait": 0.25,
    "max_reconnect_attempts": -1,
    # What is sent while there is no connection fails at once instead of happening at some later time.
    "pending_size": 0,
}
"""For `Client.connect`."""


def bound_sends(client: Client) -> None:
    """Sets `SEND_TIMEOUT_MS` on the client's socket; to be called after each connect and reconnect."""
    writer = getattr(client._transport, "_bare_io_writer", None)
    connection = writer.get_extra_info("socket") if writer is not None else None
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SEND_TIMEOUT_MS)
