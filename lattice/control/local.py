"""The host's end of the local socket: one host for each data folder, and answers for its owner."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from lattice import errors
from lattice.control.local_socket import LINE_BYTES_MAX, SOCKET_NAME, listen
from lattice.tasks import end_all

CONNECTIONS_MAX = 32
"""Commands of one person at once; more are told to come back."""
IDLE_S_MAX = 300.0
"""How long a connection may stay without a request; `--watch` asks every second."""

Answer: TypeAlias = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""(command, arguments) -> JSON data. Raises `errors.LatticeError`."""


class LocalServer:
    """Owns a data folder (`start` locks it) and answers on the socket in it."""

    def __init__(self, folder: Path, answer: Answer) -> None:
        self._folder = folder
        self._answer = answer
        self._lock: int | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises `errors.ConfigError` when the folder cannot be used or another host has it."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            listening = listen(self._folder)
        except BlockingIOError as error:
            self._unlock()
            raise errors.ConfigError(
                f"another lattice up uses the data folder {self._folder}",
                remedy="end it first, or give this one a folder of its own with --data",
            ) from error
        except OSError as error:
            self._unlock()
            raise errors.ConfigError(
                f"the data folder {self._folder} cannot be used: {error.strerror or error}",
                remedy="choose another with --data",
            ) from error
        self._server = await asyncio.start_unix_server(self._connected, sock=listening, limit=LINE_BYTES_MAX)

    async def close(self) -> None:
        """Ends every connection and gives the folder free."""
        if self._server is not None:
            self._server.close()
            await end_all(self._connections)
            self._server = None
            with contextlib.suppress(OSError):
                (self._folder / SOCKET_NAME).unlink()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="local-control")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(self._connections) > CONNECTIONS_MAX:
                refusal = errors.Overloaded(f"more than {CONNECTIONS_MAX} connections", remedy="try again")
                await _write(writer, _failure(refusal))
                return
            while True:
                async with asyncio.timeout(IDLE_S_MAX):
                    line = await reader.readline()
                if not line.endswith(b"\n"):
                    return
                await _write(writer, await self._reply(line))
        except (TimeoutError, ConnectionError, ValueError):
            return  # idle, gone, or a line over the limit: nobody to tell
        finally:
            writer.close()

    async def _reply(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            command, arguments = request["command"], request.get("arguments") or {}
            if not isinstance(command, str) or not isinstance(arguments, dict):
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return _failure(errors.MalformedMessage("a request is {command: text, arguments: mapping}"))
        try:
            return {"success": True, "message": "", "response": await self._answer(command, arguments)}
        except errors.LatticeError as error:
            return _failure(error)


def _failure(error: errors.LatticeError) -> dict[str, Any]:
    return {"success": False, "message": str(error), "code": error.code, "remedy": error.remedy, "response": None}


async def _write(writer: asyncio.StreamWriter, reply: dict[str, Any]) -> None:
    line = json.dumps(reply).encode() + b"\n"
    if len(line) > LINE_BYTES_MAX:
        line = json.dumps(_failure(errors.PayloadTooLarge(f"a reply of {len(line)} bytes"))).encode() + b"\n"
    writer.write(line)
    async with asyncio.timeout(IDLE_S_MAX):
        await writer.drain()
