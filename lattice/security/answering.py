"""The sessions in which other hosts call this one: opened when their first message comes, and bounded.

What is forgotten here must not be taken for new: of each caller it is remembered below which number its sessions are
over, and which of its runs are. A session of a run that nobody knows is new whatever its number, so a caller whose
clock went back is heard. A run that was over, because a message of another one came late, goes on above all numbers;
and when the memory of runs or of callers is full, numbers decide alone. A caller below them is told where to go on.
"""

from __future__ import annotations

import math

from lattice import errors
from lattice.security import opening, sessions
from lattice.security.claims import Claims
from lattice.security.keys import KeyPair
from lattice.security.opening import Opened
from lattice.security.sessions import SharedKey
from lattice.security.settings import ClusterTrust

WINDOW = 4096
"""Numbers behind the newest that may still come: messages of one caller overtake each other by a few."""
_WINDOW_BITS = (1 << WINDOW) - 1
CALLERS_MAX = 5_000
"""Hosts that call this one; of another one the one that opened a session longest ago is forgotten."""
SESSION_S_MAX = sessions.SESSION_S_MAX + 600.0
"""A caller uses a session for an hour, and its clock is no slower than this says. A call that somebody held back on its
way for longer is not done."""
SESSIONS_EACH = 4
"""One caller's at once: the one in use, and those that calls still run in."""
RUNS_MAX = 1_000
"""Runs of one caller that are remembered as over. It started anew that often while this host did not."""
OVER_MAX = 1_000
"""Sessions that are over, kept so that what comes in them is refused without a look at its signature."""
KEPT_EACH = 10_000
"""Claims kept of one caller, one of each of its actors that call."""


class CameBefore(errors.NotAuthentic):
    """The message was here. Its sender, if it is the one it was first, is answered that time."""


class Answering:
    """One session, as the host that is called has it. `kept` has the claims that the caller sent in it, by actor.
    `over` says why nothing in it is done any more, and `floor` up to which number all others are over too."""

    def __init__(self, found: Opened, text: str, key: SharedKey) -> None:
        self.sender = found.between.sender
        self.run = found.between.sender_run
        self.number = found.between.number
        self.issuer = found.issuer
        self.kept: dict[str, Claims] = {}
        self.over = ""
        self.floor = 0
        self.until = math.inf
        self.opening = text
        self._key = key
        self._acceptance = ""
        self._newest = 0
        self._here = 0
        """Bit N is set when the number `newest - N` was here."""

    def take(self, number: int) -> None:
        """Notes a message that was proven. Raises `CameBefore` for one that was here, or may have been."""
        ahead = number - self._newest
        if ahead > 0:
            self._here = 1 if ahead >= WINDOW else (self._here << ahead | 1) & _WINDOW_BITS
            self._newest = number
            return
        if ahead <= -WINDOW or self._here >> -ahead & 1:
            raise CameBefore(f"the message {number} of a session with {self.sender} was here before")
        self._here |= 1 << -ahead

    def require_call(self, message: bytes) -> None:
        """Raises `errors.NotAuthentic` unless the caller wrote all of it."""
        if len(message) <= sessions.PROOF_BYTES or not sessions.same(message, self._key.of_call(message)):
            raise errors.NotAuthentic(f"the call was not made by {self.sender}, or was changed since")

    def require_command(self, number: int, subject: str, payload: bytes, proof: bytes) -> None:
        """Raises `errors.NotAuthentic`."""
        if not sessions.same(proof, self._key.of_command(number, subject, payload)):
            raise errors.NotAuthentic(f"the command was not given by {self.sender}, or was changed since")

    def prove(self, number: int, answer: bytes) -> bytes:
        """The answer to the call of this number, with its proof in the place of its last bytes."""
        return sessions.with_proof(answer, self._key.of_answer(number, answer))

    def acceptance(self, signer: KeyPair, host: str) -> str:
        """What tells the caller that `host`, this one, has a cluster key as well. Made once."""
        if not self._acceptance:
            self._acceptance = opening.accept(signer, self.opening, host)
        return self._acceptance

    def sign_anew(self) -> None:
        """The acceptance is to be by another key."""
        self._acceptance = ""

    def keep(self, key: str, claims: Claims) -> bool:
        """False when there is no room."""
        if key not in self.kept and len(self.kept) >= KEPT_EACH:
            return False
        self.kept[key] = claims
        return True


class _Caller:
    """One host that calls, in its newest run. `floor`: its sessions up to this number are over."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.floor = 0
        self.newest = 0
        self.runs: set[str] = set()
        self.sessions: dict[int, Answering] = {}


class Answerers:
    """All of them."""

    def __init__(self, host: KeyPair, boot: str, trust: ClusterTrust) -> None:
        """`host` is the key of this one, `boot` tells this run of it from others."""
        self._host = host.public
        self._private = opening.unsealer(host)
        self._boot = boot
        self._trust = trust
        self._callers: dict[str, _Caller] = {}
        self._open: dict[str, Answering] = {}
        """By opening and by short name."""
        self._over: dict[str, Answering] = {}
        self._floor = 0
        """Callers that were forgotten had sessions up to this number."""

    @property
    def signer(self) -> KeyPair | None:
        """The cluster key; without one calls are not signed."""
        return self._trust.signing

    def apply(self, trust: ClusterTrust) -> None:
        """From now on other keys count; sessions by those that do not are over."""
        self._trust = trust
        self._over.clear()
        for caller in self._callers.values():
            for number, session in list(caller.sessions.items()):
                session.sign_anew()
                if session.issuer not in trust.trusted:
                    del caller.sessions[number]
                    self._close(session)
                    caller.floor = max(caller.floor, number)

    def open(self, text: str, now: float = 0.0) -> Answering:
        """The session of an opening, or of its short name; `now` is a time of any steady clock. Raises
        `errors.NotAuthentic`."""
        known = self._open.get(text) or self._over.get(text)
        if known is not None:
            if now >= known.until and not known.over:
                self._expire(known)
            return known
        found = opening.verify(text, self._host, self._trust.trusted)
        key = SharedKey(opening.unsealed(found.between.key, self._private))
        session = Answering(found, text, key)
        session.until = now + SESSION_S_MAX
        if found.between.boot != self._boot:
            session.over = f"the host {self._host} was started anew since"
        else:
            self._place(session)
        if session.over:
            if len(self._over) >= OVER_MAX:
                del self._over[next(iter(self._over))]
            self._over[text] = session
        return session

    def find(self, host: str, key: str) -> Claims | None:
        """The claims of a host's actor, as its newest session that says them has them."""
        caller = self._callers.get(host)
        if caller is not None:
            for number in sorted(caller.sessions, reverse=True):
                kept = caller.sessions[number].kept.get(key)
                if kept is not None:
                    return kept
        return None

    def _place(self, session: Answering) -> None:
        """Gives a session its place among its caller's, or says why it is over."""
        caller = self._callers.pop(session.sender, None)
        if caller is None:
            if session.number <= self._floor:
                self._end(session, self._floor)
                return
            if len(self._callers) >= CALLERS_MAX:
                self._forget(next(iter(self._callers)))
            caller = _Caller(session.run)
        self._callers[session.sender] = caller  # the last to be forgotten
        if session.run != caller.run:
            by_number = session.run in caller.runs or len(caller.runs) >= RUNS_MAX
            if by_number and session.number <= caller.newest:
                self._end(session, caller.newest)
                return
            self._begin_run(caller, session.run, by_number)
        if session.number <= caller.floor or session.number in caller.sessions:
            self._end(session, caller.floor)
            return
        caller.newest = max(caller.newest, session.number)
        caller.sessions[session.number] = session
        self._open[session.opening] = self._open[opening.short(session.opening)] = session
        if len(caller.sessions) > SESSIONS_EACH:
            oldest = min(caller.sessions)
            ended = caller.sessions.pop(oldest)
            self._close(ended)
            caller.floor = oldest
            if ended is session:
                self._end(session, oldest)

    def _begin_run(self, caller: _Caller, run: str, by_number: bool) -> None:
        """The caller was started anew: what its last run opened is over. Or a message of an earlier run came late, and
        this is the run that goes on: it is known by its numbers then, which are over all that were here."""
        for session in caller.sessions.values():
            self._close(session)
        caller.sessions.clear()
        caller.floor = caller.newest if by_number else 0
        if len(caller.runs) < RUNS_MAX:
            caller.runs.add(caller.run)
        caller.run = run

    def _expire(self, session: Answering) -> None:
        caller = self._callers[session.sender]
        del caller.sessions[session.number]
        self._close(session)
        caller.floor = max(caller.floor, session.number)
        self._end(session, caller.floor)

    def _end(self, session: Answering, floor: int) -> None:
        session.over, session.floor = "the session it was made in is over", floor

    def _forget(self, host: str) -> None:
        caller = self._callers.pop(host)
        self._floor = max(self._floor, caller.newest)
        for session in caller.sessions.values():
            self._close(session)

    def _close(self, session: Answering) -> None:
        del self._open[session.opening], self._open[opening.short(session.opening)]
