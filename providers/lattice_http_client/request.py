"""An actor's request, checked: what would confuse a server, a proxy or this host's own rules is refused. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from yarl import URL

from lattice.contracts.httpclient import HttpRequest
from lattice.errors import HostNotAllowed, ProviderError
from lattice_http_client.body import Upload, request_too_large
from lattice_http_client.hosts import DEFAULT_PORTS, HostPattern, canonical_host

URL_CHARS_MAX = 8192
"""Servers refuse longer request lines."""
HEADERS_MAX = 100
HEADER_BYTES_MAX = 32 * 1024
"""All names and values of a request together. Servers refuse more, most of them at 8 to 16 KiB."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BAD_URL = re.compile(r"[\x00-\x20\x7f\\]")
_PLAIN_URL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*")
# About one connection and not the request, or about the message's framing: both are the client's business alone.
HOP_BY_HOP = frozenset(
    (
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_REFUSED = HOP_BY_HOP | {"expect"}
# CONNECT opens a tunnel past every check, TRACE echoes credentials.
_REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})
_SECRET_HEADERS = frozenset({"authorization", "cookie", "cookie2"})
_BODY_HEADERS = frozenset({"content-type", "content-encoding", "content-language", "content-location"})


class CheckedRequest(msgspec.Struct, frozen=True):
    """A request that may be sent as it is. Header names are lower case; there is no host and no content-length."""

    method: str
    url: URL
    headers: tuple[tuple[str, str], ...]
    body: bytes | Upload

    def has_header(self, name: str) -> bool:
        return any(header == name for header, _ in self.headers)


def checked_request(
    message: HttpRequest, allowed: Sequence[HostPattern], body_bytes_max: int, upload: Upload | None = None
) -> CheckedRequest:
    """`upload` is the body that comes beside the message.

    Raises `HostNotAllowed`, `PayloadTooLarge`, or `ProviderError` that says what is wrong with the request."""
    method = message.method.upper()
    if not _TOKEN.fullmatch(method) or method in _REFUSED_METHODS:
        raise ProviderError(f"the method {message.method[:40]!r} cannot be used")
    body = message.body or b""
    if len(body) > body_bytes_max:
        raise request_too_large(f"{len(body)}", body_bytes_max)
    url = checked_url(message.url, allowed)
    length = len(body) if upload is None else upload.length
    return CheckedRequest(method, url, _checked_headers(message.headers or {}, url, length), upload or body)


def checked_url(text: str, allowed: Sequence[HostPattern]) -> URL:
    """An absolute http or https URL of an allowed host, without its fragment. Path and query stay as written."""
    if len(text) > URL_CHARS_MAX:
        raise ProviderError(f"the URL has {len(text)} characters, more than {URL_CHARS_MAX}")
    if _BAD_URL.search(text):
        raise ProviderError("the URL holds a space, a backslash or a control character", remedy="percent-encode it")
    scheme = text.partition(":")[0].lower()
    if scheme not in DEFAULT_PORTS:
        raise HostNotAllowed(f"the scheme {scheme[:40]!r} is not allowed", remedy="use http or https")
    if "@" in re.split(r"[/?#]", text.partition("//")[2], maxsplit=1)[0]:
        raise HostNotAllowed("the URL holds credentials", remedy="send an authorization header")
    try:
        url = URL(text)
        port = url.port
        host = canonical_host(url.raw_host or "")
    except (ValueError, IndexError) as error:  # yarl lets an IndexError out for some brackets
        raise ProviderError(f"the URL {text[:200]!r} cannot be used: {error}") from None
    if not port or not any(pattern.allows(scheme, host, port) for pattern in allowed):
        names = ", ".join(map(str, allowed)) or "nothing"
        raise HostNotAllowed(
            f"{scheme}://{host}:{port} is not among the allowed hosts of the link ({names})",
            remedy="add it to allowed_hosts of the link",
        )
    # A URL of legal characters is sent as the actor wrote it: signatures are over the very bytes.
    written = URL(text, encoded=True) if _PLAIN_URL.fullmatch(text) else url
    authority = f"[{host}]" if ":" in host else host
    if port != DEFAULT_PORTS[scheme]:
        authority += f":{port}"
    query = f"?{written.raw_query_string}" if written.raw_query_string else ""
    return URL(f"{scheme}://{authority}{written.raw_path or '/'}{query}", encoded=True)


def _checked_headers(
    headers: dict[str, list[str] | str], url: URL, body_bytes: int | None
) -> tuple[tuple[str, str], ...]:
    kept: list[tuple[str, str]] = []
    size = 0
    for name, values in headers.items():
        lowered = name.lower()
        if not _TOKEN.fullmatch(name):
            raise ProviderError(f"{name[:40]!r} is not a header name")
        if lowered in _REFUSED:
            raise ProviderError(f"the header {lowered} cannot be set: it belongs to the connection")
        for value in [values] if isinstance(values, str) else values:
            if _BAD_VALUE.search(value):
                raise ProviderError(f"the header {lowered} holds a line break or another control character")
            if lowered in ("host", "content-length"):
                _agrees(lowered, value, url, body_bytes)
                continue
            size += len(name) + len(value.encode())
            kept.append((lowered, value.strip(" \t")))
    if len(kept) > HEADERS_MAX or size > HEADER_BYTES_MAX:
        raise ProviderError(f"more than {HEADERS_MAX} headers or {HEADER_BYTES_MAX} bytes of them")
    return tuple(kept)


def _agrees(name: str, value: str, url: URL, body_bytes: int | None) -> None:
    """Host and content-length follow from the request; a frame that repeats them is harmless, another value is not."""
    right = [str(body_bytes)] if name == "content-length" else [url.authority, f"{url.raw_host}:{url.port}"]
    if value.strip().lower() not in right:
        raise ProviderError(f"the header {name} says {value[:100]!r}, which is not what the request says")


def redirected(request: CheckedRequest, status: int, target: URL) -> CheckedRequest:
    """The request that follows a redirect: RFC 9110, 15.4. What is secret stays with the origin it was meant for."""
    method, headers, body = request.method, request.headers, request.body
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", b""
        headers = tuple(item for item in headers if item[0] not in _BODY_HEADERS)
    if isinstance(body, Upload):
        raise ProviderError(
            f"{request.url.origin()} redirects a request whose body was sent as it came, and cannot be sent again",
            remedy="send it to where the redirect leads, or send a body that is finished before the request is made",
        )
    if target.origin() != request.url.origin():
        headers = tuple(item for item in headers if item[0] not in _SECRET_HEADERS)
    return CheckedRequest(method, target, headers, body)
