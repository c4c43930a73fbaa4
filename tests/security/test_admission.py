"""Who may run: each attack on the token of a module is refused, whatever a host trusts."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wasmtime import Engine
from wasmtime.component import Component

from lattice import errors, wasmfile
from lattice.security import admission, claims, keys
from lattice.security.admission import CLOCK_LEEWAY_S
from lattice.security.settings import ActorTrust
from tests.support.hosts import guest_wasm
from tests.support.signed import (
    ACTOR,
    ISSUER,
    NOW,
    OTHER_ACTOR,
    STRANGER,
    encoded,
    payload,
    section,
    signed,
    token,
)

ECHO = guest_wasm("echo")
STRICT = ActorTrust(issuers=frozenset({ISSUER.public}))
ANY_ISSUER = ActorTrust()
ANYONE = admission.ANYONE
TRUSTS = [STRICT, ANY_ISSUER, ANYONE]
EVERY = pytest.mark.parametrize("trust", TRUSTS, ids=["named", "any", "any-and-unsigned"])


def admit(wasm: bytes, trust: ActorTrust = STRICT, now: float = NOW) -> claims.Claims | None:
    return admission.admit(wasm, wasmfile.describe(wasm), trust, now)


def refused(wasm: bytes, trust: ActorTrust, says: str, now: float = NOW) -> None:
    with pytest.raises(errors.NotAdmitted, match=says):
        admit(wasm, trust, now)


def genuine(wasm: bytes = ECHO) -> bytes:
    return token(payload(wasm))


def boundaries(wasm: bytes) -> list[int]:
    """Where a section may be put."""
    return [8, *(found.end for found in wasmfile.describe(wasm).sections)]


@EVERY
def test_a_genuine_module_is_admitted_with_verified_claims(trust: ActorTrust) -> None:
    found = admit(signed(ECHO, caps=("a:b",), rev=3), trust)
    assert found is not None
    assert found.verified
    assert (found.issuer, found.subject, found.caps, found.rev) == (ISSUER.public, ACTOR.public, ("a:b",), 3)


def test_reading_alone_verifies_nothing() -> None:
    found = claims.read_claims(signed(ECHO))
    assert found is not None
    assert not found.verified


# Where the section is, and how its lengths are written.


@pytest.mark.parametrize("name", [b"jwt", b"wasmcloud_jwt"])
@pytest.mark.parametrize("place", boundaries(ECHO))
def test_the_token_may_lie_anywhere_between_sections(place: int, name: bytes) -> None:
    whole = ECHO[:place] + section(genuine(), name) + ECHO[place:]
    assert admit(whole) is not None


@pytest.mark.parametrize(("size_width", "name_width"), [(5, 1), (1, 5), (5, 5), (3, 2)])
def test_lengths_may_be_written_longer_than_they_need_to_be(size_width: int, name_width: int) -> None:
    made = section(genuine(), size_width=size_width, name_width=name_width)
    for place in boundaries(ECHO):
        assert admit(ECHO[:place] + made + ECHO[place:]) is not None
        refused(ECHO[:place] + made + ECHO[place:] + section(b"", b"x"), ANYONE, "another module")


def test_padded_lengths_of_other_sections_stay_as_they_are() -> None:
    padded = ECHO + section(b"text", b"note", size_width=5, name_width=5)
    assert admit(padded + section(token(payload(padded)))) is not None
    plain = ECHO + section(b"text", b"note")
    refused(plain + section(token(payload(padded))), ANYONE, "another module")


def test_a_token_deep_inside_a_component_does_not_count() -> None:
    inner = signed(b"\0asm\1\0\0\0")
    component = b"\0asm\x0d\0\1\0" + b"\1" + bytes([len(inner) & 0x7F | 0x80, len(inner) >> 7]) + inner
    Component(Engine(), component)  # the engine takes it
    refused(component, STRICT, "not signed")
    assert admit(component, ANYONE) is None
    whole = signed(component)
    assert admit(whole) is not None, "the one of the outermost level counts"
    both = bytes(component) + section(token(payload(component)))
    assert admit(both) is not None


@EVERY
@pytest.mark.parametrize("names", [(b"jwt", b"jwt"), (b"jwt", b"wasmcloud_jwt"), (b"wasmcloud_jwt", b"wasmcloud_jwt")])
def test_a_second_token_is_refused_even_where_both_are_genuine(names: tuple[bytes, bytes], trust: ActorTrust) -> None:
    first, second = (section(genuine(), name) for name in names)
    refused(ECHO + first + second, trust, "2 tokens")
    refused(ECHO[:8] + first + ECHO[8:] + second, trust, "2 tokens")
    refused(ECHO + first + section(b"", names[1]), trust, "2 tokens")


# No byte escapes the hash (GHSA-5rgm-x48h-2mfm was one that did).


@EVERY
def test_nothing_can_be_put_beside_the_token(trust: ActorTrust) -> None:
    for place in boundaries(ECHO):
        made = section(genuine())
        head, tail = ECHO[:place], ECHO[place:]
        for smuggled in (section(b"", b""), section(b"x", b"y"), b"\0\1\0"):
            refused(head + smuggled + made + tail, trust, "another module")
            refused(head + made + smuggled + tail, trust, "another module")


@EVERY
def test_the_token_s_section_holds_the_token_and_nothing_else(trust: ActorTrust) -> None:
    for extra in (b"\0", b" ", b"\n", b"=", b"A", b".", section(b"", b"x")):
        refused(ECHO + section(genuine() + extra), trust, "base64url|parts|not signed by")
        refused(ECHO + section(extra + genuine()), trust, "base64url|parts|header")


@EVERY
@pytest.mark.parametrize("off", [-1, 1])
def test_a_section_that_says_one_byte_more_or_less_is_refused(off: int, trust: ActorTrust) -> None:
    made = genuine()
    body = b"\x0dwasmcloud_jwt" + made
    size = len(body) + off
    wrong = b"\0" + bytes([size & 0x7F | 0x80, size >> 7]) + body
    for tail in (b"", section(b"text", b"note")):
        before = token(payload(ECHO + tail))
        whole = ECHO + wrong.replace(made, before) + tail
        with pytest.raises(errors.ArtifactError):
            admit(whole, trust)


def test_the_bytes_at_both_edges_are_hashed() -> None:
    for place in boundaries(ECHO)[1:-1]:
        whole = ECHO[:place] + section(genuine()) + ECHO[place:]
        file = wasmfile.describe(whole)
        [found] = file.custom("wasmcloud_jwt")
        for edge in (found.start - 1, found.end):
            changed = bytearray(whole)
            changed[edge] ^= 1
            assert claims.hash_without_token(bytes(changed), file) != claims.hash_without_token(whole, file)
        for edge in (found.start, found.end - 1):
            changed = bytearray(whole)
            changed[edge] ^= 1
            assert claims.hash_without_token(bytes(changed), file) == claims.hash_without_token(whole, file)


SMALL = signed(b"\0asm\1\0\0\0" + section(b"text", b"note"))


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_of_a_signed_module_can_be_changed(bit: int) -> None:
    for place in range(len(SMALL)):
        changed = bytearray(SMALL)
        changed[place] ^= 1 << bit
        with pytest.raises(errors.ArtifactError):
            admit(bytes(changed), ANY_ISSUER)


@given(st.data())
def test_no_byte_can_be_changed_put_in_or_left_out(data: st.DataObject) -> None:
    whole = signed(ECHO)
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = bytes([data.draw(st.integers(0, 255).filter(lambda one: one != whole[place]))])
    changes = {
        "change": whole[:place] + byte + whole[place + 1 :],
        "insert": whole[:place] + byte + whole[place:],
        "delete": whole[:place] + whole[place + 1 :],
    }
    for changed in changes.values():
        with pytest.raises(errors.ArtifactError):
            admit(changed, ANY_ISSUER)


# What the token says.


def other_account(role: keys.Role) -> keys.KeyPair:
    return keys.KeyPair(role, b"i" * 32)


WRONG: dict[str, tuple[Callable[[], bytes], str]] = {
    "another module's": (lambda: token(payload(guest_wasm("relay"))), "another module"),
    "no hash": (lambda: token(payload(ECHO, wascap={"hash": ""})), "another module"),
    "lower case hash": (
        lambda: token(payload(ECHO, wascap={"hash": payload(ECHO)["wascap"]["hash"].lower()})),
        "another",
    ),
    "expired": (lambda: token(payload(ECHO, exp=NOW - 100)), "expired 100 s ago"),
    "not yet valid": (lambda: token(payload(ECHO, nbf=NOW + 7200)), "not valid yet, for another 2 hours"),
    "by another than it says": (lambda: token(payload(ECHO), STRANGER), "was not signed by"),
    "no account": (lambda: token(payload(ECHO, iss="nobody")), "is no key"),
    "by a user": (
        lambda: token(payload(ECHO, iss=other_account("user").public), other_account("user")),
        "an user's key",
    ),
    "by an operator": (
        lambda: token(payload(ECHO, iss=other_account("operator").public), other_account("operator")),
        "an operator's key",
    ),
    "by the actor itself": (lambda: token(payload(ECHO, iss=ACTOR.public), ACTOR), "an actor's key"),
    "about an account": (lambda: token(payload(ECHO, sub=ISSUER.public)), "no actor's key"),
    "about nobody": (lambda: token(payload(ECHO, sub="counter")), "no actor's key"),
    "no issuer": (lambda: token(payload(ECHO, iss=None)), "names no issuer"),
    "of 2019": (
        lambda: token({"jti": "x", "iat": 1, "iss": ISSUER.public, "sub": ACTOR.public, "caps": [], "hash": "AB"}),
        "layout of 2019",
    ),
    "nothing": (lambda: b"", "1 parts"),
    "no token": (lambda: b"hello", "1 parts"),
    "not UTF-8": (lambda: b"\xff\xfe", "1 parts"),
    "a list": (lambda: token([1]), "payload cannot be read"),
    "a time in words": (lambda: token(payload(ECHO, exp="tomorrow")), "exp"),
    "a time with a fraction": (lambda: token(payload(ECHO, exp=1e99)), "exp"),
    "too long": (lambda: b"x" * 70_000, "at most"),
}


@EVERY
@pytest.mark.parametrize("case", WRONG)
def test_a_token_that_is_there_and_wrong_is_refused_everywhere(case: str, trust: ActorTrust) -> None:
    made, says = WRONG[case]
    refused(ECHO + section(made()), trust, says)


@EVERY
@pytest.mark.parametrize("algorithm", ["none", "None", "", "HS256", "EdDSA", "ed25519", "ES256"])
def test_another_algorithm_is_refused(algorithm: str, trust: ActorTrust) -> None:
    _, said, signature = genuine().split(b".")
    for last in (signature, b""):
        wrong = b".".join((encoded({"typ": "jwt", "alg": algorithm}), said, last))
        refused(ECHO + section(wrong), trust, "only Ed25519")


@EVERY
def test_a_signature_is_needed_and_is_over_header_and_payload(trust: ActorTrust) -> None:
    header, said, signature = genuine().split(b".")
    refused(ECHO + section(b".".join((header, said, b""))), trust, "was not signed by")
    more = msgspec.json.encode(payload(ECHO, wascap={"caps": ["a:b", "everything"]}))
    widened = base64.urlsafe_b64encode(more).rstrip(b"=")
    refused(ECHO + section(b".".join((header, widened, signature))), trust, "was not signed by")
    other = encoded({"alg": "Ed25519", "typ": "jwt", "kid": "x"})
    refused(ECHO + section(b".".join((other, said, signature))), trust, "was not signed by")


def test_an_issuer_has_to_be_trusted() -> None:
    by_stranger = signed(ECHO, STRANGER)
    refused(by_stranger, STRICT, "which this host does not trust")
    refused(by_stranger, ActorTrust(issuers=frozenset(), unsigned=True), "which this host does not trust")
    for trust in (ANY_ISSUER, ANYONE):
        assert admit(by_stranger, trust) is not None


def test_unsigned_modules_run_only_where_that_was_said() -> None:
    assert admit(ECHO, ANYONE) is None
    for trust in (STRICT, ANY_ISSUER):
        refused(ECHO, trust, "not signed")
    for name in (b"JWT", b"jwt ", b"jwt\0", b"wasmcloud_jwt2", b"\xef\xbb\xbfjwt"):
        refused(ECHO + section(genuine(), name), STRICT, "not signed")


def test_times_have_some_leeway() -> None:
    whole = signed(ECHO, nbf=NOW, expires=NOW + 1000)
    for now in (NOW - CLOCK_LEEWAY_S, NOW, NOW + 999, NOW + 999 + CLOCK_LEEWAY_S):
        assert admit(whole, STRICT, now) is not None
    refused(whole, STRICT, "not valid yet", NOW - CLOCK_LEEWAY_S - 1)
    refused(whole, STRICT, "expired", NOW + 1000 + CLOCK_LEEWAY_S)
    assert admit(signed(ECHO, issued=NOW + 10**6)) is not None, "when it was issued bounds nothing"


def test_everything_that_is_wrong_is_told() -> None:
    made = token(payload(guest_wasm("relay"), exp=5, sub="nobody"), STRANGER)
    whole = ECHO + section(made)
    examined = admission.examine(whole, wasmfile.describe(whole), ActorTrust(issuers=frozenset()), NOW)
    said = [problem.message for problem in examined.problems]
    assert len(said) == 5
    for reason in ("another module", "was not signed by", "no actor's key", "expired", "does not trust"):
        assert any(reason in one for one in said), reason
    assert all(problem.remedy for problem in examined.problems)
    assert examined.claims is not None
    assert not examined.claims.verified
    with pytest.raises(errors.NotAdmitted) as raised:
        admit(whole)
    assert raised.value.remedy
    for one in ("another module", "expired"):
        assert one in str(raised.value)


@given(st.binary(max_size=300), st.sampled_from(TRUSTS[:2]), st.booleans())
def test_noise_is_refused_and_never_more(noise: bytes, trust: ActorTrust, as_token: bool) -> None:
    whole = ECHO + section(noise) if as_token else b"\0asm\1\0\0\0" + noise
    with pytest.raises((errors.NotWasm, errors.NotAdmitted)):
        admit(whole, trust)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["iss", "sub", "exp", "nbf", "iat", "wascap", "hash", "caps", "rev", "name"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_any_json_with_a_signature_is_refused_or_read(value: Any) -> None:
    """By whoever holds a key: what they sign is still bytes from a stranger."""
    header = encoded({"alg": "Ed25519"})
    said = encoded(value)
    made = b".".join((header, said, base64.urlsafe_b64encode(ISSUER.sign(header + b"." + said)).rstrip(b"=")))
    with pytest.raises(errors.NotAdmitted):
        admit(ECHO + section(made), ANY_ISSUER)


# A token that came alone.


def test_a_token_alone_is_verified_but_for_the_hash() -> None:
    found = admission.verify_token(token(payload(guest_wasm("relay"))), STRICT, NOW)
    assert found.verified
    assert found.subject == ACTOR.public
    for wrong, says in (
        (token(payload(ECHO), STRANGER), "was not signed by"),
        (token(payload(ECHO, exp=5)), "expired"),
        (token(payload(ECHO, iss=STRANGER.public), STRANGER), "does not trust"),
        (b"x", "1 parts"),
    ):
        with pytest.raises(errors.NotAdmitted, match=says):
            admission.verify_token(wrong, STRICT, NOW)


def test_claims_that_ran_out_are_noticed() -> None:
    found = admit(signed(ECHO, expires=NOW + 10))
    assert found is not None
    admission.require_current(found, NOW)
    with pytest.raises(errors.NotAdmitted, match="expired"):
        admission.require_current(found, NOW + 10 + CLOCK_LEEWAY_S)


# Keys and aliases.


def of(subject: str = ACTOR.public, issuer: str = ISSUER.public, rev: int | None = 1) -> claims.Claims:
    return claims.Claims(issuer=issuer, subject=subject, rev=rev, verified=True)


def test_a_signed_module_has_the_key_of_its_claims() -> None:
    assert admission.key_for("shop-counter", of()) == ACTOR.public
    assert admission.key_for("", of()) == ACTOR.public
    assert admission.key_for(ACTOR.public, of()) == ACTOR.public
    assert admission.key_for("shop-counter", None) == "shop-counter"


@pytest.mark.parametrize("key", [ACTOR.public, "M" + "A" * 55], ids=["genuine", "of the shape"])
def test_an_actor_s_key_is_proved_by_a_signature(key: str) -> None:
    with pytest.raises(errors.NotAdmitted, match="is not signed"):
        admission.key_for(key, None)
    with pytest.raises(errors.NotAdmitted, match=f"signed for {OTHER_ACTOR.public}"):
        admission.key_for(key, of(OTHER_ACTOR.public))


@pytest.mark.parametrize("role", ["host", "provider", "cluster", "account", "operator", "user", "curve"])
def test_nobody_unsigned_has_the_public_key_of_anybody(role: keys.Role) -> None:
    public = keys.encode_public(role, b"k" * 32)
    with pytest.raises(errors.NotAdmitted, match="public key"):
        admission.key_for(public, None)
    with pytest.raises(errors.NotAdmitted, match="looks like a public key"):
        admission.require_alias(public)
    admission.require_alias("demo/counter")


# What may follow what runs.


def follow(running: claims.Claims | None, new: claims.Claims | None, trust: ActorTrust = STRICT, **how: bool) -> str:
    return admission.succession(running, new, trust, **{"same": False, **how})


def test_a_greater_revision_takes_the_place_of_a_running_one() -> None:
    assert follow(of(rev=1), of(rev=2)) == "replace"
    assert follow(of(rev=None), of(rev=1)) == "replace"
    assert follow(None, None) == "replace"
    for older in (2, 1, None):
        with pytest.raises(errors.NotAdmitted, match=f"its revision is {older or 0}, and 2 runs"):
            follow(of(rev=2), of(rev=older))
        assert follow(of(rev=2), of(rev=older), same=True) == "replace", "the same bytes"
        assert follow(of(rev=2), of(rev=older), back=True) == "restart"


def test_an_unsigned_image_never_follows_a_signed_one() -> None:
    for back in (False, True):
        with pytest.raises(errors.NotAdmitted, match="it is not signed"):
            follow(of(), None, ANYONE, back=back)


def test_another_account_follows_only_where_accounts_are_named() -> None:
    by_stranger = of(issuer=STRANGER.public, rev=9)
    for back in (False, True):
        with pytest.raises(errors.NotAdmitted, match=f"signed by {STRANGER.public}"):
            follow(of(), by_stranger, ANY_ISSUER, back=back)
    named = ActorTrust(issuers=frozenset({ISSUER.public, STRANGER.public}))
    assert follow(of(), by_stranger, named) == "replace"


@pytest.mark.parametrize("field", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("time", [10**400, -(10**400), 2**53 + 1], ids=["huge", "below", "inexact"])
def test_times_beyond_all_numbers_are_refused_and_not_a_crash(field: str, time: int) -> None:
    said = json.dumps(payload(ECHO, **{field: time})).encode()
    text = token(msgspec.Raw(said))
    with pytest.raises(errors.NotAdmitted, match=field):
        admission.verify_token(text, ActorTrust(), NOW)
