"""May this call be made? The claims of the actors, the link's own limits, and policy; the router has found the link.

Asked for every call, twice for one between hosts: where it is made and where it arrives. What was permitted is
remembered until a link, an actor, a provider or the policy changes, or claims expire; a refusal is found anew each
time. Operations are names that guests make up, so they are remembered only where something tells them apart, and then
a bounded number for each pair.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from lattice import errors
from lattice.grants import UNSIGNED, ClaimsOf, Grant, Held, Known, require_held, traced
from lattice.invocation import Invocation
from lattice.links import Link, LinkTable
from lattice.router import Route, Router
from lattice.security import keys
from lattice.security.admission import CLOCK_LEEWAY_S
from lattice.security.claims import Claims
from lattice.security.policy import PERMITTED, Decision, Kind, Party, Policy, Question

PERMITS_MAX = 50_000
"""Remembered permissions, about 500 bytes each; for one more the oldest goes. There is one for each pair that calls."""
OPERATIONS_MAX = 64
"""Remembered operations of one permission; the largest contract has fewer than twenty. Others are decided each time."""
OPERATION_CHARS_MAX = 100
"""Longer names are no operations of any contract."""
SOMEWHERE = "?"
"""In place of the host of a call that arrived and does not say where from: it is not from here."""

PartyOf: TypeAlias = Callable[[str, str], Party]
"""What is known of whoever has this key; the host is where it is, "" for here or not known."""


_Key: TypeAlias = tuple[str, str, str, str, str, str]


class _Permit:
    """What was permitted to one pair. `operations` is None when any is; else it has, by operation, until when, by the
    monotonic clock. `until` is when the first of the claims expires. `claims` are those of a caller elsewhere."""

    __slots__ = ("always", "claims", "operations", "until")

    def __init__(self, claims: Held, until: float, operations: dict[str, float] | None) -> None:
        self.claims = claims
        self.until = until
        self.operations = operations
        self.always = operations is None and until == math.inf


class _Call:
    """One call that is looked at: `key` is what its permit is remembered under, `host` where it came from, "" for
    here. The rest is found: the contract, what the link comes to, and until when the claims are valid."""

    __slots__ = ("claims", "contract", "grant", "host", "invocation", "key", "link_name", "target", "until")

    def __init__(self, invocation: Invocation, route: Route, key: _Key) -> None:
        self.invocation = invocation
        self.target = route.target
        self.key = key
        self.link_name, self.host = key[4:]
        self.contract = ""
        self.claims: Held = None
        self.grant: Grant | None = None
        self.until = math.inf


class Authority:
    """Its `leaving` and `arriving` are what a `Pipeline` asks."""

    def __init__(
        self,
        router: Router,
        links: LinkTable,
        claims_of: ClaimsOf,
        party_of: PartyOf,
        host: str,
        *,
        unsigned: bool,
        issuers: frozenset[str] | None = None,
        lattice: str = "",
        policy: Policy | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`unsigned` says whether actors without claims may call, `issuers` whose claims count, None everybody's;
        `policy` None permits all that claims and links do. `clock` gives seconds since 1970, which claims expire by."""
        self._router = router
        self._links = links
        self._claims_of = claims_of
        self._party_of = party_of
        self._host = host
        self._lattice = lattice
        self._unsigned = unsigned
        self._issuers = issuers
        self._policy = policy
        self._clock = clock
        self._permits: OrderedDict[_Key, _Permit] = OrderedDict()
        self._generation = 0
        router.watch(self.clear)

    def apply(self, *, unsigned: bool, policy: Policy | None, issuers: frozenset[str] | None = None) -> None:
        """Other settings from now on."""
        self._unsigned, self._policy, self._issuers = unsigned, policy, issuers
        self.clear()

    def clear(self) -> None:
        """What was permitted has to be found out again: claims, labels, links or the policy are others."""
        self._generation += 1
        self._permits.clear()

    def leaving(self, invocation: Invocation, route: Route) -> Awaitable[None] | None:
        """For a call that is made here. Raises `errors.NotGranted`, `errors.Denied`, `errors.NotLinked`; returns what
        has to be awaited when a policy cannot answer at once."""
        origin, target = invocation.origin, route.target
        link_name = target.link_name or (invocation.link_name if origin.contract else "")
        key = (origin.key, origin.contract, target.key, target.contract, link_name, "")
        permit = self._permits.get(key)
        if permit is not None and permit.always:
            return None
        return self._authorise(invocation, route, key, permit)

    def arriving(self, invocation: Invocation, route: Route) -> Awaitable[None] | None:
        """As `leaving`, for a call that came from another host."""
        origin, target = invocation.origin, route.target
        host = invocation.host or SOMEWHERE
        link_name = target.link_name or (invocation.link_name if origin.contract else "")
        key = (origin.key, origin.contract, target.key, target.contract, link_name, host)
        permit = self._permits.get(key)
        if permit is not None and permit.claims is not self._claims_of(origin.key, host):
            permit = None
        return self._authorise(invocation, route, key, permit)

    def _authorise(
        self, invocation: Invocation, route: Route, key: _Key, permit: _Permit | None
    ) -> Awaitable[None] | None:
        now = self._clock()
        if permit is not None and now < permit.until:
            if permit.operations is None or permit.operations.get(invocation.operation, 0.0) > time.monotonic():
                return None
        else:
            permit = None
        call = _Call(invocation, route, key)
        self._look(call, now)
        if self._policy is None:
            self._remember(call, permit, PERMITTED)
            return None
        question = self._question(call)
        answer = self._policy.decide(question)
        if not isinstance(answer, Decision):
            return self._later(call, route, question, answer)
        _require(answer, question)
        self._remember(call, permit, answer)
        return None

    async def _later(self, call: _Call, route: Route, question: Question, waiting: Awaitable[Decision]) -> None:
        generation = self._generation
        try:
            async with asyncio.timeout_at(call.invocation.deadline):
                answer = await waiting
        except TimeoutError as error:
            raise errors.DeadlineExceeded("the call's deadline came before policy had decided") from error
        if self._generation == generation:
            _require(answer, question)
            self._remember(call, self._permits.get(call.key), answer)
            return
        # Something changed meanwhile, and it may be what this call was permitted by, or who was asked.
        again = self._authorise(call.invocation, route, call.key, None)
        if again is not None:
            await again

    def _remember(self, call: _Call, permit: _Permit | None, answer: Decision) -> None:
        narrow = call.grant is not None and bool(call.grant.operations)
        if answer.any_operation and answer.until == math.inf and not narrow:
            self._keep(call.key, _Permit(call.claims, call.until, None))
            return
        if permit is None or permit.operations is None:
            permit = _Permit(call.claims, call.until, {})
            self._keep(call.key, permit)
        operations, operation = permit.operations, call.invocation.operation
        assert operations is not None
        if len(operation) > OPERATION_CHARS_MAX:
            return
        if len(operations) >= OPERATIONS_MAX and operation not in operations:
            now = time.monotonic()
            for name in [name for name, end in operations.items() if end <= now]:
                del operations[name]
            if len(operations) >= OPERATIONS_MAX:
                return
        operations[operation] = answer.until

    def _keep(self, key: _Key, permit: _Permit) -> None:
        if len(self._permits) >= PERMITS_MAX and key not in self._permits:
            self._permits.popitem(last=False)
        self._permits[key] = permit

    # What claims and links say.

    def _look(self, call: _Call, now: float) -> None:
        """Raises `errors.NotGranted`, `errors.NotLinked`."""
        origin, target = call.invocation.origin, call.target
        if call.host:
            call.claims = self._claims_of(origin.key, call.host)
        operator = self._router.is_operator(origin.key)
        if target.contract:
            # What the target is, not what a link calls it.
            provider = self._router.contract_of(target.key)
            call.contract = provider or target.contract
            if not provider:
                self._target_claims(call, now)
            if not operator:
                self._look_at_use(call, now, back=bool(provider))
            return
        call.contract = origin.contract
        held = self._target_claims(call, now)
        if operator:
            return
        if origin.contract:
            link = self._link(origin.key, target.key, origin.contract, call.link_name)
            self._look_at_link(call, link)
            if held is not None:
                require_held(self._router.shown(target.key), held, origin.contract)
        elif self._router.contract_of(origin.key):
            raise errors.NotGranted(f"the provider {origin.key} calls {target.key} without its contract")
        else:
            self._claims(origin.key, call, call.host, now)

    def _look_at_use(self, call: _Call, now: float, back: bool) -> None:
        """An actor calls a provider, or another actor by a contract. `back`: a link the other way counts too."""
        origin, target = call.invocation.origin.key, call.target
        held = self._claims(origin, call, call.host, now)
        if self._router.is_built_in(target.key):
            require_held(self._router.shown(origin), held, call.contract)
            return
        link = self._link(origin, target.key, target.contract, call.link_name, back)
        grant = self._look_at_link(call, link)
        if grant.holder != origin:
            # By another's authority, whatever its own claims hold.
            held = self._claims(grant.holder, call, "", now)
        require_held(self._router.shown(grant.holder), held, call.contract)

    def _link(self, origin: str, target: str, contract: str, name: str, back: bool = True) -> Link:
        """Of this name: each has a configuration of its own, and a caller from elsewhere may name any."""
        link = self._links.between(origin, target, contract).get(name)
        if link is None and back:
            link = self._links.between(target, origin, contract).get(name)
        if link is None:
            shown = self._router.shown
            raise errors.NotLinked(
                f"{shown(origin)} has no link for {contract} to {shown(target)} under the name {name[:100]!r}"
            )
        return link

    def _look_at_link(self, call: _Call, link: Link) -> Grant:
        call.grant = grant = traced(link, self._links.between)
        operation = call.invocation.operation
        if not grant.passes(operation):
            passing = ", ".join(pattern.text for pattern in grant.operations)
            raise errors.NotGranted(
                f"{operation[:OPERATION_CHARS_MAX]!r} does not pass {link}, which is for {passing}",
                remedy="add it to the operations of the link",
            )
        return grant

    def _claims(self, key: str, call: _Call, host: str, now: float) -> Known:
        """What is known of who calls, or by whose authority; UNSIGNED where that is allowed. Raises
        `errors.NotGranted`."""
        held = self._claims_of(key, host)
        if held is None and keys.resembles(key, "actor"):
            raise errors.NotGranted(
                f"nothing is known here of the claims of {self._router.shown(key)}",
                remedy="it has to run in this lattice, signed",
            )
        if held is None or held is UNSIGNED:
            if not self._unsigned:
                raise errors.NotGranted(
                    f"{self._router.shown(key)} is not signed, and this host trusts no unsigned actor"
                )
            return UNSIGNED
        self._require_valid(key, held, call, now)
        return held

    def _target_claims(self, call: _Call, now: float) -> Held:
        """None for an actor of another host of which nothing is known here: that host looks itself."""
        key = call.target.key
        if self._router.has(key):
            return self._claims(key, call, "", now)
        held = self._claims_of(key, "")
        if isinstance(held, Claims):
            self._require_valid(key, held, call, now)
        return held

    def _require_valid(self, key: str, held: Claims, call: _Call, now: float) -> None:
        """Who signed them was looked at when they came; what is trusted may have changed since."""
        if self._issuers is not None and held.issuer not in self._issuers:
            raise errors.NotGranted(
                f"the claims of {self._router.shown(key)} are by {held.issuer}, which this host does not "
                "trust any more",
                remedy="sign it by an account that the host trusts, and update it",
            )
        if held.expires is None:
            return
        until = held.expires + CLOCK_LEEWAY_S
        if now >= until:
            raise errors.NotGranted(
                f"the claims of {self._router.shown(key)} expired {now - held.expires:.0f} s ago",
                remedy="sign it again and update it",
            )
        call.until = min(call.until, until)

    # What a policy is asked.

    def _question(self, call: _Call) -> Question:
        return Question(
            kind="call",
            origin=self._party_of(call.invocation.origin.key, call.host),
            target=self._party_of(call.target.key, ""),
            host=self._party_of(self._host, ""),
            lattice=self._lattice,
            contract=call.contract,
            operation=call.invocation.operation,
            link_name=call.link_name,
        )

    async def require_start(self, kind: Kind, target: Party, contract: str = "") -> None:
        """Raises `errors.Denied`, or another `errors.CallError`, when policy does not let it start here."""
        if self._policy is None:
            return
        host = self._party_of(self._host, "")
        question = Question(kind=kind, target=target, host=host, lattice=self._lattice, contract=contract)
        answer = self._policy.decide(question)
        _require(answer if isinstance(answer, Decision) else await answer, question)


def _require(decision: Decision, question: Question) -> None:
    if decision.permitted:
        return
    target = question.target
    if question.origin is None:
        what = f"the start of {target.name or target.key} on this host"
    else:
        what = f"that {question.origin.key} calls {question.operation[:OPERATION_CHARS_MAX]!r} of {target.key}"
    why = f": {decision.message}" if decision.message else ""
    denied = errors.Denied(f"policy denies {what}{why} ({decision.rule or 'no rule'})", remedy="docs/guides/policy.md")
    denied.rule = decision.rule
    raise denied
