"""Calls between two hosts, measured: `lattice_calls.py calls|signed|payload|idle`. Prints rows as JSON, one a line.

A nats-server and two hosts, each a process of its own. `calls`: an actor calls one of the other host (100 bytes), one
at a time and 64 at once, and the same call where both are on one host. `signed`: calls on two lattices in turn, of
which one signs them, so that both have the same noise. `payload`: 16 MB to the other host and what
Python allocates for it on either side beyond the payload. `idle`: bytes and processor time of a host without work.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from lattice.cli.serve import loop_factory  # noqa: E402  # needs the path above
from lattice.control.records import StoredLink  # noqa: E402
from lattice.host import Host, HostSettings  # noqa: E402
from lattice.security.keys import KeyPair  # noqa: E402
from lattice.security.settings import ActorTrust, ClusterTrust, SecuritySettings  # noqa: E402
from lattice.transport.nats import NatsTransport, connect  # noqa: E402
from lattice.transport.settings import NatsSettings  # noqa: E402
from tests.support.hosts import GuestHost  # noqa: E402
from tests.support.servers import nats_server  # noqa: E402

PAYLOAD = b"x" * 100
LARGE = 16 * 1024 * 1024
CHUNKS = 4 * 1024 * 1024
"""What may be allocated beside a large payload: the chunks that are on their way at once, and their envelopes."""
AT_ONCE = 64
ONE_BY_ONE = 3000
ROUNDS = 5
IDLE_S = 20.0


UNSIGNED = SecuritySettings(actors=ActorTrust(unsigned=True))


def security_of(lattice: str) -> SecuritySettings:
    """The lattice `signed` has a cluster key."""
    if lattice != "signed":
        return UNSIGNED
    pair = KeyPair("cluster", bytes(32))
    trust = ClusterTrust(signing=pair, trusted=frozenset({pair.public}))
    return SecuritySettings(actors=UNSIGNED.actors, cluster=trust)


@asynccontextmanager
async def host(
    url: str, folder: Path, lattice: str, name: str, *guests: str
) -> AsyncIterator[tuple[GuestHost, NatsTransport]]:
    """A host on a lattice, with guests of tests/guests."""
    folder.mkdir(parents=True)
    transport = await connect(NatsSettings(urls=(url,), name=name))
    try:
        settings = HostSettings(data=folder / "data", name=name, lattice=lattice, security=security_of(lattice))
        async with Host(settings, transport) as running:
            guest_host = GuestHost(running, folder)
            for guest in guests:
                key = f"{name}-{guest}"
                await guest_host.start(guest, key=key, app="")
            yield guest_host, transport
    finally:
        await transport.close()


async def other(url: str, folder: Path, lattice: str) -> None:
    """The other host, told what to do by lines on standard input."""
    async with host(url, folder, lattice, "other", "echo", "empty_reply") as (_, transport):
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            if line == "trace":
                tracemalloc.start()
                tracemalloc.reset_peak()
                print(json.dumps(tracemalloc.get_traced_memory()[0]), flush=True)
            elif line == "peak":
                print(json.dumps(tracemalloc.get_traced_memory()[1]), flush=True)
            else:
                print(json.dumps(spent(transport)), flush=True)


def spent(transport: NatsTransport) -> dict[str, float]:
    """Processor seconds of this process, and bytes it sent and received."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    stats = transport.client.stats
    return {"cpu": used.ru_utime + used.ru_stime, "out": stats["out_bytes"], "in": stats["in_bytes"]}


class Other:
    """The other host's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, line: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        return json.loads(await self.answer())

    async def answer(self) -> bytes:
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            return await self._process.stdout.readline()


@asynccontextmanager
async def two_hosts() -> AsyncIterator[tuple[GuestHost, Other, NatsTransport]]:
    with tempfile.TemporaryDirectory() as name, nats_server(Path(name)) as server:
        async with two_of(server.url, Path(name) / "hosts", "default") as found:
            yield found


@asynccontextmanager
async def two_of(url: str, folder: Path, lattice: str) -> AsyncIterator[tuple[GuestHost, Other, NatsTransport]]:
    """The two hosts of a lattice."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        "other",
        url,
        str(folder / lattice / "other"),
        lattice,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    peer = Other(process)
    try:
        assert await peer.answer() == b"ready\n", "the other host did not start"
        async with host(url, folder / lattice / "here", lattice, "here", "relay", "echo") as (guests, transport):
            await until_linked(guests, "other-echo", "here-echo")
            yield guests, peer, transport
    finally:
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            async with asyncio.timeout(20):
                await process.wait()


async def until_linked(guests: GuestHost, *targets: str) -> None:
    """Links the relay to actors, and waits until they are known."""
    joined = guests.host.joined
    assert joined is not None
    for target in targets:
        await joined.store.put_link(StoredLink(source="here-relay", target=target, contract="", name="default"))
    async with asyncio.timeout(10):
        while not joined.peers.copies("other-echo") or len(list(guests.host.links)) < len(targets):
            await asyncio.sleep(0.05)


async def calls() -> list[dict[str, Any]]:
    away: list[float] = []
    here: list[float] = []
    entry: list[float] = []
    rates: list[float] = []
    latencies: list[float] = []
    async with two_hosts() as (guests, _, _):

        async def one(target: str) -> None:
            reply = await guests.call("here-relay", b"wapc\0" + target.encode() + b"\0Test.Op\0" + PAYLOAD)
            assert reply == b"1" + PAYLOAD, reply

        async def many(target: str, count: int) -> None:
            for _ in range(count):
                await one(target)

        for round_ in range(ROUNDS + 1):
            times = []
            for _ in range(ONE_BY_ONE):
                began = time.perf_counter()
                await one("other-echo")
                times.append(time.perf_counter() - began)
            began = time.perf_counter()
            await many("here-echo", ONE_BY_ONE)
            middle = time.perf_counter()
            for _ in range(ONE_BY_ONE):
                await guests.call("here-echo", PAYLOAD)
            entered = time.perf_counter()
            await asyncio.gather(*(many("other-echo", 400) for _ in range(AT_ONCE)))
            ended = time.perf_counter()
            if round_:
                away.append(statistics.mean(times))
                latencies.append(statistics.median(times))
                here.append((middle - began) / ONE_BY_ONE)
                entry.append((entered - middle) / ONE_BY_ONE)
                rates.append(AT_ONCE * 400 / (ended - entered))
    p50_ms, rate = statistics.median(latencies) * 1e3, statistics.median(rates)
    # Every call is made by an actor, and what it takes to call that one is no part of what is compared.
    ratio = statistics.median((a - e) / (h - e) for a, h, e in zip(away, here, entry, strict=True))
    here_us, away_us, entry_us = (statistics.median(times) * 1e6 for times in (here, away, entry))
    return [
        {
            "what": f"calls between two hosts, {AT_ONCE} at once",
            "value": f"{rate:,.0f} calls/s",
            "at least": "10,000",
            "held": rate >= 10_000,
            "rounds": [round(each) for each in rates],
        },
        {
            "what": "call between two hosts, one at a time, p50",
            "value": f"{p50_ms:.3f} ms",
            "at most": "0.5 ms",
            "held": p50_ms <= 0.5,
        },
        {
            "what": "colocated call against the same across the lattice",
            "value": f"{ratio:.1f} x ({here_us:.1f} us / {away_us:.0f} us, less {entry_us:.1f} us)",
            "at least": "20 x",
            "held": ratio >= 20,
        },
    ]


async def signed() -> list[dict[str, Any]]:
    """Calls by the owner of one host of an actor on the other, so that little else is measured."""
    rates: dict[str, list[float]] = {"default": [], "signed": []}
    latencies: dict[str, list[float]] = {"default": [], "signed": []}
    guests: dict[str, GuestHost] = {}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(nats_server(folder)).url
        for lattice in rates:
            guests[lattice], _, _ = await stack.enter_async_context(two_of(url, folder / "hosts", lattice))

        async def many(lattice: str, count: int, times: list[float]) -> None:
            for _ in range(count):
                began = time.perf_counter()
                assert await guests[lattice].call("other-echo", PAYLOAD) == PAYLOAD
                times.append(time.perf_counter() - began)

        for round_ in range(ROUNDS + 1):
            for lattice in rates:
                alone: list[float] = []
                await many(lattice, ONE_BY_ONE, alone)
                began = time.perf_counter()
                await asyncio.gather(*(many(lattice, 400, []) for _ in range(AT_ONCE)))
                if round_:
                    rates[lattice].append(AT_ONCE * 400 / (time.perf_counter() - began))
                    latencies[lattice].append(statistics.median(alone) * 1e3)
    dearer = [a / b for a, b in zip(rates["default"], rates["signed"], strict=True)]
    slower = [a / b for a, b in zip(latencies["signed"], latencies["default"], strict=True)]
    plain, proven = (statistics.median(latencies[lattice]) for lattice in ("default", "signed"))
    plain_rate, proven_rate = (statistics.median(rates[lattice]) for lattice in ("default", "signed"))
    return [
        ratio_row(f"{AT_ONCE} at once", dearer, f"{proven_rate:,.0f} / {plain_rate:,.0f} calls/s"),
        ratio_row("one at a time, p50", slower, f"{proven:.3f} / {plain:.3f} ms"),
    ]


def ratio_row(how: str, ratios: list[float], figures: str) -> dict[str, Any]:
    ratio = statistics.median(ratios)
    return {
        "what": f"signed remote call against unsigned, {how}",
        "value": f"{ratio:.2f} x ({figures})",
        "at most": "1.5 x",
        "held": ratio <= 1.5,
        "rounds": [round(each, 2) for each in ratios],
    }


async def payload() -> list[dict[str, Any]]:
    async with two_hosts() as (guests, peer, _):
        data = bytes(LARGE)
        await guests.call("other-empty_reply", data)  # opens the object store
        before_there = await peer.ask("trace")
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        began = time.perf_counter()
        assert await guests.call("other-empty_reply", data) == b""
        took = time.perf_counter() - began
        peak = tracemalloc.get_traced_memory()[1] - before
        peak_there = await peer.ask("peak") - before_there - LARGE
    worst = max(peak, peak_there)
    return [
        {
            "what": "16 MB to another host: memory beyond the payload",
            "value": f"{peak / 2**20:.1f} MB sender, {peak_there / 2**20:.1f} MB receiver",
            "at most": f"{CHUNKS // 2**20} MB",
            "held": worst <= CHUNKS,
        },
        {"what": "16 MB to another host and its answer", "value": f"{took * 1e3:.0f} ms"},
    ]


async def idle() -> list[dict[str, Any]]:
    async with two_hosts() as (_, peer, _):
        await asyncio.sleep(5)
        before = await peer.ask("spent")
        await asyncio.sleep(IDLE_S)
        after = await peer.ask("spent")
    sent = (after["out"] - before["out"]) / IDLE_S
    received = (after["in"] - before["in"]) / IDLE_S
    cpu = (after["cpu"] - before["cpu"]) / IDLE_S
    return [
        {
            "what": "idle host on a lattice of two: sent",
            "value": f"{sent / 1024:.2f} KB/s (received {received / 1024:.2f})",
            "at most": "2 KB/s",
            "held": sent <= 2048,
        },
        {
            "what": "idle host on a lattice of two: processor",
            "value": f"{cpu * 100:.2f} % of a core",
            "at most": "0.2 %",
            "held": cpu <= 0.002,
        },
    ]


def main() -> None:
    if sys.argv[1] == "other":
        with asyncio.Runner(loop_factory=loop_factory()) as runner:  # as `lattice host` does
            runner.run(other(sys.argv[2], Path(sys.argv[3]), sys.argv[4]))
        return
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        for row in runner.run({"calls": calls, "signed": signed, "payload": payload, "idle": idle}[sys.argv[1]]()):
            print(json.dumps(row))


if __name__ == "__main__":
    main()
