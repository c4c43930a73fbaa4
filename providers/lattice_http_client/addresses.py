"""Which network addresses may be connected to: checked on what the name resolved to, and again on the socket."""

from __future__ import annotations

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

from lattice.errors import HostNotAllowed

Address: TypeAlias = IPv4Address | IPv6Address

# Written out and not left to `is_global`, whose answer differs between releases of Python. Sources: the IANA registries
# of special purpose addresses (RFC 6890 and its updates).
_REFUSED_4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches the machine itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, cloud metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
_REFUSED_6 = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo, benchmarking, ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether this is an address of the public internet: nothing on this machine, in this network, or special."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_4)
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        # A network without IPv4 reaches all of it through this prefix; what counts is the address inside.
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _GLOBAL_6 and not any(address in network for network in _REFUSED_6)


class AddressRefused(OSError):
    """Raised on the way to a socket, where only an `OSError` passes through."""


class PublicOnly:
    """Makes sockets for public addresses alone. No connection of a session can go around this."""

    def __call__(self, info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _name, sockaddr = info
        if not is_public(ipaddress.ip_address(sockaddr[0])):
            raise AddressRefused(f"the address {sockaddr[0]} is not public")
        return socket.socket(family=family, type=kind, proto=protocol)


class PublicResolver(AbstractResolver):
    """Drops what is not public from another resolver's answers. The connector uses these answers and asks no second
    time, so a name cannot change its address between the check and the connection."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        public = [result for result in found if is_public(ipaddress.ip_address(result["host"]))]
        if found and not public:
            addresses = ", ".join(sorted({result["host"] for result in found}))
            raise HostNotAllowed(
                f"{host} resolves to {addresses}, which is not public",
                remedy="set allow_private to true on the link if the actor may reach private addresses",
            )
        return public

    async def close(self) -> None:
        await self._resolver.close()
