"""Which addresses a registry may send this host to: of others the public ones, and no name twice looked up.

The registry itself stands where its name says, which may be this machine or a private network: whoever wrote the
reference chose it. Where it redirects to, and where it wants tokens to be fetched, it chooses itself; that must not
lead to what only this host can reach.
"""

from __future__ import annotations

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether this is an address of the public internet, and no other one in disguise."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    inner = address.ipv4_mapped
    if address in _NAT64:
        inner = IPv4Address(int(address) & 0xFFFF_FFFF)
    if inner is not None:
        return is_public(inner)
    tunnel = address.sixtofour is not None or address.teredo is not None
    return address in _GLOBAL_6 and address.is_global and not tunnel and address.scope_id is None


class AddressRefused(OSError):
    """Raised on the way to a socket, where only an `OSError` passes through."""


def public_socket(info: tuple[Any, ...]) -> socket.socket:
    """Makes sockets for public addresses alone; what connects gets its sockets here and nowhere else."""
    family, kind, protocol, _name, sockaddr = info
    if not is_public(ipaddress.ip_address(sockaddr[0])):
        raise AddressRefused(f"the address {sockaddr[0]} is not public")
    return socket.socket(family=family, type=kind, proto=protocol)


class PinnedResolver(AbstractResolver):
    """Looks each name up once: a name cannot mean another machine in the middle of a pull."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver
        self._found: dict[tuple[str, int], list[ResolveResult]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        key = host, family
        if key not in self._found:
            self._found[key] = await self._resolver.resolve(host, port, family)
        return [ResolveResult({**found, "port": port}) for found in self._found[key]]

    async def close(self) -> None:
        await self._resolver.close()


class PublicResolver(AbstractResolver):
    """Drops what is not public from another resolver's answers."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        public = [one for one in found if is_public(ipaddress.ip_address(one["host"]))]
        if found and not public:
            raise AddressRefused(f"the addresses of {host} are not public")
        return public

    async def close(self) -> None:
        await self._resolver.close()
