"""What is passed on is never more than what is held: each way to widen it is refused, when given and when used."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors, grants
from lattice.grants import UNSIGNED
from lattice.links import Link
from lattice.secretref import SecretRef
from lattice.security.claims import Claims

KV = "wasmcloud:keyvalue"


def claims(*caps: str) -> Claims:
    return Claims(issuer="A", subject="M", caps=caps)


def link(source: str, granted_by: str = "", *operations: str, name: str = "default", **config: str) -> Link:
    return Link(source, "store", KV, name, target_config=config, granted_by=granted_by, operations=tuple(operations))


def traced(child: Link, *others: Link) -> grants.Grant:
    return grants.traced(child, grants.among([child, *others]))


def refused(match: str, child: Link, *others: Link) -> None:
    with pytest.raises(errors.NotGranted, match=match):
        traced(child, *others)


def test_a_link_of_its_own_stands_on_its_own_claims() -> None:
    found = traced(link("a", "", "KeyValue.Get", bucket="x"))
    assert (found.holder, found.config) == ("a", {"bucket": "x"})
    assert found.passes("KeyValue.Get")
    assert not found.passes("KeyValue.Set")
    assert traced(link("a")).passes("anything")


def test_a_granted_link_stands_on_the_claims_of_who_grants() -> None:
    found = traced(link("b", "a"), link("a", "", "KeyValue.*", bucket="x"))
    assert (found.holder, found.config) == ("a", {"bucket": "x"})
    assert found.passes("KeyValue.Get")
    assert not found.passes("Other.Get")


def test_it_is_passed_on_through_several() -> None:
    chain = [link("a", "", "KeyValue.*", bucket="x"), link("b", "a"), link("c", "b", "KeyValue.G*", bucket="x")]
    found = traced(link("d", "c", "KeyValue.Get"), *chain)
    assert (found.holder, found.config) == ("a", {"bucket": "x"})
    assert not found.passes("KeyValue.GetMany")
    refused("KeyValue.Set is not among", link("d", "c", "KeyValue.Set"), *chain)


def test_operations_left_out_are_those_of_who_grants_and_cannot_be_widened_further_down() -> None:
    chain = [link("a", "", "KeyValue.Get"), link("b", "a")]
    assert not traced(link("c", "b"), *chain).passes("KeyValue.Set")
    refused(r"KeyValue\.\* is not among", link("c", "b", "KeyValue.*"), *chain)


def test_nobody_passes_on_what_it_has_not() -> None:
    refused("has no link for wasmcloud:keyvalue to store", link("b", "a"))
    refused("has no link", link("b", "a"), Link("a", "other", KV), Link("a", "store", "wasmcloud:sqldb"))
    refused("has no link", link("c", "b"), link("a"), Link("b", "elsewhere", KV, granted_by="a"))


def test_a_wider_configuration_is_refused() -> None:
    refused("configuration is another", link("b", "a", bucket="y"), link("a", bucket="x"))
    refused("configuration is another", link("b", "a", bucket="x", more="1"), link("a", bucket="x"))
    refused("configuration is another", link("b", "a", bucket="x"), link("a"))
    chain = [link("a", bucket="x"), link("b", "a")]
    refused("configuration is another", link("c", "b", bucket="y"), *chain)
    assert traced(link("c", "b", bucket="x"), *chain).config == {"bucket": "x"}


def test_wider_operations_are_refused() -> None:
    a = link("a", "", "KeyValue.Get", "KeyValue.List*")
    refused(r"KeyValue\.\* is not among", link("b", "a", "KeyValue.*"), a)
    refused(r"\* is not among", link("b", "a", "KeyValue.Get", "*"), a)
    assert traced(link("b", "a", "KeyValue.ListAdd"), a).passes("KeyValue.ListAdd")


def test_grants_in_a_circle_are_refused() -> None:
    refused("in a circle, by b", link("b", "b"))
    refused("in a circle, by b", link("b", "a"), link("a", "b"))
    refused("in a circle, by a", link("c", "a"), link("a", "b"), link("b", "a"))


def test_it_is_passed_on_so_often_and_no_further() -> None:
    chain = [link("a0")] + [link(f"a{n}", f"a{n - 1}") for n in range(1, 10)]
    assert traced(chain[8], *chain).holder == "a0"
    refused("passed on more than 8 times", chain[9], *chain)


def test_of_several_links_the_one_of_the_same_name_counts() -> None:
    several = [link("a", name="one", bucket="1"), link("a", name="two", bucket="2")]
    assert traced(link("b", "a", name="two"), *several).config == {"bucket": "2"}
    refused("several links of that kind", link("b", "a", name="three"), *several)
    assert traced(link("b", "a", name="three"), several[0]).config == {"bucket": "1"}


def test_what_is_left_out_is_inherited_and_nothing_where_the_grant_does_not_hold() -> None:
    given_ = [link("a", bucket="x"), link("b", "a"), link("c", "nobody"), link("d", "a", bucket="y")]
    assert [one.target_config for one in grants.inherited(given_)] == [{"bucket": "x"}] * 2 + [{}, {"bucket": "y"}]


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (link("b", "b"), "grants nothing to itself"),
        (Link("b", "c", "", granted_by="a"), "only a link from an actor to a provider"),
        (Link("http", "b", "wasmcloud:httpserver", source_config={"port": "1"}, granted_by="a"), "only a link from"),
        (link("b", "", ""), "'' is no operation"),
        (link("b", "", "x" * 101), "is no operation"),
        (link("b", "", *["x"] * 65), "65 operations"),
        (link("b", "a"), "has no link"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_it_is_given(wrong: Link, match: str) -> None:
    with pytest.raises(errors.ConfigError, match=match):
        grants.require_given(wrong, grants.among([wrong]), lambda _key, _host: UNSIGNED)


def test_a_grant_is_refused_when_it_is_given_by_one_whose_claims_do_not_hold_it() -> None:
    links = [link("a"), link("b", "a")]
    between = grants.among(links)
    with pytest.raises(errors.ConfigError, match="a may not use wasmcloud:keyvalue: its claims hold wasmcloud:sqldb"):
        grants.require_given(links[1], between, lambda _key, _host: claims("wasmcloud:sqldb"))
    held: list[Any] = [claims(KV), UNSIGNED, None]
    for known in held:
        grants.require_given(links[1], between, lambda _key, _host, known=known: known)
    grants.require_given(links[0], between, lambda _key, _host: claims())  # a link of its own is no grant


def test_claims_hold_what_they_name() -> None:
    grants.require_held("a", claims(KV), KV)
    grants.require_held("a", UNSIGNED, KV)
    with pytest.raises(errors.NotGranted, match="no contract at all") as caught:
        grants.require_held("a", claims(), KV)
    assert caught.value.remedy == f"lattice claims sign … --cap {KV}"


actors = st.sampled_from("abcd")
operations = st.lists(st.sampled_from(["x", "x.*", "x.y", "*"]), max_size=2)
links_ = st.builds(
    lambda source, by, ops, config: link(source, by, *ops, **config),
    actors,
    st.just("") | actors,
    operations,
    st.just({}) | st.just({"bucket": "1"}) | st.just({"bucket": "2"}),
)


@given(st.lists(links_, max_size=6, unique_by=lambda one: one.source), st.sampled_from(["x", "x.y", "x.z", "q"]))
def test_nobody_has_more_than_the_one_it_stands_on(given_: list[Link], operation: str) -> None:
    by_source = {one.source: one for one in given_}
    between = grants.among(given_)
    for one in given_:
        try:
            found = grants.traced(one, between)
        except errors.NotGranted:
            continue
        if one.granted_by:
            above = grants.traced(by_source[one.granted_by], between)
            assert found.holder == above.holder
            assert found.config == above.config
            assert above.passes(operation) or not found.passes(operation)


def test_secrets_are_passed_on_and_others_are_refused() -> None:
    """A secret of one's own would make a granted link lead elsewhere than the one that it stands on."""
    one, other = SecretRef(name="url", source="bucket", key="a"), SecretRef(name="url", source="bucket", key="b")
    first = msgspec.structs.replace(link("a"), target_secrets=(one,))
    assert traced(link("b", "a"), first).secrets == (one,)
    assert traced(msgspec.structs.replace(link("b", "a"), target_secrets=(one,)), first).secrets == (one,)
    with pytest.raises(errors.NotGranted, match="its configuration is another"):
        traced(msgspec.structs.replace(link("b", "a"), target_secrets=(other,)), first)
    with pytest.raises(errors.NotGranted, match="its configuration is another"):
        traced(link("b", "a", url="plain"), first)
    assert [found.target_secrets for found in grants.inherited([first, link("b", "a")])] == [(one,), (one,)]
    route = msgspec.structs.replace(link("b", "a"), source_secrets=(one,))
    with pytest.raises(errors.ConfigError, match="only a link from an actor to a provider"):
        grants.require_sound(route)
