"""Tokens: what is signed is read again, and nothing else passes."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.security import keys, tokens

ISSUER = keys.KeyPair("account", b"i" * 32)


class Said(msgspec.Struct):
    iss: str
    text: str = ""


_said = msgspec.json.Decoder(Said)


def made(text: str = "hello") -> bytes:
    return tokens.sign(Said(ISSUER.public, text), ISSUER).encode()


def part(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@given(st.text())
def test_what_was_signed_is_read_again(text: str) -> None:
    token = tokens.split(made(text))
    tokens.require_signature(token, ISSUER.public, "account")
    assert tokens.read(token.payload, _said) == Said(ISSUER.public, text)


def test_the_same_payload_gives_the_same_token() -> None:
    assert made() == made()


@given(st.data())
def test_a_changed_token_is_refused(data: st.DataObject) -> None:
    whole = made()
    place = data.draw(st.integers(0, len(whole) - 1))
    letter = data.draw(st.integers(0, 255).filter(lambda one: one != whole[place]))
    changed = whole[:place] + bytes([letter]) + whole[place + 1 :]
    with pytest.raises(errors.TokenInvalid):
        tokens.require_signature(tokens.split(changed), ISSUER.public, "account")


@given(st.binary(max_size=400))
def test_any_bytes_are_a_token_or_refused(data: bytes) -> None:
    try:
        tokens.split(data)
    except errors.TokenInvalid:
        return
    raise AssertionError("random bytes were taken for a token")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "EdDSA", "ed25519-nkey", ""])
def test_another_algorithm_is_refused(algorithm: str) -> None:
    header, payload, signature = made().split(b".")
    header = part(msgspec.json.encode({"typ": "jwt", "alg": algorithm}))
    with pytest.raises(errors.TokenInvalid, match="only Ed25519"):
        tokens.split(b".".join((header, payload, signature)))


def test_no_signature_is_refused() -> None:
    header, payload, _ = made().split(b".")
    with pytest.raises(errors.TokenInvalid, match="not signed by"):
        tokens.require_signature(tokens.split(b".".join((header, payload, b""))), ISSUER.public, "account")


def test_a_token_is_not_read_past_its_limit() -> None:
    with pytest.raises(errors.TokenInvalid, match="at most"):
        tokens.split(b"a" * (tokens.TOKEN_BYTES_MAX + 1))


def test_stray_bits_do_not_make_another_text_of_one_token() -> None:
    whole = made()
    assert whole[-1:] in b"AQgw"  # 64 bytes leave four bits of the last letter unused
    last = b"BCDE"[b"AQgw".index(whole[-1:]) :][:1]
    with pytest.raises(errors.TokenInvalid):
        tokens.split(whole[:-1] + last)


def test_the_issuer_has_to_be_a_key_of_the_right_role() -> None:
    token = tokens.split(made())
    with pytest.raises(errors.TokenInvalid, match="that of cluster"):
        tokens.require_signature(token, ISSUER.public, "cluster")
    with pytest.raises(errors.TokenInvalid, match="is no key"):
        tokens.require_signature(token, "nonsense", "account")
    other = keys.KeyPair("account", b"j" * 32)
    with pytest.raises(errors.TokenInvalid, match="not signed by"):
        tokens.require_signature(token, other.public, "account")


@pytest.mark.parametrize(
    ("now", "bounds", "why"),
    [
        (100.0, {"expires": 100}, "expired"),
        (99.9, {"expires": 100}, ""),
        (99.9, {"nbf": 100}, "not valid yet"),
        (100.0, {"nbf": 100}, ""),
        (99.9, {"issued": 100}, "not valid yet"),
        (500_000.0, {"expires": 100}, "6 days"),
        (10_000.0, {"expires": 100}, "3 hours"),
        (1_000.0, {"expires": 100}, "15 minutes"),
        (5.0, {}, ""),
    ],
)
def test_a_token_is_valid_within_its_times(now: float, bounds: dict[str, int], why: str) -> None:
    times = {"issued": None, "nbf": None, "expires": None, **bounds}
    if not why:
        tokens.require_time(now, leeway_s=0.0, **times)
        return
    with pytest.raises(errors.TokenInvalid, match=why):
        tokens.require_time(now, leeway_s=0.0, **times)


def test_leeway_widens_the_times() -> None:
    times = {"issued": None, "nbf": 100, "expires": 200}
    tokens.require_time(91.0, leeway_s=10.0, **times)
    tokens.require_time(209.0, leeway_s=10.0, **times)
