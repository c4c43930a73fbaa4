"""One address: its sockets, its sweep, its end."""

from __future__ import annotations

import asyncio
import errno
import resource
import ssl

from lattice import errors
from lattice.provider import Context
from lattice.tasks import end_all
from lattice_http_server.connection import LINGER_S, Connection
from lattice_http_server.service import Service
from lattice_http_server.settings import Address, ServerSettings

SWEEP_S = 0.5
"""How often timeouts are looked at; more often when one of them is short."""
SETTLE_S = 0.05
"""While draining: how long requests that are already on their way may still arrive."""
FILES_SPARE = 128
"""Open files left to the rest of the process: databases, logs, the lattice."""


class Listener:
    """Serves one address from `open` to `close`."""

    def __init__(
        self, address: Address, settings: ServerSettings, context: Context, tls: ssl.SSLContext | None
    ) -> None:
        self.address = address
        self._settings = settings
        self._context = context
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._bound: list[Address] = []
        self.service = Service(settings, self._connections_max(), context.log)

    async def open(self) -> None:
        """Listens. Raises `errors.ConfigError` that names the address."""
        loop = asyncio.get_running_loop()
        settings = self._settings
        try:
            self._server = await loop.create_server(
                lambda: Connection(self.service),
                self.address.host or None,
                self.address.port,
                backlog=settings.backlog,
                ssl=self._tls,
                ssl_handshake_timeout=settings.tls_handshake_timeout if self._tls else None,
                ssl_shutdown_timeout=LINGER_S if self._tls else None,
                reuse_port=settings.reuse_port or None,
            )
        except OSError as error:
            raise self._cannot_listen(error) from error
        names = [socket.getsockname() for socket in self._server.sockets]
        self._bound = [Address(name[0], name[1]) for name in names]
        self._sweeper = self._context.spawn(self._sweep(), f"sweep {self.address.text}")

    def urls(self) -> list[str]:
        """Where each route can be reached: its own host if it names one, else the address."""
        scheme = "https" if self._tls else "http"
        found: dict[str, None] = {}
        for bound in self._bound:
            for route in self.service.routes.routes:
                host = route.host if route.host and "*" not in route.host else _reachable(bound.host)
                path = route.path if route.path.isascii() else "/"
                found[f"{scheme}://{Address(host.strip('[]'), bound.port).text}{path}"] = None
        return list(found)

    @property
    def is_serving(self) -> bool:
        return self._server is not None and self._server.is_serving()

    async def drain(self) -> None:
        """Accepts nothing new and returns when every request that arrived is answered."""
        if self._server is None or self.service.draining:
            return
        self.service.draining = True
        await asyncio.sleep(SETTLE_S)
        self._server.close()
        for connection in list(self.service.connections):
            connection.drain()
        while self.service.connections:
            self.service.emptied.clear()
            await self.service.emptied.wait()

    async def close(self) -> None:
        """Ends everything at once; `drain` comes before when there is time."""
        if self._server is not None:
            self._server.close()
        tasks = [connection.task for connection in self.service.connections if connection.task is not None]
        for connection in list(self.service.connections):
            connection.abort()
        if self._sweeper is not None:
            tasks.append(self._sweeper)
        await end_all(tasks)
        self._server = None

    async def _sweep(self) -> None:
        settings = self._settings
        shortest = min(
            settings.header_timeout, settings.body_timeout, settings.idle_timeout, settings.write_timeout, SWEEP_S * 4
        )
        while True:
            await asyncio.sleep(shortest / 4)
            self.service.sweep()

    def _connections_max(self) -> int:
        """The setting, or what the limit on open files leaves of it."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = files - FILES_SPARE if files != resource.RLIM_INFINITY else self._settings.connections_max
        if room >= self._settings.connections_max:
            return self._settings.connections_max
        self._context.log.warning(
            "%s takes %d connections and not %d: this process may open %d files; raise it with ulimit -n",
            *(self.address.text, max(room, 1), self._settings.connections_max, files),
        )
        return max(room, 1)

    def _cannot_listen(self, error: OSError) -> errors.ConfigError:
        text = self.address.text
        remedy = "set another `address`"
        if error.errno == errno.EADDRINUSE:
            what = "it is in use"
            remedy = "stop the program that listens there, set another `address`, or set `reuse_port` in both"
        elif error.errno == errno.EACCES:
            what, remedy = "this user may not use that port", "take a port from 1024 on"
        elif error.errno == errno.EADDRNOTAVAIL:
            what = "this machine does not have that address"
        else:
            what = error.strerror or str(error)
        return errors.ConfigError(f"cannot listen on {text}: {what}", remedy=remedy)


def _reachable(host: str) -> str:
    """An address that means every interface, as one that can be asked for."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared with, not bound
