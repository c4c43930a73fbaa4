"""The plan: what it does step by step, and what holds whatever happens."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice.control.manifest import Scaling, Spread
from lattice.control.placement import place
from lattice.control.plan import Action, backoff_s, plan
from lattice.control.state import ActorSeen, Desired, Failure, HostSeen, Observed, ProviderSeen, Wanted


def host(key: str, draining: bool = False, **labels: str) -> HostSeen:
    return HostSeen(key=key, name=key, labels=labels, draining=draining)


def wanted(key: str = "a", kind: str = "actor", image: str = "file:///a.wasm", **scaling: object) -> Wanted:
    return Wanted(key=key, name=key, kind=kind, image=image, application="app", scaling=Scaling(**scaling))  # type: ignore[arg-type]


def seen_as(one: Wanted, count: int) -> ActorSeen | ProviderSeen:
    if one.kind == "provider":
        return ProviderSeen(
            key=one.key, name=one.name, image=one.image, contract="c", application="app", fingerprint=one.fingerprint
        )
    return ActorSeen(
        key=one.key, name=one.name, image=one.image, count=count, application="app", fingerprint=one.fingerprint
    )


def carried_out(observed: Observed, action: Action, desired: Desired) -> Observed:
    """The lattice after a host did what it was told."""
    before = observed.hosts[action.host]
    actors, providers = dict(before.actors), dict(before.providers)
    one = desired.wanted.get(action.key)
    if action.kind == "stop":
        providers.pop(action.key, None)
    elif action.kind == "scale" and action.count == 0:
        actors.pop(action.key, None)
    elif one is not None and one.kind == "provider":
        providers[action.key] = seen_as(one, 1)  # type: ignore[assignment]
    elif action.kind == "scale" and action.key in actors:
        actors[action.key] = msgspec.structs.replace(actors[action.key], count=action.count)
    elif one is not None:
        actors[action.key] = seen_as(one, action.count)  # type: ignore[assignment]
    hosts = {**observed.hosts, action.host: msgspec.structs.replace(before, actors=actors, providers=providers)}
    return msgspec.structs.replace(observed, hosts=hosts)


def total(observed: Observed, key: str) -> int:
    hosts = [one for one in observed.hosts.values() if not one.draining]
    return sum(one.actors[key].count for one in hosts if key in one.actors) + sum(key in one.providers for one in hosts)


def settled(desired: Desired, observed: Observed, rounds: int = 50) -> Observed:
    """Carries out one action after the other until nothing is left to do."""
    for _ in range(rounds):
        actions = plan(desired, observed, 0.0).actions
        if not actions:
            return observed
        observed = carried_out(observed, actions[0], desired)
    raise AssertionError(f"it does not settle: {plan(desired, observed, 0.0).actions}")


def of(*hosts: HostSeen) -> Observed:
    return Observed(hosts={one.key: one for one in hosts})


def wanting(*wishes: Wanted) -> Desired:
    return Desired(wanted={one.key: one for one in wishes})


# Placement.


def test_leftovers_go_to_the_heaviest() -> None:
    spread = (
        Spread(name="e", requirements={"c": "e"}, weight=60),
        Spread(name="w", requirements={"c": "w"}, weight=40),
    )
    hosts = {one.key: one for one in (host("1", c="e"), host("2", c="w"))}
    assert place(Scaling(replicas=4, spread=spread), hosts, {}).counts == {"1": 3, "2": 1}
    assert place(Scaling(replicas=10, spread=spread), hosts, {}).counts == {"1": 6, "2": 4}


def test_an_entry_is_spread_over_all_hosts_that_match() -> None:
    hosts = {name: host(name) for name in "abc"}
    assert place(Scaling(replicas=6), hosts, {}).counts == {"a": 2, "b": 2, "c": 2}


def test_an_entry_without_hosts_falls_back_unless_it_says_not_to() -> None:
    def spread(fallback: str) -> tuple[Spread, ...]:
        return (
            Spread(name="e", requirements={"c": "e"}, fallback=fallback),  # type: ignore[arg-type]
            Spread(name="w", requirements={"c": "w"}),
        )

    hosts = {"w1": host("w1", c="w")}
    other = place(Scaling(replicas=4, spread=spread("other")), hosts, {})
    assert (other.counts, [count for _, count in other.unplaced]) == ({"w1": 4}, [2])
    none = place(Scaling(replicas=4, spread=spread("none")), hosts, {})
    assert (none.counts, [count for _, count in none.unplaced]) == ({"w1": 2}, [2])


HOSTS = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.fixed_dictionaries({"cloud": st.sampled_from(["east", "west"])}),
    min_size=1,
    max_size=8,
)
SPREADS = st.sampled_from(
    [
        (),
        (Spread(name="e", requirements={"cloud": "east"}), Spread(name="w", requirements={"cloud": "west"})),
        (Spread(name="e", requirements={"cloud": "east"}, weight=70), Spread(name="any", weight=30)),
        (Spread(name="e", requirements={"cloud": "east"}, fallback="none"),),
    ]
)


@given(labels=HOSTS, replicas=st.integers(0, 12), spread=SPREADS, data=st.data())
def test_placement_keeps_its_sums(
    labels: dict[str, dict[str, str]], replicas: int, spread: tuple[Spread, ...], data: st.DataObject
) -> None:
    hosts = {key: host(key, **given_) for key, given_ in labels.items()}
    current = data.draw(st.dictionaries(st.sampled_from(sorted(hosts)), st.integers(1, 5)))
    placed = place(Scaling(replicas=replicas, spread=spread), hosts, current)
    lacking = sum(count for entry, count in placed.unplaced if entry.fallback == "none" or not placed.counts)
    assert sum(placed.counts.values()) == replicas - lacking
    # What was placed so stays where it is.
    assert place(Scaling(replicas=replicas, spread=spread), hosts, placed.counts).counts == placed.counts


def test_placement_of_overlapping_entries_does_not_swing() -> None:
    spread = (Spread(name="e", requirements={"cloud": "east"}, weight=70), Spread(name="any", weight=30))
    hosts = {key: host(key, cloud="east") for key in "ab"}
    once = place(Scaling(replicas=7, spread=spread), hosts, {"a": 3}).counts
    assert place(Scaling(replicas=7, spread=spread), hosts, once).counts == once


# Plans.


def test_what_is_wanted_starts_and_what_is_not_stops() -> None:
    one = wanted(replicas=2)
    desired = wanting(one)
    after = settled(desired, of(host("1"), host("2")))
    assert {key: found.actors["a"].count for key, found in after.hosts.items()} == {"1": 1, "2": 1}
    assert plan(desired, after, 0.0).actions == ()
    gone = settled(Desired(), after)
    assert all(not found.actors for found in gone.hosts.values())


def test_what_was_started_by_hand_is_left_alone() -> None:
    by_hand = ActorSeen(key="x", name="x", image="file:///x.wasm", count=3)
    observed = of(HostSeen(key="1", actors={"x": by_hand}))
    assert plan(Desired(), observed, 0.0).actions == ()


def test_a_copy_starts_before_another_stops() -> None:
    """The host that had it drains; then another joins and the share moves back."""
    desired = wanting(wanted(replicas=2))
    both = settled(desired, of(host("1"), host("2")))
    lost = msgspec.structs.replace(both, hosts={"1": both.hosts["1"]})
    alone = settled(desired, lost)
    assert alone.hosts["1"].actors["a"].count == 2
    back = msgspec.structs.replace(alone, hosts={**alone.hosts, "3": host("3")})
    first = plan(desired, back, 0.0).actions
    assert [(action.kind, action.host, action.count) for action in first] == [("scale", "3", 1)]
    moved = carried_out(back, first[0], desired)
    second = plan(desired, moved, 0.0).actions
    assert [(action.host, action.count) for action in second] == [("1", 1)]


def test_a_draining_host_counts_as_gone() -> None:
    desired = wanting(wanted(replicas=1))
    there = settled(desired, of(host("1"), host("2")))
    (key,) = [key for key, found in there.hosts.items() if found.actors]
    draining = {**there.hosts, key: msgspec.structs.replace(there.hosts[key], draining=True)}
    (action,) = plan(desired, msgspec.structs.replace(there, hosts=draining), 0.0).actions
    assert (action.kind, action.host) == ("scale", "2" if key == "1" else "1")


def test_a_new_version_goes_to_one_host_after_the_other_and_halts_when_it_fails() -> None:
    old, new = wanted(replicas=3), wanted(image="file:///b.wasm", replicas=3)
    observed = settled(wanting(old), of(host("1"), host("2"), host("3")))
    desired = wanting(new)
    first = plan(desired, observed, 0.0).actions
    assert [(action.kind, action.host) for action in first] == [("update", "1")]
    after = carried_out(observed, first[0], desired)
    after = msgspec.structs.replace(
        after, hosts={**after.hosts, "1": msgspec.structs.replace(after.hosts["1"], actors={"a": seen_as(new, 1)})}
    )
    assert [(action.kind, action.host) for action in plan(desired, after, 0.0).actions] == [("update", "2")]
    failure = Failure(host="2", key="a", code="guest_trapped", message="it trapped", fingerprint=new.fingerprint)
    broken = msgspec.structs.replace(after, failures={("2", "a"): failure})
    halted = plan(desired, broken, 0.0)
    assert halted.actions == ()
    assert halted.waiting[0].failed
    assert "it trapped" in halted.waiting[0].reason
    later = plan(desired, broken, backoff_s(1) + 0.1)
    assert [(action.kind, action.host) for action in later.actions] == [("update", "2")], "there, and nowhere else"
    assert later.waiting[0].failed


def test_a_host_that_failed_is_asked_again_later_and_another_one_now() -> None:
    one = wanted(replicas=1)
    desired, hosts = wanting(one), of(host("1"), host("2"))
    (first,) = plan(desired, hosts, 0.0).actions
    failure = Failure(host=first.host, key="a", code="x", message="no", at=0.0, fingerprint=one.fingerprint)
    failed = msgspec.structs.replace(hosts, failures={(first.host, "a"): failure})
    (second,) = plan(desired, failed, 0.1).actions
    assert second.host != first.host
    both = {(name, "a"): msgspec.structs.replace(failure, host=name) for name in "12"}
    nowhere = msgspec.structs.replace(hosts, failures=both)
    assert plan(desired, nowhere, 0.1).actions == ()
    assert plan(desired, nowhere, 0.1).waiting[0].failed
    assert plan(desired, nowhere, 100.0).actions != ()


def test_a_provider_has_one_copy_on_a_host_and_says_when_hosts_are_too_few() -> None:
    desired = wanting(wanted("p", kind="provider", image="builtin://cron", replicas=3))
    after = settled(desired, of(host("1"), host("2")))
    assert total(after, "p") == 2
    assert "3 are wanted" in plan(desired, after, 0.0).waiting[0].reason


def test_a_missing_label_is_named_with_the_remedy() -> None:
    spread = (Spread(name="e", requirements={"cloud": "east"}, fallback="none"),)
    (waits,) = plan(wanting(wanted(replicas=1, spread=spread)), of(host("1")), 0.0).waiting
    assert "cloud=east" in waits.reason
    assert waits.remedy == "start a host there: lattice host --label cloud=east"


WISHES = st.lists(
    st.builds(
        lambda key, kind, replicas, spread, daemon, image: wanted(
            key, kind, f"file:///{image}.wasm", replicas=replicas, spread=spread, on_every_host=daemon
        ),
        st.sampled_from(["k1", "k2", "k3"]),
        st.sampled_from(["actor", "provider"]),
        st.integers(0, 6),
        SPREADS,
        st.booleans(),
        st.sampled_from(["one", "two"]),
    ),
    max_size=3,
    unique_by=lambda one: one.key,
)


@settings(max_examples=150, deadline=None)
@given(before=WISHES, after=WISHES, labels=HOSTS, data=st.data())
def test_it_settles_never_overshoots_and_keeps_capacity(
    before: list[Wanted], after: list[Wanted], labels: dict[str, dict[str, str]], data: st.DataObject
) -> None:
    """From any settled lattice, after any change of wishes and loss of hosts: actions one by one, in any order."""
    kinds = {one.key: one.kind for one in before}
    after = [one for one in after if kinds.get(one.key, one.kind) == one.kind]
    observed = settled(wanting(*before), of(*(host(key, **given_) for key, given_ in labels.items())))
    lost = data.draw(st.sets(st.sampled_from(sorted(labels)), max_size=len(labels) - 1))
    observed = Observed(hosts={key: found for key, found in observed.hosts.items() if key not in lost})
    desired = wanting(*after)
    goal = {one.key: sum(_placed(one, observed).values()) for one in after}
    start = {one.key: total(observed, one.key) for one in after}
    for _ in range(200):
        actions = plan(desired, observed, 0.0).actions
        if not actions:
            break
        places = [(action.host, action.key) for action in actions]
        assert len(places) == len(set(places)), "one thing at a time for each copy"
        observed = carried_out(observed, data.draw(st.sampled_from(actions)), desired)
        for one in after:
            now = total(observed, one.key)
            assert now >= min(start[one.key], goal[one.key]), "capacity fell below what was there and asked for"
            assert now <= max(start[one.key], goal[one.key]) + goal[one.key], "more than a whole move on top"
    else:
        raise AssertionError("it does not settle")
    assert {one.key: total(observed, one.key) for one in after} == goal
    assert all(observed.hosts[key].items[one.key].fingerprint == one.fingerprint  # type: ignore[union-attr]
               for one in after for key in observed.hosts if one.key in observed.hosts[key].items)  # fmt: skip


def _placed(one: Wanted, observed: Observed) -> dict[str, int]:
    current = {
        key: found.actors[one.key].count if one.key in found.actors else 1
        for key, found in observed.hosts.items()
        if one.key in found.items
    }
    return place(one.scaling, observed.hosts, current, one_per_host=one.kind == "provider", salt=one.key).counts


@pytest.mark.parametrize("hosts", [1, 50])
def test_a_converged_lattice_has_nothing_to_do(hosts: int) -> None:
    wishes = [wanted(f"k{number}", replicas=2) for number in range(20)]
    observed = settled(wanting(*wishes), of(*(host(str(number)) for number in range(hosts))), rounds=200)
    assert plan(wanting(*wishes), observed, 0.0).actions == ()
