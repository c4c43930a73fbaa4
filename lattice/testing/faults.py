"""What goes wrong in a simulated lattice, when, and for how long: drawn from a seed, so that it can be had again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

import msgspec

from lattice.testing.network import Weather

Kind = Literal["kill host", "stop host", "isolate host", "kill server", "cut", "cut off site", "weather", "full store"]

KINDS: tuple[Kind, ...] = (
    "kill host",
    "kill host",
    "stop host",
    "isolate host",
    "kill server",
    "cut",
    "cut off site",
    "weather",
    "full store",
)
FAULT_S = (1.0, 15.0)
PAUSE_S = (0.2, 8.0)
ALONE = 0.4
"""How likely it is that nothing else goes wrong until a fault has ended, and for a while after."""
REST_S = 12.0


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """`where` are names of hosts or sites. `alone`: nothing else is broken from `REST_S` before it began, as far as the
    schedule goes, until `REST_S` after it ended."""

    kind: Kind
    at: float
    until: float
    where: tuple[str, ...] = ()
    weather: Weather = Weather()
    alone: bool = False

    def __str__(self) -> str:
        what = " ".join((self.kind, *self.where))
        if self.kind == "weather":
            told = self.weather
            what += (
                f" (loss {told.loss:.0%}, twice {told.duplicates:.0%}, delay {1000 * told.site_delay_s:.0f} ms,"
                f" jitter {1000 * told.jitter_s:.0f} ms)"
            )
        return f"{self.at:.1f}-{self.until:.1f} s {what}"


def schedule(
    chance: random.Random, hosts: Sequence[str], sites: Sequence[str], begin_s: float, seconds: float
) -> list[Fault]:
    """Faults that begin from `begin_s` on and have all ended `seconds` later. Those that are not alone overlap."""
    found: list[Fault] = []
    at, end = begin_s, begin_s + seconds
    while at < end - FAULT_S[0]:
        alone = chance.random() < ALONE
        if alone and found:
            at = max(at, max(fault.until for fault in found) + REST_S)
        until = at + chance.uniform(*FAULT_S)
        if until > end:
            break
        fault = _draw(chance, hosts, sites, at, until, alone)
        if not any(_same(fault, other) for other in found):
            found.append(fault)
        at = until + REST_S if alone else at + chance.uniform(*PAUSE_S)
    return found


def _draw(
    chance: random.Random, hosts: Sequence[str], sites: Sequence[str], at: float, until: float, alone: bool
) -> Fault:
    kind = chance.choice(KINDS)
    where: tuple[str, ...] = ()
    weather = Weather()
    if kind in ("kill host", "stop host", "isolate host"):
        where = (chance.choice(hosts),)
    elif kind in ("kill server", "cut off site"):
        where = (chance.choice(sites),)
    elif kind == "cut":
        where = tuple(chance.sample(list(sites), 2))
    elif kind == "weather":
        weather = Weather(
            loss=chance.choice((0.0, 0.01, 0.1)),
            duplicates=chance.choice((0.0, 0.05, 0.3)),
            site_delay_s=chance.choice((0.001, 0.04, 0.15)),
            jitter_s=chance.choice((0.005, 0.1, 0.6)),
        )
    return Fault(kind=kind, at=at, until=until, where=where, weather=weather, alone=alone)


def _same(one: Fault, other: Fault) -> bool:
    """Whether both would break the same thing at the same time: the first that ends would mend it for both."""
    if one.until < other.at or other.until < one.at:
        return False
    hosts = ("kill host", "stop host", "isolate host")
    cuts = ("cut", "cut off site")
    if one.kind in hosts and other.kind in hosts:
        return one.where == other.where
    if one.kind in cuts and other.kind in cuts:
        return bool({*one.where} & {*other.where})
    return one.kind == other.kind and one.where == other.where
