"""What can be set, with the defaults and why they are what they are."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, PositiveInt

from lattice import errors
from lattice.contracts import httpserver
from lattice.provider import Settings

KIB = 1024
MIB = 1024 * KIB

METHODS: dict[bytes, str] = {
    name.encode(): name
    for name in (
        *("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"),
        *("COPY", "LOCK", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH", "REPORT", "SEARCH", "UNLOCK", "PURGE"),
    )
}
"""The methods that are served. CONNECT is for proxies, and the parser's RTSP and ICE methods are no HTTP."""


def _methods(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    names = [name.strip().upper() for name in value.split(",") if name.strip()]
    for name in names:
        if name.encode() not in METHODS:
            raise ValueError(f"{name!r} is not a method this server knows; it knows {', '.join(METHODS.values())}")
    return tuple(names)


def _address(value: str) -> str:
    try:
        parse_address(value)
    except errors.ConfigError as error:
        raise ValueError(f"{error.message}; {error.remedy}") from error
    return value


def _address_or_none(value: str) -> str:
    return _address(value) if value else value


class ServerSettings(Settings):
    """Of the provider: sizes in bytes, times in seconds."""

    address: Annotated[str, AfterValidator(_address)] = "127.0.0.1:8080"
    """Where routes without an address of their own are served. Port 0 takes a free port."""
    tls_certificate: Path | None = None
    """PEM file with the certificate and its chain; with `tls_key` it turns every address of this provider to https."""
    tls_key: Path | None = None
    """PEM file with the private key, not encrypted."""
    tls_handshake_timeout: PositiveFloat = 10.0
    """A handshake is three packets; a peer that needs longer is not going to finish."""
    reuse_port: bool = False
    """Lets several processes listen on the same address; the kernel spreads new connections over them."""
    backlog: PositiveInt = 1024
    """Connections the kernel keeps while the loop is busy; it lowers this to its own somaxconn."""

    connections_max: PositiveInt = 10_000
    """Open connections of one address. Each takes about 10 KiB; past it a client is told 503."""
    pipelined_max: PositiveInt = 32
    """Requests of one connection that wait for an answer; past it the connection is not read."""
    target_bytes_max: PositiveInt = 8 * KIB
    """Path and query of one request (414). Browsers and proxies stop at about the same."""
    header_bytes_max: PositiveInt = 32 * KIB
    """Request line and headers of one request (431)."""
    header_count_max: PositiveInt = 100
    """Header lines of one request (431)."""
    body_bytes_max: PositiveInt = 8 * MIB
    """The body of one request (413), if its route says nothing else. It is held in memory and copied for the actor."""
    bodies_bytes_max: PositiveInt = 256 * MIB
    """All bodies that one address holds at a time (503): what uploads may take of the memory of this process."""

    header_timeout: PositiveFloat = 10.0
    """From the first byte of a request to the end of its headers (408), and from connecting to the first byte."""
    body_timeout: PositiveFloat = 30.0
    """Without a byte of the body while it is awaited (408)."""
    rate_bytes_min: int = Field(default=256, ge=0)
    """Bytes a second that a body, in or out, keeps up on average once it has taken 10 s; 0 turns this off."""
    idle_timeout: PositiveFloat = 75.0
    """A kept connection without a request is closed. Longer than the 60 s that load balancers keep theirs."""
    write_timeout: PositiveFloat = 30.0
    """Without the client taking a byte of the response that waits for it; the connection is then cut."""


class RouteSettings(Settings):
    """Of a link: which requests go to its actor."""

    address: Annotated[str, AfterValidator(_address_or_none)] = ""
    """Like the provider's, and the provider's when empty."""
    host: str = ""
    """`api.example.org`, `*.example.org` for any name below it, or empty for every host."""
    path: str = "/"
    """`/api` takes `/api` and all below it; `=/health` takes that path alone."""
    methods: Annotated[tuple[str, ...], BeforeValidator(_methods)] = ()
    """`GET,POST`; empty takes every method. GET brings HEAD with it."""
    timeout: float = Field(default=30.0, gt=0, le=3600)
    """The deadline of the call."""
    body_bytes_max: PositiveInt | None = None
    """Instead of the provider's."""
    repeatable: bool = False
    """A request that may have reached the actor is sent to another copy, whatever its method. Without it only GET,
    HEAD, PUT, DELETE, OPTIONS and TRACE are, which mean the same when they come twice."""
    client: bool = False
    """The actor is also told who asks: `scheme` and `remoteAddress` of the message. WASI commands have variables for
    them; actors built against the contract as it was published may not take them."""
    operation: str = Field(default=httpserver.HANDLE_REQUEST.name, min_length=1, max_length=100)
    """What the actor is called with. Actors of early 2021 know requests as `HandleRequest`."""
    header_values: Literal["list", "text"] = "list"
    """How the actor gets the values of a header. Actors of early 2021 take one text; several are joined by a comma."""


class Address(NamedTuple):
    """Where to listen. `host` is without the brackets of IPv6, and empty for every interface."""

    host: str
    port: int

    @property
    def text(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """`127.0.0.1:8080`, `[::1]:8080`, `localhost:0`, `:8080`. Raises `errors.ConfigError`."""
    remedy = "write HOST:PORT, such as 127.0.0.1:8080, or [::1]:8080 for IPv6"
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise errors.ConfigError(f"address {text!r} has no port from 0 to 65535", remedy=remedy)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise errors.ConfigError(f"address {text!r}: {error}", remedy=remedy) from error
    elif any(mark in host for mark in ":[]/ "):
        raise errors.ConfigError(f"address {text!r} is not a host name or an address", remedy=remedy)
    return Address(host, int(port))
