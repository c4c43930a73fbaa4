"""Which addresses are public, and resolvers that pin and filter."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from lattice.artifacts.addresses import AddressRefused, PinnedResolver, PublicResolver, is_public, public_socket
from tests.artifacts.hostile import Names

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NOT_PUBLIC = [
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1"),
    *("192.0.2.1", "192.168.1.1", "198.18.0.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "2002:7f00:1::", "2001::1"),
    *("::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2606:2800:220:1::1%eth0"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_public_internet_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_all_others_are_not_in_whatever_disguise(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


def test_sockets_are_made_for_public_addresses_alone() -> None:
    info = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
    public_socket((*info, ("8.8.8.8", 443))).close()
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.1 is not public"):
        public_socket((*info, ("127.0.0.1", 443)))


async def test_a_name_is_looked_up_once() -> None:
    names = Names({"a": ["8.8.8.8", "127.0.0.1"]})
    resolver = PinnedResolver(names)
    assert [(found["host"], found["port"]) for found in await resolver.resolve("a", 1)] == [("8.8.8.8", 1)]
    assert [(found["host"], found["port"]) for found in await resolver.resolve("a", 2)] == [("8.8.8.8", 2)]
    assert names.asked == ["a"]


async def test_names_of_private_addresses_are_refused() -> None:
    resolver = PublicResolver(Names({"inside": ["10.0.0.1"], "outside": ["8.8.8.8"]}))
    with pytest.raises(AddressRefused, match="the addresses of inside are not public"):
        await resolver.resolve("inside")
    assert [found["host"] for found in await resolver.resolve("outside")] == ["8.8.8.8"]
    await resolver.close()
