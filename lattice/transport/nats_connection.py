"""One connection to NATS: made, watched, ended. Everything that depends on how nats-py behaves is here.

What was found by trying: its `flush` ends the reading task when it times out, so `ping` sends a message to itself; it
waits for a dead socket to empty before it connects elsewhere, so the kernel is told to give up (`bound_sends`); it
forgets sockets on which no server greeted, and those that do not empty when it closes, so they are dropped here
(`_drop`); closing after a failed start can raise; it retries refused logins for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import nats.errors
from nats.aio.client import Client, RawCredentials, Server

from lattice import errors
from lattice.security import keys
from lattice.tasks import end_all
from lattice.transport.settings import NatsSettings, shown

_log = logging.getLogger("lattice.nats")

PING_S, PINGS_UNANSWERED_MAX = 2, 2
"""A silent server is noticed after 4 to 6 s; the servers' own settings have to be as short (docs/guides/nats.md)."""
SEND_TIMEOUT_MS = 3000
"""Sent and not acknowledged by the other kernel for so long: the connection is dead."""
CONNECT_S_MAX = 1.0
RETRY_S = 0.25
SAY_FIRST_S = 1.0
SAY_EVERY_S = 5.0
CLOSE_S_MAX = 2.0
_CREDS = re.compile(r"-{5}BEGIN ([A-Z ]+)-{5}\s*(\S+)\s*-{5,6}END \1-{5,6}")
_CREDENTIALS = """-----BEGIN NATS USER JWT-----
{token}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
"""


class Hooks(msgspec.Struct, frozen=True):
    """What a connection reports of itself: lost, back, ended for good, and any error."""

    lost: Callable[[Client], Awaitable[None]]
    back: Callable[[Client], Awaitable[None]]
    ended: Callable[[Client], Awaitable[None]]
    failed: Callable[[Client, Exception], Awaitable[None]]


async def first(settings: NatsSettings, hooks: Hooks, timeout_s: float | None) -> Client:
    """Connects to the first server that takes it; tries them all until `timeout_s` is over, None: for ever.

    Raises `errors.Unreachable` then, and at once `errors.ConfigError` for what trying again does not mend.
    """
    return await _opened(settings, settings.urls, hooks, timeout_s)


async def only(url: str, settings: NatsSettings, hooks: Hooks) -> Client:
    """Connects to one of several servers now, or raises; later it may reconnect to any of them."""
    client = await _opened(settings, (url,), hooks, 2 * CONNECT_S_MAX)
    with contextlib.suppress(nats.errors.Error):
        client.set_server_pool(list(settings.urls))
    return client


async def _opened(settings: NatsSettings, urls: tuple[str, ...], hooks: Hooks, timeout_s: float | None) -> Client:
    client = Client()
    loop = asyncio.get_running_loop()
    trouble = _Trouble()
    options = _options(settings, client, hooks, trouble)
    connecting = asyncio.create_task(client.connect(list(urls), **options), name="nats-connect")
    fatal = asyncio.create_task(trouble.fatal.wait(), name="nats-refused")
    end = None if timeout_s is None else loop.time() + timeout_s
    say_s = SAY_FIRST_S
    try:
        while not connecting.done():
            wait_s = say_s if end is None else min(say_s, end - loop.time())
            if wait_s <= 0:
                raise errors.Unreachable(_nobody(settings, trouble), remedy="check that nats-server runs there")
            await asyncio.wait((connecting, fatal), timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            if trouble.fatal.is_set() and not connecting.done():
                raise _refused(settings, trouble.last)
            if not connecting.done() and end is None:
                _log.warning("%s; trying on", _nobody(settings, trouble))
                say_s = SAY_EVERY_S
        await connecting
    except BaseException as error:
        await end_all((connecting,), again_s=RETRY_S)
        await close(client)
        if isinstance(error, ssl.SSLError | nats.errors.Error | OSError) and not isinstance(error, TimeoutError):
            raise _refused(settings, error) from error
        raise
    finally:
        fatal.cancel()
    trouble.connected = True
    bound_sends(client)
    return client


class _Trouble:
    """What went wrong while connecting."""

    def __init__(self) -> None:
        self.last: BaseException | None = None
        self.fatal = asyncio.Event()
        self.connected = False

    def note(self, error: BaseException) -> None:
        self.last = error
        refused = isinstance(error, nats.errors.AuthorizationError | ssl.SSLCertVerificationError)
        if refused or "authorization violation" in str(error).lower() or "secure connection" in str(error).lower():
            self.fatal.set()


def _nobody(settings: NatsSettings, trouble: _Trouble) -> str:
    why = f" ({trouble.last or type(trouble.last).__name__})" if trouble.last is not None else ""
    return f"no NATS server answers at {', '.join(settings.shown)}{why}"


def _refused(settings: NatsSettings, error: BaseException | None) -> errors.ConfigError:
    said = str(error or "refused").removeprefix("nats: ")
    remedy = "check the user, password, token, --creds or --nkey, and what the server's configuration permits"
    if isinstance(error, ssl.SSLError) or "secure connection" in said.lower():
        remedy = "use tls:// and name the authority of its certificate with --tls-ca"
    return errors.ConfigError(f"NATS at {', '.join(settings.shown)} refuses the connection: {said}", remedy=remedy)


def _options(settings: NatsSettings, client: Client, hooks: Hooks, trouble: _Trouble) -> dict[str, Any]:
    async def failed(error: Exception) -> None:
        if trouble.connected:
            await hooks.failed(client, error)
        else:
            trouble.note(error)

    async def lost() -> None:
        if trouble.connected:
            await hooks.lost(client)

    async def back() -> None:
        await hooks.back(client)

    async def ended() -> None:
        if trouble.connected:
            await hooks.ended(client)

    options: dict[str, Any] = {
        "name": settings.name or "nanolattice",
        "error_cb": failed,
        "disconnected_cb": lost,
        "reconnected_cb": back,
        "closed_cb": ended,
        "dont_randomize": True,
        "ping_interval": PING_S,
        "max_outstanding_pings": PINGS_UNANSWERED_MAX,
        "connect_timeout": CONNECT_S_MAX,
        "reconnect_time_wait": RETRY_S,
        "max_reconnect_attempts": -1,
        "pending_size": 0,
        "reconnect_to_server_handler": _NextServer(settings, client),
        **_login(settings),
    }
    context = tls_context(settings)
    if context is not None:
        options["tls"] = context
    return options


class _NextServer:
    """Which server to try: those that were given, in their order, beginning after the one that was lost; then others
    that the cluster has told of."""

    def __init__(self, settings: NatsSettings, client: Client) -> None:
        self._given = [shown(url) for url in settings.urls]
        self._client = client
        self._reconnects = -1
        self._tries = 0

    def __call__(self, servers: list[Server], _info: dict[str, Any]) -> tuple[Server | None, float]:
        _drop(self._client)
        if self._client.stats["reconnects"] != self._reconnects:
            self._reconnects, self._tries = self._client.stats["reconnects"], 0
            current = self._client._current_server  # the last one; `connected_url` is None while reconnecting
            self._lost = shown(current.uri.geturl()) if current is not None else ""
        ordered = sorted(servers, key=lambda server: self._rank(shown(server.uri.geturl())))
        chosen = ordered[self._tries % len(ordered)]
        wait_s = RETRY_S if self._tries >= len(ordered) else 0.0
        self._tries += 1
        return chosen, wait_s

    def _rank(self, url: str) -> tuple[int, int]:
        if url not in self._given:
            return 1, 0
        place = self._given.index(url)
        if self._lost in self._given and place <= self._given.index(self._lost):
            return 0, place + len(self._given)
        return 0, place


def tls_context(settings: NatsSettings) -> ssl.SSLContext | None:
    """None where no URL asks for TLS and no file was named. Raises `errors.ConfigError` for unusable files."""
    wanted = any(urlsplit(url).scheme == "tls" for url in settings.urls)
    if not wanted and settings.tls_ca is None and settings.tls_cert is None:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
        if settings.tls_cert is not None:
            context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise errors.ConfigError(f"a TLS file for NATS cannot be used: {error}") from error
    return context


def _login(settings: NatsSettings) -> dict[str, Any]:
    if settings.creds is not None or settings.nkey_seed is not None:
        token, pair = _read_login(settings)
        if token is None:
            return {"nkeys_seed_str": pair.seed}
        return {"user_credentials": RawCredentials(_CREDENTIALS.format(token=token, seed=pair.seed))}
    login = {"user": settings.user, "password": settings.password, "token": settings.token}
    return {name: value for name, value in login.items() if value}


def _read_login(settings: NatsSettings) -> tuple[str | None, keys.KeyPair]:
    """The JWT, if there is one, and the key. Raises `errors.ConfigError`; messages hold no secret."""
    path: Path = settings.creds or settings.nkey_seed or Path()
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.ConfigError(f"the login for NATS cannot be read from {path}: {error}") from error
    if settings.creds is None:
        return None, keys.from_seed(text.strip())
    blocks = dict(_CREDS.findall(text))
    token, seed = blocks.get("NATS USER JWT"), blocks.get("USER NKEY SEED")
    if token is None or seed is None:
        raise errors.ConfigError(
            f"{path} is not a credentials file",
            remedy="it holds a NATS USER JWT and a USER NKEY SEED, as nsc writes them",
        )
    return token, keys.from_seed(seed)


def bound_sends(client: Client) -> None:
    """Sets `SEND_TIMEOUT_MS` on the connection's socket; to be called after each connect and reconnect."""
    writer = getattr(client._transport, "_bare_io_writer", None)
    found = writer.get_extra_info("socket") if writer is not None else None
    if found is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SEND_TIMEOUT_MS)


async def accepts(url: str) -> bool:
    """Whether a NATS server greets at `url`."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(CONNECT_S_MAX):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 4222)
            try:
                return (await reader.readline()).startswith(b"INFO ")
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False


async def ping(client: Client, timeout_s: float) -> None:
    """Returns when the server has seen all that was sent before. Raises `errors.Unreachable`."""
    back = asyncio.Event()

    async def received(_message: Any) -> None:
        back.set()

    inbox = f"_INBOX.{secrets.token_hex(8)}"
    try:
        async with asyncio.timeout(timeout_s):
            subscription = await client.subscribe(inbox, cb=received)
            await client.publish(inbox, b"")
            await back.wait()
            await subscription.unsubscribe()
    except (TimeoutError, nats.errors.Error, OSError) as error:
        raise errors.Unreachable(f"the NATS server did not answer within {timeout_s:g} s") from error


async def close(client: Client) -> None:
    """Ends a connection, whatever state it is in."""
    try:
        async with asyncio.timeout(CLOSE_S_MAX):
            await client.close()
    except (TimeoutError, AssertionError, AttributeError, nats.errors.Error, OSError) as error:
        _log.debug("while closing: %s", error or type(error).__name__)
    _drop(client)


def _drop(client: Client) -> None:
    """Closes the socket at once, where there is one, with what was not sent. It may be closed already."""
    for name in ("_io_writer", "_bare_io_writer"):  # the same one without TLS
        writer = getattr(client._transport, name, None)
        if writer is not None:
            writer.transport.abort()
