"""Who makes a call: what strangers send is refused and breaks nothing, and claims that come along are verified."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import envelope, errors, wire
from lattice.authentic import UNKNOWN, Authentic, Source
from lattice.invocation import EntityId, Invocation
from lattice.security.admission import verify_token
from lattice.security.keys import KeyPair
from lattice.security.sessions import Callers, Calling
from lattice.security.settings import ActorTrust, ClusterTrust
from tests.support.lattices import cluster_key
from tests.support.signed import ACTOR, ISSUER, NOW, OTHER_ACTOR, STRANGER, payload, token

A, B = KeyPair("host", b"a" * 32), KeyPair("host", b"b" * 32)
CLUSTER = cluster_key(1)
TRUST = ClusterTrust(signing=CLUSTER, trusted=frozenset({CLUSTER.public}))
EMPTY = b"\0asm\1\0\0\0"
TOKEN = token(payload(EMPTY)).decode()


def callee(trust: ClusterTrust = TRUST) -> Authentic:
    issuers = ActorTrust(issuers=frozenset({ISSUER.public}))
    return Authentic(B, "b1", trust, lambda text: verify_token(text.encode(), issuers, NOW), lambda: NOW)


def caller() -> Calling:
    return Callers(A.public, "a1", TRUST, lambda: 1).session(B.public, "b1", 0.0)


def message(with_: Calling, origin: EntityId, **more: str) -> bytes:
    made = Invocation(origin, "", "Test.Op", b"data", "1", 5.0, target=EntityId("echo"))
    _, claim = with_.next_whole()
    return with_.prove(envelope.write_unproven(made, EntityId("echo"), A.public, 5.0, claim, more))


def taken(at: Authentic, data: bytes) -> tuple[Source, dict[str, str]]:
    """What a host does with a call before it makes it, and what its answer says besides."""
    call = envelope.read_envelope(data)
    source = at.source(call, data)
    at.admit(source, call)
    return source, at.said(source, call, True)


def claims_said(claims: str) -> dict[str, Any]:
    return {envelope.CLAIMS: claims}


def test_claims_come_once_and_are_kept() -> None:
    at, with_, origin = callee(), caller(), EntityId(ACTOR.public)
    assert at.claims_of(ACTOR.public, A.public) is None
    _, said = taken(at, message(with_, origin, **claims_said(TOKEN)))
    assert said[envelope.KEPT] == ACTOR.public
    _, said = taken(at, message(with_, origin))
    assert envelope.KEPT not in said
    found = at.claims_of(ACTOR.public, A.public)
    assert found is not None
    assert (found.subject, found.caps, found.verified) == (ACTOR.public, ("a:b",), True)
    assert at.claims_of(ACTOR.public, B.public) is None, "another host's actor of that key said nothing"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (token(payload(EMPTY, sub=OTHER_ACTOR.public)).decode(), "and not those of"),
        (token(payload(EMPTY, iss=STRANGER.public), STRANGER).decode(), "does not trust"),
        (token(payload(EMPTY), STRANGER).decode(), "was not signed by"),
        (token(payload(EMPTY, exp=NOW - 1000)).decode(), "expired"),
        ("nonsense", "do not count here"),
        ("", "do not count here"),
    ],
)
def test_claims_that_do_not_count_are_refused_with_the_call(text: str, why: str) -> None:
    at, data = callee(), message(caller(), EntityId(ACTOR.public), **claims_said(text))
    with pytest.raises(errors.NotAuthentic, match=why):
        taken(at, data)
    assert at.claims_of(ACTOR.public, A.public) is None
    call = envelope.read_envelope(data)
    assert envelope.KEPT not in at.said(Source(A.public), call, False)


def test_more_claims_than_are_kept_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lattice.security.answering.KEPT_EACH", 0)
    with pytest.raises(errors.Overloaded):
        taken(callee(), message(caller(), EntityId(ACTOR.public), **claims_said(TOKEN)))


def test_nobody_calls_as_another_host_in_whatever_form() -> None:
    for origin in (EntityId(B.public), EntityId(B.public, "test:contract", "default")):
        with pytest.raises(errors.NotAuthentic, match="in the name of"):
            taken(callee(), message(caller(), origin))
    taken(callee(), message(caller(), EntityId("Notes")))  # the letter of a host's key does not make one


def test_names_of_a_call_have_a_limit() -> None:
    """Tables count what they keep; what is long would fill the memory all the same."""
    for more in ({"origin": EntityId("x" * 5000)}, {"operation": "x" * 5000}, {"id": "x" * 5000}):
        made = Invocation(EntityId("x"), "", "Test.Op", b"", "1", 5.0, target=EntityId("echo"))
        data = envelope.write_invocation(msgspec.structs.replace(made, **more), EntityId("echo"), "", 5.0, False)
        with pytest.raises(errors.MalformedMessage, match="names of a call"):
            envelope.read_invocation(data, 0.0)
    data = envelope.write_invocation(made, EntityId("echo"), "", 5.0, False)
    with pytest.raises(errors.MalformedMessage, match="names of a call"):
        envelope.invocation_of(envelope.read_envelope(data), 0.0, "x" * 5000)


def test_a_new_session_is_accepted_until_the_caller_knows() -> None:
    at, with_ = callee(), caller()
    data = message(with_, EntityId(A.public), **{envelope.NEW: "1"})
    _, said = taken(at, data)
    with_.accept(said[envelope.ACCEPTED], TRUST.trusted)
    _, said = taken(at, message(with_, EntityId(A.public)))
    assert said == {}


def test_in_a_lattice_without_keys_a_call_is_taken_as_it_is() -> None:
    made = Invocation(EntityId("x"), "", "Test.Op", b"", "1", 5.0, target=EntityId("echo"))
    at = callee(ClusterTrust())
    for host, shown in ((A.public, A.public), ("", UNKNOWN)):
        data = envelope.write_invocation(made, EntityId("echo"), host, 5.0, False)
        source, said = taken(at, data)
        assert (source.host, source.session, said) == (shown, None, {})
    with pytest.raises(errors.NotAuthentic, match="can prove no answer"):
        taken(at, message(caller(), EntityId(A.public)))


@given(st.data())
def test_a_message_of_which_any_byte_is_changed_is_refused(data: st.DataObject) -> None:
    whole = message(caller(), EntityId(A.public))
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :]
    with pytest.raises((errors.NotAuthentic, errors.MalformedMessage)):
        taken(callee(), changed)


_texts = st.one_of(
    st.none(), st.text(max_size=60), st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*(\.[0-9a-f]+)?", fullmatch=True)
)


@given(claims=_texts, proof=st.binary(max_size=80), context=st.dictionaries(st.text(max_size=30), st.text(max_size=30)))
def test_any_signature_is_refused(claims: str | None, proof: bytes, context: dict[str, str]) -> None:
    whole = wire.decode_any(message(caller(), EntityId(A.public)))
    data = wire.encode({**whole, "encoded_claims": claims, "proof": proof, "traceContext": context})
    with pytest.raises(errors.NotAuthentic):
        taken(callee(), data)


@given(st.text(max_size=200))
def test_any_text_is_refused_as_the_proof_of_a_command(text: str) -> None:
    with pytest.raises(errors.NotAuthentic):
        callee().command(text, "subject", b"")


def test_a_command_is_proven_once_and_to_one_run() -> None:
    at, with_ = callee(), caller()
    text = with_.command("subject", b"payload")
    assert at.command(text, "subject", b"payload") == A.public
    with pytest.raises(errors.NotAuthentic, match="was here before"):
        at.command(text, "subject", b"payload")
    earlier = Callers(A.public, "a1", TRUST, lambda: 1).session(B.public, "b0", 0.0)
    with pytest.raises(errors.NotAuthentic, match="started anew"):
        at.command(earlier.command("subject", b"payload"), "subject", b"payload")
