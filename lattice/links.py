"""Who may call whom, and under which name. Pure: a table of frozen records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from lattice import errors
from lattice.secretref import SecretRef

DEFAULT_LINK = "default"


class Link(msgspec.Struct, frozen=True):
    """A permission to call: `source` may call `target` with `contract`, and calls that `name`.

    One end is an actor and the other a provider, or both are actors: then the contract is an interface that the target
    exports, or what else the two agreed on, or "" for calls by key or alias. `source_config` is for the source
    when that is a provider (a route, a subscription, a schedule), `target_config` for the target when that is one
    (an address, a bucket, a root). Values are strings, as in every tool that writes links. `source_secrets` and
    `target_secrets` stand for further values, which the host of that end looks up when it links.

    `operations` are patterns of the only operations that pass; without any all do. `granted_by` is the key of the actor
    by whose authority the source calls, "" for the source's own: `grants` says what that takes.
    """

    source: str
    target: str
    contract: str
    name: str = DEFAULT_LINK
    source_config: dict[str, str] = {}
    target_config: dict[str, str] = {}
    granted_by: str = ""
    operations: tuple[str, ...] = ()
    source_secrets: tuple[SecretRef, ...] = ()
    target_secrets: tuple[SecretRef, ...] = ()

    def __str__(self) -> str:
        what = self.contract or "calls"
        return f"{self.source} -> {self.target} ({what}, link name {self.name!r})"

    def __repr__(self) -> str:
        """Without its configuration: in the link that a provider gets, secrets have become values."""
        return f"Link({self})"

    @property
    def configures_source(self) -> bool:
        """Whether it is a route, which its source tells apart from others by its configuration."""
        return bool(self.source_config or self.source_secrets)


class LinkTable:
    """The links of one host, found by what a caller says.

    Invariant: at most one link for each (source, contract, name) of an actor; a provider may have one for each target.
    """

    def __init__(self) -> None:
        self._links: dict[tuple[str, str, str, str], Link] = {}
        self._by_caller: dict[tuple[str, str, str], Link] = {}
        self._pairs: dict[tuple[str, str, str], dict[str, Link]] = {}

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._links.values()))

    def __len__(self) -> int:
        return len(self._links)

    def put(self, link: Link) -> Link | None:
        """Adds or replaces a link; returns the one that it replaces."""
        key = (link.source, link.contract, link.name, link.target)
        replaced = self._links.get(key)
        self._links[key] = link
        self._by_caller[key[:3]] = link
        self._pairs.setdefault((link.source, link.target, link.contract), {})[link.name] = link
        return replaced

    def delete(self, link: Link) -> Link | None:
        """Takes a link away; returns it, or None when it was not there."""
        key = (link.source, link.contract, link.name, link.target)
        removed = self._links.pop(key, None)
        if removed is None:
            return None
        pair = (removed.source, removed.target, removed.contract)
        del self._pairs[pair][removed.name]
        if not self._pairs[pair]:
            del self._pairs[pair]
        if self._by_caller.get(key[:3]) is removed:
            del self._by_caller[key[:3]]
            for other in self._links.values():
                if (other.source, other.contract, other.name) == key[:3]:
                    self._by_caller[key[:3]] = other
        return removed

    def find(self, source: str, contract: str, name: str) -> Link | None:
        """The link an actor means by (contract, link name)."""
        return self._by_caller.get((source, contract, name))

    def require(self, source: str, contract: str, name: str, shown: str) -> Link:
        """Like `find`; raises `errors.NotLinked` that names what the source, `shown` to people, does have."""
        link = self._by_caller.get((source, contract, name))
        if link is None:
            names = sorted(other.name for other in self if (other.source, other.contract) == (source, contract))
            hint = f"; it has one under {', '.join(map(repr, names))}" if names else ""
            raise errors.NotLinked(
                f"{shown} has no link for {contract} under the name {name!r}{hint}",
                remedy="add a link trait to the actor's component in the manifest",
            )
        return link

    def connected(self, one: str, other: str, contract: str) -> bool:
        """Whether a link of this contract joins the two, in either direction: a provider calls back along its links."""
        return (one, other, contract) in self._pairs or (other, one, contract) in self._pairs

    def between(self, source: str, target: str, contract: str) -> Mapping[str, Link]:
        """The links of this contract from the one to the other, by link name."""
        return self._pairs.get((source, target, contract), {})

    def of(self, key: str) -> list[Link]:
        """Every link that starts or ends at `key`."""
        return [link for link in self._links.values() if key in (link.source, link.target)]
