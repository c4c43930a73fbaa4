"""Sessions of two hosts: what is proven passes once, and nothing else does, whatever is forgotten on the way."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.security import answering, opening, sessions, tokens
from lattice.security.answering import Answerers, Answering, CameBefore
from lattice.security.claims import Claims
from lattice.security.keys import KeyPair
from lattice.security.opening import Between
from lattice.security.sessions import UNPROVEN, Callers, Calling, read_command, split_claim
from lattice.security.settings import ClusterTrust

CLUSTER, NEXT, STRANGER = (KeyPair("cluster", bytes([number]) * 32) for number in (1, 2, 3))
A, B, C = (KeyPair("host", bytes([number]) * 32) for number in (4, 5, 6))


class Lying(KeyPair):
    """Says that it is another key."""

    def sign(self, data: bytes) -> bytes:
        return STRANGER.sign(data)


LIAR = Lying("cluster", bytes([1]) * 32)
assert LIAR.public == CLUSTER.public


def trust(signing: KeyPair = CLUSTER, *more: KeyPair) -> ClusterTrust:
    return ClusterTrust(signing=signing, trusted=frozenset(pair.public for pair in (signing, *more)))


def clock(start: int = 1_000) -> Callable[[], int]:
    count = itertools.count(start)
    return lambda: next(count)


def callers(host: KeyPair = A, run: str = "a1", signer: KeyPair = CLUSTER, start: int = 1_000) -> Callers:
    return Callers(host.public, run, trust(signer), clock(start))


def answerers(trusted: ClusterTrust | None = None, boot: str = "b1") -> Answerers:
    return Answerers(B, boot, trusted or trust())


def session(of: Callers, boot: str = "b1") -> Calling:
    return of.session(B.public, boot, 0.0)


def called(with_: Calling, text: str = "hello", *, whole: bool = True) -> bytes:
    """A message of a call, whose first line says of which session it is."""
    _, claim = with_.next_whole() if whole else with_.next()
    return with_.prove(claim.encode() + b"\n" + text.encode() + UNPROVEN)


def take(at: Answerers, message: bytes) -> tuple[Answering, int]:
    """What a host does with it."""
    text, number = split_claim(message.partition(b"\n")[0].decode())
    found = at.open(text)
    found.require_call(message)
    if not found.over:
        found.take(number)
    return found, number


def test_a_call_and_its_answer_are_proven_both_ways() -> None:
    one, other = session(callers()), answerers()
    for _ in range(3):
        found, number = take(other, called(one))
        assert (found.sender, found.run, found.over) == (A.public, "a1", "")
        answer = found.prove(number, b"world" + UNPROVEN)
        assert one.proves(number, answer)
        assert answer.startswith(b"world")


def test_the_key_is_shown_nowhere() -> None:
    one, other = session(callers()), answerers()
    found, _ = take(other, called(one))
    for shown in (one, other, found, one._key, found._key):
        assert "object at" in repr(shown)


@given(st.data())
def test_a_call_of_which_anything_is_changed_is_refused(data: st.DataObject) -> None:
    message = called(session(callers()), "payload and everything else")
    place = data.draw(st.integers(0, len(message) - 1))
    changed = message[:place] + bytes([message[place] ^ data.draw(st.integers(1, 255))]) + message[place + 1 :]
    with pytest.raises((errors.NotAuthentic, UnicodeDecodeError)):
        take(answerers(), changed)


@given(st.data())
def test_an_answer_of_which_anything_is_changed_is_no_answer(data: st.DataObject) -> None:
    one, other = session(callers()), answerers()
    found, number = take(other, called(one))
    answer = found.prove(number, b"the answer" + UNPROVEN)
    place = data.draw(st.integers(0, len(answer) - 1))
    changed = answer[:place] + bytes([answer[place] ^ data.draw(st.integers(1, 255))]) + answer[place + 1 :]
    assert not one.proves(number, changed)


def test_answers_cannot_be_swapped_or_reflected() -> None:
    one, other = session(callers()), answerers()
    first, second = called(one), called(one)
    found, number = take(other, first)
    take(other, second)
    answer = found.prove(number, b"first" + UNPROVEN)
    assert one.proves(1, answer)
    assert not one.proves(2, answer)
    assert not one.proves(2, second), "a call is no answer"
    assert not one.proves(1, UNPROVEN), "a proof of nothing"
    with pytest.raises(errors.NotAuthentic, match="changed since"):
        found.require_call(answer)
    with pytest.raises(errors.NotAuthentic, match="changed since"):
        found.require_call(UNPROVEN)


def test_a_call_passes_once_in_whatever_order_they_come() -> None:
    one, other = session(callers()), answerers()
    messages = [called(one) for _ in range(200)]
    for message in messages[::2] + messages[1::2][::-1]:
        take(other, message)
    for message in messages:
        with pytest.raises(CameBefore):
            take(other, message)


@given(st.lists(st.integers(1, 3 * answering.WINDOW), max_size=60))
def test_the_window_takes_no_number_twice(numbers: list[int]) -> None:
    found, _ = take(answerers(), called(session(callers())))
    taken, newest = {1}, 1
    for number in numbers:
        try:
            found.take(number)
        except CameBefore:
            assert number in taken or number <= newest - answering.WINDOW
        else:
            assert number not in taken
            taken.add(number)
            newest = max(newest, number)


def test_a_number_far_ahead_costs_nothing() -> None:
    found, _ = take(answerers(), called(session(callers())))
    found.take(10**17)
    assert found._here.bit_length() <= answering.WINDOW
    with pytest.raises(CameBefore):
        found.take(2)


# Who is called, and by whom.


def test_a_session_is_with_one_host_and_one_run_of_it() -> None:
    message = called(session(callers()))
    other = Answerers(C, "c1", trust())
    with pytest.raises(errors.NotAuthentic, match="not with this host"):
        take(other, message)
    found, _ = take(answerers(boot="b2"), message)
    assert "started anew" in found.over
    assert found.floor == 0


def test_a_strangers_key_opens_nothing() -> None:
    message = called(session(callers(signer=STRANGER)))
    with pytest.raises(errors.NotAuthentic, match="not trusted here"):
        take(answerers(), message)


def test_another_signature_under_a_trusted_name_is_refused() -> None:
    message = called(session(Callers(A.public, "a1", ClusterTrust(signing=LIAR), clock())))
    with pytest.raises(errors.NotAuthentic, match="not signed by"):
        take(answerers(), message)


def made(**changes: object) -> str:
    said = {
        "sender": A.public,
        "sender_run": "a1",
        "to": B.public,
        "boot": "b1",
        "number": 5,
        "key": opening.sealed(bytes(32), B.public),
        "kind": "session",
        **changes,
    }
    return opening.write(CLUSTER, Between(**said))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (made(number=0), "the number 0"),
        (made(number=2**64 - 1), "the number"),
        (made(kind="acceptance"), "cannot be opened"),
        (made(key="nonsense!"), "not sealed for this host"),
        (made(key=opening.sealed(bytes(32), C.public)), "not sealed for this host"),
        (made(key=opening.sealed(bytes(31), B.public)), "31 bytes"),
        (made(sender_run="x" * 3000), "too long"),
        ("a.b", "cannot be opened"),
        ("a.b.c", "cannot be opened"),
        ("\ud800.b.c", "no text"),
        (tokens.sign({"iss": CLUSTER.public, "sub": "x", "wascap": {}}, CLUSTER), "cannot be opened"),
    ],
)
def test_openings_that_are_none_are_refused(text: str, why: str) -> None:
    with pytest.raises(errors.NotAuthentic, match=why):
        answerers().open(text)


@given(st.text(max_size=200))
def test_any_text_is_refused_as_an_opening(text: str) -> None:
    with pytest.raises(errors.NotAuthentic):
        answerers().open(text)


@pytest.mark.parametrize("claim", ["", "x", "x.", ".1", "x.-1", "x. 1", "x.1_0", "x.g", "x.²", "x." + "1" * 16])
def test_a_claim_names_an_opening_and_a_number(claim: str) -> None:
    with pytest.raises(errors.NotAuthentic):
        split_claim(claim)
    assert split_claim("a.b.c.1f") == ("a.b.c", 31)


def test_nothing_is_sealed_for_what_is_no_host() -> None:
    low_order = bytes([1]) + bytes(31)
    for host in ("N", CLUSTER.public, keys_of(low_order)):
        with pytest.raises(errors.NotAuthentic, match="nothing can be sealed"):
            callers().session(host, "b1", 0.0)


def keys_of(point: bytes) -> str:
    from lattice.security import keys

    return keys.encode_public("host", point)


# Accepting.


def test_a_host_without_a_cluster_key_accepts_nothing() -> None:
    of = callers()
    one = session(of)
    found, _ = take(answerers(), called(one))
    assert not one.accepted
    theirs = [opening.accept(signer, found.opening, B.public) for signer in (STRANGER, LIAR)]
    for wrong in ("", "a.b.c", "\ud800", *theirs):
        with pytest.raises(errors.NotAuthentic):
            one.accept(wrong, of.trusted)
    another = take(answerers(), called(session(of, "b2")))[0].acceptance(CLUSTER, B.public)
    with pytest.raises(errors.NotAuthentic, match="another session"):
        one.accept(another, of.trusted)
    in_its_name = opening.accept(CLUSTER, found.opening, C.public)
    with pytest.raises(errors.NotAuthentic, match="another session"):
        one.accept(in_its_name, of.trusted)
    assert not one.accepted
    one.accept(found.acceptance(CLUSTER, B.public), of.trusted)
    assert one.accepted


def test_an_accepted_session_is_called_by_a_short_name() -> None:
    of, other = callers(), answerers()
    one = session(of)
    found, _ = take(other, called(one, whole=False))
    acceptance = found.acceptance(CLUSTER, B.public)
    assert found.acceptance(CLUSTER, B.public) is acceptance
    one.accept(acceptance, of.trusted)
    assert len(one.next()[1]) < 30
    assert take(other, called(one, whole=False))[0] is found
    with pytest.raises(errors.NotAuthentic):
        take(answerers(), called(one, whole=False))
    assert take(answerers(), called(one))[0].over == "", "the whole opening can be opened anywhere"


# Renewing, and what is forgotten.


def test_there_is_one_session_until_it_is_old_or_the_other_host_is_another_run() -> None:
    of = callers()
    one = of.session(B.public, "b1", 0.0)
    assert of.session(B.public, "b1", 10.0) is one
    assert of.session(C.public, "b1", 10.0) is not one
    assert of.session(B.public, "b2", 10.0) is not one
    second = of.session(B.public, "b1", 10.0)
    assert of.session(B.public, "b1", 10.0 + sessions.SESSION_S_MAX) is not second
    third = of.session(B.public, "b1", 20.0)
    third.calls = sessions.CALLS_MAX
    assert of.session(B.public, "b1", 20.0) is not third


def test_numbers_grow_whatever_the_clock_says() -> None:
    times = iter([10, 5, 5, 100])
    of = Callers(A.public, "a1", trust(), lambda: next(times))
    other = answerers()
    numbers = []
    for at in range(4):
        found, _ = take(other, called(of.session(B.public, "b1", at * 2 * sessions.SESSION_S_MAX)))
        numbers.append(found.number)
    assert numbers == [10, 11, 12, 100]


def test_a_host_calls_a_bounded_number_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "HOSTS_MAX", 2)
    of = callers()
    hosts = [KeyPair("host", bytes([number]) * 32).public for number in (10, 11, 12)]
    first = of.session(hosts[0], "x", 0.0)
    for host in hosts[1:]:
        of.session(host, "x", 0.0)
    assert len(of._with) == 2
    assert of.session(hosts[0], "x", 0.0) is not first


def test_without_a_cluster_key_there_is_no_session() -> None:
    of = Callers(A.public, "a1", ClusterTrust(), clock())
    assert not of.sign
    with pytest.raises(errors.NotAuthentic, match="no cluster key"):
        session(of)


def test_what_was_forgotten_is_not_taken_for_new() -> None:
    of, other = callers(), answerers()
    recorded = []
    for at in range(2 * answering.SESSIONS_EACH):
        message = called(of.session(B.public, "b1", at * 2 * sessions.SESSION_S_MAX))
        take(other, message)
        recorded.append(message)
    assert len(other._callers[A.public].sessions) == answering.SESSIONS_EACH
    for message in recorded[: answering.SESSIONS_EACH]:
        found, _ = take(other, message)
        assert found.over
        assert found.floor >= found.number
    for message in recorded[answering.SESSIONS_EACH :]:
        with pytest.raises(CameBefore):
            take(other, message)


def test_an_older_session_than_are_remembered_is_over_at_once() -> None:
    of, other = callers(), answerers()
    late = called(of.session(B.public, "b1", 0.0))
    for at in range(1, 1 + answering.SESSIONS_EACH):
        take(other, called(of.session(B.public, "b1", at * 2 * sessions.SESSION_S_MAX)))
    found, _ = take(other, late)
    assert found.over
    assert len(other._callers[A.public].sessions) == answering.SESSIONS_EACH


def test_a_caller_that_starts_anew_is_heard_with_a_clock_that_went_back() -> None:
    other = answerers()
    old = called(session(callers(run="a1", start=10_000)))
    take(other, old)
    found, _ = take(other, called(session(callers(run="a2", start=5))))
    assert not found.over
    again, _ = take(other, old)
    assert again.over, "the last run's session is over"
    assert take(other, old)[0] is again, "and known to be, without another look at its signature"


def test_when_too_many_runs_are_remembered_numbers_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "RUNS_MAX", 1)
    other = answerers()
    first, second = called(session(callers(run="a1", start=100))), called(session(callers(run="a2", start=50)))
    take(other, first)
    take(other, second)  # one run is remembered now
    of = callers(run="a3", start=60)
    one = session(of)
    found, _ = take(other, called(one))
    assert (bool(found.over), found.floor) == (True, 100)
    of.end(one, found.floor)
    following = session(of)
    assert following is not one
    assert not take(other, called(following))[0].over, "it goes on where it was told to"
    assert take(other, first)[0].over
    assert take(other, second)[0].over


def test_callers_are_bounded_and_a_forgotten_one_is_not_taken_for_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "CALLERS_MAX", 2)
    other = answerers()
    recorded = []
    for number in range(4):
        host = KeyPair("host", bytes([20 + number]) * 32)
        message = called(session(callers(host, start=100 * (number + 1))))
        take(other, message)
        recorded.append(message)
    assert len(other._callers) == 2
    assert len(other._open) == 4, "two sessions, each by two names"
    for message in recorded[:2]:
        found, _ = take(other, message)
        assert found.over
    of = callers(C, start=5)
    one = session(of)
    found, _ = take(other, called(one))
    assert found.floor == 200
    of.end(one, found.floor)
    assert not take(other, called(session(of)))[0].over


def test_what_is_over_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "OVER_MAX", 2)
    other = answerers(boot="b2")
    for number in range(4):
        take(other, called(session(callers(start=100 * (number + 1)))))
    assert len(other._over) == 2


def test_two_sessions_of_one_number_are_not_both_open() -> None:
    other = answerers()
    first, second = called(session(callers(start=7))), called(session(callers(start=7)))
    assert not take(other, first)[0].over
    assert take(other, second)[0].over


def test_a_floor_that_is_told_ends_a_session_and_not_another() -> None:
    of = callers()
    one = session(of)
    of.end(one, 2**70)
    two = session(of)
    of.end(one, 5)
    assert session(of) is two
    assert of._number <= opening.NUMBER_MAX


# Rotation.


def test_keys_rotate_without_a_refusal() -> None:
    of, other = callers(), answerers()
    before = session(of)
    running, number = take(other, called(before))
    both = trust(CLUSTER, NEXT)
    of.apply(both)
    other.apply(both)
    take(other, called(session(of)))
    of.apply(trust(NEXT, CLUSTER))
    after = session(of)
    found, _ = take(other, called(after))
    assert found.issuer == NEXT.public
    after.accept(found.acceptance(CLUSTER, B.public), of.trusted)
    other.apply(trust(NEXT, CLUSTER))
    of.apply(trust(NEXT))
    other.apply(trust(NEXT))
    assert other.signer is NEXT
    take(other, called(after))
    assert before.proves(number, running.prove(number, b"late" + UNPROVEN)), "what was begun is answered"
    with pytest.raises(errors.NotAuthentic, match="not trusted here"):
        take(other, called(before))
    other.apply(both)
    assert take(other, called(before))[0].over, "also when the old key is trusted again"


# Claims.


def test_claims_are_kept_with_the_session_they_came_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "KEPT_EACH", 2)
    of, other = callers(), answerers()
    assert other.find(A.public, "x") is None
    found, _ = take(other, called(session(of)))
    old, new = (Claims(issuer="A", subject="x", rev=rev) for rev in (1, 2))
    assert found.keep("x", old)
    assert found.keep("y", old)
    assert not found.keep("z", old)
    later, _ = take(other, called(of.session(B.public, "b1", 2 * sessions.SESSION_S_MAX)))
    assert other.find(A.public, "x") is old
    later.keep("x", new)
    assert other.find(A.public, "x") is new
    assert other.find(A.public, "z") is None
    take(other, called(session(callers(run="a2"))))
    assert other.find(A.public, "x") is None, "another run of the host has other actors"


# Commands.


def test_a_command_is_for_one_subject_and_payload() -> None:
    one, other = session(callers()), answerers()
    text, number, proof = read_command(one.command("subject", b"payload"))
    found = other.open(text)
    found.require_command(number, "subject", b"payload", proof)
    for subject, payload, count in (
        ("subjec", b"tpayload", number),
        ("subject", b"other", number),
        ("subject", b"payload", number + 1),
    ):
        with pytest.raises(errors.NotAuthentic, match="changed since"):
            found.require_command(count, subject, payload, proof)
    for wrong in ("", "x", "x.1", "x.1.zz"):
        with pytest.raises(errors.NotAuthentic):
            read_command(wrong)


def test_what_was_held_back_for_longer_than_a_session_lasts_is_not_done() -> None:
    """Nobody may keep a call and let it through the next day, when the caller has long given up."""
    at, of = answerers(), callers()
    with_ = session(of)
    for text, now, over in (
        ("in time", 10.0, False),
        ("just in time", 9.0 + answering.SESSION_S_MAX, False),
        ("held back", 10.0 + answering.SESSION_S_MAX, True),
        ("sent again", 11.0 + answering.SESSION_S_MAX, True),
    ):
        message = called(with_, text)
        opened, _ = split_claim(message.partition(b"\n")[0].decode())
        found = at.open(opened, now)
        found.require_call(message)
        assert bool(found.over) is over, text
    of.end(with_, found.floor)
    assert not at.open(session(of)._opening, now).over, "the caller goes on in another one"


def test_a_late_message_of_an_earlier_run_does_not_end_the_later_one_for_ever() -> None:
    at, earlier, later = answerers(), callers(run="a1"), callers(run="a2", start=2_000)
    late = called(session(earlier))
    first = called(session(later))
    assert take(at, first)[0].over == ""
    assert take(at, late)[0].over == "", "a run that was not heard of is new"
    refused, _ = take(at, called(session(later)))
    assert refused.over
    later.end(session(later), refused.floor)
    for _ in range(2):
        assert take(at, called(session(later)))[0].over == "", "the caller goes on"
    assert take(at, late)[0].over
    assert take(at, first)[0].over, "and nothing is done again"
