"""The claims of a lattice's actors, kept where any host can answer for all of them.

Each host stores those of its own actors, with the token that they were read from. Whoever may write the lattice's state
may write anything there, so what counts is the token: a host believes what an account that it trusts has signed.
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
TOKEN = "nanolattice.token"  # noqa: S105  # the name of a field
"""Where the token stands beside the fields that tools read."""


class KeptClaims:
    """`own` are the claims of the actors here, by the names of their components, and `token_of` the token of each;
    `running` the keys of all actors that run anywhere. `verify` raises `errors.NotAdmitted`."""

    def __init__(
        self,
        store: Store,
        own: Callable[[], Iterable[tuple[str, Claims]]],
        token_of: Callable[[str], str],
        running: Callable[[], Iterable[str]],
        verify: Callable[[str], Claims],
    ) -> None:
        self._store = store
        self._own = own
        self._token_of = token_of
        self._running = running
        self._verify = verify
        self._look = asyncio.Event()
        self._read: dict[str, tuple[dict[str, str], Claims | None]] = {}
        """What was stored of an actor, and what its token proves: calls ask for it."""

    def changed(self) -> None:
        """Other actors run here now, or other versions of them."""
        self._look.set()

    def all(self) -> list[dict[str, str]]:
        """Of every actor that runs in the lattice, by key."""
        found = {**self._store.claims, **self._documents()}
        shown = (found[key] for key in sorted(found.keys() & set(self._running())))
        return [{name: value for name, value in one.items() if name != TOKEN} for one in shown]

    def of(self, actor: str) -> Claims | None:
        """As an actor's token proves them, by its key; the same record until another is stored. None without such a
        token."""
        found = self._store.claims.get(actor)
        if found is None:
            self._read.pop(actor, None)
            return None
        known = self._read.get(actor)
        if known is None or known[0] is not found:
            known = self._read[actor] = (found, self._proven(actor, found.get(TOKEN, "")))
        return known[1]

    def _proven(self, actor: str, token: str) -> Claims | None:
        try:
            claims = self._verify(token)
        except errors.LatticeError as error:
            _log.warning("the claims that are kept of %s do not count here: %s", actor, error)
            return None
        if claims.subject != actor:
            _log.warning("the claims that are kept of %s are those of %s", actor, claims.subject)
            return None
        return claims

    def forget(self) -> None:
        """Other accounts are trusted now."""
        self._read.clear()

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
        return {
            claims.subject: {**claims_map(name, claims), TOKEN: self._token_of(claims.subject)}
            for name, claims in self._own()
        }


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
