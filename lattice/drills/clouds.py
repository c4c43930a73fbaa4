"""Clouds on one machine: a nats-server and hosts for each, one stretched JetStream cluster, and a network between them
that can be cut or slowed."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path

import msgspec

from lattice.drills.host_process import HostProcess
from lattice.drills.proxy import Proxy
from lattice.nats_server.config import ServerConfig
from lattice.nats_server.server import NatsServer, free_port
from lattice.nats_server.topologies import Site, stretch

CLUSTER = "drill"
NOWHERE = "127.0.0.1:9"
"""Advertised by every server: what servers and clients learn of each other must not lead around the proxies. Nobody
listens at the port of the discard service."""


class Clouds:
    """Named clouds and, unless it is "", a witness: a server that only votes. At least three sites in all."""

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
        """One cluster over all sites. Every pair of sites has proxies of its own, so that a cut takes nothing else
        along. Raises `errors.ConfigError`."""
        sites = [
            Site(
                name=site,
                address="127.0.0.1",
                host="127.0.0.1",
                port=free_port(),
                cluster_port=free_port(),
                store=self._folder / site / "jetstream",
            )
            for site in self.sites
        ]
        for one, other in itertools.permutations(sites, 2):
            self._routes[one.name, other.name] = await _proxy(other.cluster_port)
            if one.name in self.clouds:
                self._ways[one.name, other.name] = await _proxy(other.port)

        def route(one: Site, other: Site) -> str:
            return f"nats://127.0.0.1:{self._routes[one.name, other.name].port}"

        for site, config in stretch(sites, cluster=CLUSTER, route=route).items():
            self.servers[site] = NatsServer(_apart(config, store_bytes_max), self._folder / site)
        await asyncio.gather(*(server.start() for server in self.servers.values()))

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

    def slow(self, delay_s: float, cloud: str = "") -> None:
        """Adds a delay in each direction between all sites, or between one and the others."""
        for proxy in self._around(cloud) if cloud else (*self._routes.values(), *self._ways.values()):
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


async def _proxy(port: int) -> Proxy:
    proxy = Proxy(port)
    await proxy.start()
    return proxy


def _apart(config: ServerConfig, store_bytes_max: int) -> ServerConfig:
    """As the server of a drill: under a name of this run, and reached by nobody but through proxies."""
    assert config.cluster is not None, "it is one of a cluster"
    cluster = msgspec.structs.replace(config.cluster, advertise=NOWHERE, private_clients=True)
    return msgspec.structs.replace(
        config, name=f"{config.name}-{os.getpid()}", cluster=cluster, store_bytes_max=store_bytes_max
    )
