"""The drills: what breaks, how it heals, and what is promised meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from lattice import errors
from lattice.drills.load import WRITE
from lattice.drills.report import Check, DrillReport
from lattice.drills.stage import SETTLE_S_MAX, Say, Stage

STEADY_S = 2.0
"""Load before anything breaks."""
FULL_BYTES = 24 * 1024 * 1024
NOTICE_S_MAX = 10.0
RETURN_S_MAX = 10.0


class Outcome:
    """What a drill notes while it runs. Times in seconds since the break, or since the heal for `returned_s`."""

    def __init__(self) -> None:
        self.noticed_s: float | None = None
        self.replaced_s: float | None = None
        self.returned_s: float | None = None
        self.dead_entries: set[str] = set()
        self.refuses_writes = False
        """Whether writes may be refused, with a reason."""
        self.gap_s_max: float | None = None
        self.replaced_s_max: float | None = None
        self.checks: list[Check] = []

    def check(self, promise: str, kept: bool, found: str) -> None:
        self.checks.append(Check(promise=promise, kept=kept, found=found))


Run = Callable[[Stage, Outcome, Say], Awaitable[None]]


class Drill(msgspec.Struct, frozen=True):
    """`about` is for people; `run` breaks and heals."""

    name: str
    about: str
    run: Run
    store_bytes_max: int = 0


async def perform(drill: Drill, actors: Path, say: Say, rate: float) -> DrillReport:
    """Sets the stage, runs a drill under load, and compares afterwards. Raises `errors.LatticeError` when the stage
    cannot be set."""
    outcome = Outcome()
    stage = Stage(actors, say, rate=rate, store_bytes_max=drill.store_bytes_max)
    async with stage:
        await stage.start_load()
        await asyncio.sleep(STEADY_S)
        await drill.run(stage, outcome, say)
        await asyncio.sleep(STEADY_S)
        await stage.stop_load()
        say("comparing what every host knows")
        try:
            settled_s = await stage.until("equal states", stage.state_is_equal, SETTLE_S_MAX)
            equal, found = True, f"equal {settled_s:.1f} s after the load ended"
        except errors.DeadlineExceeded as error:
            equal, found = False, error.message
        outcome.check(
            f"all hosts know the same and each thing runs once, {SETTLE_S_MAX:g} s after healing", equal, found
        )
        say("looking for everything that was acknowledged")
        missing = await stage.missing()
    outcome.check("no process is left behind", not stage.left_over, ", ".join(stage.left_over) or "none is")
    return _report(drill, stage, outcome, missing, equal)


def _report(drill: Drill, stage: Stage, outcome: Outcome, missing: list[str], equal: bool) -> DrillReport:
    load = stage.load
    entries = tuple(entry.report(load.began, load.ended) for entry in load.entries)
    living = [entry for entry in entries if entry.entry not in outcome.dead_entries]
    failed = sum(entry.failed for entry in living)
    kinds: dict[str, int] = {}
    for entry in living:
        for kind, count in entry.failed_by_kind.items():
            kinds[kind] = kinds.get(kind, 0) + count
    gap_s = max(entry.longest_gap_s for entry in living)
    if outcome.refuses_writes:
        reads = sum(count for kind, count in kinds.items() if not kind.startswith(WRITE))
        outcome.check("no read fails at an entry that lives", reads == 0, f"{reads} failed")
        unexplained = failed - reads - kinds.get(f"{WRITE}status 503 provider_unavailable", 0)
        outcome.check("a write that is refused is told so", unexplained == 0, f"{unexplained} were told another thing")
    else:
        outcome.check("no request fails at an entry that lives", failed == 0, f"{failed} failed")
    if outcome.gap_s_max is not None:
        outcome.check(f"no gap longer than {outcome.gap_s_max:g} s", gap_s <= outcome.gap_s_max, f"{gap_s:.2f} s")
    if outcome.replaced_s_max is not None:
        kept = outcome.replaced_s is not None and outcome.replaced_s <= outcome.replaced_s_max
        found = "not" if outcome.replaced_s is None else f"after {outcome.replaced_s:.2f} s"
        outcome.check(f"what was lost runs elsewhere within {outcome.replaced_s_max:g} s", kept, found)
    if outcome.returned_s is not None:
        kept = outcome.returned_s <= RETURN_S_MAX
        outcome.check(f"who returns has its share within {RETURN_S_MAX:g} s", kept, f"after {outcome.returned_s:.2f} s")
    acknowledged = len(load.acknowledged) + len(stage.published)
    outcome.check("everything acknowledged is there", not missing, f"{len(missing)} of {acknowledged} are not")
    return DrillReport(
        name=drill.name,
        sent=sum(entry.sent for entry in living),
        answered=sum(entry.answered for entry in living),
        failed=failed,
        failed_by_kind=kinds,
        longest_gap_s=gap_s,
        noticed_s=outcome.noticed_s,
        replaced_s=outcome.replaced_s,
        returned_s=outcome.returned_s,
        acknowledged=acknowledged,
        acknowledged_lost=len(missing),
        state_equal=equal,
        entries=entries,
        checks=tuple(outcome.checks),
    )


async def _watch_replacement(stage: Stage, outcome: Outcome, lost: set[str], say: Say, within_s: float) -> None:
    """Times, from now on, until the lost hosts are missed, and until all copies run again without them."""
    noticed = stage.until("the loss to be noticed", lambda: not lost & stage.observed.hosts.keys(), NOTICE_S_MAX)
    outcome.noticed_s = round(await noticed, 2)
    say(f"noticed after {outcome.noticed_s:.2f} s")
    took = await stage.until("replacements", stage.has_everything, within_s)
    outcome.replaced_s = round(outcome.noticed_s + took, 2)
    say(f"replaced after {outcome.replaced_s:.2f} s")


async def lose_host(stage: Stage, outcome: Outcome, say: Say) -> None:
    victim = stage.clouds.hosts["west-1"]
    say(f"kill -9 of {victim.name}, which runs {stage.share_of(victim)} copies")
    outcome.replaced_s_max = 3.0
    key = victim.key
    victim.kill()
    await _watch_replacement(stage, outcome, {key}, say, 20)
    await asyncio.sleep(STEADY_S)
    say(f"starting {victim.name} again")
    began = asyncio.get_running_loop().time()
    await victim.start()
    await stage.until("its share", lambda: stage.share_of(victim) > 0, 30)
    await stage.until("everything in its place", stage.has_everything, 30)
    outcome.returned_s = round(asyncio.get_running_loop().time() - began, 2)


async def lose_cloud(stage: Stage, outcome: Outcome, say: Say) -> None:
    hosts = stage.clouds.hosts_of("west")
    say(f"kill -9 of everything in west: {', '.join(host.name for host in hosts)} and its nats-server")
    outcome.dead_entries = {"west"}
    keys = {host.key for host in hosts}
    stage.clouds.servers["west"].kill()
    for host in hosts:
        host.kill()
    await _watch_replacement(stage, outcome, keys, say, 30)
    await asyncio.sleep(STEADY_S)
    say("west comes back")
    await stage.clouds.servers["west"].start()
    for host in hosts:
        await host.start()
    workers = [host for host in hosts if host.labels["role"] == "work"]
    took = await stage.until("its share", lambda: all(stage.share_of(host) > 0 for host in workers), 30)
    await stage.until("everything in its place", stage.has_everything, 30)
    outcome.returned_s = round(took, 2)


async def partition(stage: Stage, outcome: Outcome, say: Say) -> None:
    say("west is cut off; no connection is closed")
    outcome.gap_s_max, outcome.replaced_s_max = 3.0, 6.0
    keys = {host.key for host in stage.clouds.hosts_of("west")}
    stage.clouds.cut("west")
    await _watch_replacement(stage, outcome, keys, say, 30)
    await asyncio.sleep(6)
    say("the network is whole again")
    stage.clouds.heal("west")
    workers = [host for host in stage.clouds.hosts_of("west") if host.labels["role"] == "work"]
    await stage.until("west to be seen", lambda: keys <= stage.observed.hosts.keys(), 30)
    took = await stage.until("its share", lambda: all(stage.share_of(host) > 0 for host in workers), 30)
    await stage.until("everything in its place", stage.has_everything, 30)
    outcome.returned_s = round(took, 2)


async def lose_nats(stage: Stage, outcome: Outcome, say: Say) -> None:
    say("SIGKILL of the nats-server in west")
    outcome.gap_s_max = 3.0
    stage.clouds.servers["west"].kill()
    await asyncio.sleep(8)
    say("it comes back")
    await stage.clouds.servers["west"].start()
    await asyncio.sleep(8)


async def slow_link(stage: Stage, outcome: Outcome, say: Say) -> None:
    say("80 ms more between the clouds, in each direction")
    outcome.gap_s_max = 3.0
    stage.clouds.slow(0.08)
    await asyncio.sleep(10)
    say("as fast as before")
    stage.clouds.slow(0.0)
    await asyncio.sleep(2)


async def full_disk(stage: Stage, outcome: Outcome, say: Say) -> None:
    outcome.refuses_writes = True
    say(f"filling the JetStream stores ({FULL_BYTES // 2**20} MiB each)")
    filler = {"name": "FILLER", "subjects": ["drill.filler"], "storage": "file"}
    await stage.jetstream.ensure(filler, None)
    refused = ""
    for _ in range(4 * FULL_BYTES // 2**20):
        try:
            await stage.jetstream.write("drill.filler", bytes(512 * 1024), None, 5.0)
        except errors.StoreUnavailable as error:
            refused = error.message
            break
    outcome.check("a full store refuses writes and says so", bool(refused), refused or "it took everything")
    try:
        await stage.put("v2")
        said = "it was stored all the same"
    except errors.LatticeError as error:
        said = error.message
    outcome.check("another version of the application is refused with the reason", "resources" in said, said)
    await asyncio.sleep(4)
    say("making room")
    await stage.jetstream.api("STREAM.DELETE.FILLER", {}, 5.0)
    await stage.until("writes to be taken again", lambda: _writes(stage), 20)


async def _writes(stage: Stage) -> bool:
    try:
        await stage.jetstream.write("drill.events", b"0", None, 2.0)
    except errors.StoreUnavailable:
        return False
    return True


async def rolling_upgrade(stage: Stage, outcome: Outcome, say: Say) -> None:
    say("deploying another version")
    outcome.gap_s_max = 3.0
    await stage.deploy("v2", {"instances": "50"})
    for host in [host for host in stage.clouds.hosts.values() if host.labels["role"] == "work"]:
        say(f"{host.name} stops, and starts as another process")
        drained = await host.stop()
        outcome.check(f"{host.name} drains and ends by itself", drained, "it did" if drained else "it was killed")
        await host.start()
        await stage.until("its share", lambda host=host: stage.share_of(host) > 0, 30)  # type: ignore[misc]  # bound now
        await stage.until("everything in its place", stage.has_everything, 30)


async def heal(stage: Stage, outcome: Outcome, say: Say) -> None:
    outcome.gap_s_max = 3.0
    for number in range(1, 4):
        say(f"cut off and whole again, {number} of 3")
        stage.clouds.cut("west")
        await asyncio.sleep(3.5)
        stage.clouds.heal("west")
        await asyncio.sleep(5)
    await stage.until("everything in its place", stage.has_everything, 30)


DRILLS = {
    drill.name: drill
    for drill in (
        Drill("lose-host", "kill -9 of a host that runs copies", lose_host),
        Drill("lose-cloud", "kill -9 of one of two clouds: its hosts and its nats-server", lose_cloud),
        Drill("partition", "one cloud is cut off, and no connection is closed", partition),
        Drill("lose-nats", "SIGKILL of the nats-server of one cloud", lose_nats),
        Drill("slow-link", "80 ms more between the clouds", slow_link),
        Drill("full-disk", "the JetStream stores are full", full_disk, store_bytes_max=FULL_BYTES),
        Drill(
            "rolling-upgrade",
            "another version, then every working host restarted, one after the other",
            rolling_upgrade,
        ),
        Drill("heal", "one cloud is cut off and comes back, three times", heal),
    )
}
