"""What one request says about itself: target, host, framing. Pure checks of heads that the parser has accepted."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from lattice_http_server.refusal import Refusal, malformed
from lattice_http_server.routing import Route

if TYPE_CHECKING:
    from lattice_http_server.bodies import RequestBody

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]{0,5})?")
_HOSTS_MAX = 1024
"""Host headers kept checked. A server has few; a client that sends many different ones only empties the cache."""
_NAMES_MAX = 1024
"""Header names kept in lower case."""


class Request(msgspec.Struct, gc=False):
    """A request that arrived, whole or with its body on the way, or the reason why it did not; waits for its turn to be
    answered."""

    method: str
    target: str
    keep_alive: bool
    connection: bytes
    """The Connection header line of the response, or empty."""
    refusal: Refusal | None
    route: Route | None = None
    payload: bytes = b""
    """The `HttpRequest` as MessagePack."""
    body_bytes: int = 0
    body: RequestBody | None = None
    """The body, if it is not in the payload; and `whole` is what puts it there."""
    whole: Callable[[bytes], bytes] | None = None
    is_old: bool = False
    """HTTP/1.0, which knows no chunks."""
    takes_trailers: bool = False


class Refused(Exception):  # not an error of this program: how a check of a head ends
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Target(NamedTuple):
    authority: str | None
    """Of a target in absolute form; None for the others."""
    path: str
    query: str


def parse_target(target: str, method: str) -> Target:
    """The request target apart. Raises `Refused`."""
    if not target.isascii():
        raise Refused(malformed("the request target is not ASCII"))
    if "#" in target:
        raise Refused(malformed("the request target has a fragment"))
    authority: str | None = None
    if target[:1] != "/":
        if target == "*" and method == "OPTIONS":
            return Target(None, "*", "")
        scheme, mark, rest = target.partition("://")
        if not mark or scheme.lower() not in ("http", "https"):
            raise Refused(malformed("the request target is neither a path nor an http URL"))
        end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
        authority, target = rest[:end], rest[end:]
        if not authority:
            raise Refused(malformed("the request target has no host"))
        if target[:1] != "/":
            target = "/" + target
    path, _, query = target.partition("?")
    return Target(authority, path, query)


class Names:
    """Header names and hosts as they are compared, kept so that each is worked out once."""

    def __init__(self) -> None:
        self.lower: dict[bytes, str] = {}
        """Readers look here first, and ask for what is not there."""
        self.hosts: dict[str, str] = {}

    def lower_case(self, name: bytes) -> str:
        """The name in lower case; the parser has made sure that it is a token."""
        found = name.decode("ascii").lower()
        if len(self.lower) >= _NAMES_MAX:
            self.lower.clear()
        self.lower[name] = found
        return found

    def host(self, value: str) -> str:
        """A Host header as routes know it: lower case, without port. Raises `Refused`."""
        match = _HOST.fullmatch(value)
        if match is None:
            raise Refused(malformed("the Host header is not a host"))
        name = match["name"].lower().rstrip(".")
        if len(self.hosts) >= _HOSTS_MAX:
            self.hosts.clear()
        self.hosts[value] = name
        return name
