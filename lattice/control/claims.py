"""The claims of a lattice's actors, kept where any host can answer for all of them.

Each host stores those of its own actors, which it has verified. Nothing is decided by what is stored: whoever may write
there could change it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from lattice import errors
from lattice.control.store import Store
from lattice.security.claims import Claims

_log = logging.getLogger("lattice.claims")

RETRY_S = 2.0
"""Until claims that could not be stored are stored."""


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

    def changed(self) -> None:
        """Other actors run here now, or other versions of them."""
        self._look.set()

    def all(self) -> list[dict[str, str]]:
        """Of every actor that runs in the lattice, by key."""
        found = {**self._store.claims, **self._documents()}
        return [found[key] for key in sorted(found.keys() & set(self._running()))]

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
