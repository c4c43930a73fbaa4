"""Requests to one registry: redirects as far as they may lead, logins, retries, answers of a known size.

Protocol: OCI distribution specification 1.1. `pull` and `push` say what is asked for; this says how.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from yarl import URL

from lattice import errors
from lattice.artifacts import credentials
from lattice.artifacts.authorization import TOKEN_BYTES_MAX, Asked, Authorization
from lattice.artifacts.challenge import challenges
from lattice.artifacts.connections import Connections
from lattice.artifacts.credentials import Credential
from lattice.artifacts.reference import ImageReference, host_name
from lattice.artifacts.settings import RegistrySettings

REDIRECTS_MAX = 5
"""Registries send downloads to a store, which may have one more address in front."""
ERROR_BYTES_MAX = 16 * 1024
"""What is read of an answer that says why not."""
HUB_API = "registry-1.docker.io"
"""Where the registry that is called docker.io answers."""
_REDIRECTS = (301, 302, 303, 307, 308)
_CODES = {
    *("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DENIED", "DIGEST_INVALID"),
    *("MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN"),
    *("SIZE_INVALID", "TOOMANYREQUESTS", "UNAUTHORIZED", "UNSUPPORTED"),
}
"""What may be shown of a registry's own words. It has seen the password, and could say it back into a log."""

T = TypeVar("T")
Body: TypeAlias = Callable[[], AsyncIterator[bytes]]
"""Makes a body, anew for each time it is sent."""


class _Said(msgspec.Struct, frozen=True):
    code: str = ""


class _Refusal(msgspec.Struct, frozen=True):
    errors: list[_Said] = []


class Registry:
    """One registry during one pull or push. `async with Registry(reference, settings) as registry`."""

    def __init__(
        self, reference: ImageReference, settings: RegistrySettings, resolver: AbstractResolver | None = None
    ) -> None:
        """`resolver` is for tests."""
        self.reference = reference
        self.patience = settings.patience
        self._settings = settings
        host, port = host_name(reference.registry)
        scheme = "http" if settings.is_insecure(host, port) else "https"
        place = HUB_API if reference.registry == credentials.HUB else reference.registry
        self.base = URL(f"{scheme}://{place}/v2/{reference.repository}/", encoded=True)
        self._connections = Connections(self.base, settings, resolver)
        self._authorization = Authorization(reference.registry, self, self._find)

    async def __aenter__(self) -> Registry:
        await self._connections.open()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._connections.close()

    async def _find(self) -> Credential | None:
        return await credentials.find(self.reference.registry, self._settings.login, self._settings.docker_config)

    # Tokens: `authorization.TokenServer`.

    def realm(self, text: str) -> URL:
        return self._connections.target(self.base, text, "token server")

    async def token(self, asked: Asked) -> tuple[int, bytes]:
        headers = {"Authorization": asked.authorization} if asked.authorization else {}
        body = aiohttp.FormData(asked.form) if asked.form is not None else None
        method = "GET" if asked.form is None else "POST"
        response = await self._connections.send(method, asked.url, headers, body)
        try:
            return response.status, await self.read(response, TOKEN_BYTES_MAX)
        finally:
            response.release()

    # Requests.

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: URL,
        *,
        actions: str = "pull",
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request, with what it takes to be let in.

        Raises `errors.RegistryUnavailable`, `errors.RegistryRefused`, `errors.ArtifactMismatch`.
        """
        scope = f"repository:{self.reference.repository}:{actions}"
        response = await self._follow(method, url, scope, dict(headers or {}), body)
        try:
            if response.status == 401 and self._connections.is_own(response.url):
                asked = challenges(response.headers.getall("WWW-Authenticate", []))
                response.release()
                await self._authorization.satisfy(asked, scope)
                response = await self._follow(method, url, scope, dict(headers or {}), body)
                if response.status == 401 and self._connections.is_own(response.url):
                    raise self._authorization.refused("does not accept this login")
            yield response
        finally:
            response.release()  # closes the connection when the answer was not read to its end

    async def _follow(
        self,
        method: str,
        url: URL,
        scope: str,
        headers: dict[str, str],
        body: Body | None,
    ) -> aiohttp.ClientResponse:
        seen = {url}
        for _ in range(REDIRECTS_MAX + 1):
            # Only the registry itself gets to see who asks.
            own = self._authorization.header(scope) if self._connections.is_own(url) else ""
            sent = {**headers, "Authorization": own} if own else headers
            response = await self._connections.send(method, url, sent, body() if body is not None else None)
            if response.status not in _REDIRECTS or method not in ("GET", "HEAD"):
                return response
            location = response.headers.get("Location", "")
            response.release()
            url = self._connections.target(url, location, "redirect")
            if url in seen:
                raise errors.RegistryRefused(f"{self.reference.registry} redirects in a circle")
            seen.add(url)
        raise errors.RegistryRefused(f"{self.reference.registry} redirects more than {REDIRECTS_MAX} times")

    def upload_url(self, base: URL, location: str) -> URL:
        """Where a registry wants an upload. Raises `errors.RegistryRefused`."""
        return self._connections.target(base, location, "upload address")

    async def read(self, response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
        """An answer whole. Raises `errors.ArtifactMismatch` for one that is larger."""
        parts: list[bytes] = []
        size = 0
        async for part in self.pieces(response):
            size += len(part)
            if size > bytes_max:
                raise errors.ArtifactMismatch(
                    f"{self.reference}: {response.url.authority} sends more than {bytes_max} bytes"
                )
            parts.append(part)
        return b"".join(parts)

    async def pieces(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """An answer as it arrives."""
        with self._connections.told(response.url):
            async for part in response.content.iter_any():
                yield part

    async def failure(self, response: aiohttp.ClientResponse, what: str) -> errors.ArtifactError:
        """What an answer means that is not the one that was wanted."""
        status = response.status
        said = ""
        if self._connections.is_own(response.url):
            try:
                found = msgspec.json.decode(await self.read(response, ERROR_BYTES_MAX), type=_Refusal)
                said = ", ".join(sorted({one.code for one in found.errors} & _CODES))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, errors.ArtifactError):
                pass  # it is the status that counts
        said = f"{what}: {response.url.authority} answers with status {status}{f' ({said})' if said else ''}"
        if status == 404:
            return errors.RegistryRefused(f"{self.reference.registry} has no {what}", remedy="check name and tag")
        if status in (401, 403):
            return self._authorization.refused(f"does not allow it: {said}")
        if status == 429 or status >= 500:
            return errors.RegistryUnavailable(said)
        return errors.RegistryRefused(said)

    async def repeated(self, work: Callable[[], Awaitable[T]], whole_s: float) -> T:
        """What `work` returns, which is tried again while the registry cannot be reached; all within `whole_s`."""
        patience = self.patience
        try:
            async with asyncio.timeout(whole_s):
                for attempt in range(1, patience.attempts):
                    try:
                        return await work()
                    except errors.RegistryUnavailable:
                        await asyncio.sleep(patience.backoff_s * 2 ** (attempt - 1))
                return await work()
        except TimeoutError:
            raise errors.RegistryUnavailable(
                f"{self.reference.registry} did not do within {whole_s:g} s what was asked of it"
            ) from None
