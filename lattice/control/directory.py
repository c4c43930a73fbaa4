"""Which hosts have what, by key: kept up to date from inventories, asked for each call that leaves this host."""

from __future__ import annotations

from collections.abc import Sequence

from lattice.control.state import HostSeen

REMEMBER_S = 30.0
"""How long a key is known after its last copy went: callers wait for a replacement that long, and no longer."""
REMEMBERED_MAX = 100_000


class Index:
    """Hosts by key, and what is known of each key."""

    def __init__(self) -> None:
        self._hosts: dict[str, list[str]] = {}
        self._contracts: dict[str, str] = {}
        self._applications: dict[str, str] = {}
        self._aliases: dict[str, str] = {}
        self._gone: dict[str, float] = {}

    def replace(self, old: HostSeen, new: HostSeen, now: float) -> None:
        """Takes what a host had out, and what it has in. Both are of the same host."""
        before, after = old.items, new.items
        for key in before.keys() - after.keys():
            hosts = self._hosts.get(key, [])
            if old.key in hosts:
                hosts.remove(old.key)
            if not hosts:
                self._hosts.pop(key, None)
                self._remember(key, now)
        for key in after.keys() - before.keys():
            self._hosts.setdefault(key, []).append(new.key)
            self._gone.pop(key, None)
        for key, item in after.items():
            self._applications[key] = item.application
        for provider in new.providers.values():
            self._contracts[provider.key] = provider.contract
        for actor in new.actors.values():
            if actor.alias:
                self._aliases[actor.alias] = actor.key

    def _remember(self, key: str, now: float) -> None:
        if len(self._gone) >= REMEMBERED_MAX:
            self._gone.clear()
        self._gone[key] = now

    def hosts_of(self, key: str) -> Sequence[str]:
        return self._hosts.get(key, ())

    def was_seen(self, key: str, now: float) -> bool:
        since = self._gone.get(key)
        return since is not None and now - since < REMEMBER_S

    def find(self, name: str) -> str | None:
        """The key of an actor that goes by this key or alias somewhere."""
        if name in self._hosts and not self._contracts.get(name):
            return name
        key = self._aliases.get(name)
        return key if key is not None and (key in self._hosts or key in self._gone) else None

    def contract_of(self, key: str) -> str:
        return self._contracts.get(key, "")

    def application_of(self, key: str) -> str:
        return self._applications.get(key, "")
