"""A TCP proxy that can fall silent: bytes stop, connections stay. A partition without a FIN, without being root."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from lattice import errors
from lattice.tasks import end_all

CHUNK_BYTES = 64 * 1024
UNDERWAY_BYTES_MAX = 4 * 1024 * 1024
"""What one direction holds while it is delayed or cut, as a network and its buffers would; then the sender waits."""
CONNECT_S_MAX = 5.0


class Proxy:
    """Forwards a port of this machine to another. `delay_s` is added in each direction, whatever the rate."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.delay_s = 0.0
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listens at `port`, which is chosen now. Raises `errors.ConfigError`."""
        try:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        except OSError as error:
            raise errors.ConfigError(f"a proxy cannot listen: {error.strerror or error}") from error
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def is_cut(self) -> bool:
        return not self._open.is_set()

    def cut(self) -> None:
        """From now on nothing comes through, and nobody is told: neither of bytes nor of ends that close."""
        self._open.clear()

    def heal(self) -> None:
        """What was held comes through, also ends that closed meanwhile."""
        self._open.set()

    async def stop(self) -> None:
        """Closes every connection."""
        if self._server is not None:
            self._server.close()
        await end_all(self._tasks)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._forward(reader, writer), name=f"proxy:{self.target_port}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(writer.close)
            await self._open.wait()
            try:
                async with asyncio.timeout(CONNECT_S_MAX):
                    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            except (OSError, TimeoutError):
                return
            stack.callback(far_writer.close)
            directions = [
                asyncio.create_task(_Direction(self, reader, far_writer).run()),
                asyncio.create_task(_Direction(self, far_reader, writer).run()),
            ]
            try:
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end_all(directions)

    async def opened(self) -> None:
        await self._open.wait()


class _Direction:
    """Bytes from a reader to a writer, each chunk at its own time, in their order."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._underway: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """Ends when the reader's end has closed and everything before that was delivered."""
        taking = asyncio.create_task(self._take())
        try:
            await self._give()
        except OSError:
            # The writer's end is gone, of which the reader's must not learn while the way is cut.
            await self._proxy.opened()
        finally:
            await end_all((taking,))

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        data = b"some"
        while data:
            while self._bytes >= UNDERWAY_BYTES_MAX:
                self._moved.clear()
                await self._moved.wait()
            try:
                data = await self._reader.read(CHUNK_BYTES)
            except OSError:
                data = b""
            self._underway.append((loop.time() + self._proxy.delay_s, data))
            self._bytes += len(data)
            self._moved.set()

    async def _give(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._underway:
                self._moved.clear()
                await self._moved.wait()
            due, data = self._underway.popleft()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            await self._proxy.opened()
            if not data:
                return
            self._bytes -= len(data)
            self._moved.set()
            self._writer.write(data)
            await self._writer.drain()
