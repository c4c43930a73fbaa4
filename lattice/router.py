"""Finds who answers a call: the only module that knows what is here. It never retries and never looks at a payload.

A guest names its target by a contract, an actor's key or a call alias, in this order: a built-in contract, a link of
the caller, a key, an alias. A provider that calls an actor names the target itself, along a link that joins the two.
"""

from __future__ import annotations

import msgspec

from lattice import errors
from lattice.invocation import EntityId, Handler, Invocation
from lattice.links import Link, LinkTable

ROUTES_MAX = 100_000
"""Remembered resolutions; names come from guests, so the table is emptied when it is full."""


class Route(msgspec.Struct, frozen=True):
    """Where a call goes: who answers, by which handler."""

    target: EntityId
    handler: Handler


class _Here(msgspec.Struct, frozen=True):
    handler: Handler
    contract: str
    application: str
    alias: str


class Router:
    """What is registered here, and the way from a call to it."""

    def __init__(self, links: LinkTable, operator: str) -> None:
        """`operator` is the origin of calls by the host's owner (`lattice call`), which need no link."""
        self._links = links
        self._operator = operator
        self._here: dict[str, _Here] = {}
        self._built_in: dict[str, Route] = {}
        self._aliases: dict[str, str] = {}
        self._routes: dict[tuple[str, str, str, str], Route] = {}

    def register(
        self, key: str, handler: Handler, *, contract: str = "", application: str = "", alias: str = ""
    ) -> None:
        """Adds an actor (no contract) or a provider. Raises `errors.ConfigError` for a name that is taken: whoever got
        another's key or alias would get its calls too."""
        if key in self._here or key in self._aliases:
            raise errors.ConfigError(f"the key {key} is taken", remedy="give the component another id or name")
        if alias and (alias in self._aliases or alias in self._here):
            raise errors.ConfigError(f"the call alias {alias!r} is taken by {self.find(alias)}")
        if ":" in alias:
            raise errors.ConfigError(f"the call alias {alias!r} has a colon, as contracts do")
        self._here[key] = _Here(handler, contract, application, alias)
        if alias:
            self._aliases[alias] = key
        self._routes.clear()

    def register_built_in(self, contract: str, key: str, handler: Handler) -> None:
        """Raises `errors.ConfigError` when the host has one for the contract."""
        if contract in self._built_in:
            raise errors.ConfigError(f"the built-in {contract} is there already, as {self._built_in[contract].target}")
        self._built_in[contract] = Route(EntityId(key, contract, "default"), handler)
        self._routes.clear()

    def unregister(self, key: str) -> None:
        here = self._here.pop(key, None)
        if here is not None and here.alias:
            self._aliases.pop(here.alias, None)
        for contract in [contract for contract, route in self._built_in.items() if route.target.key == key]:
            del self._built_in[contract]
        self._routes.clear()

    def put_link(self, link: Link) -> None:
        self._links.put(link)
        self._routes.clear()

    def delete_link(self, link: Link) -> None:
        self._links.delete(link)
        self._routes.clear()

    def find(self, name: str) -> str | None:
        """The key that goes by this key or alias."""
        if name in self._here:
            return name
        return self._aliases.get(name)

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
        route = self._routes.get(key)
        if route is None:
            route = self._resolve_named(invocation, target) if target else self._resolve(invocation)
            if len(self._routes) >= ROUTES_MAX:
                self._routes.clear()
            self._routes[key] = route
        return route

    def _resolve_named(self, invocation: Invocation, target: str) -> Route:
        here = self._require(target)
        origin = invocation.origin.key
        if origin != self._operator and not self._links.connected(origin, target, invocation.contract):
            raise errors.NotLinked(f"{origin} has no link for {invocation.contract} to {target}")
        return Route(EntityId(target, here.contract, invocation.link_name if here.contract else ""), here.handler)

    def _resolve(self, invocation: Invocation) -> Route:
        origin, named = invocation.origin.key, invocation.contract
        link = self._links.find(origin, named, invocation.link_name)
        if link is not None:
            here = self._require(link.target)
            return Route(EntityId(link.target, named, link.name), here.handler)
        actor = self.find(named)
        if actor is None or self._here[actor].contract:
            if ":" in named:
                self._links.require(origin, named, invocation.link_name)
            raise errors.TargetUnknown(f"nobody here is called {named!r}", remedy="check the key, alias or contract")
        self._permit_actor_call(origin, actor)
        return Route(EntityId(actor), self._here[actor].handler)

    def _permit_actor_call(self, origin: str, target: str) -> None:
        """Actors of one application may call each other; across applications they need a link."""
        caller, callee = self._here.get(origin), self._here[target]
        if caller is not None and caller.application and caller.application == callee.application:
            return
        if not any(link.target == target and not link.contract for link in self._links.of(origin)):
            raise errors.NotLinked(
                f"{origin} may not call {target}: they are of different applications and no link joins them",
                remedy="add a link trait from the one actor to the other",
            )

    def _require(self, key: str) -> _Here:
        here = self._here.get(key)
        if here is None:
            raise errors.TargetUnknown(f"{key} is not running here")
        return here
