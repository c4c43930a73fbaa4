"""The pure rules of the HTTP client: which hosts a pattern means, which addresses are public, bounded inflating."""

import ipaddress
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lattice_http_client.addresses import is_public
from lattice_http_client.body import PIECE_BYTES, Inflater
from lattice_http_client.hosts import canonical_host, parse_pattern, parse_patterns
from lattice_http_client.request import checked_url

from lattice import errors


@pytest.mark.parametrize(
    ("pattern", "scheme", "host", "port", "allowed"),
    [
        ("example.org", "https", "example.org", 443, True),
        ("example.org", "http", "example.org", 80, True),
        ("example.org", "http", "example.org", 443, False),
        ("example.org", "https", "example.org", 8443, False),
        ("example.org:8443", "https", "example.org", 8443, True),
        ("example.org:8443", "https", "example.org", 443, False),
        ("example.org:*", "http", "example.org", 5000, True),
        ("example.org", "https", "www.example.org", 443, False),
        ("*.example.org", "https", "www.example.org", 443, True),
        ("*.example.org", "https", "a.b.example.org", 443, True),
        ("*.example.org", "https", "example.org", 443, False),
        ("*.example.org", "https", "evilexample.org", 443, False),
        ("Example.ORG.", "https", "example.org", 443, True),
        ("bücher.example", "https", "xn--bcher-kva.example", 443, True),
        ("[0:0::1]:8080", "http", "::1", 8080, True),
        ("*", "https", "anything.example", 443, True),
        ("*", "https", "anything.example", 444, False),
        ("*:*", "https", "anything.example", 444, True),
    ],
)
def test_what_a_pattern_means(pattern, scheme, host, port, allowed):
    assert parse_pattern(pattern).allows(scheme, host, port) is allowed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*.",
        "*x.org",
        "a.*.org",
        "http://a",
        "a/b",
        "u@a",
        "a:0",
        "a:70000",
        "a:x",
        "[::1",
        "[a]",
        "*.127.0.0.1",
        "a b",
        "-a",
    ],
)
def test_what_is_no_pattern_says_so(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_pattern(text)


@settings(deadline=None)
@given(st.text(alphabet="ab.-_*:[]0189", max_size=20))
def test_a_pattern_reads_back_as_it_is_shown(text):
    try:
        pattern = parse_pattern(text)
    except ValueError:
        return
    assert parse_pattern(str(pattern)) == pattern


@settings(deadline=None)
@given(st.ip_addresses())
def test_an_address_is_canonical_in_one_form_only(address):
    assert canonical_host(str(address)) == address.compressed
    assert canonical_host(address.exploded) == address.compressed


@settings(deadline=None)
@given(st.ip_addresses(v=4))
def test_an_address_in_disguise_is_never_more_public_than_itself(address):
    mapped = ipaddress.IPv6Address(0xFFFF_0000_0000 | int(address))
    nat64 = ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) | int(address))
    six_to_four = ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80))
    assert not is_public(mapped)
    assert not is_public(six_to_four)
    assert is_public(nat64) == is_public(address)


@settings(deadline=None)
@given(st.ip_addresses())
def test_nothing_that_python_calls_private_is_public(address):
    if is_public(address):
        kinds = ("private", "loopback", "link_local", "multicast", "unspecified")
        assert [kind for kind in kinds if getattr(address, f"is_{kind}")] == []


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001::1", "64:ff9b::8.8.8.8"]
)
def test_public_addresses_are_public(text):
    assert is_public(ipaddress.ip_address(text))


ANYWHERE = parse_patterns("*:*")
ONE = parse_patterns("good.example")


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_checked_url_or_a_refusal(text):
    for url in (text, f"http://{text}", f"http://good.example{text}", f"https://{text}@good.example/"):
        try:
            checked = checked_url(url, ANYWHERE)
        except errors.CallError:
            continue
        assert checked.scheme in ("http", "https")
        assert checked.user is None
        assert canonical_host(checked.raw_host) == checked.raw_host
        assert not any(ord(c) <= 32 or ord(c) >= 127 for c in str(checked))


ODD = st.text(alphabet="/\\@:#?.ab%0[]\u3002\uff0f", max_size=12)


@settings(deadline=None)
@given(ODD, ODD)
@example("", "[]@")
def test_a_url_that_passes_goes_to_the_allowed_host_and_no_other(before, after):
    try:
        checked = checked_url(f"http://{before}good.example{after}", ONE)
    except errors.CallError:
        return
    assert (checked.raw_host, checked.port) == ("good.example", 80)


@settings(deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from([1, 10, 5000]),
    st.integers(1, 64),
    st.sampled_from(["gzip", "deflate", "raw"]),
)
def test_inflating_gives_the_data_in_small_pieces(data, repeated, step, kind):
    bits = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS, "raw": -zlib.MAX_WBITS}[kind]
    packer = zlib.compressobj(wbits=bits)
    data *= repeated
    packed = packer.compress(data) + packer.flush()
    inflater, out = Inflater("gzip" if kind == "gzip" else "deflate"), b""
    for start in range(0, len(packed), step):
        for piece in inflater.decoded(packed[start : start + step]):
            assert 0 < len(piece) <= PIECE_BYTES
            out += piece
    inflater.finish()
    assert out == data


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]))
def test_inflating_anything_gives_bytes_or_a_provider_error(data, kind):
    inflater = Inflater(kind)
    try:
        assert all(0 < len(piece) <= PIECE_BYTES for piece in inflater.decoded(data))
        inflater.finish()
    except errors.ProviderError:
        pass
