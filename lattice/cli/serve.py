"""One host process that has joined a lattice, from its start to its end: for `lattice host` and `lattice up --nats`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from lattice import errors
from lattice.tasks import end_all

if TYPE_CHECKING:
    from lattice.host import Host, HostSettings
    from lattice.nats_server.server import NatsServer
    from lattice.security.settings import SecuritySettings
    from lattice.transport.nats import NatsTransport
    from lattice.transport.settings import NatsSettings

_log = logging.getLogger("lattice.host")

T = TypeVar("T")

EMBEDDED = "embedded"
EXIT_AT_ONCE = 130
STORE_RETRY_S = 2.0


def loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on this platform; the standard loop does the same, slower
        return None
    return uvloop.Loop


def require_drained(drained: bool) -> None:
    if not drained:
        raise errors.DeadlineExceeded("some calls had not ended when the time to drain was over; they were cut off")


def stop_on_signals() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; a second one ends the process at once."""
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            os._exit(EXIT_AT_ONCE)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    return stopping


def reload_on_hangup(read: Callable[[], SecuritySettings] | None, apply: Callable[[SecuritySettings], None]) -> None:
    """SIGHUP reads again what is trusted. A file with a mistake in it changes nothing. `read` None, where no file was
    given, leaves the signal alone: it also comes when a terminal is closed."""
    if read is None:
        return

    def on_hangup() -> None:
        try:
            apply(read())
        except errors.ConfigError as error:
            _log.error("%s; this host trusts what it did before", error)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_hangup)


@asynccontextmanager
async def embedded_server(data: Path, port: int, name: str) -> AsyncIterator[NatsServer]:
    """The bundled nats-server with its data under `data`, kept running. Raises `errors.ConfigError`."""
    from lattice.nats_server.config import ServerConfig
    from lattice.nats_server.server import NatsServer, free_port

    folder = data.absolute() / "nats"  # noqa: ASYNC240  # looks at no file
    config = ServerConfig(name=f"{name}-{os.getpid()}", port=port or free_port(), store=folder / "jetstream")
    server = NatsServer(config, folder)
    await server.start()
    keeping = asyncio.create_task(server.run(), name="nats-server")
    try:
        yield server
    finally:
        await end_all((keeping,))
        await server.stop()


async def serve_lattice(
    settings: HostSettings,
    nats: NatsSettings | None,
    port: int,
    stopping: asyncio.Event,
    ready: Callable[[Host, NatsTransport, str], Awaitable[None]],
    read_again: Callable[[], SecuritySettings] | None = None,
) -> bool:
    """Joins, calls `ready`, and leaves when `stopping` is set. `nats` None is the embedded server, at `port` (0: any).
    `read_again` reads on SIGHUP what is trusted.

    Returns False when draining cut calls off. Raises what keeps a host from joining for good.
    """
    from lattice.cli.logs import keep_out
    from lattice.control.local import LocalServer
    from lattice.host import Host
    from lattice.transport.nats import connect
    from lattice.transport.settings import NatsSettings

    drained = True
    async with contextlib.AsyncExitStack() as stack:
        host: Host | None = None

        async def answer(command: str, arguments: dict[str, Any]) -> Any:
            if host is None:
                raise errors.Unreachable("this host has not joined its lattice yet", remedy="its log says why")
            return await host.agent.answer(command, arguments)

        def trust(security: SecuritySettings) -> None:
            nonlocal settings
            if host is not None:
                host.reload(security)
            settings = msgspec.structs.replace(settings, security=security)

        # Before the server is there too: the signal would end this process.
        reload_on_hangup(read_again, trust)
        control = LocalServer(settings.data, answer)
        await control.start()  # first: it locks the data folder
        stack.push_async_callback(control.close)
        if nats is None:
            server = await stack.enter_async_context(embedded_server(settings.data, port, settings.lattice))
            nats = NatsSettings(urls=(server.url,))
        nats = msgspec.structs.replace(nats, name=f"lattice host {settings.name}".strip())
        transport = await unless(stopping, connect(nats, timeout_s=None))
        if transport is None:
            return True
        stack.push_async_callback(transport.close)
        if await unless(stopping, _stored(transport, settings.lattice)) is None:
            return True
        host = Host(settings, transport)
        keep_out(host.redactor)
        assert host.joined is not None, "it was given a transport"
        asked: list[float] = []

        def stop(timeout_s: float | None) -> None:
            if timeout_s is not None:
                asked.append(timeout_s)
            stopping.set()

        host.joined.stop_requested = stop
        try:
            await unless(stopping, host.start())
            if not stopping.is_set():
                await unless(stopping, ready(host, transport, nats.shown[0]))
            await stopping.wait()
        finally:
            _log.info("draining")
            drained = await host.stop(asked[0] if asked else None)
    _log.info("stopped")
    return drained


async def _stored(transport: NatsTransport, lattice: str) -> bool:
    """Waits until the lattice's buckets can be opened: servers elect who keeps them, some seconds after their start."""
    from lattice import subjects

    while True:
        try:
            await transport.bucket(subjects.manifest_bucket(lattice))
            return True
        except (errors.StoreUnavailable, errors.Unreachable) as error:
            _log.warning("%s; trying on", error)
            await asyncio.sleep(STORE_RETRY_S)


async def unless(stopping: asyncio.Event, work: Awaitable[T]) -> T | None:
    """The result of `work`, or None when `stopping` was set first and ended it."""
    doing = asyncio.ensure_future(work)
    stop = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((doing, stop), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        await end_all((doing,))
        ended_well = not doing.cancelled() and doing.exception() is None
        return doing.result() if ended_well else None  # what it has made is the caller's to close
    finally:
        stop.cancel()
