"""The fold of the stored state: pure, the same for every host, and clear about who has what."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from lattice.control import desired
from lattice.control.records import ApplicationRecord, StoredLink, Version
from lattice.control.state import Wanted
from lattice.links import Link


def record(
    name: str, *keys: str, since: str = "1", deployed: str = "v", alias: str = "", **more: Any
) -> ApplicationRecord:
    wanted = tuple(
        Wanted(key=key, name=key, kind="actor", image="file:///x", application=name, alias=alias) for key in keys
    )
    version = Version(version="v", created="", manifest="", wanted=wanted, **more)
    return ApplicationRecord(name=name, versions=(version,), deployed=deployed, since=since)


def test_what_is_deployed_is_wanted_and_nothing_else() -> None:
    found = desired.fold([record("one", "a"), record("two", "b", deployed="")], [], 7)
    assert (set(found.wanted), found.revision, found.problems) == ({"a"}, 7, {})


def test_the_application_that_was_there_first_keeps_a_key_or_an_alias() -> None:
    for clash in (
        [record("late", "a", since="2"), record("early", "a", since="1")],
        [record("late", "b", since="2", alias="x"), record("early", "a", since="1", alias="x")],
    ):
        for order in permutations(clash):
            found = desired.fold(order, [], 1)
            assert {one.application for one in found.wanted.values()} == {"early"}
            assert set(found.problems) == {"late"}
            assert "early" in found.problems["late"]


def test_a_deployed_version_that_is_gone_is_a_problem() -> None:
    found = desired.fold([record("one", "a", deployed="v9")], [], 1)
    assert "v9" in found.problems["one"]
    assert found.wanted == {}


def test_a_link_by_hand_stands_above_that_of_an_application() -> None:
    app = record("one", "a", links=(Link("a", "kv1", "c"), Link("a", "x", "other")))
    found = desired.fold([app], [Link("a", "kv2", "c")], 1)
    assert {(link.target, link.contract) for link in found.links} == {("kv2", "c"), ("x", "other")}


def test_routes_stand_beside_each_other() -> None:
    app = record("one", "a", links=(Link("http", "a", "h", source_config={"path": "/a"}),))
    found = desired.fold([app], [Link("http", "b", "h", source_config={"path": "/b"})], 1)
    assert {link.target for link in found.links} == {"a", "b"}
    changed = desired.fold([app], [Link("http", "a", "h", source_config={"path": "/c"})], 1)
    assert [link.source_config for link in changed.links] == [{"path": "/c"}]


def test_the_digest_tells_different_wishes_apart_and_not_their_order() -> None:
    one, two = record("one", "a"), record("two", "b", since="2")
    same = {desired.digest(desired.fold(order, [], number)) for number, order in enumerate(permutations([one, two]))}
    assert len(same) == 1
    assert desired.digest(desired.fold([one], [], 1)) not in same
    linked = [desired.fold([one], [Link("a", "b", "c", target_config={"k": value})], 1) for value in ("1", "2")]
    assert desired.digest(linked[0]) != desired.digest(linked[1])


@pytest.mark.parametrize(
    ("change", "excludes"),
    [
        ({}, False),
        ({"target": "other"}, True),
        ({"target": "other", "name": "second"}, False),
        ({"target": "other", "contract": "d"}, False),
        ({"target": "other", "interfaces": ("y",)}, False),
        ({"target": "other", "interfaces": ()}, True),
        ({"target": "other", "source_names": ("route",)}, False),
    ],
    ids=str,
)
def test_links_that_a_caller_cannot_tell_apart_exclude_each_other(change: dict[str, Any], excludes: bool) -> None:
    known = StoredLink(source="a", target="kv", contract="c", interfaces=("x",))
    other = StoredLink(**{"source": "a", "target": "kv", "contract": "c", "interfaces": ("x",), **change})
    assert known.excludes(other) is other.excludes(known) is excludes


def test_configurations_are_merged_in_their_order() -> None:
    stored = StoredLink(source="a", target="b", target_names=("one", "two", "gone"), target_config={"c": "given"})
    configs = {"one": {"a": "1", "b": "1", "c": "1"}, "two": {"b": "2"}}
    assert stored.link(configs).target_config == {"a": "1", "b": "2", "c": "given"}


def test_a_granted_link_has_the_configuration_that_it_left_out_whatever_becomes_of_it() -> None:
    own = Link("a", "kv", "c", target_config={"bucket": "x"})
    granted = Link("b", "kv", "c", granted_by="a", operations=("KeyValue.Get",))
    other = Link("a", "kv", "c", target_config={"bucket": "y"})
    for parent in (own, other):
        found = {link.source: link for link in desired.fold([], [parent, granted], 1).links}
        assert found["b"].target_config == parent.target_config
    (alone,) = desired.fold([], [granted], 1).links
    assert alone == granted


def test_the_digest_tells_what_a_link_lets_pass_and_by_whom() -> None:
    links = [
        Link("a", "b", "c"),
        Link("a", "b", "c", operations=("x",)),
        Link("a", "b", "c", operations=("x", "y")),
        Link("a", "b", "c", granted_by="d"),
    ]
    assert len({desired.digest(desired.fold([], [link], 1)) for link in links}) == len(links)
