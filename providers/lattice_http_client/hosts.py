"""Which hosts a link allows. Pure: names and ports only; addresses are the business of `addresses`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from yarl import URL

DEFAULT_PORTS = {"http": 80, "https": 443}
ANY_PORT = 0
SCHEME_PORT = -1
"""The pattern named no port: 80 for http, 443 for https, no other."""

# Underscores are not hostnames by the book, but are found in real ones.
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
NAME_CHARS_MAX = 253


def canonical_host(host: str) -> str:
    """A host of a URL as it is compared and connected to: lower case, no final dot, addresses in their one short form.

    Raises `ValueError` for what is neither a name nor an address, and for the old spellings of IPv4 addresses
    (`2130706433`, `0x7f.1`, `127.1`), which programs read in different ways.
    """
    lowered = host.lower().removesuffix(".")
    if ":" in lowered:
        if "%" in lowered:
            raise ValueError("an IPv6 address with a zone cannot be used")
        return ipaddress.IPv6Address(lowered).compressed
    if len(lowered) > NAME_CHARS_MAX or not _NAME.fullmatch(lowered):
        raise ValueError("not a host name")
    if _NUMBER.fullmatch(lowered.rpartition(".")[2]):
        try:
            return ipaddress.IPv4Address(lowered).compressed
        except ipaddress.AddressValueError:
            raise ValueError("not an IPv4 address of four decimal numbers") from None
    return lowered


@dataclass(frozen=True, slots=True)
class HostPattern:
    """One entry of `allowed_hosts`. `host` is a name, an address, `*.` and a name, or `*`."""

    host: str
    port: int

    def allows(self, scheme: str, host: str, port: int) -> bool:
        """Whether a canonical host is meant. `*.example.org` stands for what is below example.org, at any depth."""
        wanted = DEFAULT_PORTS[scheme] if self.port == SCHEME_PORT else self.port
        if wanted not in (ANY_PORT, port):
            return False
        if self.host == "*":
            return True
        return host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == SCHEME_PORT else f"{host}:{self.port or '*'}"


def parse_pattern(text: str) -> HostPattern:
    """Reads `example.org`, `*.example.org:8443`, `[::1]:*`, `*`. Raises `ValueError` that says what is wrong."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or colon not in ("", ":") or ":" not in host:
            raise ValueError(f"{text!r} is not an IPv6 address in brackets")
    else:
        host, colon, port = text.partition(":")
    if "/" in text or "@" in text:
        raise ValueError(f"{text!r}: give a host, not a URL")
    wildcard = host.startswith("*.")
    try:
        name = host if host == "*" else canonical_host(_ascii(host.removeprefix("*.")))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if wildcard and _is_address(name):
        raise ValueError(f"{text!r}: an address has nothing below it")
    return HostPattern(f"*.{name}" if wildcard else name, _port(text, port) if colon else SCHEME_PORT)


def parse_patterns(text: str) -> tuple[HostPattern, ...]:
    """A comma separated list; empty for an empty text."""
    return tuple(parse_pattern(part.strip()) for part in text.split(",") if part.strip())


def _port(text: str, port: str) -> int:
    if port == "*":
        return ANY_PORT
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r}: the port is a number from 1 to 65535, or *")
    return int(port)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _ascii(host: str) -> str:
    """An internationalised name in its ASCII form."""
    if host.isascii():
        return host
    # The same conversion that URLs go through, or the two would not compare equal.
    return URL.build(scheme="http", host=host).raw_host or ""
