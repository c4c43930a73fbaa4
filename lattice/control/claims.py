"""The claims of a lattice's actors, kept where any host can answer for all of them.

Each host stores those of its own actors, which it has verified. Whoever may write the lattice's state may change what
is stored, as it may links. So it decides only what links decide too: whether what an actor on another host passed on is
still its own. That host verifies its actors itself, and so does each host that is called.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from lattice import errors
from lattice.control.store import Store
from lattice.security.claims import Claims

_log = logging.getLogger("lattice.claims")

RETRY_S = 2.0
"""Until claims that could not be stored are stored."""
EXPIRES_DIGITS_MAX = 15
"""A time in seconds; a longer number is none."""


class KeptClaims:
    """`own` are the claims of the actors here, by the names of their components; `running` the keys of all actors that
    run anywhere."""

    def __init__(
        self, store: Store, own: Callable[[], Iterable[tuple[str, Claims]]], running: Callable[[], Iterable[str]]
    ) -> None:
        self._store = store
        self._own = own
        self._running = running
        self._look = asyncio.Event()
        self._read: dict[str, tuple[dict[str, str], Claims]] = {}
        """What was stored of an actor, and what that says: calls ask for it."""

    def changed(self) -> None:
        """Other actors run here now, or other versions of them."""
        self._look.set()

    def all(self) -> list[dict[str, str]]:
        """Of every actor that runs in the lattice, by key."""
        found = {**self._store.claims, **self._documents()}
        return [found[key] for key in sorted(found.keys() & set(self._running()))]

    def of(self, actor: str) -> Claims | None:
        """As the lattice keeps them, by the actor's key; the same record until others are stored."""
        found = self._store.claims.get(actor)
        if found is None:
            self._read.pop(actor, None)
            return None
        known = self._read.get(actor)
        if known is None or known[0] is not found:
            known = self._read[actor] = (found, from_map(actor, found))
        return known[1]

    async def run(self) -> None:
        """Stores what is not stored yet, until cancelled."""
        while True:
            self._look.clear()
            try:
                for key, document in self._documents().items():
                    if self._store.claims.get(key) != document:
                        await self._store.put_claims(key, document)
            except errors.MalformedMessage as error:
                _log.error("claims that cannot be stored: %s", error)
            except errors.LatticeError as error:
                _log.debug("claims could not be stored yet: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            await self._look.wait()

    def _documents(self) -> dict[str, dict[str, str]]:
        return {claims.subject: claims_map(name, claims) for name, claims in self._own()}


def claims_map(component: str, claims: Claims) -> dict[str, str]:
    """The form of the control interface, which is a flat map of texts. Tools of different ages read different names of
    the issuer, the subject and the revision."""
    revision = "" if claims.rev is None else str(claims.rev)
    return {
        "call_alias": claims.alias,
        "caps": ",".join(claims.caps),
        "component": component,
        "exp": "" if claims.expires is None else str(claims.expires),
        "iss": claims.issuer,
        "issuer": claims.issuer,
        "name": claims.name,
        "rev": revision,
        "revision": revision,
        "sub": claims.subject,
        "subject": claims.subject,
        "tags": ",".join(claims.tags),
        "verified": "true" if claims.verified else "false",
        "version": claims.ver,
    }


def from_map(actor: str, found: Mapping[str, str]) -> Claims:
    """Kept claims as claims again. Those that cannot be understood hold nothing."""
    caps, tags = (tuple(item for item in found.get(name, "").split(",") if item) for name in ("caps", "tags"))
    expires = found.get("exp", "")
    valid = not expires or (expires.isascii() and expires.isdigit() and len(expires) <= EXPIRES_DIGITS_MAX)
    return Claims(
        issuer=found.get("iss", ""),
        subject=actor,
        name=found.get("name", ""),
        caps=caps if valid else (),
        tags=tags,
        expires=int(expires) if expires and valid else None,
    )
