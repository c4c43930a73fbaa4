"""Signing: the same bytes and one section more, the same each time; and what cannot be signed."""

from __future__ import annotations

from typing import Any

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st
from wasmtime.component import Component

from lattice import errors, wasmfile
from lattice.security import admission, claims, keys, signing
from lattice.security.settings import ActorTrust
from tests.support.hosts import guest_wasm
from tests.support.signed import ACTOR, ISSUER, NOW, leb, payload, section, signed, token

HEADER = b"\0asm\1\0\0\0"
COMPONENT = bytes(wasmtime.wat2wasm('(component (core module (@custom "jwt" "inner")) (@custom "note" "n"))'))


def stripped(wasm: bytes) -> bytes:
    return signing.strip(wasm, wasmfile.describe(wasm))


@pytest.mark.parametrize("wasm", [HEADER, guest_wasm("echo"), COMPONENT], ids=["empty", "module", "component"])
def test_signing_adds_one_section_at_the_end_and_changes_nothing_else(wasm: bytes) -> None:
    whole = signed(wasm)
    assert whole[: len(wasm)] == wasm
    [found] = wasmfile.describe(whole).custom("wasmcloud_jwt")
    assert (found.start, found.end) == (len(wasm), len(whole))
    assert stripped(whole) == wasm
    assert admission.admit(whole, wasmfile.describe(whole), ActorTrust(), NOW) is not None


def test_what_is_signed_says_what_was_wished() -> None:
    wish = {"caps": ("a:b", "c:d"), "rev": 7, "ver": "1.2", "alias": "demo/x", "tags": ("t",)}
    whole = signed(guest_wasm("echo"), issued=5, expires=NOW + 9, nbf=6, **wish)
    found = admission.admit(whole, wasmfile.describe(whole), ActorTrust(), NOW)
    assert found == claims.Claims(
        issuer=ISSUER.public,
        subject=ACTOR.public,
        name="tested",
        issued=5,
        expires=NOW + 9,
        nbf=6,
        hash=claims.hash_without_token(whole, wasmfile.describe(whole)),
        verified=True,
        **wish,
    )


def test_signing_twice_gives_the_same_file() -> None:
    once = signed(guest_wasm("echo"), caps=("a:b",))
    assert signed(guest_wasm("echo"), caps=("a:b",)) == once
    assert signed(once, caps=("a:b",)) == once
    assert signed(once, caps=("a:c",)) != once


def test_old_tokens_are_replaced_wherever_they_are() -> None:
    echo = guest_wasm("echo")
    old = token(payload(echo))
    several = echo[:8] + section(old, b"jwt") + echo[8:] + section(b"broken") + section(b"", b"jwt")
    assert stripped(several) == echo
    assert signed(several) == signed(echo)


@given(
    parts=st.lists(
        st.tuples(
            st.sampled_from([b"jwt", b"wasmcloud_jwt", b"jwt2", b"name"]), st.binary(max_size=20), st.integers(1, 5)
        ),
        max_size=8,
    )
)
def test_stripping_undoes_signing(parts: list[tuple[bytes, bytes, int]]) -> None:
    whole, rest = HEADER, HEADER
    for name, content, width in parts:
        made = section(content, name, size_width=width, name_width=6 - width)
        whole += made
        rest += b"" if name in (b"jwt", b"wasmcloud_jwt") else made
    assert stripped(whole) == rest
    assert stripped(signed(whole)) == rest
    assert signed(whole) == signed(rest)


def test_the_engine_takes_what_was_signed() -> None:
    engine = wasmtime.Engine()
    wasmtime.Module(engine, signed(guest_wasm("echo")))
    Component(engine, signed(COMPONENT))


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"subject": ISSUER.public}, "not the public key of an actor"),
        ({"subject": "M"}, "56 letters"),
        ({"name": ""}, "has a name"),
        ({"name": "a\nb"}, "cannot be printed"),
        ({"ver": "\x1b[2J"}, "cannot be printed"),
        ({"alias": "\udcff"}, "cannot be printed"),
        ({"alias": "a:b"}, "looks like a contract"),
        ({"alias": ACTOR.public}, "looks like a contract or a key"),
        ({"caps": ("",)}, "is no cap"),
        ({"caps": ("a b",)}, "is no cap"),
        ({"tags": ("a\tb",)}, "is no tag"),
        ({"rev": -1}, "rev is a number"),
        ({"rev": 2**31}, "rev is a number"),
        ({"expires": 2**60}, "times are"),
        ({"nbf": -5}, "times are"),
        ({"expires": 5, "nbf": 5}, "would expire before"),
        ({"caps": ("x" * 70_000,)}, "at most"),
    ],
)
def test_what_no_host_would_take_is_not_signed(wish: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.ConfigError, match=says):
        signed(HEADER, **wish)


def test_only_accounts_sign() -> None:
    for role in ("user", "actor", "operator"):
        with pytest.raises(errors.ConfigError, match="signed by an account"):
            signed(HEADER, keys.KeyPair(role, b"k" * 32))


def test_only_webassembly_is_signed() -> None:
    with pytest.raises(errors.NotWasm):
        signed(b"hello")
    full = HEADER + section(b"", b"x") * wasmfile.SECTIONS_MAX
    with pytest.raises(errors.NotWasm, match="more than"):
        signed(full)


def test_a_section_says_how_long_it_is() -> None:
    long = signed(HEADER, tags=tuple(f"tag{number}" for number in range(2000)))
    [found] = wasmfile.describe(long).custom("wasmcloud_jwt")
    assert long[9 : 9 + 3] == leb(found.end - found.start - 4), "three bytes, and none more than it takes"
