"""How a lattice grows, simulated: `lattice_scale.py [HOSTS ACTORS LINKS]...`, e.g. `50 1000 10000 1000 100 100`.

Each three numbers are one run in a process of its own: hosts join, applications of 100 actors with two copies each are
deployed, with links from actors to a provider. Printed as JSON, one row a line: until all copies run and every host
knows it (in the lattice's time), what each host sends and receives in a quiet second, and memory for each host.
Everything that decides is the real thing; see docs/guides/simulation.md for what is simulated.
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from lattice.control.manifest.records import Scaling  # noqa: E402  # needs the path above
from lattice.control.state import Wanted  # noqa: E402
from lattice.links import Link  # noqa: E402
from lattice.testing import clock  # noqa: E402
from lattice.testing.network import now  # noqa: E402
from lattice.testing.simulation import Simulation, deployed  # noqa: E402

DEFAULT = ("10", "200", "2000", "50", "1000", "10000", "200", "1000", "1000")
PER_APPLICATION = 100
COPIES = 2
QUIET_S = 10.0
CONVERGED_S_MAX = 300.0


def application(number: int, actors: int, links: int) -> tuple[tuple[Wanted, ...], tuple[Link, ...]]:
    name = f"application{number}"
    common: dict[str, Any] = {"application": name, "version": "v1"}
    wanted = [
        Wanted(
            key=f"actor{number}-{place}",
            name=f"actor{place}",
            kind="actor",
            image=f"file:///actor{place}.wasm",
            scaling=Scaling(replicas=COPIES),
            **common,
        )
        for place in range(actors)
    ]
    provider = Wanted(
        key=f"provider{number}",
        name="provider",
        kind="provider",
        image="builtin://provider",
        contract="test:contract",
        scaling=Scaling(replicas=COPIES),
        **common,
    )
    joined = tuple(
        Link(
            source=wanted[place % actors].key,
            target=provider.key,
            contract="test:contract",
            name=f"link{place // actors}",
        )
        for place in range(links)
    )
    return (*wanted, provider), joined


def _converged(simulation: Simulation, copies: int, links: int) -> bool:
    """Whether all copies run, every host has the links, and no host misses a copy."""
    there = 0
    for host in simulation.hosts.values():
        assert host.executor is not None
        there += sum(actor.count for actor in host.executor.actors()) + len(host.executor.providers())
        if host.executor.links != links:
            return False
    if there != copies:
        return False
    for host in simulation.hosts.values():
        assert host.joined is not None
        seen = host.joined.peers.observed.hosts.values()
        told = sum(actor.count for one in seen for actor in one.actors.values())
        if told + sum(len(one.providers) for one in seen) != copies:
            return False
    return True


async def scale(hosts: int, actors: int, links: int) -> dict[str, Any]:
    simulation, began = Simulation(hosts, seed=1), time.monotonic()
    empty = _resident()
    await simulation.start()
    joined_s = now()
    entry = next(iter(simulation.hosts.values()))
    applications = max(1, actors // PER_APPLICATION)
    started = now()
    for number in range(applications):
        wanted, joins = application(number, actors // applications, links // applications)
        assert await simulation.change(wanted[0].application, deployed("v1", wanted, joins, "deploy"), entry)
    copies, joins_all = (actors // applications + 1) * applications * COPIES, links // applications * applications
    while not _converged(simulation, copies, joins_all):
        if now() - started > CONVERGED_S_MAX:
            raise SystemExit(f"not converged within {CONVERGED_S_MAX:g} s")
        await asyncio.sleep(0.5)
    converged_s = now() - started
    traffic = simulation.network.traffic
    before = traffic.messages, traffic.bytes, traffic.deliveries
    await asyncio.sleep(QUIET_S)
    after = traffic.messages, traffic.bytes, traffic.deliveries
    sent, size, received = ((late - early) / QUIET_S / hosts for early, late in zip(before, after, strict=True))
    memory_mb = (_resident() - empty) / hosts
    row = {
        "what": f"simulated: {hosts:,} hosts, {actors:,} actors, {links:,} links",
        "value": f"{converged_s:.1f} s; each {received:,.0f} messages/s in, {memory_mb:.1f} MB",
        "hosts": hosts,
        "actors": actors,
        "links": links,
        "joined_s": round(joined_s, 1),
        "converged_s": round(converged_s, 1),
        "sent_messages_per_host_s": round(sent, 1),
        "sent_bytes_per_host_s": round(size),
        "received_messages_per_host_s": round(received),
        "memory_per_host_mb": round(memory_mb, 2),
        "took_s": round(time.monotonic() - began),
    }
    await simulation.close()
    return row


def _resident() -> float:
    """The most that this process had in memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    given = sys.argv[1:] or list(DEFAULT)
    if len(given) == 4 and given[0] == "--here":
        logging.getLogger("lattice").setLevel(logging.CRITICAL)
        hosts, actors, links = map(int, given[1:])
        print(json.dumps(clock.run(lambda: scale(hosts, actors, links))), flush=True)
        return
    for place in range(0, len(given), 3):
        subprocess.run([sys.executable, __file__, "--here", *given[place : place + 3]], check=True)


if __name__ == "__main__":
    main()
