"""What this host knows of who calls, who is called and who starts: their claims, and what else a policy may ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from lattice.actors import Actors, ActorSpec
from lattice.grants import UNSIGNED, Held
from lattice.router import Router
from lattice.security.claims import Claims
from lattice.security.policy import Party, PartyKind
from lattice.supervisor import Supervisor


class Elsewhere(Protocol):
    """What a lattice knows of what is not on this host."""

    def claims(self, key: str) -> Claims | None:
        """Those that the lattice keeps of an actor."""

    def seen(self, key: str, host: str) -> Party | None:
        """Name, application, image and labels of what has this key on a host, or is that host; with "" on any. None
        when it was not seen."""


class Parties:
    """`claims` is a `ClaimsOf`, `party` a `PartyOf`."""

    def __init__(self, router: Router, host: Party) -> None:
        """`host` is this one; its labels may change."""
        self._router = router
        self._host = host
        self._actors: Actors | None = None
        self._supervisor: Supervisor | None = None
        self._elsewhere: Elsewhere | None = None
        self._callers: Callable[[str, str], Claims | None] = lambda _key, _host: None
        self.proven = False
        """Whether calls of other hosts are proven, and with them the claims of who calls. Where they are not, NATS
        decides who may call, and the claims that the lattice keeps are believed."""

    def meet(self, actors: Actors, supervisor: Supervisor) -> None:
        """Those that run here."""
        self._actors, self._supervisor = actors, supervisor

    def join(self, elsewhere: Elsewhere, callers: Callable[[str, str], Claims | None] | None = None) -> None:
        """`callers` has the verified claims of actors on other hosts that call here, by actor and host."""
        self._elsewhere = elsewhere
        if callers is not None:
            self._callers = callers

    def claims(self, key: str, host: str) -> Held:
        if host:
            return self._callers(key, host) if self.proven else self._kept(key)
        actor = self._actors.get(key) if self._actors is not None else None
        if actor is not None:
            return actor.revision.claims or UNSIGNED
        return self._kept(key)

    def _kept(self, key: str) -> Claims | None:
        return self._elsewhere.claims(key) if self._elsewhere is not None else None

    def party(self, key: str, host: str) -> Party:
        if not host:
            if key == self._host.key:
                return self._host
            actor = self._actors.get(key) if self._actors is not None else None
            if actor is not None:
                return starting_actor(key, actor.spec, actor.revision.claims, self._host.labels)
            provider = self._supervisor.get(key) if self._supervisor is not None else None
            if provider is not None:
                application = self._router.application_of(key)
                return starting_provider(key, provider.name, application, self._host.labels)
        return self._away(key, host)

    def _away(self, key: str, host: str) -> Party:
        seen = self._elsewhere.seen(key, host) if self._elsewhere is not None else None
        claims = self.claims(key, host)
        if seen is None:
            # A handler that something else than an actor or a provider registered, or a stranger.
            kind: PartyKind = "provider" if self._router.contract_of(key) else "actor"
            labels = self._host.labels if self._router.has(key) else {}
            seen = Party(key=key, kind=kind, application=self._router.application_of(key), labels=labels)
        return with_claims(seen, claims if isinstance(claims, Claims) else None)


def starting_actor(key: str, spec: ActorSpec, claims: Claims | None, labels: Mapping[str, str]) -> Party:
    """An actor that runs here, or is about to."""
    party = Party(
        key=key,
        kind="actor",
        name=spec.name,
        application=spec.application,
        image=spec.reference or f"file://{spec.image}",
        copies=spec.limits.instances_max,
        labels=labels,
    )
    return with_claims(party, claims)


def starting_provider(key: str, name: str, application: str, labels: Mapping[str, str]) -> Party:
    """A provider that runs here, or is about to. `name` is that of `builtin://NAME`."""
    return Party(key=key, kind="provider", name=name, application=application, image=f"builtin://{name}", labels=labels)


def with_claims(party: Party, claims: Claims | None) -> Party:
    if claims is None:
        return party
    return msgspec.structs.replace(
        party,
        issuer=claims.issuer,
        caps=claims.caps,
        tags=claims.tags,
        issued=claims.issued,
        expires=claims.expires,
    )
