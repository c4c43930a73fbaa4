"""What two hosts prove to each other with the key they share: who calls, that nothing was changed, that it comes once.

A proof is a keyed BLAKE2b of all bytes of a message but the last 32, which are the proof. So nothing of a message can
be changed, and there is no second way to write it. Each message has a number; its receiver keeps a window of those that
were here. Calls, answers and commands are hashed apart, so none passes for another.

No clock has to be right: numbers tell the order. docs/adr/0016 has the reasons.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable

from lattice import errors
from lattice.security import opening
from lattice.security.opening import Between
from lattice.security.settings import ClusterTrust

PROOF_BYTES = 32
UNPROVEN = bytes(PROOF_BYTES)
"""Stands where the proof comes."""
CALLS_MAX = 1_000_000
"""Calls of one session; then there is another one, with another key."""
SESSION_S_MAX = 3600.0
COPIED_BYTES_MAX = 4096
HOSTS_MAX = 5_000
"""Hosts that this one calls; the session with the one it called first is ended, and made anew when it is needed."""
NUMBER_DIGITS_MAX = 15


class SharedKey:
    """The key of one session. `bytes` and `repr` show nothing of it."""

    __slots__ = ("_answer", "_call", "_command")

    def __init__(self, key: bytes) -> None:
        def keyed(person: bytes) -> hashlib.blake2b:
            return hashlib.blake2b(key=key, digest_size=PROOF_BYTES, person=person)

        self._call, self._answer, self._command = keyed(b"call"), keyed(b"answer"), keyed(b"command")

    def of_call(self, message: bytes) -> bytes:
        """The proof of a call, whose last bytes do not count. It says itself of which session it is, and its number."""
        proof = self._call.copy()
        proof.update(_before_proof(message))
        return proof.digest()

    def of_answer(self, number: int, message: bytes) -> bytes:
        """The proof of the answer to the call of this number."""
        proof = self._answer.copy()
        proof.update(number.to_bytes(8, "little"))
        proof.update(_before_proof(message))
        return proof.digest()

    def of_command(self, number: int, subject: str, payload: bytes) -> bytes:
        name = subject.encode()
        proof = self._command.copy()
        proof.update(number.to_bytes(8, "little") + len(name).to_bytes(8, "little") + name)
        proof.update(payload)
        return proof.digest()


def _before_proof(message: bytes) -> bytes | memoryview:
    """A few hundred bytes are copied faster than a view of them is made."""
    return message[:-PROOF_BYTES] if len(message) < COPIED_BYTES_MAX else memoryview(message)[:-PROOF_BYTES]


def same(message: bytes, proof: bytes) -> bool:
    """Whether a message ends with this proof."""
    return hmac.compare_digest(message[-PROOF_BYTES:], proof)


def with_proof(message: bytes, proof: bytes) -> bytes:
    return message[:-PROOF_BYTES] + proof


def split_claim(claim: str) -> tuple[str, int]:
    """The opening and the number that a message names: `opening.number`. Raises `errors.NotAuthentic`."""
    found, _, digits = claim.rpartition(".")
    if not found or not digits or len(digits) > NUMBER_DIGITS_MAX or not digits.isalnum() or not digits.isascii():
        raise errors.NotAuthentic("the message names no session and number")
    try:
        return found, int(digits, 16)
    except ValueError as error:
        raise errors.NotAuthentic("the message's number is none") from error


class Calling:
    """One session, as the host that calls has it. `told` has the tokens that the other one has, by actor."""

    def __init__(self, host: str, boot: str, issuer: str, text: str, key: SharedKey, until: float) -> None:
        self.host = host
        self.boot = boot
        self.issuer = issuer
        self.until = until
        self.accepted = False
        self.told: dict[str, str] = {}
        self._opening = self._said = text
        self._key = key
        self.calls = 0

    def next(self) -> tuple[int, str]:
        """The number of the next message, and what it says of its session and itself: the opening, or its short name
        once the session is accepted."""
        self.calls += 1
        return self.calls, f"{self._said}.{self.calls:x}"

    def next_whole(self) -> tuple[int, str]:
        """As `next`, with the opening in any case: for a host that may have forgotten it."""
        self.calls += 1
        return self.calls, f"{self._opening}.{self.calls:x}"

    def prove(self, message: bytes) -> bytes:
        """The message with its proof in the place of its last bytes."""
        return with_proof(message, self._key.of_call(message))

    def proves(self, number: int, answer: bytes) -> bool:
        """Whether the host that was called gave this answer to the call of this number."""
        return len(answer) > PROOF_BYTES and same(answer, self._key.of_answer(number, answer))

    def accept(self, acceptance: str, trusted: frozenset[str]) -> None:
        """Raises `errors.NotAuthentic` unless it is the other host's, by a cluster key that is trusted here."""
        opening.require_accepted(acceptance, self._opening, self.host, trusted)
        self.accepted = True
        self._said = opening.short(self._opening)

    def command(self, subject: str, payload: bytes) -> str:
        """What a command says to prove where it comes from."""
        number, claim = self.next_whole()
        return f"{claim}.{self._key.of_command(number, subject, payload).hex()}"


class Callers:
    """The sessions in which this host calls others: one for each, made when it is first needed."""

    def __init__(self, host: str, run: str, trust: ClusterTrust, wall_ns: Callable[[], int]) -> None:
        """`run` tells this run of the host from others. `wall_ns` need not be right; it should not go back."""
        self._host = host
        self._run = run
        self._trust = trust
        self._wall_ns = wall_ns
        self._number = 0
        self._with: dict[str, Calling] = {}

    @property
    def sign(self) -> bool:
        """Whether calls are signed at all."""
        return self._trust.signing is not None

    @property
    def trusted(self) -> frozenset[str]:
        return self._trust.trusted

    def apply(self, trust: ClusterTrust) -> None:
        """From now on other keys count. What is under way is answered in the session it began in."""
        self._trust = trust
        self._with.clear()

    def session(self, host: str, boot: str, now: float) -> Calling:
        """The session with one run of a host. Raises `errors.NotAuthentic` when there can be none."""
        known = self._with.get(host)
        if known is not None and known.boot == boot and known.calls < CALLS_MAX and now < known.until:
            return known
        signer = self._trust.signing
        if signer is None:
            raise errors.NotAuthentic("this host has no cluster key to sign calls with")
        self._number = max(self._wall_ns(), self._number + 1)
        key = os.urandom(opening.KEY_BYTES)
        between = Between(
            sender=self._host,
            sender_run=self._run,
            to=host,
            boot=boot,
            number=self._number,
            key=opening.sealed(key, host),
            kind="session",
        )
        text = opening.write(signer, between)
        self._with.pop(host, None)
        if len(self._with) >= HOSTS_MAX:
            del self._with[next(iter(self._with))]
        made = self._with[host] = Calling(host, boot, signer.public, text, SharedKey(key), now + SESSION_S_MAX)
        return made

    def end(self, session: Calling, floor: int) -> None:
        """The other host takes nothing more in it. Numbers of later sessions are over `floor`."""
        self._number = max(self._number, min(floor, opening.NUMBER_MAX - 2**32))
        if self._with.get(session.host) is session:
            del self._with[session.host]


def read_command(text: str) -> tuple[str, int, bytes]:
    """The opening, number and proof of a command. Raises `errors.NotAuthentic`."""
    claim, _, proof = text.rpartition(".")
    found, number = split_claim(claim)
    try:
        return found, number, bytes.fromhex(proof)
    except ValueError as error:
        raise errors.NotAuthentic("the command's proof is none") from error
