"""The socket of one running host: where it is and what goes over it.

A unix socket in the host's data folder, for its owner only (mode 0600). Requests and replies are lines of JSON:
`{"command": str, "arguments": {...}}` and `{"success": bool, "message": str, "response": ...}`; a failure also has
`code` and `remedy`. A connection may ask again after each reply.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

SOCKET_NAME = "control.sock"
LINE_BYTES_MAX = 32 * 1024 * 1024
"""One request or reply: a payload of 16 MiB, the default limit of actors, as base64 and some room."""
ADDRESS_BYTES_MAX = 100
"""Kernels take socket addresses of 104 or 108 bytes."""


@contextlib.contextmanager
def address(folder: Path) -> Iterator[str]:
    """The socket's address while it is used. Long paths are reached through the folder's descriptor, as on Linux a
    short path leads to it."""
    path = str(folder / SOCKET_NAME)
    if len(os.fsencode(path)) <= ADDRESS_BYTES_MAX:
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)


def listen(folder: Path) -> socket.socket:
    """A listening socket in `folder`, in place of one that a crashed host left. Raises `OSError`."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The mode goes on before the socket has a name: nobody else can connect in between.
        os.fchmod(server.fileno(), 0o600)
        with address(folder) as path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            server.bind(path)
            os.chmod(path, 0o600)
        server.listen()
        server.setblocking(False)
    except BaseException:
        server.close()
        raise
    return server


def connect(folder: Path, timeout_s: float) -> socket.socket:
    """A connection to the host that runs with `folder`. Raises `OSError`."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.settimeout(timeout_s)
        with address(folder) as path:
            client.connect(path)
        client.setblocking(False)
    except BaseException:
        client.close()
        raise
    return client
