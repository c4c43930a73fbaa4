"""A network in memory with its stores and clients, in virtual time."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from lattice.testing import clock
from lattice.testing.memory_store import Cluster
from lattice.testing.memory_transport import MemoryTransport
from lattice.testing.network import Network
from lattice.transport.transport import Delivery

SITES = ("east", "west", "witness")


class Site:
    """A network and clients by name; `heard` has what each got, in order."""

    def __init__(self) -> None:
        self.network = Network(SITES, random.Random(1))  # the same each time
        self.cluster = Cluster(self.network)
        self.heard: dict[str, list[bytes]] = {}

    def client(self, name: str, site: str) -> MemoryTransport:
        others = (other for other in SITES if other != site)
        return MemoryTransport(self.network, self.cluster, name, (site, *others))

    async def listener(self, name: str, site: str, subject: str, queue: str = "") -> MemoryTransport:
        client, got = self.client(name, site), self.heard.setdefault(name, [])

        def receive(delivery: Delivery) -> None:
            got.append(delivery.payload)

        await client.subscribe(subject, receive, queue=queue)
        return client


def simulated(test: Callable[[Site], Awaitable[None]]) -> Callable[[], None]:
    """Runs an asynchronous test in virtual time, with a network of its own."""

    def run() -> None:
        async def main() -> None:
            await test(Site())

        clock.run(main)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
