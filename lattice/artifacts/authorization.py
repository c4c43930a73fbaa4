"""Being let in at a registry: basic authentication, and tokens that another server gives.

Protocol: the distribution project's specification "Token Authentication". The scope is the one that this host needs and
not the one that the registry asks for, so that a token is good for nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from yarl import URL

from lattice import errors
from lattice.artifacts.challenge import Challenge
from lattice.artifacts.credentials import Credential

TOKEN_BYTES_MAX = 64 * 1024
"""The answer of a token server; the longest tokens, with many grants in them, have some kilobytes."""
CLIENT = "nanolattice"
_TOKEN = re.compile(r"[!-~]+")


class Asked(msgspec.Struct, frozen=True):
    """A request to a token server: GET, or POST of `form` where there is one."""

    url: URL
    authorization: str = ""
    form: dict[str, str] | None = None


class TokenServer(Protocol):
    """How token servers are reached: `Registry` does it."""

    def realm(self, text: str) -> URL:
        """Where a challenge says that tokens are. Raises `errors.RegistryRefused`."""

    async def token(self, asked: Asked) -> tuple[int, bytes]:
        """Status and answer, of at most `TOKEN_BYTES_MAX`. Raises `errors.ArtifactError`."""


class _Token(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""


class Authorization:
    """What was found out about one registry. `find` looks for a credential, once, when one is wanted."""

    def __init__(self, registry: str, server: TokenServer, find: Callable[[], Awaitable[Credential | None]]) -> None:
        self._registry = registry
        self._server = server
        self._find = find
        self._credential: Credential | None = None
        self._looked = False
        self._headers: dict[str, str] = {}
        self._basic = ""

    def header(self, scope: str) -> str:
        """For a request of this scope; "" as long as nothing is known."""
        return self._headers.get(scope, self._basic)

    @property
    def secrets(self) -> list[str]:
        """What no text may show."""
        own = list(self._credential.secrets) if self._credential is not None else []
        return own + [header.partition(" ")[2] for header in self._headers.values()]

    async def satisfy(self, offered: list[Challenge], scope: str) -> None:
        """Finds what opens a door that was shut. Raises `errors.RegistryRefused`, `errors.ConfigError`."""
        if not self._looked:
            self._credential = await self._find()
            self._looked = True
        bearer = next((one for one in offered if one.scheme == "bearer"), None)
        if bearer is not None:
            self._headers[scope] = f"Bearer {await self._fetch(bearer, scope)}"
        elif any(one.scheme == "basic" for one in offered):
            if self._credential is None or not self._credential.password:
                raise self.refused("wants a user and a password")
            self._basic = self._credential.basic
        else:
            raise errors.RegistryRefused(f"{self._registry} asks for a login of a kind that is not known here")

    def refused(self, why: str) -> errors.RegistryRefused:
        return errors.RegistryRefused(
            f"{self._registry} {why}",
            remedy=f"docker login {self._registry}, or set LATTICE_REGISTRY, _USER and _PASSWORD",
        )

    async def _fetch(self, challenge: Challenge, scope: str) -> str:
        url = self._server.realm(challenge.parameters.get("realm", ""))
        service = challenge.parameters.get("service", "")
        credential = self._credential
        if credential is not None and credential.identity:
            form = {"grant_type": "refresh_token", "refresh_token": credential.identity, "service": service}
            asked = Asked(url, form={**form, "scope": scope, "client_id": CLIENT})
        else:
            query = {"service": service, "scope": scope} if service else {"scope": scope}
            asked = Asked(url.update_query(query), credential.basic if credential is not None else "")
        status, answer = await self._server.token(asked)
        if status in (401, 403):
            raise self.refused(
                f"does not give {'this user' if credential else 'anybody without a login'} a token for {scope}"
            )
        if status >= 500 or status == 429:
            raise errors.RegistryUnavailable(f"the token server of {self._registry} answers with status {status}")
        if status != 200:
            raise errors.RegistryRefused(f"the token server of {self._registry} answers with status {status}")
        try:
            found = msgspec.json.decode(answer, type=_Token)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = _Token()
        token = found.token or found.access_token
        if not _TOKEN.fullmatch(token):
            raise errors.RegistryRefused(f"the token server of {self._registry} gave no token")
        return token
