"""The provider: one session per link, so that no two links share connections, limits or rules."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl

import aiohttp
from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, ThreadedResolver
from aiohttp.abc import AbstractResolver
from yarl import URL

from lattice.bodies import Bodies
from lattice.contracts.httpclient import CONTRACT, HttpRequest, HttpResponse
from lattice.errors import (
    ConfigError,
    DeadlineExceeded,
    HostNotAllowed,
    Overloaded,
    ProviderError,
    ProviderUnavailable,
)
from lattice.provider import Link, NoSettings, Provider, Settings
from lattice.streams import StreamClosed
from lattice_http_client.addresses import AddressRefused, PublicOnly, PublicResolver, is_public
from lattice_http_client.body import (
    ACCEPT_ENCODING,
    DECODABLE,
    Identity,
    Inflater,
    Upload,
    pass_on,
    read_body,
    response_too_large,
)
from lattice_http_client.request import HOP_BY_HOP, CheckedRequest, checked_request, checked_url, redirected
from lattice_http_client.settings import HttpClientLink

REDIRECTS_MAX = 10
"""A chain this long is a loop."""
USER_AGENT = "nanolattice"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Client:
    """What one link may do, and the connections it has open."""

    def __init__(self, settings: HttpClientLink, resolver: AbstractResolver, tls: ssl.SSLContext) -> None:
        self.settings = settings
        self._calls = 0
        public_only = not settings.allow_private
        self._session = ClientSession(
            connector=TCPConnector(
                limit=settings.connections_max,
                ssl=tls,
                # Asked anew for each connection; a cache would only keep stale addresses beside open connections.
                use_dns_cache=False,
                resolver=PublicResolver(resolver) if public_only else resolver,
                socket_factory=PublicOnly() if public_only else None,
            ),
            timeout=ClientTimeout(total=None, sock_connect=settings.connect_timeout),
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("Content-Type",),
        )

    async def close(self) -> None:
        await self._session.close()

    async def request(self, message: HttpRequest, bodies: Bodies | None = None) -> HttpResponse | None:
        """None when the response began in `bodies`."""
        settings = self.settings
        upload = None
        if bodies is not None and bodies.request is not None:
            upload = Upload(bodies.request, settings.request_bytes_max)
        request = checked_request(message, settings.allowed_hosts, settings.request_bytes_max, upload)
        if self._calls >= settings.connections_max + settings.waiting_max:
            raise Overloaded(
                f"{self._calls} requests of this link run or wait", remedy="raise connections_max or waiting_max"
            )
        self._calls += 1
        try:
            async with asyncio.timeout(settings.timeout):
                return await self._follow(request, bodies)
        except TimeoutError:
            raise DeadlineExceeded(
                f"no complete answer from {request.url.origin()} within {settings.timeout:g} s; "
                "the request may have been handled",
                remedy="raise timeout on the link",
            ) from None
        finally:
            self._calls -= 1

    async def _follow(self, request: CheckedRequest, bodies: Bodies | None) -> HttpResponse | None:
        decode = self.settings.decompress and not request.has_header("accept-encoding")
        for _ in range(REDIRECTS_MAX + 1):
            response = await self._send(request, decode)
            try:
                location = response.headers.get("location")
                if not self.settings.follow_redirects or response.status not in _REDIRECTS or not location:
                    return await self._reply(response, decode and request.method != "HEAD", request, bodies)
            finally:
                # Closes the connection when the body was not read to its end.
                response.release()
            request = redirected(request, response.status, self._target(request.url, location))
        raise ProviderError(f"more than {REDIRECTS_MAX} redirects, the last to {request.url.origin()}")

    def _target(self, url: URL, location: str) -> URL:
        try:
            target = str(url.join(URL(location)))
        except (ValueError, IndexError) as error:
            raise ProviderError(f"{url.origin()} redirects to what is not a URL: {error}") from None
        return checked_url(target, self.settings.allowed_hosts)

    async def _send(self, request: CheckedRequest, decode: bool) -> ClientResponse:
        url = request.url
        headers = list(request.headers)
        if decode:
            headers.append(("accept-encoding", ACCEPT_ENCODING))
        elif not request.has_header("accept-encoding"):
            headers.append(("accept-encoding", "identity"))
        if not request.has_header("user-agent"):
            headers.append(("user-agent", USER_AGENT))
        upload = request.body if isinstance(request.body, Upload) else None
        if upload is not None and upload.length is not None:
            headers.append(("content-length", str(upload.length)))
        self._refuse_private(url)
        origin = url.origin()
        try:
            return await self._session.request(
                request.method,
                url,
                headers=headers,
                data=request.body or None,
                allow_redirects=False,
            )
        except aiohttp.ClientConnectorCertificateError as error:
            raise ProviderError(
                f"the certificate of {origin} is not trusted: {error.certificate_error}",
                remedy="set ca_file on the link if the authority is your own",
            ) from error
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, AddressRefused):
                raise HostNotAllowed(f"{origin}: {error.os_error}") from None
            raise ProviderUnavailable(f"cannot connect to {origin}: {error.os_error}") from error
        except aiohttp.ServerTimeoutError as error:
            raise ProviderUnavailable(
                f"cannot connect to {origin} within {self.settings.connect_timeout:g} s"
            ) from error
        except aiohttp.ClientResponseError as error:
            raise ProviderError(f"{origin} did not answer in HTTP: {error.message}") from error
        except (aiohttp.ClientConnectionError, OSError) as error:
            if upload is not None and upload.failure is not None:
                raise upload.failure from None
            raise ProviderUnavailable(f"the connection to {origin} broke: {error}") from error
        except aiohttp.ClientError as error:
            raise ProviderError(f"the request to {origin} failed: {type(error).__name__}: {error}") from error

    def _refuse_private(self, url: URL) -> None:
        """Says early and clearly what the socket would refuse; names are checked once they are resolved."""
        if self.settings.allow_private:
            return
        try:
            address = ipaddress.ip_address(url.raw_host or "")
        except ValueError:
            return
        if not is_public(address):
            raise HostNotAllowed(
                f"the address {address} is not public",
                remedy="set allow_private to true on the link if the actor may reach private addresses",
            )

    async def _reply(
        self, response: ClientResponse, decode: bool, request: CheckedRequest, bodies: Bodies | None
    ) -> HttpResponse | None:
        header: dict[str, list[str]] = {}
        for raw_name, raw_value in response.raw_headers:
            name = raw_name.decode("latin-1").lower()
            if name not in HOP_BY_HOP:
                header.setdefault(name, []).append(_text(raw_value))
        encoding = ", ".join(header.get("content-encoding", ())).strip().lower()
        decoder: Identity | Inflater = Identity()
        if decode and encoding in DECODABLE:
            decoder = Inflater(encoding)
            header.pop("content-encoding")
            header.pop("content-length", None)
        bytes_max, body = self.settings.response_bytes_max, b""
        incoming = response.content.iter_any()
        try:
            if bodies is None:
                body = await read_body(incoming, decoder, bytes_max)
            else:
                length = _length(request, response) if isinstance(decoder, Identity) else None
                if length is not None and length > bytes_max:
                    raise response_too_large(bytes_max)
                sink = bodies.begin(HttpResponse(status_code=response.status, header=header, body=b""), length)
                await pass_on(incoming, decoder, bytes_max, sink)
            if isinstance(request.body, Upload) and not request.body.ended:
                response.close()  # the answer is all there, and the connection is of no use any more
        except StreamClosed:
            response.close()
        except (aiohttp.ClientError, ConnectionError) as error:
            if isinstance(request.body, Upload) and request.body.failure is not None:
                raise request.body.failure from None
            raise ProviderUnavailable(f"{response.url.origin()} broke off its answer: {error}") from error
        return HttpResponse(status_code=response.status, header=header, body=body) if bodies is None else None


class HttpClient(Provider[Client, None]):
    """Sends requests for actors. `resolver` is for tests: where names are looked up instead of in the system."""

    name = "http-client"
    replicable = True
    contract = CONTRACT
    settings_type = NoSettings
    attach_settings_type = HttpClientLink

    def __init__(self, settings: Settings, resolver: AbstractResolver | None = None) -> None:
        super().__init__(settings)
        self._resolver = resolver

    async def attach(self, link: Link, settings: HttpClientLink) -> Client:
        try:
            # Reading the system's authorities takes 10 to 20 ms: too long for the loop.
            tls = await asyncio.to_thread(ssl.create_default_context, cafile=settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"link {link}: ca_file: {settings.ca_file}: {error}") from error
        if not settings.allowed_hosts:
            self.context.log.warning("link %s allows no hosts; set allowed_hosts in its target configuration", link)
        return Client(settings, self._resolver or ThreadedResolver(), tls)

    async def detach(self, link: Link, attached: Client) -> None:
        await attached.close()

    async def request(self, client: Client, message: HttpRequest) -> HttpResponse | None:
        return await client.request(message)

    async def request_in_pieces(self, client: Client, message: HttpRequest, bodies: Bodies) -> HttpResponse | None:
        return await client.request(message, bodies)

    async def stop(self) -> None:
        for client in self._attached.values():
            await client.close()
        self._attached.clear()


def _length(request: CheckedRequest, response: ClientResponse) -> int | None:
    """Of the body that comes, if that was said."""
    if request.method == "HEAD" or response.status in (204, 304):
        return 0
    return response.content_length


def _text(value: bytes) -> str:
    """Header values are bytes; UTF-8 is what servers mean, and Latin-1 reads anything."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
