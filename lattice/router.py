"""Finds who answers a call: the only module that knows what is here. It never retries and never looks at a payload.

A guest names its target by a contract, an actor's key or a call alias, in this order: a built-in contract, a link of
the caller, a key, an alias. A provider that calls an actor names the target itself, along a link that joins the two.
A link with a contract may lead to an actor too, which then answers what a provider of that contract would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeAlias

import msgspec

from lattice import errors
from lattice.invocation import EntityId, Handler, Invocation
from lattice.links import Link, LinkTable
from lattice.security.keys import resembles

ROUTES_MAX = 100_000
"""Remembered resolutions; names come from guests, so the table is emptied when it is full."""


InPieces: TypeAlias = Callable[[str], bool]
"""Whether a handler takes the bodies of an operation in pieces, as `Invocation.bodies`."""


def whole(_operation: str) -> bool:
    """The rule of what takes whole messages."""
    return False


class Route(msgspec.Struct, frozen=True):
    """Where a call goes: who answers, by which handler."""

    target: EntityId
    handler: Handler
    in_pieces: InPieces = whole


Elsewhere: TypeAlias = Callable[[EntityId], Handler]
"""A handler that calls a target on another host."""


class Directory(Protocol):
    """Which hosts of the lattice have what. All of it is what one host knows at the moment."""

    def copies(self, key: str) -> Sequence[str]:
        """The other hosts that answer for an actor or provider, the one to ask first at the front."""

    def knows(self, key: str) -> bool:
        """Whether it is somewhere, was a moment ago, or shall be."""

    def find(self, name: str) -> str | None:
        """The key of the actor with this key or alias."""

    def contract_of(self, key: str) -> str:
        """A provider's contract, "" for an actor."""

    def application_of(self, key: str) -> str:
        """The application it is part of, "" for none."""

    def is_host(self, key: str) -> bool: ...

    def avoid(self, host: str) -> None:
        """A caller could not reach this host: others come first for a moment."""

    def on_change(self, changed: Callable[[], None]) -> None:
        """`changed` is called when it may be another host that has something, or another thing that is there."""

    def on_suspect(self, suspect: Callable[[str], None]) -> None:
        """`suspect` is called with a host that fell silent or stopped."""


class _Here(msgspec.Struct, frozen=True):
    handler: Handler
    contract: str
    application: str
    alias: str
    name: str
    in_pieces: InPieces


class Router:
    """What is registered here, and the way from a call to it."""

    def __init__(self, links: LinkTable, operator: str) -> None:
        """`operator` is the origin of calls by the host's owner (`lattice call`), which need no link."""
        self._links = links
        self._operator = operator
        self._here: dict[str, _Here] = {}
        self._built_in: dict[str, Route] = {}
        self._aliases: dict[str, str] = {}
        self._draining: set[str] = set()
        self._routes: dict[tuple[str, str, str, str], Route] = {}
        self._routes_away: dict[tuple[str, str, str, str], Route] = {}
        """Apart from the others: the directory changes often, and what is here does not."""
        self._directory: Directory | None = None
        self._elsewhere: Elsewhere | None = None
        self._listeners: list[Callable[[], None]] = []
        self._watchers: list[Callable[[], None]] = []

    def join(self, directory: Directory, elsewhere: Elsewhere) -> None:
        """From now on targets that are not here are looked for on other hosts."""
        self._directory, self._elsewhere = directory, elsewhere
        directory.on_change(self._directory_changed)

    def on_change(self, changed: Callable[[], None]) -> None:
        """`changed` is called when something was registered here, or is not any more."""
        self._listeners.append(changed)

    def watch(self, changed: Callable[[], None]) -> None:
        """`changed` is called when what was found out about a call may not hold any more: other links, other things
        here or elsewhere."""
        self._watchers.append(changed)

    def local(self) -> Iterator[tuple[str, str]]:
        """(key, contract) of each actor and provider here that takes calls; an actor's contract is ""."""
        return ((key, here.contract) for key, here in self._here.items() if key not in self._draining)

    def _directory_changed(self) -> None:
        self._routes_away.clear()
        for changed in self._watchers:
            changed()

    def _changed(self) -> None:
        self._forget_routes()
        for changed in self._listeners:
            changed()

    def register(
        self,
        key: str,
        handler: Handler,
        *,
        contract: str = "",
        application: str = "",
        alias: str = "",
        name: str = "",
        in_pieces: InPieces = whole,
    ) -> None:
        """Adds an actor (no contract) or a provider, which errors call by `name`. Raises `errors.ConfigError` for a key
        or an alias that is taken: whoever got another's would get its calls too."""
        if key == self._operator or resembles(key, "host") or (contract and resembles(key, "actor")):
            # A host's key may call everything, and an actor's is proved by a signature.
            raise errors.ConfigError(f"the key {key} is one of a host or an actor", remedy="give it another id")
        if key in self._here or key in self._aliases:
            raise errors.ConfigError(f"the key {key} is taken", remedy="give the component another id or name")
        if alias and (alias in self._aliases or alias in self._here):
            raise errors.ConfigError(f"the call alias {alias!r} is taken by {self.find(alias)}")
        if ":" in alias:
            raise errors.ConfigError(f"the call alias {alias!r} has a colon, as contracts do")
        self._here[key] = _Here(handler, contract, application, alias, name or alias, in_pieces)
        if alias:
            self._aliases[alias] = key
        self._changed()

    def register_built_in(self, contract: str, key: str, handler: Handler) -> None:
        """Raises `errors.ConfigError` when the host has one for the contract."""
        if contract in self._built_in:
            raise errors.ConfigError(f"the built-in {contract} is there already, as {self._built_in[contract].target}")
        self._built_in[contract] = Route(EntityId(key, contract, "default"), handler)
        self._forget_routes()

    def unregister(self, key: str) -> None:
        here = self._here.pop(key, None)
        if here is not None and here.alias:
            self._aliases.pop(here.alias, None)
        for contract in [contract for contract, route in self._built_in.items() if route.target.key == key]:
            del self._built_in[contract]
        self._draining.discard(key)
        self._changed()

    def drain(self, key: str) -> None:
        """It is about to stop: calls go to other hosts that have it. Without any it answers that it drains."""
        self._draining.add(key)
        self._changed()

    def put_link(self, link: Link) -> None:
        self._links.put(link)
        self._forget_routes()

    def delete_link(self, link: Link) -> None:
        self._links.delete(link)
        self._forget_routes()

    def _forget_routes(self) -> None:
        self._routes.clear()
        self._directory_changed()

    def link_of(self, invocation: Invocation, target: str) -> Link | None:
        """The link along which a call came to `target`, if it came along one."""
        between = self._links.between(invocation.origin.key, target, invocation.contract)
        return between.get(invocation.link_name)

    def find(self, name: str) -> str | None:
        """The key that goes by this key or alias, here or elsewhere."""
        if name in self._here:
            return name
        key = self._aliases.get(name)
        return self._directory.find(name) if key is None and self._directory is not None else key

    def shown(self, key: str) -> str:
        """For people: with its name, where that is known here and the key tells them nothing."""
        here = self._here.get(key)
        return f"{here.name} ({key})" if here is not None and here.name and resembles(key, "actor") else key

    def resolve(self, invocation: Invocation) -> Route:
        """Raises `errors.NotLinked`, or `errors.TargetUnknown` when there is nobody of that name."""
        if invocation.target is None:
            built_in = self._built_in.get(invocation.contract)
            if built_in is not None:
                return built_in
            target = ""
        else:
            target = invocation.target.key
        key = (invocation.origin.key, target, invocation.contract, invocation.link_name)
        route = self._routes.get(key) or self._routes_away.get(key)
        if route is None:
            route = self._resolve_named(invocation, target) if target else self._resolve(invocation)
            routes = self._routes if route.target.key in self._here else self._routes_away
            if len(routes) >= ROUTES_MAX:
                routes.clear()
            routes[key] = route
        return route

    def resolve_here(self, invocation: Invocation) -> Route:
        """For a call that came from another host, whose target is named: it is here or the call did not happen.

        Raises `errors.Unreachable` then, and `errors.NotLinked`.
        """
        assert invocation.target is not None, "calls between hosts name their target"
        target = invocation.target.key
        here = self._here.get(target)
        if here is None:
            raise errors.Unreachable(f"{target} does not run here any more")
        if target in self._draining:
            raise errors.Draining(f"{target} is stopping here")
        contract = here.contract
        if not contract and not invocation.origin.contract:
            contract = invocation.target.contract  # of the link between the two actors, if the call came along one
        self._permit(invocation, target, contract)
        called = EntityId(target, contract, invocation.link_name if contract else "")
        return Route(called, here.handler, here.in_pieces)

    def _resolve_named(self, invocation: Invocation, target: str) -> Route:
        contract = self.contract_of(target)
        self._permit(invocation, target, contract)
        return self._route(EntityId(target, contract, invocation.link_name if contract else ""))

    def _permit(self, invocation: Invocation, target: str, contract: str) -> None:
        """Raises `errors.NotLinked` for who may not call `target` by `contract`, "" for an actor that is called by its
        key."""
        origin = invocation.origin.key
        provider = self.contract_of(target)
        if not provider and invocation.origin.contract and self._is_actor(origin):
            raise errors.NotLinked(
                f"{self.shown(origin)} is an actor: it has no link to call {self.shown(target)} as a provider does"
            )
        if provider or invocation.origin.contract:
            # A provider calls back along its links; between actors a link leads one way.
            linked = bool(invocation.contract) and self._links.connected(origin, target, invocation.contract)
        else:
            linked = bool(contract) and bool(self._links.between(origin, target, contract))
        if linked or self.is_operator(origin):
            return
        if contract or invocation.origin.contract:
            raise errors.NotLinked(
                f"{self.shown(origin)} has no link for {invocation.contract} to {self.shown(target)}"
            )
        self._permit_actor_call(origin, target)

    def _is_actor(self, key: str) -> bool:
        """Whether it is known as one, here or elsewhere."""
        return resembles(key, "actor") or (self.find(key) == key and not self.contract_of(key))

    def _resolve(self, invocation: Invocation) -> Route:
        origin, named = invocation.origin.key, invocation.contract
        link = self._links.find(origin, named, invocation.link_name)
        if link is not None:
            return self._route(EntityId(link.target, named, link.name))
        actor = self.find(named)
        if actor is None or self.contract_of(actor):
            if ":" in named:
                self._links.require(origin, named, invocation.link_name, self.shown(origin))
            raise errors.TargetUnknown(f"nobody here is called {named!r}", remedy="check the key, alias or contract")
        self._permit_actor_call(origin, actor)
        return self._route(EntityId(actor))

    def _permit_actor_call(self, origin: str, target: str) -> None:
        """Actors of one application may call each other; across applications they need a link."""
        application = self.application_of(origin)
        if application and application == self.application_of(target):
            return
        if not any(link.target == target and not link.contract for link in self._links.of(origin)):
            raise errors.NotLinked(
                f"{self.shown(origin)} may not call {self.shown(target)}: "
                "they are of different applications and no link joins them",
                remedy="add a link trait from the one actor to the other",
            )

    def has(self, key: str) -> bool:
        """Whether it is here."""
        return key in self._here

    def takes_pieces(self, key: str, operation: str) -> bool:
        """Whether a call to it, made now, may bring its bodies in pieces. They are made whole where that is wrong."""
        here = self._here.get(key)
        return here is not None and key not in self._draining and here.in_pieces(operation)

    def is_built_in(self, key: str) -> bool:
        return any(route.target.key == key for route in self._built_in.values())

    def is_operator(self, key: str) -> bool:
        """Whether it is the owner of this host or of another who calls."""
        if key == self._operator:
            return True
        # Anybody who may publish a sign of life can make up a host, so one with the key of an actor is none.
        return resembles(key, "host") and self._directory is not None and self._directory.is_host(key)

    def application_of(self, key: str) -> str:
        """The application that it is part of, "" for none."""
        here = self._here.get(key)
        if here is not None:
            return here.application
        return self._directory.application_of(key) if self._directory is not None else ""

    def contract_of(self, key: str) -> str:
        """A provider's contract; "" for an actor, and for what is not known."""
        here = self._here.get(key)
        if here is not None:
            return here.contract
        return self._directory.contract_of(key) if self._directory is not None else ""

    def _route(self, target: EntityId) -> Route:
        """Here if it is here, and not about to stop while another host has it."""
        here, directory = self._here.get(target.key), self._directory
        if here is not None:
            if target.key not in self._draining or directory is None or not directory.copies(target.key):
                return Route(target, here.handler, here.in_pieces)
        elif directory is None or not directory.knows(target.key):
            raise errors.TargetUnknown(f"{target.key} is not running here")
        assert self._elsewhere is not None, "joined with the directory"
        return Route(target, self._elsewhere(target))
