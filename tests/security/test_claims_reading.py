"""Tokens in .wasm files: found, decoded, and refused when there are two or when they are broken."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.security import claims

HEADER = b"\0asm\1\0\0\0"
PAYLOAD = {
    "jti": "x",
    "iat": 1_700_000_000,
    "iss": "AISSUER",
    "sub": "MSUBJECT",
    "exp": 1_900_000_000,
    "nbf": 1_600_000_000,
    "wascap_revision": 3,
    "wascap": {
        "name": "counter",
        "hash": "AB" * 32,
        "tags": ["one"],
        "caps": ["wasmcloud:keyvalue", "wasmcloud:httpserver"],
        "rev": 4,
        "ver": "0.4.0",
        "call_alias": "demo/counter",
        "prov": False,
    },
}


def encoded(value: Any) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def token(payload: Any, header: Any = None) -> bytes:
    return b".".join((encoded(header or {"typ": "jwt", "alg": "Ed25519"}), encoded(payload), b"c2lnbmF0dXJl"))


def with_section(name: bytes, content: bytes) -> bytes:
    body = bytes([len(name)]) + name + content
    size = bytes((len(body) & 0x7F | 0x80, len(body) >> 7 & 0x7F | 0x80, len(body) >> 14))
    return b"\0" + size + body


@pytest.mark.parametrize("name", [b"jwt", b"wasmcloud_jwt"])
def test_a_token_is_decoded_and_not_called_verified(name: bytes) -> None:
    found = claims.read_claims(HEADER + with_section(name, token(PAYLOAD)))
    assert found == claims.Claims(
        issuer="AISSUER",
        subject="MSUBJECT",
        name="counter",
        caps=("wasmcloud:keyvalue", "wasmcloud:httpserver"),
        rev=4,
        ver="0.4.0",
        alias="demo/counter",
        tags=("one",),
        issued=1_700_000_000,
        expires=1_900_000_000,
        nbf=1_600_000_000,
        hash="AB" * 32,
        verified=False,
    )


def test_a_file_without_a_token_has_no_claims() -> None:
    assert claims.read_claims(HEADER + with_section(b"name", b"")) is None


def test_a_token_of_2019_is_marked_as_legacy() -> None:
    old = {"iss": "A", "sub": "M", "hash": "CD", "caps": ["wascc:http_server"], "tags": []}
    found = claims.read_claims(HEADER + with_section(b"jwt", token(old)))
    assert found is not None
    assert found.legacy
    assert found.caps == ("wascc:http_server",)
    assert found.hash == "CD"


def test_absent_and_null_fields_are_empty() -> None:
    found = claims.decode_token(token({"iss": "A", "sub": "M", "exp": None, "wascap": {"caps": None}}))
    assert (found.caps, found.expires, found.name, found.rev, found.legacy) == ((), None, "", None, False)


def test_two_tokens_are_refused_whatever_their_sections_are_called() -> None:
    for one, other in ((b"jwt", b"jwt"), (b"jwt", b"wasmcloud_jwt")):
        wasm = HEADER + with_section(one, token(PAYLOAD)) + with_section(other, token(PAYLOAD))
        with pytest.raises(errors.ArtifactError, match="2 tokens"):
            claims.read_claims(wasm)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "1 parts"),
        (b"a.b", "2 parts"),
        (b"a.b.c.d", "4 parts"),
        (b"*.b.c", "base64url"),
        (token(PAYLOAD, {"alg": "none"}), "'none'"),
        (token([1]), "payload cannot be read"),
        (token({"iss": "A", "sub": 5}), r"\$.sub"),
        (token({"sub": "M", "wascap": {}}), "no issuer"),
        (token({"iss": "A", "sub": "M", "wascap": {"caps": [1]}}), r"\$.wascap.caps"),
        (
            encoded({"alg": "Ed25519"}) + b"." + base64.urlsafe_b64encode(b'"\xff"').rstrip(b"=") + b".Yw",
            "payload cannot be read",
        ),
        (b"x" * (claims.TOKEN_BYTES_MAX + 1), "at most"),
    ],
)
def test_a_malformed_token_is_refused_with_the_reason(content: bytes, says: str) -> None:
    with pytest.raises(errors.ArtifactError, match=says):
        claims.read_claims(HEADER + with_section(b"jwt", content))


def test_deep_nesting_is_refused_and_not_a_crash() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 40_000).rstrip(b"=")
    with pytest.raises(errors.ArtifactError):
        claims.decode_token(encoded({"alg": "Ed25519"}) + b"." + deep + b".Yw")


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=100).map(lambda data: encoded({"alg": "Ed25519"}) + data)))
def test_noise_is_never_more_than_an_artifact_error(noise: bytes) -> None:
    with pytest.raises(errors.ArtifactError):
        claims.decode_token(noise)
