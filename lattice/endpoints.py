"""Places on a network that an actor may be granted: `tcp://db.internal:5432`, `udp://10.0.0.0/8:53`, `tcp://[::1]:*`.

Pure. A host is a name, an address, a network with the length of its prefix, or `*`; a port is a number or `*`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

import msgspec

from lattice import errors

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ANY_PORT = 0
ANY_HOST = "*"
_ENDPOINT = re.compile(r"(tcp|udp)://(\[[0-9A-Fa-f:.]+(?:/\d+)?\]|[^\[\]/\s:]+(?:/\d+)?):(\d{1,5}|\*)")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")


class Endpoint(msgspec.Struct, frozen=True):
    """`host` is a name in lower case, or `*`, or "" where `network` says where it is."""

    protocol: str
    host: str
    network: Network | None
    port: int

    def covers(self, other: Endpoint) -> bool:
        """Whether everything that `other` is, this is too."""
        if self.protocol != other.protocol or self.port not in (ANY_PORT, other.port):
            return False
        if self.host == ANY_HOST:
            return True
        if self.network is None or other.network is None:
            return self.network is other.network and self.host == other.host
        one, two = self.network, other.network
        return one.version == two.version and two.subnet_of(one)  # type: ignore[arg-type]  # of one version

    def permits(self, protocol: str, address: Address, port: int, names: Iterable[str] = ()) -> bool:
        """Whether this may be reached. `names` are those that were found to mean `address`."""
        if self.protocol != protocol or self.port not in (ANY_PORT, port):
            return False
        if self.network is not None:
            return address in self.network
        return self.host == ANY_HOST or self.host in names


def parse(text: str) -> Endpoint:
    """Raises `errors.ConfigError` for what is none."""
    found = _ENDPOINT.fullmatch(text)
    if found is None:
        raise _mistake(text)
    protocol, host, port_text = found.groups()
    port = ANY_PORT if port_text == "*" else int(port_text)
    if not (port_text == "*" or 0 < port < 65536):
        raise _mistake(text)
    if host == ANY_HOST:
        return Endpoint(protocol, ANY_HOST, None, port)
    try:
        return Endpoint(protocol, "", ipaddress.ip_network(host.strip("[]"), strict=False), port)
    except ValueError:
        # What is made of digits and dots alone, or has a slash, was meant to be an address.
        if _NAME.fullmatch(host) is None or host.replace(".", "").isdigit():
            raise _mistake(text) from None
    return Endpoint(protocol, host.lower(), None, port)


def _mistake(text: str) -> errors.ConfigError:
    return errors.ConfigError(
        f"{text[:100]!r} is no place on a network",
        remedy="write tcp:// or udp://, a name, an address or a network, a colon, and a port or *: tcp://db.internal:5432",
    )
