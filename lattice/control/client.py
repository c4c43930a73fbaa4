"""Talks to a running host over the socket in its data folder."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import TracebackType
from typing import Any

from lattice import errors
from lattice.control.local_socket import LINE_BYTES_MAX, connect

CONNECT_S_MAX = 5.0
"""The socket is on this machine: a host that does not accept in this time is stuck."""


class LocalClient:
    """`async with LocalClient(folder) as client: await client.ask("hosts")`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> LocalClient:
        """Raises `errors.ConfigError` when no host runs with this folder."""
        try:
            connection = await asyncio.to_thread(connect, self._folder, CONNECT_S_MAX)
        except OSError as error:
            raise errors.ConfigError(
                f"no host runs with the data folder {self._folder}",
                remedy="start one with lattice up, or name its folder with --data or its manifest with --manifest",
            ) from error
        self._streams = await asyncio.open_unix_connection(sock=connection, limit=LINE_BYTES_MAX)
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def ask(self, command: str, arguments: dict[str, Any] | None = None, timeout_s: float = 10.0) -> Any:
        """The reply as JSON data. Raises the host's own error; `errors.DeadlineExceeded` after `timeout_s`."""
        assert self._streams is not None  # used inside `async with`
        reader, writer = self._streams
        line = json.dumps({"command": command, "arguments": arguments or {}}).encode() + b"\n"
        if len(line) > LINE_BYTES_MAX:
            raise errors.PayloadTooLarge(f"a request of {len(line)} bytes; at most {LINE_BYTES_MAX} are sent")
        try:
            async with asyncio.timeout(timeout_s):
                writer.write(line)
                await writer.drain()
                reply = await reader.readline()
        except TimeoutError as error:
            raise errors.DeadlineExceeded(f"the host did not answer {command} within {timeout_s:g} s") from error
        except (ConnectionError, ValueError) as error:
            raise errors.ProviderUnavailable(f"the connection to the host broke: {error}") from error
        if not reply.endswith(b"\n"):
            raise errors.ProviderUnavailable("the host ended the connection", remedy="it may be stopping")
        answer = json.loads(reply)
        if answer["success"]:
            return answer["response"]
        type_ = errors.error_classes().get(answer.get("code", ""), errors.LatticeError)
        raise type_(answer["message"], remedy=answer.get("remedy", ""))
