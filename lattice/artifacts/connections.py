"""Connections to one registry and to where it sends this host: certificates, addresses, failures in our words."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from lattice import errors
from lattice.artifacts.addresses import AddressRefused, PinnedResolver, PublicResolver, is_public, public_socket
from lattice.artifacts.settings import RegistrySettings

USER_AGENT = "nanolattice"
CONNECTIONS_MAX = 8
"""At once, of one pull or push, which asks one thing after the other."""


class Connections:
    """The HTTP sessions of one pull or push. `base` is the registry; no other address may be private."""

    def __init__(self, base: URL, settings: RegistrySettings, resolver: AbstractResolver | None = None) -> None:
        """`resolver` is for tests: where names are looked up instead of in the system."""
        self._base = base
        self._settings = settings
        self._resolver = resolver
        self._named: aiohttp.ClientSession | None = None
        self._public: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Raises `errors.ConfigError` for an authority that cannot be read."""
        # Reading the system's authorities takes 10 to 20 ms: too long for the loop.
        tls = await asyncio.to_thread(self._tls)
        resolver = PinnedResolver(self._resolver or aiohttp.ThreadedResolver())
        patience = self._settings.patience

        def session(public: bool) -> aiohttp.ClientSession:
            return aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=tls,
                    resolver=PublicResolver(resolver) if public else resolver,
                    use_dns_cache=False,  # the resolver pins
                    limit=CONNECTIONS_MAX,
                    socket_factory=public_socket if public else None,
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=patience.connect_s, sock_read=patience.idle_s),
                # What arrives is counted and hashed as it arrives; nothing is unpacked.
                auto_decompress=False,
                headers={"Accept-Encoding": "identity", "User-Agent": USER_AGENT},
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )

        self._named, self._public = session(False), session(True)

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context()
            if self._settings.ca is not None:
                context.load_verify_locations(self._settings.ca)
        except (OSError, ssl.SSLError) as error:
            raise errors.ConfigError(
                f"{self._settings.ca}: no certificates can be read there: {error}",
                remedy="--registry-ca names a PEM file",
            ) from error
        return context

    async def close(self) -> None:
        for session in (self._named, self._public):
            if session is not None:
                await session.close()

    def is_own(self, url: URL) -> bool:
        """Whether this is the registry itself: the only place where its credentials go, besides where tokens are."""
        return (url.scheme, url.host, url.port) == (self._base.scheme, self._base.host, self._base.port)

    def target(self, base: URL, location: str, what: str) -> URL:
        """Where a registry sends this host, as far as it may. Nothing of the address but its origin is shown: the rest
        may be signed. Raises `errors.RegistryRefused`."""
        registry = self._base.authority
        try:
            url = base.join(URL(location, encoded=True))
            host, port = (url.host or "").lower(), url.port
        except ValueError:
            raise errors.RegistryRefused(f"{registry} gave no address as its {what}") from None
        if url.scheme not in ("http", "https") or not host:
            raise errors.RegistryRefused(f"the {what} of {registry} is no web address (scheme {url.scheme[:20]!r})")
        if url.user is not None or url.password is not None:
            raise errors.RegistryRefused(f"the {what} of {registry} has a user in it")
        if url.scheme == "http" and not self._settings.is_insecure(host, port):
            raise errors.RegistryRefused(
                f"the {what} of {registry} is http://{host}:{port}, without TLS",
                remedy=f"if it is meant to be: --insecure-registry {host}:{port}",
            )
        if not self._is_named(url):
            try:
                address = ipaddress.ip_address(host)
            except ValueError:
                return url  # its addresses are looked at when it is connected to
            if not is_public(address):
                raise self._private(url, what)
        return url

    def _private(self, url: URL, what: str) -> errors.RegistryRefused:
        return errors.RegistryRefused(
            f"the {what} of {self._base.authority} is {url.host}, whose address is not public",
            remedy=f"if it is meant to be: --registry-private-host {url.host}",
        )

    def _is_named(self, url: URL) -> bool:
        """Whether the address was chosen here: it is the registry's own host, or a setting names it."""
        host = (url.host or "").lower()
        return (
            host == (self._base.host or "").lower()
            or host in self._settings.private
            or self._settings.is_insecure(host, url.port)
        )

    async def send(
        self,
        method: str,
        url: URL,
        headers: dict[str, str],
        body: AsyncIterator[bytes] | aiohttp.FormData | None = None,
    ) -> aiohttp.ClientResponse:
        """One request and the head of its answer; redirects are not followed. Raises `errors.ArtifactError`."""
        session = self._named if self._is_named(url) else self._public
        assert session is not None, "connections are opened first"
        with self.told(url):
            response = await session.request(method, url, headers=headers, data=body, allow_redirects=False)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            response.close()
            raise errors.ArtifactMismatch(f"{_origin(url)} sends its answer packed, which was not asked for")
        return response

    @contextmanager
    def told(self, url: URL) -> Iterator[None]:
        """What goes wrong on the way, in our words."""
        origin = _origin(url)
        try:
            yield
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
            raise errors.RegistryRefused(
                f"{origin} does not prove who it is: {_tls_reason(error)}",
                remedy="--registry-ca names your own authority; --insecure-registry a registry that has no TLS",
            ) from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, AddressRefused):
                raise self._private(url, "redirect") from None
            raise errors.RegistryUnavailable(f"{origin} cannot be reached: {_reason(error.os_error)}") from None
        except aiohttp.ClientResponseError:
            raise errors.RegistryRefused(f"{origin} does not answer in HTTP") from None
        except TimeoutError:
            raise errors.RegistryUnavailable(f"{origin} does not answer in time") from None
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError):
            raise errors.RegistryUnavailable(f"the connection to {origin} broke") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise errors.RegistryRefused(f"the request to {origin} failed: {type(error).__name__}") from None


def _origin(url: URL) -> str:
    return f"{url.scheme}://{url.authority}"


def _reason(error: OSError) -> str:
    """A number of the system's says it plainly; names that are not found have negative ones of their own."""
    number = error.errno or 0
    return os.strerror(number) if number > 0 else error.strerror or type(error).__name__


def _tls_reason(error: aiohttp.ClientConnectorError) -> str:
    found = getattr(error, "certificate_error", error.os_error)
    return str(getattr(found, "verify_message", "") or getattr(found, "reason", "") or "no TLS that is known here")
