"""Calls signed one by one: the form of others is read and written, and what was not signed is refused."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.security import invocation_tokens, tokens
from lattice.security.invocation_tokens import AGE_S_MAX, LEEWAY_S, Call, InvocationTokens, sign, url
from lattice.security.keys import KeyPair

CLUSTER, STRANGER = KeyPair("cluster", b"c" * 32), KeyPair("cluster", b"s" * 32)
ACTOR, PROVIDER, HOST = (KeyPair(role, b"k" * 32).public for role in ("actor", "provider", "host"))
TRUSTED = frozenset({CLUSTER.public})
NOW = 1_800_000_000.0
CALL = Call(
    id="1",
    origin=url(ACTOR, "", ""),
    target=url(PROVIDER, "wasmcloud:keyvalue", "My Link"),
    operation="KeyValue.Get",
    context={"nanolattice-timeout-ms": "1000"},
)


def known(began: float = NOW - 1000) -> InvocationTokens:
    return InvocationTokens(HOST, "run", began)


def test_urls_are_those_of_the_actor_generation() -> None:
    assert CALL.origin == f"wasmbus://{ACTOR}"
    assert CALL.target_url == f"wasmbus://wasmcloud/keyvalue/my_link/{PROVIDER}/KeyValue.Get"


def test_a_token_has_the_fields_and_the_hash_of_the_actor_generation() -> None:
    said = msgspec.json.decode(tokens.split(sign(CLUSTER, CALL, b"data", NOW).encode()).payload)
    whole = CALL.origin + CALL.target_url + "KeyValue.Get" + "data"
    assert said["wascap"] == {
        "target_url": CALL.target_url,
        "origin_url": CALL.origin,
        "hash": hashlib.sha256(whole.encode()).hexdigest().upper(),
        "context": said["wascap"]["context"],
    }
    assert (said["iss"], said["sub"], said["iat"]) == (CLUSTER.public, "1", NOW)


def test_what_others_sign_is_taken_once() -> None:
    whole = CALL.origin + CALL.target_url + "KeyValue.Get" + "data"
    said = {
        "jti": "x",
        "iat": int(NOW),
        "iss": CLUSTER.public,
        "sub": "1",
        "wascap": {
            "target_url": CALL.target_url,
            "origin_url": CALL.origin,
            "hash": hashlib.sha256(whole.encode()).hexdigest().upper(),
        },
    }
    token = tokens.sign(said, CLUSTER)
    at = known()
    checked = at.check(token, CALL, TRUSTED, NOW)
    assert checked.issuer == CLUSTER.public
    checked.require_payload(b"data")
    with pytest.raises(errors.NotAuthentic, match="payload"):
        checked.require_payload(b"dat")
    with pytest.raises(errors.NotAuthentic, match="here before"):
        at.check(token, CALL, TRUSTED, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "2"},
        {"origin": url(PROVIDER, "", "")},
        {"target": url(ACTOR, "", "")},
        {"operation": "KeyValue.Del"},
        {"context": {"nanolattice-timeout-ms": "999999"}},
    ],
)
def test_a_token_of_another_call_is_refused(changes: dict[str, object]) -> None:
    token = sign(CLUSTER, CALL, b"", NOW)
    with pytest.raises(errors.NotAuthentic):
        known().check(token, msgspec.structs.replace(CALL, **changes), TRUSTED, NOW)


def test_keys_of_others_and_of_other_kinds_do_not_count() -> None:
    with pytest.raises(errors.NotAuthentic, match="not trusted"):
        known().check(sign(STRANGER, CALL, b"", NOW), CALL, TRUSTED, NOW)
    account = KeyPair("account", b"a" * 32)
    with pytest.raises(errors.NotAuthentic, match="that of cluster"):
        known().check(sign(account, CALL, b"", NOW), CALL, frozenset({account.public}), NOW)


@pytest.mark.parametrize(
    ("age_s", "fits"),
    [
        (0, True),
        (AGE_S_MAX + LEEWAY_S, True),
        (AGE_S_MAX + LEEWAY_S + 1, False),
        (-LEEWAY_S, True),
        (-LEEWAY_S - 1, False),
    ],
)
def test_a_token_counts_for_a_while(age_s: float, fits: bool) -> None:
    token = sign(CLUSTER, CALL, b"", NOW - age_s)
    if fits:
        known().check(token, CALL, TRUSTED, NOW)
        return
    with pytest.raises(errors.NotAuthentic):
        known().check(token, CALL, TRUSTED, NOW)


def test_its_own_end_is_kept() -> None:
    wascap = {"target_url": CALL.target_url, "origin_url": CALL.origin, "hash": "X"}
    said = {"iat": int(NOW), "exp": int(NOW) + 10, "iss": CLUSTER.public, "sub": "1", "wascap": wascap}
    token = tokens.sign(said, CLUSTER)
    with pytest.raises(errors.NotAuthentic, match="expired"):
        known().check(token, CALL, TRUSTED, NOW + 10 + LEEWAY_S)
    known().check(token, CALL, TRUSTED, NOW + 9)


def test_after_a_restart_nothing_from_before_is_taken() -> None:
    token = sign(CLUSTER, CALL, b"", NOW - 10)
    with pytest.raises(errors.NotAuthentic, match="before this host was started"):
        known(began=NOW - 5).check(token, CALL, TRUSTED, NOW)


def test_a_token_for_one_run_of_one_host_is_for_no_other() -> None:
    token = sign(CLUSTER, CALL, b"", NOW - 10, host=HOST, host_run="run")
    known(began=NOW - 5).check(token, CALL, TRUSTED, NOW)
    for other in (InvocationTokens(HOST, "later", NOW - 100), InvocationTokens("N", "run", NOW - 100)):
        with pytest.raises(errors.NotAuthentic, match="another run"):
            other.check(token, CALL, TRUSTED, NOW)


def test_when_too_many_come_the_next_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invocation_tokens, "SEEN_MAX", 3)
    at = known()
    calls = [msgspec.structs.replace(CALL, id=str(number)) for number in range(4)]
    for call in calls[:3]:
        at.check(sign(CLUSTER, call, b"", NOW), call, TRUSTED, NOW)
    with pytest.raises(errors.Overloaded):
        at.check(sign(CLUSTER, calls[3], b"", NOW), calls[3], TRUSTED, NOW)
    with pytest.raises(errors.NotAuthentic, match="here before"):
        at.check(sign(CLUSTER, calls[0], b"", NOW), calls[0], TRUSTED, NOW)


@given(st.one_of(st.text(max_size=100), st.just("\ud800.x.y")))
def test_any_text_is_refused_as_a_token(text: str) -> None:
    with pytest.raises(errors.NotAuthentic):
        known().check(text, CALL, TRUSTED, NOW)
