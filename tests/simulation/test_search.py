"""A simulated lattice under faults: promises are kept over many seeds, a seed can be had again, and what breaks a
promise is found."""

from __future__ import annotations

import random
import re
import subprocess
import sys

import pytest

from lattice.control.lease import Lease, LeaseRecord
from lattice.control.reconciler import Reconciler
from lattice.testing import search, simulated_host
from lattice.testing.faults import Fault, schedule
from lattice.testing.memory_store import MemoryBucket
from lattice.testing.network import now
from lattice.testing.search import Settings
from lattice.testing.simulation import SITES

SEEDS = range(24)


@pytest.mark.parametrize("first", [seed for seed in SEEDS if seed % 6 == 0])
def test_promises_are_kept(first: int) -> None:
    results = [search.run(seed) for seed in range(first, first + 6)]
    assert [(result.seed, result.broken) for result in results if result.broken] == []
    assert sum(len(result.faults) for result in results) > 6
    assert min(result.answered for result in results) > 500
    assert min(result.changes for result in results) > 3
    assert max(result.epochs for result in results) > 1, "the lease never changed hands"


def test_many_hosts_keep_them_too() -> None:
    result = search.run(1, Settings(hosts=60, seconds=15))
    assert result.broken == ()
    assert result.faults


def outcome(*arguments: str) -> str:
    command = [sys.executable, "-m", "lattice.testing", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_seed_replays_in_another_process() -> None:
    told = [outcome("--seed", "58", "--verbose") for _ in range(2)]
    traces = [re.findall(r"trace ([0-9a-f]{16})", one) for one in told]
    assert traces[0] == traces[1]
    assert len(traces[0]) == 1
    assert traces[0] != re.findall(r"trace ([0-9a-f]{16})", outcome("--seed", "59"))
    events = [[line for line in one.splitlines() if re.match(r"\d+\.\d+ ", line)] for one in told]
    assert events[0] == events[1]
    assert len(events[0]) > 10


def test_the_command_searches() -> None:
    assert "3 seeds, 4 hosts, 20 s of faults each: 0 broke a promise" in outcome(
        "--seeds", "3", "--hosts", "4", "--seconds", "20"
    )


def found(seeds: int = 40) -> str:
    """What the first seed that breaks a promise says."""
    for seed in range(seeds):
        result = search.run(seed)
        if result.broken:
            return "; ".join(result.broken)
    return ""


def test_it_finds_two_holders_of_one_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that is believed though the store did not take it."""

    async def write(self: Lease, bucket: MemoryBucket, record: LeaseRecord) -> None:
        self._record, self._renewed_at = record, now()

    monkeypatch.setattr(Lease, "_write", write)
    assert "both hold the lease" in found()


def test_it_finds_a_reconciler_that_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    act = Reconciler._act

    def only_the_first(self: Reconciler) -> None:
        if self._lease.epoch == 1:
            act(self)

    monkeypatch.setattr(Reconciler, "_act", only_the_first)
    assert "15 s after the mending" in found()


def test_it_finds_calls_that_are_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def once(handler: simulated_host.Handler, invocation: simulated_host.Invocation, repeatable: bool) -> bytes:
        return await handler(invocation)

    monkeypatch.setattr(simulated_host, "persist", once)
    told = found(10)
    assert "a call of actor" in told


def test_faults_are_drawn_within_their_time_and_never_twice_on_one_thing() -> None:
    hosts = [f"host{number}" for number in range(6)]
    for seed in range(300):
        faults = schedule(random.Random(seed), hosts, SITES, 20.0, 60.0)  # the same each time
        assert faults
        for place, fault in enumerate(faults):
            assert 20.0 <= fault.at < fault.until <= 80.0
            assert not [other for other in faults[:place] if overlaps(fault, other) and same(fault, other)]
            if fault.alone:
                assert not [other for other in faults if other is not fault and overlaps(fault, other)]


def overlaps(one: Fault, other: Fault) -> bool:
    return one.at <= other.until and other.at <= one.until


def same(one: Fault, other: Fault) -> bool:
    return one.kind == other.kind and one.where == other.where
