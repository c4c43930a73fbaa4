"""How many copies of a component each host shall have. Pure; the same input gives the same placement."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import msgspec

from lattice.control.manifest.records import Scaling, Spread
from lattice.control.state import HostSeen

ANYWHERE = Spread(name="anywhere")


class Placement(msgspec.Struct, frozen=True):
    """`counts` by host; hosts without copies are left out. `unplaced` says for each spread entry what it lacks."""

    counts: dict[str, int]
    unplaced: tuple[tuple[Spread, int], ...] = ()


def place(
    scaling: Scaling,
    hosts: Mapping[str, HostSeen],
    current: Mapping[str, int],
    refusing: frozenset[str] = frozenset(),
    *,
    salt: str = "",
    one_per_host: bool = False,
) -> Placement:
    """Places `scaling` on `hosts`, which are those that take copies; `current` are the copies there are, `refusing` the
    hosts that failed to start it a moment ago and get none that they do not have. `one_per_host`: a provider. `salt` is
    the component's key: components that could be anywhere are then not all on the same host.

    An entry whose labels no host has gives its share to the others, unless it says that it has no fallback.
    """
    usable = sorted(
        (key for key in hosts if key not in refusing or current.get(key)),
        key=lambda key: zlib.crc32(f"{salt} {key}".encode()),
    )
    entries = scaling.spread or (ANYWHERE,)
    matching = [[key for key in usable if matches(hosts[key], entry)] for entry in entries]
    if scaling.on_every_host:
        each = 1 if one_per_host else max(1, scaling.replicas)
        return Placement({key: each for keys in matching for key in keys})
    shares = _shares(scaling.replicas, [entry.weight for entry in entries])
    unplaced = tuple(
        (entry, share) for entry, share, keys in zip(entries, shares, matching, strict=True) if share and not keys
    )
    homeless = sum(count for entry, count in unplaced if entry.fallback == "other")
    able = [entry.weight if keys else 0 for entry, keys in zip(entries, matching, strict=True)]
    shares = [share + extra for share, extra in zip(shares, _shares(homeless, able), strict=True)]
    counts: dict[str, int] = {}
    left = 0
    for share, keys in zip(shares, matching, strict=True):
        if keys:
            left += _spread(share, keys, current, counts, one_per_host)
    if left and scaling.spread:
        # Providers beyond one for each host of their entry go where another entry has room.
        others = list(dict.fromkeys(key for keys in matching for key in keys))
        _spread(left, others, current, counts, one_per_host)
    return Placement(counts, unplaced)


def matches(host: HostSeen, entry: Spread) -> bool:
    return all(host.labels.get(name) == value for name, value in entry.requirements.items())


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """floor(total x weight / sum) for each weight; what is left over goes to the heaviest, one each."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    shares = [total * weight // whole for weight in weights]
    heaviest = sorted(range(len(weights)), key=lambda place: -weights[place])
    for place in heaviest[: total - sum(shares)]:
        shares[place] += 1
    return shares


def _spread(
    count: int, hosts: Sequence[str], current: Mapping[str, int], counts: dict[str, int], one_per_host: bool
) -> int:
    """Adds `count` copies to `counts`, evenly over `hosts`; returns how many found no room.

    Of hosts that have equally many, the one that runs the most copies beyond what it was given comes first, so that
    nothing moves without need.
    """
    given: dict[str, int] = dict.fromkeys(hosts, 0)
    for number in range(count):
        free = [key for key in hosts if not (one_per_host and (given[key] or counts.get(key)))]
        if not free:
            return _add(given, counts, count - number)
        level = min(given[key] for key in free)
        best = min(
            (key for key in free if given[key] == level),
            key=lambda key: (min(0, counts.get(key, 0) + given[key] - current.get(key, 0)), counts.get(key, 0)),
        )
        given[best] += 1
    return _add(given, counts, 0)


def _add(given: Mapping[str, int], counts: dict[str, int], left: int) -> int:
    for key, number in given.items():
        if number:
            counts[key] = counts.get(key, 0) + number
    return left
