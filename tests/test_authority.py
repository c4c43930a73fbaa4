"""Every call is asked about: claims, links and policy refuse it by name, and nobody gets around what is remembered."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from lattice import authority, errors
from lattice.authority import Authority
from lattice.grants import UNSIGNED, Held
from lattice.invocation import EntityId, Invocation
from lattice.links import Link, LinkTable
from lattice.pipeline import Pipeline
from lattice.router import Router
from lattice.security import keys
from lattice.security.claims import Claims
from lattice.security.policy import Answer, Decision, Party, Question
from lattice.security.rules import Rules, Table, read
from lattice.telemetry.audit import Audit
from lattice.telemetry.metrics import Metrics

HOST, OTHER = (keys.KeyPair("host", letter * 32).public for letter in (b"h", b"o"))
ALICE, BOB, CAROL = (keys.KeyPair("actor", letter * 32).public for letter in (b"a", b"b", b"c"))
KV, HTTP, LOGGING = "wasmcloud:keyvalue", "wasmcloud:httpserver", "wasmcloud:builtin:logging"
PRICES = "shop:goods/prices"
NOW = 1_800_000_000.0


def claims(*caps: str, expires: int | None = None) -> Claims:
    return Claims(issuer="AISSUER", subject="M", caps=caps, expires=expires, verified=True)


class Directory:
    """A lattice in which another host has `remote` and its owner calls, and somebody says that BOB is a host."""

    def copies(self, key: str) -> list[str]:
        return [OTHER] if key == CAROL else []

    def knows(self, key: str) -> bool:
        return key == CAROL

    def find(self, name: str) -> str | None:
        return name if name == CAROL else None

    def contract_of(self, _key: str) -> str:
        return ""

    def application_of(self, key: str) -> str:
        return "app" if key in (ALICE, BOB, CAROL) else ""

    def is_host(self, key: str) -> bool:
        return key in (OTHER, BOB)

    def avoid(self, host: str) -> None: ...

    def on_change(self, changed: Any) -> None: ...

    def on_suspect(self, suspect: Any) -> None: ...


class World:
    """A host with an actor ALICE, one BOB, an unsigned one `plain`, a store, an HTTP server and built-in logging."""

    def __init__(self, *, unsigned: bool = True, policy: Any = None) -> None:
        self.links = LinkTable()
        self.router = Router(self.links, operator=HOST)
        self.held: dict[tuple[str, str], Held] = {
            (ALICE, ""): claims(KV, HTTP, LOGGING),
            (BOB, ""): claims(),
            ("plain", ""): UNSIGNED,
        }
        self.now = NOW
        self.metrics = Metrics()
        self.policy = policy
        self.looked = 0
        self.authority = Authority(
            self.router,
            self.links,
            self._claims,
            self._party,
            HOST,
            unsigned=unsigned,
            policy=policy,
            lattice="test",
            clock=lambda: self.now,
        )
        audit = Audit()
        self.outgoing = Pipeline(self.router.resolve, self.metrics, self.authority.leaving, audit)
        self.incoming = Pipeline(self.router.resolve_here, self.metrics, self.authority.arriving, audit)
        self.router.register("store", self._answer, contract=KV)
        self.router.register("http", self._answer, contract=HTTP)
        self.router.register("logging", self._answer, contract=LOGGING)
        self.router.register_built_in(LOGGING, "logging", self._answer)
        for key in (ALICE, BOB, "plain"):
            self.router.register(key, self._answer, application="app")
        self.router.join(Directory(), lambda _target: self._answer)

    def _claims(self, key: str, host: str) -> Held:
        self.looked += 1
        return self.held.get((key, host))

    def _party(self, key: str, host: str) -> Party:
        contract = self.router.contract_of(key)
        kind: Any = "host" if key in (HOST, OTHER) else "provider" if contract else "actor"
        return Party(key=key, kind=kind, name=key, labels={"at": host or "here"})

    async def _answer(self, _invocation: Invocation) -> bytes:
        return b"done"

    def link(self, source: str, target: str = "store", contract: str = KV, name: str = "default", **more: Any) -> Link:
        link = Link(source, target, contract, name, **more)
        self.router.put_link(link)
        return link

    def call(
        self,
        origin: str,
        contract: str = KV,
        operation: str = "KeyValue.Get",
        *,
        name: str = "default",
        as_contract: str = "",
        target: str = "",
        target_contract: str = "",
        host: str = "",
    ) -> Invocation:
        found = EntityId(target, target_contract or self.router.contract_of(target), name) if target else None
        return Invocation(
            origin=EntityId(origin, as_contract, name if as_contract else ""),
            contract=contract,
            operation=operation,
            payload=b"",
            id="1",
            deadline=time.monotonic() + 10,
            link_name=name,
            target=found,
            host=host,
        )

    async def passes(self, *args: Any, **more: Any) -> None:
        pipeline = self.incoming if more.get("host") else self.outgoing
        assert await pipeline(self.call(*args, **more)) == b"done"

    async def refuses(self, error: type[errors.CallError], match: str, *args: Any, **more: Any) -> None:
        """Twice: what is remembered does not let through what was refused."""
        pipeline = self.incoming if more.get("host") else self.outgoing
        for _ in range(2):
            with pytest.raises(error, match=match):
                await pipeline(self.call(*args, **more))


@pytest.fixture
def world() -> World:
    return World()


# What claims hold.


async def test_an_actor_calls_what_its_claims_hold(world: World) -> None:
    world.link(ALICE)
    world.link(BOB)
    world.link("plain")
    await world.passes(ALICE)
    await world.passes("plain")
    await world.refuses(errors.NotGranted, f"{BOB} may not use {KV}: its claims hold no contract at all", BOB)


async def test_a_link_is_needed_besides_the_claims(world: World) -> None:
    await world.refuses(errors.NotLinked, "has no link", ALICE)


async def test_a_built_in_contract_needs_claims_and_no_link(world: World) -> None:
    await world.passes(ALICE, LOGGING, "Log.Write")
    await world.passes("plain", LOGGING, "Log.Write")
    await world.refuses(errors.NotGranted, LOGGING, BOB, LOGGING, "Log.Write")


async def test_a_provider_calls_actors_whose_claims_hold_its_contract(world: World) -> None:
    for key in (ALICE, BOB, "plain"):
        world.link("http", key, HTTP)
    for key in (ALICE, "plain"):
        await world.passes("http", HTTP, "HttpServer.HandleRequest", as_contract=HTTP, target=key)
    await world.refuses(errors.NotGranted, HTTP, "http", HTTP, "Handle", as_contract=HTTP, target=BOB)


async def test_a_link_cannot_call_a_provider_by_another_contract(world: World) -> None:
    """The contract that counts is the provider's own."""
    world.held[ALICE, ""] = claims("test:harmless")
    world.link(ALICE, contract="test:harmless")
    await world.refuses(errors.NotGranted, f"may not use {KV}", ALICE, "test:harmless")


async def test_actors_call_each_other_without_a_contract(world: World) -> None:
    await world.passes(ALICE, BOB, "Do")
    await world.passes(BOB, ALICE, "Do")


async def test_a_provider_that_calls_like_an_actor_is_refused(world: World) -> None:
    """Otherwise the target's claims would not be looked at."""
    world.link("http", BOB, "")
    await world.refuses(errors.NotGranted, "without its contract", "http", "", "Handle", target=BOB)


async def test_the_owner_of_a_host_needs_neither_claims_nor_links(world: World) -> None:
    await world.passes(HOST, "", "Do", target=BOB)
    await world.passes(HOST, KV, target="store")
    await world.passes(OTHER, "", "Do", target=BOB, host=OTHER)


async def test_an_actor_is_no_host_whoever_says_so(world: World) -> None:
    """Anybody who may publish a sign of life can say that it is one."""
    await world.refuses(errors.NotGranted, LOGGING, BOB, LOGGING, "Log.Write")
    await world.refuses(errors.NotLinked, "has no link", BOB)
    await world.refuses(errors.NotLinked, "has no link", BOB, target="store", host=OTHER)


async def test_what_another_account_signed_holds_nothing_when_it_is_not_trusted_any_more(world: World) -> None:
    for key in (ALICE, CAROL):
        world.link(key)
    world.held[CAROL, OTHER] = claims(KV)
    world.link("http", ALICE, HTTP)
    world.authority.apply(unsigned=True, policy=None, issuers=frozenset({"AISSUER"}))
    await world.passes(ALICE)
    await world.passes(CAROL, target="store", host=OTHER)
    world.authority.apply(unsigned=True, policy=None, issuers=frozenset({"AOTHER"}))
    await world.refuses(errors.NotGranted, "does not trust any more", ALICE)
    await world.refuses(errors.NotGranted, "does not trust any more", ALICE, BOB, "Do")
    await world.refuses(errors.NotGranted, "does not trust any more", CAROL, target="store", host=OTHER)
    await world.refuses(errors.NotGranted, "any more", "http", HTTP, "Handle", as_contract=HTTP, target=ALICE)


async def test_a_link_between_actors_leads_one_way(world: World) -> None:
    """Also for a host that says that the other end calls."""
    for key in ("one", "two"):
        world.router.register(key, world._answer, application=key)
        world.held[key, OTHER] = world.held[key, ""] = UNSIGNED
    world.link("one", "two", "")
    await world.passes("one", "", "Do", target="two", host=OTHER)
    await world.refuses(errors.NotLinked, "may not call", "two", "", "Do", target="one", host=OTHER)


def between_actors(world: World, *caps: str, operations: tuple[str, ...] = ()) -> dict[str, Any]:
    """ALICE may call PRICES of BOB, by a link and her claims, also from another host. What a call from there says."""
    world.link(ALICE, BOB, PRICES, operations=operations)
    world.held[ALICE, ""] = world.held[ALICE, OTHER] = claims(PRICES, *caps)
    world.held[BOB, OTHER] = claims(PRICES)
    return {"target": BOB, "target_contract": PRICES, "host": OTHER}


async def test_an_actor_calls_another_by_a_contract_along_a_link(world: World) -> None:
    more = between_actors(world)
    await world.passes(ALICE, PRICES, "ask")
    await world.passes(ALICE, PRICES, "ask", **more)
    world.held[ALICE, ""] = world.held[ALICE, OTHER] = claims(KV)
    world.authority.clear()
    await world.refuses(errors.NotGranted, f"{ALICE} may not use {PRICES}", ALICE, PRICES, "ask")
    await world.refuses(errors.NotGranted, f"{ALICE} may not use {PRICES}", ALICE, PRICES, "ask", **more)


async def test_a_contract_between_actors_leads_one_way(world: World) -> None:
    """Also under another link name, or for who says that it is a provider."""
    more = {**between_actors(world), "target": ALICE}
    world.held[BOB, ""] = claims(PRICES)
    await world.refuses(errors.NotLinked, "has no link", BOB, PRICES, "ask")
    await world.refuses(errors.NotLinked, "has no link", BOB, PRICES, "ask", **more)
    world.link(BOB, ALICE, PRICES, "mine", operations=("nothing",))
    await world.refuses(errors.NotGranted, "does not pass", BOB, PRICES, "ask", **more, name="mine")
    await world.refuses(errors.NotLinked, "under the name 'default'", BOB, PRICES, "ask", **more)
    more = {"target": ALICE, "host": OTHER, "as_contract": PRICES}
    await world.refuses(errors.NotLinked, "is an actor", BOB, PRICES, "ask", **more)
    await world.refuses(errors.NotLinked, "is an actor", ALICE, PRICES, "ask", **{**more, "target": BOB})


async def test_an_unsigned_actor_cannot_say_that_it_is_a_provider_of_its_link(world: World) -> None:
    world.router.register("other", world._answer, application="app")
    world.link("plain", "other", PRICES)
    await world.passes("plain", PRICES, "ask", target="other", target_contract=PRICES, host=OTHER)
    more = {"as_contract": PRICES, "host": OTHER}
    await world.refuses(errors.NotLinked, "is an actor", "other", PRICES, "ask", target="plain", **more)
    await world.refuses(errors.NotLinked, "is an actor", "plain", PRICES, "ask", target="other", **more)


async def test_a_contract_needs_its_link_also_between_actors_that_may_call_each_other(world: World) -> None:
    between_actors(world)
    await world.passes(ALICE, BOB, "ask")
    await world.refuses(errors.NotLinked, "has no link", ALICE, "shop:other/prices", "ask")
    more = {"target": BOB, "target_contract": "shop:other/prices", "host": OTHER}
    await world.refuses(errors.NotLinked, "has no link", ALICE, "shop:other/prices", "ask", **more)


async def test_only_the_functions_that_a_link_names_pass(world: World) -> None:
    more = between_actors(world, operations=("ask",))
    await world.passes(ALICE, PRICES, "ask")
    await world.passes(ALICE, PRICES, "ask", **more)
    await world.refuses(errors.NotGranted, "'change' does not pass", ALICE, PRICES, "change")
    await world.refuses(errors.NotGranted, "'change' does not pass", ALICE, PRICES, "change", **more)


async def test_a_contract_between_actors_can_be_passed_on(world: World) -> None:
    between_actors(world, operations=("ask",))
    world.held["plain", ""] = UNSIGNED
    world.link("plain", BOB, PRICES, granted_by=ALICE)
    await world.passes("plain", PRICES, "ask")
    await world.refuses(errors.NotGranted, "'change' does not pass", "plain", PRICES, "change")
    world.held[ALICE, ""] = claims()
    world.authority.clear()
    await world.refuses(errors.NotGranted, f"{ALICE} may not use {PRICES}", "plain", PRICES, "ask")


async def test_who_answers_a_contract_has_valid_claims_too(world: World) -> None:
    more = between_actors(world)
    world.held[BOB, ""] = claims(expires=int(NOW) - 100)
    await world.refuses(errors.NotGranted, f"claims of {BOB} expired", ALICE, PRICES, "ask")
    await world.refuses(errors.NotGranted, f"claims of {BOB} expired", ALICE, PRICES, "ask", **more)


async def test_policy_is_asked_about_the_contract_between_actors() -> None:
    asked: list[Question] = []

    class Asked:
        def decide(self, question: Question) -> Decision:
            asked.append(question)
            return Decision(permitted=question.operation == "ask", any_operation=False)

    world = World(policy=Asked())
    more = between_actors(world)
    await world.passes(ALICE, PRICES, "ask")
    await world.passes(ALICE, PRICES, "ask", **more)
    await world.refuses(errors.Denied, "'change'", ALICE, PRICES, "change")
    assert {(question.contract, question.target.key) for question in asked} == {(PRICES, BOB)}


async def test_expired_claims_hold_nothing(world: World) -> None:
    world.link(ALICE)
    world.link("http", ALICE, HTTP)
    world.held[ALICE, ""] = claims(KV, HTTP, expires=int(NOW) + 100)
    await world.passes(ALICE)
    world.now += 100 + authority.CLOCK_LEEWAY_S - 1
    await world.passes(ALICE)
    world.now += 1
    await world.refuses(errors.NotGranted, f"the claims of {ALICE} expired 60 s ago", ALICE)
    await world.refuses(errors.NotGranted, "expired", ALICE, BOB, "Do")
    await world.refuses(errors.NotGranted, "expired", "http", HTTP, "Handle", as_contract=HTTP, target=ALICE)
    await world.refuses(errors.NotGranted, "expired", HOST, "", "Do", target=ALICE)


async def test_claims_that_a_new_revision_lost_are_lost(world: World) -> None:
    world.link(ALICE)
    await world.passes(ALICE)
    world.held[ALICE, ""] = claims()
    world.authority.clear()  # as `Actors.replace` does
    await world.refuses(errors.NotGranted, KV, ALICE)


async def test_a_host_that_trusts_no_unsigned_actor_lets_none_call() -> None:
    world = World(unsigned=False)
    world.link("plain")
    world.link(ALICE)
    await world.passes(ALICE)
    await world.refuses(errors.NotGranted, "plain is not signed", "plain")
    await world.refuses(errors.NotGranted, "plain is not signed", ALICE, "plain", "Do")
    await world.refuses(errors.NotGranted, "plain is not signed", "plain", ALICE, "Do")
    world.authority.apply(unsigned=True, policy=None)
    await world.passes("plain")


# From other hosts.


async def test_a_caller_from_elsewhere_is_known_by_claims_that_were_verified(world: World) -> None:
    world.link(CAROL)
    more = {"target": "store", "host": OTHER}
    await world.refuses(errors.NotGranted, f"nothing is known here of the claims of {CAROL}", CAROL, **more)
    world.held[CAROL, OTHER] = claims(KV)
    await world.passes(CAROL, **more)
    world.held[CAROL, OTHER] = claims()  # another revision
    await world.refuses(errors.NotGranted, KV, CAROL, **more)
    del world.held[CAROL, OTHER]
    await world.refuses(errors.NotGranted, "nothing is known", CAROL, **more)


async def test_claims_known_of_one_host_say_nothing_of_another(world: World) -> None:
    world.link(ALICE)
    await world.passes(ALICE)
    await world.refuses(errors.NotGranted, "nothing is known", ALICE, target="store", host=OTHER)


async def test_a_call_that_does_not_say_where_from_is_not_from_here(world: World) -> None:
    world.link(ALICE)
    await world.passes(ALICE)
    with pytest.raises(errors.NotGranted, match="nothing is known"):
        await world.incoming(world.call(ALICE, target="store"))


async def test_an_unsigned_caller_from_elsewhere_is_taken_where_unsigned_actors_run() -> None:
    for unsigned in (True, False):
        world = World(unsigned=unsigned)
        world.link("stranger")
        if unsigned:
            await world.passes("stranger", target="store", host=OTHER)
        else:
            await world.refuses(errors.NotGranted, "not signed", "stranger", target="store", host=OTHER)


async def test_a_caller_cannot_say_that_it_is_a_provider(world: World) -> None:
    """Whoever calls a provider is an actor, whatever contract it gives for itself."""
    world.link(BOB)
    world.held[BOB, OTHER] = claims()
    await world.refuses(errors.NotGranted, KV, BOB, as_contract=KV, target="store", host=OTHER)
    await world.refuses(errors.NotLinked, "has no link", BOB, as_contract=KV, contract=KV, target=ALICE, host=OTHER)


async def test_an_actor_cannot_guess_anothers_link_name(world: World) -> None:
    """Not here, and not from another host, which may name any link."""
    world.link(ALICE, name="public", target_config={"bucket": "public"})
    world.link("plain", name="secret", target_config={"bucket": "secret"})
    await world.passes(ALICE, name="public")
    await world.refuses(errors.NotLinked, "'secret'", ALICE, name="secret")
    await world.refuses(errors.NotLinked, "'secret'", ALICE, name="secret", target="store")
    world.held[ALICE, OTHER] = claims(KV)
    await world.passes(ALICE, name="public", target="store", host=OTHER)
    await world.refuses(errors.NotLinked, "'secret'", ALICE, name="secret", target="store", host=OTHER)


async def test_an_actor_of_another_host_is_left_to_that_host_unless_it_is_known(world: World) -> None:
    await world.passes(ALICE, CAROL, "Do")
    world.held[CAROL, ""] = claims(expires=int(NOW) - 100)
    world.authority.clear()
    await world.refuses(errors.NotGranted, "expired", ALICE, CAROL, "Do")


# Links that restrict, and links that were granted.


async def test_only_the_operations_of_a_link_pass(world: World) -> None:
    world.link(ALICE, operations=("KeyValue.Get", "KeyValue.List*"))
    await world.passes(ALICE)
    await world.passes(ALICE)
    await world.passes(ALICE, operation="KeyValue.ListAdd")
    await world.refuses(
        errors.NotGranted, "'KeyValue.Set' does not pass .* KeyValue.Get", ALICE, operation="KeyValue.Set"
    )
    world.link("http", ALICE, HTTP, operations=("HttpServer.*",))
    await world.refuses(errors.NotGranted, "does not pass", "http", HTTP, "Other", as_contract=HTTP, target=ALICE)


async def test_what_is_granted_stands_as_long_as_the_one_who_grants_has_it(world: World) -> None:
    own = world.link(ALICE, target_config={"bucket": "x"})
    world.link(BOB, granted_by=ALICE, operations=("KeyValue.Get",))
    await world.passes(BOB)
    await world.refuses(errors.NotGranted, "does not pass", BOB, operation="KeyValue.Set")
    world.router.delete_link(own)
    await world.refuses(errors.NotGranted, f"{ALICE}, who grants it, has no link", BOB)
    world.router.put_link(own)
    await world.passes(BOB)
    world.held[ALICE, ""] = claims()
    world.authority.clear()
    await world.refuses(errors.NotGranted, f"{ALICE} may not use", BOB)
    world.held[ALICE, ""] = claims(KV, expires=int(NOW) - 100)
    world.authority.clear()
    await world.refuses(errors.NotGranted, f"claims of {ALICE} expired", BOB)
    world.held[ALICE, ""] = None
    world.authority.clear()
    await world.refuses(errors.NotGranted, f"nothing is known here of the claims of {ALICE}", BOB)


async def test_a_grant_expires_with_the_claims_it_stands_on(world: World) -> None:
    world.held[ALICE, ""] = claims(KV, expires=int(NOW) + 10)
    world.link(ALICE)
    world.link(BOB, granted_by=ALICE)
    await world.passes(BOB)
    world.now += 10 + authority.CLOCK_LEEWAY_S
    await world.refuses(errors.NotGranted, "expired", BOB)


async def test_own_claims_do_not_hold_up_a_grant(world: World) -> None:
    """It is by the other's authority, and that alone."""
    world.held[BOB, ""] = claims(KV)
    world.link(BOB, granted_by=ALICE)
    await world.refuses(errors.NotGranted, "has no link", BOB)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"granted_by": "plain"}, "has no link"),
        ({"granted_by": ALICE, "operations": ("KeyValue.*",)}, "is not among"),
        ({"granted_by": ALICE, "target_config": {"bucket": "all"}}, "configuration is another"),
        ({"granted_by": BOB}, "in a circle"),
    ],
)
async def test_more_than_was_held_is_refused_when_it_is_used(world: World, more: dict[str, Any], match: str) -> None:
    world.link(ALICE, operations=("KeyValue.Get",), target_config={"bucket": "one"})
    world.link(BOB, **more)
    await world.refuses(errors.NotGranted, match, BOB)


# Policy.


class Later:
    """A policy that is decided by the test."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.answers: asyncio.Queue[Decision] = asyncio.Queue()

    def decide(self, question: Question) -> Answer:
        self.asked.append(question)
        return self.answers.get()


def rules(*given: dict[str, Any], default: Any = "allow") -> Rules:
    return Rules(read(Table(default=default, rules=list(given))))


async def test_a_rule_refuses_by_its_name() -> None:
    world = World(policy=rules({"effect": "deny", "name": "shut", "message": "not today", "from": {"name": "plain"}}))
    world.link("plain")
    world.link(ALICE)
    await world.passes(ALICE)
    await world.refuses(errors.Denied, r"calls 'KeyValue.Get' of store: not today \(shut\)", "plain")


async def test_policy_is_asked_about_the_owner_too_and_knows_where_a_call_is_from() -> None:
    deny = {"effect": "deny", "from": {"kind": "host", "labels": {"at": OTHER}}}
    world = World(policy=rules(deny, {"effect": "deny", "from": {"kind": "host"}, "operations": "Drop"}))
    await world.passes(HOST, "", "Do", target=BOB)
    await world.refuses(errors.Denied, "rule 2", HOST, "", "Drop", target=BOB)
    await world.refuses(errors.Denied, "rule 1", OTHER, "", "Do", target=BOB, host=OTHER)


async def test_policy_permits_nothing_that_claims_and_links_do_not() -> None:
    world = World(policy=rules(default="allow"))
    world.link(BOB)
    await world.refuses(errors.NotGranted, KV, BOB)
    await world.refuses(errors.NotLinked, "has no link", ALICE)


async def test_another_policy_counts_from_the_next_call_on() -> None:
    world = World(policy=rules())
    world.link(ALICE)
    await world.passes(ALICE)
    world.authority.apply(unsigned=True, policy=rules(default="deny"))
    await world.refuses(errors.Denied, "the default", ALICE)


async def test_a_call_waits_for_a_policy_that_has_to_be_waited_for() -> None:
    policy = Later()
    world = World(policy=policy)
    world.link(ALICE)
    policy.answers.put_nowait(Decision(permitted=True, until=time.monotonic() + 60))
    await world.passes(ALICE)
    await world.passes(ALICE)  # remembered
    assert len(policy.asked) == 1
    policy.answers.put_nowait(Decision(permitted=False, rule="service", message="no"))
    with pytest.raises(errors.Denied, match=r"no \(service\)"):
        await world.outgoing(world.call(ALICE, operation="KeyValue.Set"))
    asked = policy.asked[1]
    assert (asked.operation, asked.contract, asked.link_name, asked.lattice) == ("KeyValue.Set", KV, "default", "test")


async def test_an_answer_that_does_not_hold_is_asked_for_again() -> None:
    policy = Later()
    world = World(policy=policy)
    world.link(ALICE)
    for _ in range(2):
        policy.answers.put_nowait(Decision(permitted=True, until=time.monotonic()))
        await world.passes(ALICE)
    assert len(policy.asked) == 2


async def test_a_policy_that_takes_longer_than_the_call_may_is_not_waited_for() -> None:
    world = World(policy=Later())
    world.link(ALICE)
    late = Invocation(EntityId(ALICE), KV, "KeyValue.Get", b"", "1", time.monotonic() + 0.05)
    with pytest.raises(errors.DeadlineExceeded, match="before policy had decided"):
        await world.outgoing(late)


async def test_what_changes_while_a_policy_thinks_counts() -> None:
    """Otherwise a call that was asked about would pass along a link that is gone, and be remembered."""
    policy = Later()
    world = World(policy=policy)
    own = world.link(ALICE)
    calling = asyncio.create_task(world.outgoing(world.call(ALICE)))
    while not policy.asked:
        await asyncio.sleep(0)
    world.router.delete_link(own)
    policy.answers.put_nowait(Decision(permitted=True))
    with pytest.raises(errors.NotLinked):
        await calling
    world.router.put_link(own)
    calling = asyncio.create_task(world.outgoing(world.call(ALICE)))
    while len(policy.asked) < 2:
        await asyncio.sleep(0)
    world.authority.clear()
    policy.answers.put_nowait(Decision(permitted=True))
    policy.answers.put_nowait(Decision(permitted=True))
    assert await calling == b"done"
    assert len(policy.asked) == 3
    calling = asyncio.create_task(world.outgoing(world.call(ALICE, operation="KeyValue.Set")))
    while len(policy.asked) < 4:
        await asyncio.sleep(0)
    world.authority.apply(unsigned=True, policy=None)
    policy.answers.put_nowait(Decision(permitted=False, message="who was asked is being closed"))
    assert await calling == b"done", "the policy that counts now was asked"


async def test_a_start_is_asked_about() -> None:
    party = Party(key=BOB, kind="actor", name="bob")
    world = World(policy=rules({"effect": "deny", "kinds": ["start_actor"], "to": {"name": "bob"}}))
    with pytest.raises(errors.Denied, match=r"the start of bob on this host \(rule 1\)"):
        await world.authority.require_start("start_actor", party)
    await world.authority.require_start("start_provider", Party(key="p", kind="provider"), KV)
    later = Later()
    later.answers.put_nowait(Decision(permitted=False))
    world.authority.apply(unsigned=True, policy=later)
    with pytest.raises(errors.Denied, match=r"\(no rule\)"):
        await world.authority.require_start("start_actor", party)
    world.authority.apply(unsigned=True, policy=None)
    await world.authority.require_start("start_actor", party)


# What is remembered.


async def test_what_was_permitted_is_not_looked_at_again_until_something_changes(world: World) -> None:
    world.link(ALICE)
    await world.passes(ALICE)
    before = world.looked
    await world.passes(ALICE)
    assert world.looked == before
    for change in (
        lambda: world.link("plain"),
        lambda: world.router.unregister("plain"),
        world.authority.clear,
    ):
        change()
        before = world.looked
        await world.passes(ALICE)
        assert world.looked > before


async def test_names_that_nobody_tells_apart_are_not_remembered(world: World) -> None:
    world.link(ALICE)
    await world.passes(ALICE)
    before = world.looked
    for number in range(1000):
        await world.passes(ALICE, operation=f"Made.Up{number}")
    assert world.looked == before
    assert len(world.authority._permits) == 1


async def test_an_actor_cannot_exhaust_what_is_remembered_of_others() -> None:
    """It floods with operations that rules and its link tell apart: what it has is bounded, what others have stays."""
    world = World(policy=rules({"effect": "deny", "from": {"name": "nobody*"}, "operations": "x"}))
    world.link("plain", operations=("*",))
    world.link(ALICE, operations=("KeyValue.*",))
    await world.passes(ALICE)
    await world.passes("plain", operation="x" * 10_000)
    assert [len(permit.operations or ()) for permit in world.authority._permits.values()] == [1, 0]
    for number in range(1000):
        await world.passes("plain", operation=f"Made.Up{number}")
    assert len(world.authority._permits) == 2
    remembered = [len(permit.operations or ()) for permit in world.authority._permits.values()]
    assert remembered == [1, authority.OPERATIONS_MAX]
    before = world.looked
    await world.passes(ALICE)
    assert world.looked == before


async def test_operations_whose_time_is_over_make_room() -> None:
    policy = Later()
    world = World(policy=policy)
    world.link(ALICE)
    for number in range(authority.OPERATIONS_MAX + 1):
        policy.answers.put_nowait(Decision(permitted=True, until=time.monotonic()))
        await world.passes(ALICE, operation=f"Op{number}")
    (permit,) = world.authority._permits.values()
    assert permit.operations is not None
    assert len(permit.operations) <= authority.OPERATIONS_MAX


@pytest.fixture
def few_permits(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(authority, "PERMITS_MAX", 5)
    return 5


async def test_hosts_that_are_made_up_drive_out_the_oldest_and_no_more(world: World, few_permits: int) -> None:
    world.link("stranger")
    world.link(ALICE)
    for number in range(few_permits * 4 + 2):
        await world.passes("stranger", target="store", host=f"N{number}")
        assert len(world.authority._permits) <= few_permits
    await world.passes(ALICE)
    for number in range(few_permits - 1):
        await world.passes("stranger", target="store", host=f"M{number}")
    before = world.looked
    await world.passes(ALICE)
    assert world.looked == before


# Who hears of refusals.


async def test_refusals_are_counted_by_origin_and_reason(world: World) -> None:
    world.link(BOB)
    for _ in range(3):
        with pytest.raises(errors.NotGranted):
            await world.outgoing(world.call(BOB))
    with pytest.raises(errors.NotLinked):
        await world.outgoing(world.call(ALICE))
    snapshot = world.metrics.snapshot()
    assert snapshot["refused"] == {BOB: {"not_granted": 3}, ALICE: {"not_linked": 1}}
    assert snapshot["failures"] == {"store": {"not_granted": 3}, "(unresolved)": {"not_linked": 1}}


async def test_a_refusal_further_down_is_not_counted_again(world: World) -> None:
    async def refused(_invocation: Invocation) -> bytes:
        raise errors.NotGranted("further down")

    world.router.register("relay", refused, application="app")
    with pytest.raises(errors.NotGranted):
        await world.outgoing(world.call(ALICE, "relay", "Do"))
    assert world.metrics.refused == {}


async def test_the_log_tells_of_a_refusal_once_with_its_reason(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.link(BOB)
    for _ in range(50):
        with pytest.raises(errors.NotGranted):
            await world.outgoing(world.call(BOB))
    lines = [record.getMessage() for record in caplog.records if record.name == "lattice.audit"]
    assert lines == [
        f"refused: '{BOB}' to 'store' with '{KV}': not_granted:"
        f" {BOB} may not use {KV}: its claims hold no contract at all"
    ]
