"""Signed control messages: by whom, over what, for how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.security import control_tokens, tokens
from lattice.security.control_tokens import AGE_S_MAX, LEEWAY_S, Checked, check, sign
from lattice.security.keys import KeyPair, Role
from lattice.security.settings import ClusterTrust, ControlTrust

USER, CLUSTER, STRANGER = KeyPair("user", b"u" * 32), KeyPair("cluster", b"c" * 32), KeyPair("user", b"s" * 32)
CONTROL = ControlTrust(signers=frozenset({USER.public}))
TRUST = ClusterTrust(signing=CLUSTER, trusted=frozenset({CLUSTER.public}))
NOW = 1_800_000_000.0


def checked(token: str, subject: str = "s", payload: bytes = b"p", now: float = NOW, **more: object) -> Checked:
    control = more.get("control", CONTROL)
    assert isinstance(control, ControlTrust)
    return check(token, subject, payload, control=control, cluster=TRUST, now=now)


@pytest.mark.parametrize("signer", [USER, CLUSTER], ids=["user", "cluster"])
def test_signers_and_cluster_keys_give_orders(signer: KeyPair) -> None:
    found = checked(sign(signer, "s", b"p", NOW, "id"))
    assert (found.signer, found.id, found.issued) == (signer.public, f"{signer.public}.id", NOW)
    assert found.until > NOW + AGE_S_MAX


def test_nobody_else_does() -> None:
    for control in (CONTROL, ControlTrust()):
        with pytest.raises(errors.NotAuthentic, match="may not give orders"):
            checked(sign(STRANGER, "s", b"p", NOW, "id"), control=control)


@pytest.mark.parametrize("role", ["host", "actor"])
def test_keys_of_other_roles_sign_no_orders(role: Role) -> None:
    pair = KeyPair(role, b"x" * 32)
    with pytest.raises(errors.NotAuthentic, match="does not count"):
        checked(sign(pair, "s", b"p", NOW, "id"), control=ControlTrust(signers=frozenset({pair.public})))


def test_an_order_is_for_one_subject_and_payload() -> None:
    token = sign(USER, "s", b"p", NOW, "id")
    for subject, payload in (("t", b"p"), ("s", b"q"), ("", b"sp")):
        with pytest.raises(errors.NotAuthentic, match="another message"):
            checked(token, subject, payload)


def test_a_signature_of_something_else_is_none_of_an_order() -> None:
    """Cluster keys sign openings, acceptances and calls as well."""
    said = {"jti": "x", "iss": CLUSTER.public, "sub": "s", "iat": int(NOW), "wascap": {"hash": "X"}}
    with pytest.raises(errors.NotAuthentic, match="kind"):
        checked(tokens.sign(said, CLUSTER))


def test_an_order_counts_for_a_while() -> None:
    token = sign(USER, "s", b"p", NOW, "id")
    checked(token, now=NOW + AGE_S_MAX + LEEWAY_S)
    checked(token, now=NOW - LEEWAY_S)
    for now in (NOW + AGE_S_MAX + LEEWAY_S + 1, NOW - LEEWAY_S - 1):
        with pytest.raises(errors.NotAuthentic):
            checked(token, now=now)


@given(st.one_of(st.text(max_size=100), st.just("\ud800.x.y")))
def test_any_text_is_refused_as_a_token(text: str) -> None:
    with pytest.raises(errors.NotAuthentic):
        checked(text)


def test_the_header_is_one_that_nats_carries() -> None:
    assert control_tokens.HEADER.isascii()
    assert sign(USER, "s", b"p", NOW, "id").isascii()
