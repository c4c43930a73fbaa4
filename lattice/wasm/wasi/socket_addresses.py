"""Addresses and failures of sockets, between wasi:sockets and the system."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lattice.endpoints import Address

FAMILIES: Mapping[str, socket.AddressFamily] = MappingProxyType({"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6})

FLOW_MAX = (1 << 20) - 1
"""The bits of a flow label: the system refuses a number with more."""

SystemAddress = tuple[Any, ...]
"""(host, port), or (host, port, flow info, scope id)."""

_CODES = {
    errno.EACCES: "access-denied",
    errno.EPERM: "access-denied",
    errno.ENOMEM: "out-of-memory",
    errno.ENOBUFS: "out-of-memory",
    errno.ETIMEDOUT: "timeout",
    errno.EINVAL: "invalid-argument",
    errno.EAFNOSUPPORT: "not-supported",
    errno.EOPNOTSUPP: "not-supported",
    errno.ENOTCONN: "invalid-state",
    errno.EISCONN: "invalid-state",
    errno.EMFILE: "new-socket-limit",
    errno.ENFILE: "new-socket-limit",
    errno.EADDRNOTAVAIL: "address-not-bindable",
    errno.EADDRINUSE: "address-in-use",
    errno.EHOSTUNREACH: "remote-unreachable",
    errno.ENETUNREACH: "remote-unreachable",
    errno.ENETDOWN: "remote-unreachable",
    errno.ECONNREFUSED: "connection-refused",
    errno.ECONNRESET: "connection-reset",
    errno.EPIPE: "connection-reset",
    errno.ECONNABORTED: "connection-aborted",
    errno.EMSGSIZE: "datagram-too-large",
}
_LOOKUP_CODES = {
    socket.EAI_NONAME: "name-unresolvable",
    socket.EAI_AGAIN: "temporary-resolver-failure",
    socket.EAI_FAIL: "permanent-resolver-failure",
}


def error_code(error: OSError) -> str:
    """The WIT enum `error-code`."""
    if isinstance(error, socket.gaierror):
        return _LOOKUP_CODES.get(error.errno or 0, "name-unresolvable")
    return _CODES.get(error.errno or 0, "unknown")


def family_of(wit: tuple[str, Any]) -> str:
    """Of an ip-socket-address or an ip-address: its case."""
    return wit[0]


def from_wit(wit: tuple[str, Any]) -> tuple[Address, int, SystemAddress]:
    """An ip-socket-address: the address, the port, and both as the system takes them."""
    case, record = wit
    if case == "ipv4":
        port, parts = record
        address: Address = ipaddress.IPv4Address(bytes(parts))
        return address, port, (str(address), port)
    port, flow, parts, scope = record
    address = ipaddress.IPv6Address(b"".join(part.to_bytes(2, "big") for part in parts))
    return address, port, (str(address), port, flow & FLOW_MAX, scope)


def to_wit(system: SystemAddress) -> tuple[str, Any]:
    """The WIT variant `ip-socket-address`."""
    case, parts = address_to_wit(ipaddress.ip_address(system[0].partition("%")[0]))
    if case == "ipv4":
        return case, (system[1], parts)
    return case, (system[1], system[2], parts, system[3])


def address_to_wit(address: Address) -> tuple[str, tuple[int, ...]]:
    """The WIT variant `ip-address`."""
    packed = address.packed
    if address.version == 4:
        return "ipv4", tuple(packed)
    return "ipv6", tuple(int.from_bytes(packed[at : at + 2], "big") for at in range(0, 16, 2))


def reachable(address: Address) -> Address:
    """An IPv4 address that is written as an IPv6 one is what it is, or a grant could be walked around."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
