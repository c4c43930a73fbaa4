"""Clouds on one machine: a nats-server and hosts for each, one stretched JetStream cluster, and a network between them
that can be cut or slowed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from lattice import errors
from lattice.child import end_with_parent
from lattice.drills.proxy import Proxy
from lattice.nats_server.config import ServerConfig
from lattice.nats_server.server import NatsServer, free_port

READY_S_MAX = 60.0
"""Of a host; the first on a machine compiles."""
STOP_S_MAX = 40.0
LOOK_S = 0.05
CLUSTER = "drill"


class HostProcess:
    """`lattice host` as a child process."""

    def __init__(
        self, name: str, cloud: str, labels: dict[str, str], urls: list[str], lattice: str, folder: Path
    ) -> None:
        self.name = name
        self.cloud = cloud
        self.labels = {"cloud": cloud, **labels}
        self.key = ""
        self._folder = folder / name
        self._command = [
            *(sys.executable, "-m", "lattice", "host", "--nats", ",".join(urls), "--lattice", lattice, "--name", name),
            *itertools.chain.from_iterable(("--label", f"{key}={value}") for key, value in self.labels.items()),
            *("--data", str(self._folder), "-o", "json"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Returns when it has joined. Raises `errors.ConfigError` with its log when it does not."""
        self._folder.mkdir(parents=True, exist_ok=True)
        said = self._folder / "ready.json"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LATTICE_")}
        environment |= {key: os.environ[key] for key in ("LATTICE_CACHE", "LATTICE_DEBUG") if key in os.environ}
        with open(said, "wb") as out, open(self._folder / "host.log", "ab") as log:  # noqa: ASYNC230  # takes no time
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603  # does not wait; this program
                self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=environment,
                preexec_fn=end_with_parent(), start_new_session=True,
            )  # fmt: skip
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_S_MAX
        while True:
            with contextlib.suppress(ValueError, OSError):
                self.key = json.loads(said.read_text())["host_id"]
                return
            if not self.running or loop.time() > deadline:
                self.kill()
                tail = (self._folder / "host.log").read_text(errors="replace")[-1000:]
                raise errors.ConfigError(f"the host {self.name} did not join: {tail}")
            await asyncio.sleep(LOOK_S)

    def kill(self) -> None:
        """kill -9: nothing is flushed, nobody is told."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def pause(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> bool:
        """SIGTERM; False when it had to be killed."""
        if not self.running or self._process is None:
            return True
        self._process.send_signal(signal.SIGTERM)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_S_MAX
        while self.running and loop.time() < deadline:
            await asyncio.sleep(LOOK_S)
        if self.running:
            self.kill()
            return False
        return True


class Clouds:
    """Named clouds, the last of which may be a witness: a server that only votes."""

    def __init__(self, folder: Path, clouds: tuple[str, ...], witness: str, lattice: str = "drill") -> None:
        self.lattice = lattice
        self.clouds = clouds
        self.sites = (*clouds, witness) if witness else clouds
        self._folder = folder
        self.servers: dict[str, NatsServer] = {}
        self.hosts: dict[str, HostProcess] = {}
        self._routes: dict[tuple[str, str], Proxy] = {}
        """Between servers: from the first, which connects, to the second."""
        self._ways: dict[tuple[str, str], Proxy] = {}
        """From the hosts of a cloud to another site's server."""

    async def start_servers(self, *, store_bytes_max: int = 0) -> None:
        """One cluster over all sites, each pair joined by one route that leads through a proxy."""
        ports = {site: (free_port(), free_port()) for site in self.sites}
        # In a ring: each of up to three sites has one route to begin with, which JetStream asks for.
        for first, second in zip(self.sites, (*self.sites[1:], self.sites[0]), strict=True):
            self._routes[first, second] = await self._proxy(ports[second][1])
        for cloud in self.clouds:
            for site in self.sites:
                if site != cloud:
                    self._ways[cloud, site] = await self._proxy(ports[site][0])
        for site in self.sites:
            routes = [f"nats://127.0.0.1:{proxy.port}" for (one, _), proxy in self._routes.items() if one == site]
            config = ServerConfig(
                name=f"{site}-{os.getpid()}",
                port=ports[site][0],
                store=self._folder / site / "jetstream",
                cluster=CLUSTER,
                cluster_port=ports[site][1],
                routes=tuple(routes),
                no_gossip=True,
                store_bytes_max=store_bytes_max,
            )
            self.servers[site] = NatsServer(config, self._folder / site)
        await asyncio.gather(*(server.start() for server in self.servers.values()))

    async def _proxy(self, port: int) -> Proxy:
        proxy = Proxy(port)
        await proxy.start()
        return proxy

    def urls(self, cloud: str) -> list[str]:
        """How hosts of a cloud reach NATS: their own server directly, the others over the network between."""
        away = [f"nats://127.0.0.1:{self._ways[cloud, site].port}" for site in self.sites if site != cloud]
        return [self.servers[cloud].url, *away]

    def add_host(self, name: str, cloud: str, labels: dict[str, str]) -> HostProcess:
        host = HostProcess(name, cloud, labels, self.urls(cloud), self.lattice, self._folder)
        self.hosts[name] = host
        return host

    def hosts_of(self, cloud: str) -> list[HostProcess]:
        return [host for host in self.hosts.values() if host.cloud == cloud]

    def cut(self, cloud: str) -> None:
        """Cuts a cloud off from all other sites. No connection is closed: both sides hear nothing."""
        for proxy in self._around(cloud):
            proxy.cut()

    def heal(self, cloud: str) -> None:
        for proxy in self._around(cloud):
            proxy.heal()

    def slow(self, delay_s: float) -> None:
        """Adds a delay between all sites."""
        for proxy in (*self._routes.values(), *self._ways.values()):
            proxy.delay_s = delay_s

    def _around(self, cloud: str) -> list[Proxy]:
        pairs = [*self._routes.items(), *self._ways.items()]
        return [proxy for pair, proxy in pairs if cloud in pair]

    async def stop(self) -> list[str]:
        """Ends everything; returns the names of hosts that did not end by themselves."""
        for proxy in (*self._routes.values(), *self._ways.values()):
            proxy.heal()
        for host in self.hosts.values():
            host.resume()
        ended = await asyncio.gather(*(host.stop() for host in self.hosts.values()))
        await asyncio.gather(*(server.stop() for server in self.servers.values()))
        for proxy in (*self._routes.values(), *self._ways.values()):
            await proxy.stop()
        return [host.name for host, well in zip(self.hosts.values(), ended, strict=True) if not well]
