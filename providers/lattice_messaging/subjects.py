"""Subjects as NATS has them: tokens between dots; in a pattern `*` is one token and a final `>` one or more. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from lattice.errors import ConfigError, ProviderError
from lattice.provider import Link

SUBJECT_CHARS_MAX = 255
"""Enough for any naming scheme, and far below the longest line that a NATS server reads (4096)."""
INBOX_PREFIX = "_INBOX."
"""Where replies go. Anybody may publish there who was given the subject; nobody listens there but the requester."""
# The broker's own and the lattice's subjects: an actor that may speak of orders must not delete streams, deploy
# applications, stop hosts or say that one is there.
_RESERVED = ("$", "wasmbus.", "wadm.", "nanolattice.")


def checked_subject(subject: str, *, reserved: bool = False) -> str:
    """A subject that a message may be published to. Raises `ProviderError`; `reserved` allows the broker's own."""
    _check(subject, pattern=False)
    if not reserved and subject.startswith(_RESERVED):
        raise ProviderError(
            f"the subject {subject!r} belongs to the broker or the lattice",
            remedy="use another first word, or set allow_reserved on the link where the provider has it",
        )
    return subject


def is_reserved(subject: str) -> bool:
    """Whether a subscription whose pattern happens to match must not get it: control traffic, replies to others."""
    return subject.startswith(_RESERVED) or subject.startswith(INBOX_PREFIX)


def refuse_reserved(link: Link, patterns: Sequence[str]) -> None:
    """Raises `ConfigError` when a link asks outright for what is not for actors."""
    for pattern in patterns:
        if is_reserved(pattern):
            raise ConfigError(
                f"link {link}: subscriptions: {pattern!r} belongs to the broker or the lattice",
                remedy="set allow_reserved on the link, where the provider has it, if the actor is to see it",
            )


def subscribable(pattern: str) -> str:
    """A pattern that can be subscribed to. Raises `ValueError`."""
    try:
        _check(pattern, pattern=True)
    except ProviderError as error:
        raise ValueError(error.message) from None
    return pattern


def matches(pattern: Sequence[str], subject: Sequence[str]) -> bool:
    """Whether the tokens of a pattern stand for the tokens of a subject."""
    if pattern[-1] == ">":
        head = len(pattern) - 1
        return len(subject) > head and _each(pattern[:head], subject[:head])
    return len(pattern) == len(subject) and _each(pattern, subject)


def overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether some subject matches both patterns."""
    for a, b in zip(one, other, strict=False):
        if ">" in (a, b):
            return True
        if a != b and "*" not in (a, b):
            return False
    return len(one) == len(other)


def _each(pattern: Sequence[str], subject: Sequence[str]) -> bool:
    return all(wanted in ("*", token) for wanted, token in zip(pattern, subject, strict=True))


def _check(subject: str, *, pattern: bool) -> None:
    shown = repr(subject[:80])
    if not subject or len(subject) > SUBJECT_CHARS_MAX:
        raise ProviderError(f"the subject {shown} has {len(subject)} characters; 1 to {SUBJECT_CHARS_MAX} are allowed")
    tokens = subject.split(".")
    # Blanks and line ends separate words of the NATS protocol: in a subject they would be commands.
    if not all(tokens) or not subject.isprintable() or any(character.isspace() for character in subject):
        raise ProviderError(f"the subject {shown} has an empty word, a blank or a control character")
    for place, word in enumerate(tokens):
        if "*" not in word and ">" not in word:
            continue
        if not pattern:
            raise ProviderError(f"the subject {shown} holds a wildcard; a message goes to one subject")
        if word not in ("*", ">") or (word == ">" and place < len(tokens) - 1):
            raise ProviderError(f"the pattern {shown}: `*` is a whole word, `>` the last one")
