"""What a lattice promises, checked on a simulated one: what holds at any time, and what when all is whole again."""

from __future__ import annotations

from collections import Counter

from lattice.control.state import ActorSeen, Desired, Seen, Wanted
from lattice.testing.network import now
from lattice.testing.simulated_host import SimulatedHost
from lattice.testing.simulation import Simulation


class OneEpochOneHolder:
    """No two hosts ever believe to hold the lease of one epoch. Of different epochs, hosts obey the newer."""

    def __init__(self) -> None:
        self._holders: dict[int, str] = {}
        self.broken: list[str] = []

    @property
    def epochs(self) -> int:
        return len(self._holders)

    def look(self, simulation: Simulation) -> None:
        for host in simulation.hosts.values():
            epoch = host.joined.lease.epoch if host.joined is not None and host.alive else 0
            if epoch and self._holders.setdefault(epoch, host.name) != host.name:
                self.broken.append(
                    f"at {now():.2f} s {self._holders[epoch]} and {host.name} both hold the lease of epoch {epoch}"
                )
                self._holders[epoch] = host.name


def differences(simulation: Simulation) -> list[str]:
    """What is not yet as it shall be in a lattice in which nothing is broken; nothing when all is well."""
    ready = list(simulation.ready())
    found = [f"{host.name} has not joined" for host in simulation.hosts.values() if not host.ready]
    if not ready:
        return found
    found += _views(ready)
    wanted = _desired(ready[0])
    found += copies_missing(simulation, wanted)
    for host in ready:
        if host.joined is not None and (actions := host.joined.reconciler.planned().actions):
            found.append(f"{host.name} would still {actions[0].kind} {actions[0].key} on {actions[0].host}")
        if host.executor is not None and host.executor.links != len(wanted.links):
            found.append(f"{host.name} has {host.executor.links} links of {len(wanted.links)}")
    return found


def _views(ready: list[SimulatedHost]) -> list[str]:
    """Hosts that know other hosts, or another state, than the rest."""
    found = []
    keys = {host.key for host in ready}
    digests = Counter(host.joined.store.digest for host in ready if host.joined is not None)
    if len(digests) > 1:
        found.append(f"hosts want different things: {dict(digests)}")
    for host in ready:
        assert host.joined is not None
        seen = host.joined.peers.observed.hosts
        if set(seen) != keys:
            found.append(f"{host.name} sees {sorted(seen)}")
            continue
        for other in ready:
            assert other.executor is not None
            believed = {*map(_shown, seen[other.key].items.values())}
            if believed != set(map(_shown, _items(other))):
                found.append(f"{host.name} believes that {other.name} runs {sorted(believed)}")
    return found


def _desired(host: SimulatedHost) -> Desired:
    assert host.joined is not None
    return host.joined.store.desired


def copies_missing(simulation: Simulation, desired: Desired) -> list[str]:
    """Components of which there are not as many as asked, or of another version, and things nobody asked for."""
    counts: Counter[str] = Counter()
    found = []
    ready = list(simulation.ready())
    for host in ready:
        for item in _items(host):
            counts[item.key] += item.count if isinstance(item, ActorSeen) else 1
            wanted = desired.wanted.get(item.key)
            if wanted is not None and item.fingerprint != wanted.fingerprint:
                found.append(f"{host.name} runs another version of {item.key}")
    for key, wanted in desired.wanted.items():
        asked = _asked(wanted, len(ready))
        if counts[key] != asked:
            found.append(f"{key} runs {counts[key]} times and was asked for {asked} times")
    return found + [f"nobody asked for {key}" for key in counts.keys() - desired.wanted.keys()]


def _items(host: SimulatedHost) -> list[Seen]:
    assert host.executor is not None
    return [*host.executor.actors(), *host.executor.providers()]


def _shown(item: Seen) -> tuple[str, str, int]:
    return item.key, item.fingerprint, item.count if isinstance(item, ActorSeen) else 1


def _asked(wanted: Wanted, hosts: int) -> int:
    each = wanted.scaling.replicas
    if wanted.scaling.on_every_host:
        return hosts * (1 if wanted.kind == "provider" else each)
    return min(each, hosts) if wanted.kind == "provider" else each
