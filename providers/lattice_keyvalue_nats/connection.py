"""One connection to NATS, kept up by the client library, and its failures in this project's words."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import nats.errors
import nats.js.errors
from lattice_keyvalue.shared import without_password
from lattice_nats import CONNECT_OPTIONS, bound_sends
from nats.aio.client import Client
from nats.js import JetStreamContext

from lattice.errors import CallError, ConfigError, PayloadTooLarge, ProviderError, ProviderUnavailable

OUT_OF_ROOM = (10023, 10047, 10077, 10122)
"""Error codes of JetStream: insufficient resources, storage exceeded, a limit of the stream reached."""
TOO_LARGE = (10054,)
IN_PROCESS = 10158
"""The leader has a message of this id that the others have not taken yet; nobody has been told anything."""
ATTEMPT_S_MAX = 1.0
"""Until a question without an answer is asked again. A leader that was cut off takes it and is silent."""
PAUSE_S = 0.05
"""Between attempts when nobody is there to answer."""

Answer = TypeVar("Answer")


class NatsConnection:
    """Connected to one of the servers named in `url` (separated by commas, in order of preference)."""

    def __init__(self, url: str, credentials: str, domain: str, timeout_s: float, log: logging.Logger) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self.publish_prefix = f"$JS.{domain}.API." if domain else ""
        """Before subjects of messages for a stream in another domain; those for its API have theirs by themselves."""
        self._name = without_password(url)
        self._credentials = credentials
        self._log = log
        self._client = Client()
        self._problem = ""
        self.jetstream: JetStreamContext = self._client.jetstream(
            timeout=timeout_s, **({"domain": domain} if domain else {})
        )

    async def open(self) -> None:
        """Raises `ProviderUnavailable` when no server answers in time, `ConfigError` for credentials of no use."""
        options: dict[str, Any] = {"user_credentials": self._credentials} if self._credentials else {}
        if self._credentials and not os.access(self._credentials, os.R_OK):
            raise ConfigError(f"credentials: the file {self._credentials} cannot be read", remedy="correct the path")
        try:
            servers = [part.strip() for part in self.url.split(",")]
            for server in servers:
                _ = urlsplit(server).port  # ValueError: the client library would fail in its own clean-up
            async with asyncio.timeout(self.timeout_s):
                await self._client.connect(
                    servers,
                    name="nanolattice keyvalue",
                    error_cb=self._note,
                    reconnected_cb=self._connected,
                    **CONNECT_OPTIONS,
                    **options,
                )
        except (ImportError, ValueError) as error:
            # Found before anything was opened, so there is nothing to close.
            raise ConfigError(
                f"nats at {self._name}: {error}", remedy="check url; for credentials install the package nkeys"
            ) from error
        except BaseException as error:
            await self.close()
            if isinstance(error, TimeoutError | OSError | nats.errors.Error):
                raise ProviderUnavailable(
                    f"nats at {self._name} cannot be reached: {self._problem or error or type(error).__name__}",
                    remedy="is the server running?",
                ) from error
            raise
        await self._connected()

    async def close(self) -> None:
        await self._client.close()

    async def ping(self) -> None:
        """Asks JetStream for an answer. Raises `ProviderUnavailable`.

        Not by `flush`: one that timed out makes the client library stop reading when its answer comes after all.
        """
        if not self._client.is_connected:
            raise self._away()
        with self.translated("the health check"):
            await self.jetstream.account_info()

    async def _note(self, error: Exception) -> None:
        problem = str(error) or type(error).__name__
        if problem != self._problem:  # it comes with every attempt to connect, eight times a second
            self._log.warning("nats at %s: %s", self._name, problem)
        self._problem = problem

    async def _connected(self) -> None:
        self._problem = ""
        bound_sends(self._client)

    async def ask(self, question: Callable[[], Awaitable[Answer]], deadline: float) -> Answer:
        """Asks again while nobody answers, because a leader is being chosen or the client connects, until `deadline`,
        a time of the loop. A `question` has to mean the same when it arrives twice. Raises what the last one raised.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                if not self._client.is_connected:
                    raise self._away()
                async with asyncio.timeout_at(min(deadline, loop.time() + ATTEMPT_S_MAX)):
                    return await question()
            except (TimeoutError, OSError, nats.errors.Error, ProviderUnavailable) as error:
                if not _is_silence(error) or loop.time() + PAUSE_S >= deadline:
                    raise
            await asyncio.sleep(PAUSE_S)

    def _away(self) -> ProviderUnavailable:
        return ProviderUnavailable(
            f"nats at {self._name} cannot be reached: {self._problem or 'not connected'}",
            remedy="is the server running?",
        )

    @contextlib.contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Around a use of the client; `what` names it in errors."""
        try:
            yield
        except (TimeoutError, OSError, nats.errors.Error) as error:
            raise self._in_our_words(what, error) from error

    def _in_our_words(self, what: str, error: Exception) -> CallError:
        where = f"nats at {self._name}"
        match error:
            case nats.js.errors.APIError() if error.err_code in OUT_OF_ROOM:
                return ProviderUnavailable(f"{where} has no room for {what}: {error.description}")
            case nats.js.errors.NoStreamResponseError() | nats.js.errors.ServiceUnavailableError():
                return ProviderUnavailable(f"{where} has nobody to answer {what}: the bucket has no leader, or is gone")
            case nats.js.errors.APIError() if error.err_code in TOO_LARGE:
                return PayloadTooLarge(f"{where} refuses {what}: {error.description}")
            case nats.js.errors.APIError():
                return ProviderError(f"{where} refuses {what}: {error.description}")
            case nats.errors.MaxPayloadError():
                return PayloadTooLarge(f"{what} is over {self._client.max_payload} bytes, the limit of {where}")
            case TimeoutError():
                return ProviderUnavailable(f"{where} did not answer {what} within {self.timeout_s:g} s")
            case _:
                return ProviderUnavailable(f"{where} failed in {what}: {error or type(error).__name__}")


def _is_silence(error: BaseException) -> bool:
    """Nobody answered, in one way or another."""
    match error:
        case nats.js.errors.APIError():
            away = isinstance(error, nats.js.errors.ServiceUnavailableError) and error.err_code not in OUT_OF_ROOM
            return away or error.err_code == IN_PROCESS
        case nats.errors.MaxPayloadError():
            return False
    return True
