"""What to do next so that what is there becomes what is wanted. A pure function; it is asked again after each change.

Order, for each component: copies start before others stop, so what can serve does not fall below what was asked while
that can be avoided; a new version reaches one host after the other, and none further when one could not start it; hosts
that stop count as gone. What was started by hand is nobody's business.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from lattice.control.placement import Placement, place
from lattice.control.state import ActorSeen, Desired, Failure, HostSeen, Observed, Seen, Wanted

BACKOFF_S_MIN, BACKOFF_S_MAX = 2.0, 60.0
"""Until a host that could not start something is asked again; doubled with each failure."""


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing one host is to do. `scale` (actors) sets its count, 0 stops it; `start` and `stop` are for providers;
    `update` puts what is wanted in the place of what runs."""

    kind: Literal["scale", "start", "stop", "update"]
    host: str
    key: str
    count: int = 0
    why: str = ""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Why something wanted is not there, and what would help."""

    key: str
    reason: str
    remedy: str = ""
    failed: bool = False
    """It was tried and did not work, which another host or more time may not mend."""


class Plan(msgspec.Struct, frozen=True):
    actions: tuple[Action, ...] = ()
    waiting: tuple[Waiting, ...] = ()


def plan(desired: Desired, observed: Observed, now: float) -> Plan:
    """`now` is the time that failures are dated in."""
    hosts = {key: host for key, host in observed.hosts.items() if not host.draining}
    there = _by_key(observed.hosts)
    failures: dict[str, list[Failure]] = defaultdict(list)
    for (_, key), failure in observed.failures.items():
        failures[key].append(failure)
    actions: list[Action] = []
    waiting: list[Waiting] = []
    for key, wanted in desired.wanted.items():
        _plan_one(wanted, hosts, there.pop(key, {}), failures.get(key, ()), now, actions, waiting)
    for key, seen in there.items():
        actions += _remove(key, seen, hosts)
    return Plan(tuple(actions), tuple(waiting))


def _by_key(hosts: Mapping[str, HostSeen]) -> dict[str, dict[str, Seen]]:
    """What runs, by key and then by host."""
    found: dict[str, dict[str, Seen]] = defaultdict(dict)
    for host in hosts.values():
        for actor in host.actors.values():
            found[actor.key][host.key] = actor
        for provider in host.providers.values():
            found[provider.key][host.key] = provider
    return found


def _remove(key: str, seen: Mapping[str, Seen], hosts: Mapping[str, HostSeen]) -> Iterable[Action]:
    for host, one in seen.items():
        if one.application and host in hosts:
            kind: Literal["scale", "stop"] = "scale" if isinstance(one, ActorSeen) else "stop"
            yield Action(kind=kind, host=host, key=key, why="no application wants it any more")


def _plan_one(
    wanted: Wanted,
    hosts: Mapping[str, HostSeen],
    seen: Mapping[str, Seen],
    failures: Iterable[Failure],
    now: float,
    actions: list[Action],
    waiting: list[Waiting],
) -> None:
    fingerprint = wanted.fingerprint
    failed = {failure.host: failure for failure in failures if failure.fingerprint == fingerprint}
    refusing = frozenset(host for host, failure in failed.items() if now < failure.at + backoff_s(failure.attempts))
    current = {host: _count(one) for host, one in seen.items() if host in hosts}
    placed = place(wanted.scaling, hosts, current, refusing, salt=wanted.key, one_per_host=wanted.kind == "provider")
    _explain(wanted, placed, hosts, failed, waiting)
    if wanted.kind == "provider" and any(not one.application for one in seen.values()):
        return  # started by hand under the same key: not ours to move
    updated = _roll(wanted, seen, placed, failed, refusing, actions, waiting)
    more = {host: count for host, count in placed.counts.items() if current.get(host, 0) < count}
    kind: Literal["scale", "start"] = "scale" if wanted.kind == "actor" else "start"
    for host, count in more.items():
        if host == updated:
            continue  # one thing after the other
        why = f"{count} of {wanted.scaling.replicas} belong here"
        actions.append(Action(kind=kind, host=host, key=wanted.key, count=count, why=why))
    _reduce(wanted, placed, current, bool(more), updated, actions)


def _reduce(
    wanted: Wanted,
    placed: Placement,
    current: Mapping[str, int],
    starting: bool,
    updated: str,
    actions: list[Action],
) -> None:
    """Ends copies that are too many, and while others are starting only those beyond what was asked. The host that is
    `updated` is left alone."""
    total = sum(placed.counts.values())
    spare = sum(current.values()) - total if starting else sum(current.values())
    for host in sorted(current):
        excess = current[host] - placed.counts.get(host, 0)
        if excess <= 0 or host == updated:
            continue
        taken = min(excess, spare)
        if taken <= 0 or (taken < excess and wanted.kind == "provider"):
            continue
        spare -= taken
        left = current[host] - taken
        if wanted.kind == "actor":
            why = "more than were asked for" if left else "its place is elsewhere"
            actions.append(Action(kind="scale", host=host, key=wanted.key, count=left, why=why))
        else:
            actions.append(Action(kind="stop", host=host, key=wanted.key, why="its place is elsewhere"))


def _roll(
    wanted: Wanted,
    seen: Mapping[str, Seen],
    placed: Placement,
    failed: Mapping[str, Failure],
    refusing: frozenset[str],
    actions: list[Action],
    waiting: list[Waiting],
) -> str:
    """A new version, on one host after the other; returns that host, "" for none. Where it failed it is tried again
    after a while, and until it starts there no other host gets it. Where copies have no place any more they end as
    they are."""
    fingerprint = wanted.fingerprint
    old = sorted(host for host, one in seen.items() if host in placed.counts and one.fingerprint != fingerprint)
    if not old:
        return ""
    broken = [failure for host, failure in sorted(failed.items()) if host in old]
    if broken:
        reason = f"the new version could not start on {broken[0].host}: {broken[0].message}; the old one goes on"
        remedy = broken[0].remedy or "deploy a version that starts, or roll back"
        waiting.append(Waiting(key=wanted.key, reason=reason, remedy=remedy, failed=True))
        old = [failure.host for failure in broken if failure.host not in refusing]
        if not old:
            return ""
    why = f"another version is wanted; {len(old)} hosts to go"
    actions.append(Action(kind="update", host=old[0], key=wanted.key, count=_count(seen[old[0]]), why=why))
    return old[0]


def _explain(
    wanted: Wanted,
    placed: Placement,
    hosts: Mapping[str, HostSeen],
    failed: Mapping[str, Failure],
    waiting: list[Waiting],
) -> None:
    for entry, count in placed.unplaced if not failed else ():
        missing = ", ".join(f"{name}={value}" for name, value in entry.requirements.items()) or "any label"
        elsewhere = entry.fallback == "other" and placed.counts
        reason = f"no host has {missing}, where {count} belong{'; they run elsewhere' if elsewhere else ''}"
        remedy = "start a host there: lattice host " + " ".join(
            f"--label {name}={value}" for name, value in entry.requirements.items()
        )
        waiting.append(Waiting(key=wanted.key, reason=reason, remedy=remedy.rstrip()))
    asked = 1 if wanted.scaling.on_every_host else wanted.scaling.replicas
    if sum(placed.counts.values()) >= asked or (placed.unplaced and not failed):
        return
    if failed:
        failure = next(iter(failed.values()))
        reason = f"{failure.host} could not start it: {failure.message}"
        waiting.append(Waiting(key=wanted.key, reason=reason, remedy=failure.remedy, failed=True))
    elif not hosts:
        waiting.append(Waiting(key=wanted.key, reason="there is no host", remedy="start one: lattice host"))
    elif wanted.kind == "provider" and placed.counts:
        reason = f"{asked} are wanted, one on each host, and {len(placed.counts)} hosts match"
        waiting.append(Waiting(key=wanted.key, reason=reason, remedy="start more hosts, or ask for fewer"))
    elif not placed.unplaced:
        labels = sorted({f"{n}={v}" for entry in wanted.scaling.spread for n, v in entry.requirements.items()})
        reason = f"no host has {' or '.join(labels) or 'room'}"
        remedy = f"start one: lattice host {' '.join(f'--label {label}' for label in labels)}".rstrip()
        waiting.append(Waiting(key=wanted.key, reason=reason, remedy=remedy))


def backoff_s(attempts: int) -> float:
    return float(min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2 ** min(attempts - 1, 10)))


def _count(seen: Seen) -> int:
    return seen.count if isinstance(seen, ActorSeen) else 1
