"""What a policy is asked and what it answers. Pure data, and one small interface.

Three things may answer: the rules of a file (`rules.py`), a service over NATS (`lattice.control.policy_service`), and
later modules in WebAssembly. Whoever asks does not know which. Those that have to wait return an awaitable.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Mapping
from typing import Literal, Protocol, TypeAlias

import msgspec

Kind = Literal["call", "start_actor", "start_provider"]
PartyKind = Literal["actor", "provider", "host"]


class Party(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who calls, is called or is started, as far as this host knows. A field is "" or empty where it does not know.

    A host is a party when its owner calls. `labels` are those of the host where the party is. Times are seconds since
    1970-01-01 UTC.
    """

    key: str
    kind: PartyKind
    name: str = ""
    """An actor's in its manifest, a provider's behind `builtin://`, or the host's."""
    application: str = ""
    issuer: str = ""
    """The account that signed an actor; "" for one that is not signed."""
    caps: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    issued: int | None = None
    expires: int | None = None
    image: str = ""
    copies: int = 0
    """How many calls an actor may answer at once."""
    labels: Mapping[str, str] = {}


class Question(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """May `origin` call `operation` of `target`, or may `target` start here? `contract` is that of the provider that
    is called, that calls or that starts, "" where none is. `origin` is None for a start."""

    kind: Kind
    target: Party
    host: Party
    """The host that asks."""
    lattice: str = ""
    origin: Party | None = None
    contract: str = ""
    operation: str = ""
    link_name: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """`rule` names what decided, `message` says why. `any_operation`: it is the same whatever the operation. It may be
    remembered until `until`, a time of the monotonic clock."""

    permitted: bool
    rule: str = ""
    message: str = ""
    any_operation: bool = False
    until: float = math.inf


Answer: TypeAlias = Decision | Awaitable[Decision]

PERMITTED = Decision(permitted=True, any_operation=True)


class Policy(Protocol):
    """Anything that decides. It never changes what it is asked about, and answers equal questions equally."""

    def decide(self, question: Question) -> Answer:
        """Raises `errors.CallError` when no decision can be had: then the answer is no."""


class Every:
    """A policy of several: they are asked in order, the first refusal stands, and all have to permit."""

    def __init__(self, *policies: Policy) -> None:
        self._policies = policies

    def decide(self, question: Question) -> Answer:
        found = PERMITTED
        for number, policy in enumerate(self._policies, 1):
            answer = policy.decide(question)
            if not isinstance(answer, Decision):
                return self._later(question, found, answer, number)
            found = _both(found, answer)
            if not found.permitted:
                break
        return found

    async def _later(self, question: Question, found: Decision, waiting: Awaitable[Decision], number: int) -> Decision:
        found = _both(found, await waiting)
        if found.permitted:
            rest = Every(*self._policies[number:]).decide(question)
            found = _both(found, rest if isinstance(rest, Decision) else await rest)
        return found


def _both(one: Decision, other: Decision) -> Decision:
    """`one` permits."""
    if not other.permitted:
        return other
    return Decision(
        permitted=True,
        rule=other.rule or one.rule,
        message=other.message or one.message,
        any_operation=one.any_operation and other.any_operation,
        until=min(one.until, other.until),
    )
