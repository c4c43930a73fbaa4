"""`lattice up --workers N`: N hosts on this machine, one lattice, one HTTP port; kept running by this process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from lattice.child import end_with_parent
from lattice.tasks import end_all

if TYPE_CHECKING:
    from lattice.control.lattice_client import LatticeClient
    from lattice.control.manifest import Application, Component
    from lattice.host import HostSettings
    from lattice.security.settings import SecuritySettings
    from lattice.supervisor import Installed
    from lattice.transport.nats import NatsTransport
    from lattice.transport.settings import NatsSettings

_log = logging.getLogger("lattice.workers")

WORKERS_MAX = 256
STOP_S_MAX = 40.0
"""A worker drains for up to 30 s."""
BACKOFF_S_MIN, BACKOFF_S_MAX = 0.5, 10.0
LOOK_S = 0.1
HEALTHY_S = 10.0
"""A worker that ran for so long and ended starts again at once."""
HTTP_SERVER = "http-server"
WORKERS = "workers"
"""The folder of their data, and their context."""
TOLD = {
    *("LATTICE_DATA", "LATTICE_NATS_URL", "LATTICE_NATS_CREDS", "LATTICE_NAME", "LATTICE_CONTEXT"),
    *("LATTICE_SECURITY", "LATTICE_TRUST", "LATTICE_ALLOW_UNSIGNED", "LATTICE_CLUSTER_KEY"),
}


def spread_over_workers(application: Application, installed: Installed) -> Application:
    """The application as N equal hosts run it: actors on each of them, and each provider of which several copies are as
    good as one; others, such as a database in a file or a timer, once. The HTTP servers share their port."""

    def spread(component: Component) -> Component:
        provider = component.image.name if component.image.kind == "builtin" else ""
        if provider and not installed.type(provider).replicable:
            return component
        scaling = msgspec.structs.replace(component.scaling, on_every_host=True, replicas=1, spread=())
        config = {**component.config, "reuse_port": "true"} if provider == HTTP_SERVER else component.config
        return msgspec.structs.replace(component, scaling=scaling, config=config)

    return msgspec.structs.replace(application, components=tuple(map(spread, application.components)))


class Worker:
    """One child process: `lattice host`."""

    def __init__(self, number: int, settings: HostSettings, reached_by: dict[str, str], options: list[str]) -> None:
        """`reached_by` is the environment that says where the lattice is, `options` what all workers are told."""
        self.name = f"{settings.name}-{number}" if settings.name else f"worker-{number}"
        labels = {**settings.labels, "worker": str(number)}
        self._command = [
            *(sys.executable, "-m", "lattice", "host", "--name", self.name, *options),
            *("--data", str(settings.data / WORKERS / str(number))),
            *(word for key, value in labels.items() for word in ("--label", f"{key}={value}")),
        ]
        self._reached_by = reached_by
        self._process: subprocess.Popen[bytes] | None = None
        self.restarts = 0

    def start(self) -> None:
        # What this process was told by variables, its workers are told by their options and contexts.
        environment = {key: value for key, value in os.environ.items() if key not in TOLD}
        environment |= self._reached_by
        self._process = subprocess.Popen(  # noqa: S603  # this program, own arguments
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environment,
            preexec_fn=end_with_parent(),  # one system call
            start_new_session=True,  # Ctrl-C is for the parent, which asks its workers to drain
        )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def keep(self) -> None:
        """Starts it again whenever it ends, until cancelled."""
        backoff_s = BACKOFF_S_MIN
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            await asyncio.sleep(LOOK_S)
            if self.running:
                continue
            if loop.time() - began > HEALTHY_S:
                backoff_s = BACKOFF_S_MIN
            _log.error("%s ended; starting it again in %g s", self.name, backoff_s)
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
            self.restarts += 1
            began = loop.time()
            self.start()

    def hang_up(self) -> None:
        """Passes on that what is trusted is to be read again."""
        if self._process is not None and self.running:
            self._process.send_signal(signal.SIGHUP)

    async def stop(self) -> bool:
        """Asks it to drain and waits; False when it had to be ended."""
        if self._process is None:
            return True
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._process.wait, STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._process.wait() == 0


async def serve_workers(
    count: int,
    settings: HostSettings,
    nats: NatsSettings | None,
    port: int,
    options: list[str],
    stopping: asyncio.Event,
    ready: Callable[[LatticeClient, NatsTransport], Awaitable[None]],
    read_again: Callable[[], SecuritySettings] | None = None,
) -> bool:
    """Runs `count` workers, each as `settings` and `options` say, until `stopping` is set. `nats` None is the embedded
    server, at `port` (0: any). `ready` is called when all have joined, `read_again` on SIGHUP, which goes on to the
    workers. Returns False when draining cut calls off."""
    from lattice.cli.context import save_for_children
    from lattice.cli.serve import embedded_server, reload_on_hangup, unless
    from lattice.control.lattice_client import LatticeClient
    from lattice.control.local import LocalServer
    from lattice.transport.nats import connect
    from lattice.transport.settings import NatsSettings

    async with contextlib.AsyncExitStack() as stack:
        clients: list[LatticeClient] = []

        async def answer(command: str, arguments: dict[str, Any]) -> Any:
            return await clients[0].ask(command, arguments)

        data, lattice = settings.data, settings.lattice
        control = LocalServer(data, answer)
        await control.start()
        stack.push_async_callback(control.close)
        if nats is None:
            server = await stack.enter_async_context(embedded_server(data, port, lattice))
            nats = NatsSettings(urls=(server.url,))
        transport = await connect(nats)
        stack.push_async_callback(transport.close)
        clients.append(LatticeClient(transport, lattice, settings.security.cluster.signing))
        reached_by = save_for_children(data / WORKERS / "config", WORKERS, lattice, nats)
        workers = [Worker(number, settings, reached_by, options) for number in range(1, count + 1)]
        keeping: list[asyncio.Task[None]] = []
        try:

            def trust(security: SecuritySettings) -> None:
                clients[0].sign_by(security.cluster.signing)
                for worker in workers:
                    worker.hang_up()

            reload_on_hangup(read_again, trust)
            for worker in workers:
                worker.start()
                keeping.append(asyncio.create_task(worker.keep(), name=worker.name))

            async def begin() -> None:
                await _until_joined(clients[0], workers)
                await ready(clients[0], transport)

            await unless(stopping, begin())
            await stopping.wait()
        finally:
            await end_all(keeping)
            ended = await asyncio.gather(*(worker.stop() for worker in workers))
    return all(ended)


async def _until_joined(client: LatticeClient, workers: list[Worker]) -> None:
    from lattice import errors

    wanted = {worker.name for worker in workers}
    while True:
        try:
            if wanted <= {host["friendly_name"] for host in await client.hosts()}:
                return
        except errors.Unreachable:
            await asyncio.sleep(LOOK_S)
