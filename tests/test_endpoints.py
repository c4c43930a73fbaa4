"""Places on a network, as manifests and security files write them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.endpoints import parse


def test_what_may_be_reached() -> None:
    one = ipaddress.ip_address("10.1.2.3")
    six = ipaddress.ip_address("fd00::7")
    assert parse("tcp://10.1.2.3:80").permits("tcp", one, 80)
    assert not parse("tcp://10.1.2.3:80").permits("udp", one, 80)
    assert not parse("tcp://10.1.2.3:80").permits("tcp", one, 81)
    assert not parse("tcp://10.1.2.4:80").permits("tcp", one, 80)
    assert parse("tcp://10.0.0.0/8:*").permits("tcp", one, 5432)
    assert not parse("tcp://10.0.0.0/8:*").permits("tcp", six, 5432)
    assert parse("udp://[fd00::]/8:53".replace("]/8", "/8]")).permits("udp", six, 53)
    assert parse("tcp://*:443").permits("tcp", six, 443)
    assert parse("tcp://DB.internal:5432").permits("tcp", one, 5432, {"db.internal"})
    assert not parse("tcp://db.internal:5432").permits("tcp", one, 5432, {"other.internal"})
    assert not parse("tcp://db.internal:5432").permits("tcp", one, 5432)


@pytest.mark.parametrize(
    ("wider", "narrower", "covered"),
    [
        ("tcp://*:*", "tcp://db:5432", True),
        ("tcp://10.0.0.0/8:*", "tcp://10.1.0.0/16:80", True),
        ("tcp://10.1.0.0/16:*", "tcp://10.0.0.0/8:80", False),
        ("tcp://10.0.0.0/8:80", "tcp://10.0.0.0/8:*", False),
        ("tcp://10.0.0.0/8:80", "udp://10.0.0.0/8:80", False),
        ("tcp://10.0.0.0/8:80", "tcp://[fd00::1]:80", False),
        ("tcp://db:5432", "tcp://DB:5432", True),
        ("tcp://db:5432", "tcp://db2:5432", False),
        ("tcp://db:5432", "tcp://*:5432", False),
        ("tcp://10.0.0.1:80", "tcp://db:80", False),
    ],
)
def test_what_a_host_grants_covers_what_a_manifest_wants(wider: str, narrower: str, covered: bool) -> None:
    assert parse(wider).covers(parse(narrower)) is covered


@pytest.mark.parametrize(
    "text",
    [
        *("", "db:80", "http://db:80", "tcp://db", "tcp://db:", "tcp://db:0", "tcp://db:65536", "tcp://db:-1"),
        *("tcp://:80", "tcp://10.0.0.256:80", "tcp://10.0.0.0/33:80", "tcp://a/8:80", "tcp://fd00::1:80"),
        *("tcp://a b:80", "tcp://-a:80", "tcp://a..b:80", "tcp://user@db:80", "tcp://db:80/path", "tcp://[db]:80"),
        *("tcp://" + "a" * 64 + ":80", "tcp://db:80\n", "TCP://db:80", "tcp://127.1:80"),
    ],
)
def test_what_is_no_place_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(errors.ConfigError, match="no place on a network") as caught:
        parse(text)
    assert "tcp://db.internal:5432" in (caught.value.remedy or "")


@given(st.text(max_size=80) | st.from_regex(r"(tcp|udp)://[\[\]0-9a-f:./*]{0,30}:[0-9*]{0,6}", fullmatch=True))
def test_any_text_is_a_place_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except errors.ConfigError:
        return
    assert found.covers(found)
    assert found.network is not None or found.host
