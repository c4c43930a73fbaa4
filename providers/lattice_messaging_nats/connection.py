"""One connection to NATS, kept up by the client library, and its failures in this project's words."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import nats.errors
import nats.js.errors
from lattice_nats import CONNECT_OPTIONS, bound_sends
from nats.aio.client import Client

from lattice.errors import CallError, ConfigError, PayloadTooLarge, ProviderError, ProviderUnavailable, TargetUnknown

Result = TypeVar("Result")

CLOSE_S_MAX = 2.0
CONNECTIONS_MAX = 64
"""Different addresses of one provider. Each holds a connection and buffers; more is a manifest gone wrong."""

_SECRET = re.compile(r"(?<=://)[^/@,]*@")


class Connection:
    """Connected to one of the servers named in `url`. Subscriptions come back by themselves after a reconnect."""

    def __init__(self, url: str, log: logging.Logger) -> None:
        self.url = url
        self.shown = _SECRET.sub("", url)
        self.client = Client()
        self.uses = 0
        self._log = log
        self._problem = ""
        self._waiting: set[asyncio.Task[Any]] = set()

    async def open(self, timeout_s: float) -> None:
        """Raises `ProviderUnavailable` when no server answers in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.client.connect(
                    [part.strip() for part in self.url.split(",")],
                    name="nanolattice messaging",
                    error_cb=self._note,
                    disconnected_cb=self._lost,
                    reconnected_cb=self._connected,
                    **CONNECT_OPTIONS,
                )
        except BaseException as error:
            await self.close()
            if isinstance(error, TimeoutError | OSError | ValueError | nats.errors.Error):
                raise ProviderUnavailable(
                    f"nats at {self.shown} cannot be reached: {self._problem or error or type(error).__name__}",
                    remedy="is the server running, and are the address and the credentials right?",
                ) from error
            raise
        await self._connected()

    async def close(self) -> None:
        with contextlib.suppress(TimeoutError, nats.errors.Error, OSError):
            async with asyncio.timeout(CLOSE_S_MAX):
                await self.client.close()

    def check(self) -> None:
        """Raises `ProviderUnavailable` while there is no connection."""
        if not self.client.is_connected:
            raise ProviderUnavailable(
                f"nats at {self.shown} cannot be reached: {self._problem or 'not connected'}",
                remedy="is the server running?",
            )

    async def ask(self, work: Coroutine[Any, Any, Result], what: str) -> Result:
        """Waits for an answer of the server, but not past the loss of the connection. Errors are ours."""
        task: asyncio.Task[Result] = asyncio.ensure_future(work)
        self._waiting.add(task)
        try:
            await asyncio.wait([task])
        finally:
            self._waiting.discard(task)
            task.cancel()
        if task.cancelled():
            raise ProviderUnavailable(f"the connection to nats at {self.shown} was lost during {what}")
        with self.translated(what):
            return task.result()

    @contextlib.contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Around a use of the client; `what` names it in errors."""
        try:
            yield
        except (TimeoutError, OSError, nats.errors.Error) as error:
            raise self._in_our_words(what, error) from error

    def _in_our_words(self, what: str, error: Exception) -> CallError:
        where = f"nats at {self.shown}"
        match error:
            case nats.js.errors.NoStreamResponseError():
                return ProviderError(f"{where}: no stream takes {what}", remedy="add the subject to a stream")
            case nats.js.errors.ServiceUnavailableError():
                return ProviderUnavailable(f"{where} cannot store {what} now: {error.description}")
            case nats.js.errors.APIError():
                return ProviderError(f"{where} refuses {what}: {error.description}")
            case nats.errors.NoRespondersError():
                return TargetUnknown(f"nobody answers {what}")
            case nats.errors.MaxPayloadError():
                return PayloadTooLarge(f"{what} is over {self.client.max_payload} bytes, the limit of {where}")
            case TimeoutError():
                return ProviderUnavailable(f"{where} did not answer {what} in time; it may have happened")
            case _:
                return ProviderUnavailable(f"{where} failed in {what}: {error or type(error).__name__}")

    async def _note(self, error: Exception) -> None:
        problem = str(error) or type(error).__name__
        if problem != self._problem:  # it comes with every attempt to connect, eight times a second
            self._log.warning("nats at %s: %s", self.shown, problem)
        self._problem = problem

    async def _lost(self) -> None:
        for task in list(self._waiting):
            task.cancel()

    async def _connected(self) -> None:
        self._problem = ""
        bound_sends(self.client)


class Connections:
    """One connection for each address, opened for the first link that needs it and closed after the last."""

    def __init__(self, make: Callable[[str], Connection], timeout_s: float) -> None:
        self._make = make
        self._timeout_s = timeout_s
        self._open: dict[str, Connection] = {}
        # Two links made at once must not open two connections to one address.
        self._lock = asyncio.Lock()

    async def acquire(self, url: str) -> Connection:
        async with self._lock:
            found = self._open.get(url)
            if found is None:
                if len(self._open) >= CONNECTIONS_MAX:
                    raise ConfigError(
                        f"more than {CONNECTIONS_MAX} different url settings on the links of one provider"
                    )
                found = self._make(url)
                await found.open(self._timeout_s)
                self._open[url] = found
            found.uses += 1
            return found

    async def release(self, connection: Connection) -> None:
        async with self._lock:
            connection.uses -= 1
            if not connection.uses and self._open.get(connection.url) is connection:
                del self._open[connection.url]
                await connection.close()

    def all(self) -> list[Connection]:
        return list(self._open.values())

    async def close(self) -> None:
        async with self._lock:
            for connection in self._open.values():
                await connection.close()
            self._open.clear()
