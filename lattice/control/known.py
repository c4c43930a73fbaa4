"""What a host knows of what is not on it, by the inventories of others and the claims that the lattice keeps. Policy
and grants look here; `parties` has what is on the host itself."""

from __future__ import annotations

from lattice.control.claims import KeptClaims
from lattice.control.local_executor import BUILTIN
from lattice.control.peers import Peers
from lattice.control.state import ActorSeen, HostSeen
from lattice.security import keys
from lattice.security.claims import Claims
from lattice.security.policy import Party


class Known:
    """An `Elsewhere`."""

    def __init__(self, peers: Peers, kept: KeptClaims) -> None:
        self._peers = peers
        self._kept = kept

    def claims(self, key: str) -> Claims | None:
        return self._kept.of(key)

    def seen(self, key: str, host: str) -> Party | None:
        hosts = self._peers.observed.hosts
        there = hosts.get(host) if host else self._any(key)
        if there is None:
            there = hosts.get(key)
        if there is None:
            return None
        if there.key == key:
            if not keys.resembles(key, "host"):
                return None  # somebody said that it is a host
            return Party(key=key, kind="host", name=there.name, labels=there.labels)
        item = there.items.get(key)
        if item is None:
            return Party(key=key, kind="actor", labels=there.labels)
        actor = isinstance(item, ActorSeen)
        return Party(
            key=key,
            kind="actor" if actor else "provider",
            name=item.name if actor else item.image.removeprefix(BUILTIN),
            application=item.application,
            image=item.image,
            labels=there.labels,
        )

    def _any(self, key: str) -> HostSeen | None:
        copies = self._peers.copies(key)
        return self._peers.observed.hosts.get(copies[0]) if copies else None
