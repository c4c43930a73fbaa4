"""Whether a message of the lattice comes from who it says it does: calls of other hosts and tools, commands of hosts.

In a lattice without cluster keys every call is taken as it is, and NATS decides who may send one. With them a call is
proven in the session of two hosts, or signed by itself; everything else is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec

from lattice import envelope, errors
from lattice.envelope import SignedInvocation
from lattice.security import keys, sessions
from lattice.security.answering import Answerers, Answering
from lattice.security.claims import Claims
from lattice.security.invocation_tokens import Checked, InvocationTokens
from lattice.security.keys import KeyPair
from lattice.security.settings import ClusterTrust

VerifyToken = Callable[[str], Claims]
"""The verified claims of an actor's token. Raises `errors.NotAdmitted`."""

UNKNOWN = "(unknown)"
"""Stands for the host of a call that does not say from where it comes."""
REMEDY = "give it a cluster key that is trusted here: --cluster-key FILE, or [cluster] of its security file"


class Source(msgspec.Struct, frozen=True):
    """Where a call comes from. `session` and `number` are those it was proven in, `checked` is its own signature;
    neither in a lattice without cluster keys."""

    host: str
    session: Answering | None = None
    number: int = 0
    checked: Checked | None = None

    def answer(
        self,
        invocation_id: str,
        payload: bytes,
        error: errors.CallError | None,
        digest: bytes,
        more: Mapping[str, str],
    ) -> bytes:
        """The answer as bytes: proven, if the call was. With a `digest` the payload went another way."""
        if self.session is None:
            return envelope.write_response(invocation_id, payload, error, bool(digest))
        answer = envelope.write_unproven_response(invocation_id, payload, error, digest, more)
        return self.session.prove(self.number, answer)


class Authentic:
    """What one host knows of it. `host` is its key, `boot` this run of it; `wall` gives seconds since 1970."""

    def __init__(
        self, host: KeyPair, boot: str, trust: ClusterTrust, verify_token: VerifyToken, wall: Callable[[], float]
    ) -> None:
        self._host = host.public
        self._trust = trust
        self._answerers = Answerers(host, boot, trust)
        self._tokens = InvocationTokens(host.public, boot, wall())
        self._verify_token = verify_token
        self._wall = wall

    def apply(self, trust: ClusterTrust) -> None:
        """From now on other cluster keys count."""
        self._trust = trust
        self._answerers.apply(trust)

    @property
    def signed(self) -> bool:
        """Whether calls have to be signed."""
        return self._trust.signing is not None

    def claims_of(self, key: str, host: str) -> Claims | None:
        """The verified claims of an actor of another host, which calls; None when that sent none."""
        return self._answerers.find(host, key)

    def source(self, call: SignedInvocation, message: bytes) -> Source:
        """Who made a call, and that it is made once. The payload of one that is signed by itself is still to be looked
        at. Raises `errors.NotAuthentic`, `errors.Overloaded`."""
        if not self.signed:
            if call.proof:
                raise errors.NotAuthentic("this host has no cluster key, and can prove no answer", remedy=REMEDY)
            return Source(call.host_id or UNKNOWN)
        if call.proof:
            return self._in_session(call, message)
        if not call.encoded_claims:
            raise errors.NotAuthentic("this lattice takes signed calls only, and this one is not", remedy=REMEDY)
        about = envelope.signed_call(call)
        checked = self._tokens.check(call.encoded_claims, about, self._trust.trusted, self._wall())
        return Source(checked.issuer, checked=checked)

    def _in_session(self, call: SignedInvocation, message: bytes) -> Source:
        opening, number = sessions.split_claim(call.encoded_claims or "")
        session = self._answerers.open(opening, time.monotonic())
        session.require_call(message)
        session.take(number)
        return Source(session.sender, session, number)

    def said(self, source: Source, call: SignedInvocation, admitted: bool) -> dict[str, str]:
        """What the answer has to say besides, to a call that was proven."""
        session = source.session
        if session is None:
            return {}
        context, more = call.traceContext or {}, {}
        signer = self._trust.signing
        if envelope.NEW in context and signer is not None:
            more[envelope.ACCEPTED] = session.acceptance(signer, self._host)
        if session.over:
            more[envelope.FLOOR] = str(session.floor)
        elif admitted and envelope.CLAIMS in context:
            more[envelope.KEPT] = call.origin.public_key
        return more

    def admit(self, source: Source, call: SignedInvocation) -> None:
        """Takes the claims that came along with a call that was proven. Raises what stands against doing it:
        `errors.AnswerLost` when its session is over, in which it may have been done before; `errors.NotAuthentic` when
        it is made in another's name."""
        session = source.session
        if session is None:
            return
        if session.over:
            raise errors.AnswerLost(f"the call may have been made before: {session.over}")
        origin = call.origin
        if keys.resembles(origin.public_key, "host") and origin.public_key != session.sender:
            raise errors.NotAuthentic(f"{session.sender} calls in the name of {origin.public_key[:60]}")
        token = (call.traceContext or {}).get(envelope.CLAIMS)
        if token is None:
            return
        try:
            claims = self._verify_token(token)
        except errors.LatticeError as error:
            raise errors.NotAuthentic(
                f"the claims of {origin.public_key[:60]} do not count here: {error}", remedy=error.remedy
            ) from error
        if claims.subject != origin.public_key:
            raise errors.NotAuthentic(f"the claims are {claims.subject}'s and not those of {origin.public_key[:60]}")
        if not session.keep(claims.subject, claims):
            raise errors.Overloaded(f"{session.sender} sent the claims of more actors than are kept")

    def command(self, text: str, subject: str, payload: bytes) -> str:
        """The host that gave a command in its session. Raises `errors.NotAuthentic`."""
        opening, number, proof = sessions.read_command(text)
        session = self._answerers.open(opening, time.monotonic())
        session.require_command(number, subject, payload, proof)
        if session.over:
            raise errors.NotAuthentic(f"the command may have been given before: {session.over}")
        session.take(number)
        return session.sender
