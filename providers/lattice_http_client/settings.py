"""What a link to the HTTP client can be configured with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from lattice.provider import Settings
from lattice_http_client.hosts import HostPattern, parse_patterns

MIB = 1024 * 1024


def _patterns(value: object) -> object:
    return parse_patterns(value) if isinstance(value, str) else value


class HttpClientLink(Settings):
    allowed_hosts: Annotated[tuple[HostPattern, ...], BeforeValidator(_patterns)] = ()
    """Comma separated. Nothing is allowed unless it is named here."""
    allow_private: bool = False
    """Also addresses that are not of the public internet: this machine, the local network, cloud metadata."""
    follow_redirects: bool = True
    """At most `client.REDIRECTS_MAX` of them, each checked like a request of its own."""
    timeout: float = Field(default=30.0, gt=0, le=600)
    """Seconds for one call, with its redirects. The caller's own deadline bounds it further."""
    connect_timeout: float = Field(default=5.0, gt=0, le=60)
    """Seconds for one TCP connection: a host that is gone should be known well before `timeout`."""
    request_bytes_max: int = Field(default=16 * MIB, ge=0, le=1024 * MIB)
    """Body of a request: it is held whole in memory."""
    response_bytes_max: int = Field(default=16 * MIB, ge=0, le=1024 * MIB)
    """Body of a response, after decompression: it is collected in memory; reading stops at the limit."""
    connections_max: int = Field(default=100, ge=1, le=10_000)
    """Open connections of this link; further calls wait for one."""
    waiting_max: int = Field(default=1000, ge=0, le=100_000)
    """Calls that wait for a connection; one more is refused (`Overloaded`)."""
    decompress: bool = True
    """Ask for gzip or deflate and undo it, unless the actor sends an accept-encoding of its own."""
    ca_file: Path | None = None
    """PEM file of certificate authorities to trust in place of the system's."""
