"""The rules of a file: the first that fits decides, whatever else there is, and mistakes are named with their place."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.security import rules
from lattice.security.policy import PERMITTED, Decision, Party, Question
from lattice.security.rules import PolicySettings, Rules, ServiceSettings, Table

HOST = Party(key="N", kind="host", name="one", labels={"cloud": "east"})
SHOP = Party(
    key="shop-cart", kind="actor", name="cart", application="shop", issuer="AA", caps=("w:kv",), tags=("prod",)
)
STORE = Party(key="shop-store", kind="provider", name="keyvalue-sqlite", application="shop", labels={"cloud": "east"})


def read(text: str) -> PolicySettings:
    return rules.read(msgspec.toml.decode(text, type=Table))


def decide(text: str, operation: str = "KeyValue.Get", origin: Party = SHOP, target: Party = STORE) -> Decision:
    asked = Question(
        kind="call", origin=origin, target=target, host=HOST, contract="wasmcloud:keyvalue", operation=operation
    )
    return Rules(read(text)).decide(asked)


def start(text: str, target: Party, contract: str = "") -> Decision:
    kind: Any = "start_actor" if target.kind == "actor" else "start_provider"
    return Rules(read(text)).decide(Question(kind=kind, target=target, host=HOST, contract=contract))


def refuses(selectors: str) -> bool:
    return not decide(f"[[rules]]\neffect = 'deny'\n{selectors}").permitted


def test_without_rules_the_default_decides() -> None:
    assert decide("") == PERMITTED
    assert decide("default = 'deny'") == Decision(permitted=False, rule="the default", any_operation=True)


@pytest.mark.parametrize(
    "selectors",
    [
        "",
        "kinds = ['call']",
        "from = { key = 'shop-*' }",
        "from = { kind = 'actor', name = 'cart', application = 'shop', issuer = 'A*' }",
        "from = { issuer = ['BB', 'AA'] }",
        "from = { capability = 'w:*' }",
        "from = { tag = 'prod' }",
        "to = { kind = 'provider', capability = '' }",
        "to = { labels = { cloud = ['west', 'east'] } }",
        "to = { labels = { zone = '' } }",
        "to = { image = '' }",
        "contract = 'wasmcloud:keyvalue'",
        "operations = ['KeyValue.Set', 'KeyValue.G*']",
    ],
)
def test_what_fits(selectors: str) -> None:
    assert refuses(selectors)


@pytest.mark.parametrize(
    "selectors",
    [
        "kinds = ['start_actor', 'start_provider']",
        "from = { key = 'shop' }",
        "from = { kind = 'actor', name = 'cart', application = 'games' }",
        "from = { issuer = '' }",
        "from = { capability = '' }",
        "from = { tag = ['dev', 'pro'] }",
        "to = { issuer = '*' }",
        "to = { capability = '*' }",
        "to = { labels = { cloud = 'west' } }",
        "to = { labels = { zone = '*' } }",
        "contract = 'wasmcloud:sqldb'",
        "operations = 'KeyValue.Set'",
    ],
)
def test_what_does_not_fit(selectors: str) -> None:
    assert not refuses(selectors)


def test_the_decision_names_the_rule_and_its_message() -> None:
    text = "[[rules]]\neffect = 'deny'\nname = 'closed'\nmessage = 'until Monday'\ncontract = '*'"
    assert decide(text) == Decision(permitted=False, rule="closed", message="until Monday", any_operation=True)
    assert decide("[[rules]]\neffect = 'deny'").rule == "rule 1"


def test_a_decision_says_whether_operations_are_told_apart() -> None:
    """What is decided before any rule of operations could fit is the same for all of them."""
    of_sets = "[[rules]]\neffect = 'deny'\noperations = 'KeyValue.Set'\n"
    assert not decide(of_sets).any_operation
    assert not decide(of_sets, "KeyValue.Set").any_operation
    assert not decide("default = 'deny'\n" + of_sets).any_operation
    assert decide(of_sets + "from = { name = 'other' }").any_operation
    assert decide("[[rules]]\neffect = 'allow'\nto = { name = 'key*' }\n" + of_sets).any_operation


def test_a_start_is_decided_by_what_starts() -> None:
    unsigned = msgspec.structs.replace(SHOP, issuer="", tags=())
    text = "[[rules]]\neffect = 'allow'\nkinds = ['start_actor']\nto = { tag = 'prod' }\n"
    text += "[[rules]]\neffect = 'deny'\nkinds = ['start_actor']"
    assert start(text, SHOP).permitted
    assert not start(text, unsigned).permitted
    assert start(text, STORE).permitted
    assert not start("[[rules]]\neffect = 'deny'\ncontract = 'wasmcloud:*'", STORE, "wasmcloud:keyvalue").permitted
    assert start("[[rules]]\neffect = 'deny'\ncontract = 'wasmcloud:*'", SHOP).permitted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[rules]]\neffect = 'deny'\nform = {}", r"unknown field `form`.*`policy\.rules\[0\]`"),
        ("[[rules]]\neffect = 'deny'\n[[rules]]\neffect = 'no'", r"'no' - at `policy\.rules\[1\]\.effect`"),
        ("[[rules]]\neffect = 'deny'\nto = { nmae = 'x' }", r"unknown field `nmae` - at `policy\.rules\[0\]\.to`"),
        ("[[rules]]\nname = 'x'", r"missing required field `effect`.*policy\.rules\[0\]"),
        ("[[rules]]\neffect = 'deny'\nkinds = ['jump']", r"'jump' - at `policy\.rules\[0\]\.kinds"),
        (
            "[[rules]]\neffect = 'deny'\nkinds = ['start_actor']\nfrom = { key = 'a' }",
            r"rules\[0\]: from and operations",
        ),
        ("[[rules]]\neffect = 'deny'\nkinds = ['call', 'start_actor']\noperations = 'a'", "from and operations"),
        ("[[rules]]\neffect = 'deny'\nkinds = ['start_actor']\ncontract = 'a'", "has no contract"),
        ("[[rules]]\neffect = 'deny'\n[[rules]]\neffect = 'allow'", r"rules\[1\]: 'rule 2' is never reached: 'rule 1'"),
        ("[[rules]]\neffect = 'deny'\nname = 'x'\nkinds=['call']\n" * 2, "a second rule is called 'x'"),
        ("[[rules]]\neffect = 'deny'\nto = { labels = { zone = [] } }", "an empty list fits no host"),
        (f"[[rules]]\neffect = 'deny'\ncontract = '{'x' * 257}'", r"rules\[0\]\.contract: a pattern of 257"),
        (f"[[rules]]\neffect = 'deny'\ncontract = {['x'] * 101}", "101 patterns"),
        ("[[rules]]\neffect = 'deny'\n" * 1001, "1001 rules"),
        ("[service]\nsubject = 'a.*'", r"policy\.service\.subject"),
        ("[service]\nsubject = ''", r"policy\.service\.subject"),
        ("[service]\nsubject = 'a'\ntimeout_ms = 0", r"policy\.service\.timeout_ms"),
        ("[service]\nsubject = 'a'\ncache_s = -1", r"policy\.service\.cache_s"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(errors.ConfigError, match=message):
        read(text)


def test_a_later_rule_of_another_kind_is_reached() -> None:
    found = read("[[rules]]\neffect = 'allow'\nkinds = ['call']\n[[rules]]\neffect = 'deny'")
    assert [rule.kinds for rule in found.rules] == [("call",), rules.KINDS]


def test_a_service_has_a_subject_a_timeout_and_a_cache() -> None:
    found = read("[service]\nsubject = 'lattice.policy'\ntimeout_ms = 250\ncache_s = 0").service
    assert found == ServiceSettings(subject="lattice.policy", timeout_s=0.25, cache_s=0)


# What holds for all rules.

names = st.sampled_from(["", "a", "b", "ab"])
globs = st.sampled_from(["", "a", "b", "a*", "*"])
selectors = st.dictionaries(
    st.sampled_from(["key", "name", "application", "issuer", "tag"]), globs | st.lists(globs, min_size=1, max_size=2)
)
ruleset = st.lists(
    st.fixed_dictionaries(
        {"effect": st.sampled_from(["allow", "deny"]), "kinds": st.just(["call"])},
        optional={"from": selectors, "to": selectors, "contract": globs, "operations": globs},
    ),
    max_size=6,
)
parties = st.builds(
    Party,
    key=names,
    kind=st.just("actor"),
    name=names,
    application=names,
    issuer=names,
    tags=st.lists(names, max_size=2).map(tuple),
)
questions = st.builds(
    Question, kind=st.just("call"), origin=parties, target=parties, host=parties, contract=names, operation=names
)


def settings_of(given: list[dict[str, Any]]) -> PolicySettings:
    """Without those that would never be reached."""
    while True:
        try:
            return rules.read(Table(rules=given))
        except errors.ConfigError:
            given = given[:-1]


@given(ruleset, questions)
def test_the_first_rule_that_fits_decides(given: list[dict[str, Any]], question: Question) -> None:
    settings = settings_of(given)
    found = Rules(settings).decide(question)
    for rule in settings.rules:
        alone = Rules(PolicySettings(permit=not rule.permit, rules=(rule,))).decide(question)
        if alone.permitted == rule.permit:
            assert (found.permitted, found.rule) == (rule.permit, rule.name)
            return
    assert found.permitted


@given(ruleset, questions, names)
def test_equal_questions_get_equal_answers(given: list[dict[str, Any]], question: Question, operation: str) -> None:
    settings = settings_of(given)
    found = Rules(settings).decide(question)
    assert Rules(settings).decide(msgspec.structs.replace(question)) == found
    if found.any_operation:
        assert Rules(settings).decide(msgspec.structs.replace(question, operation=operation)) == found
