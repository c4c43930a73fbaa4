"""Who reconciles, with a real bucket: one at a time, taken over after a loss, never two, and not without the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from lattice.control import lease
from lattice.control.lease import KEY, Lease, LeaseRecord
from lattice.control.state import HostSeen, Observed
from lattice.transport.nats import NatsTransport, connect
from lattice.transport.settings import NatsSettings
from tests.support.lattices import until
from tests.support.servers import Server, nats_server


class Seen:
    """What a host sees of the others: the part of `Peers` that a lease asks."""

    def __init__(self, **boots: str) -> None:
        self.boots = boots

    @property
    def observed(self) -> Observed:
        return Observed(hosts={key: HostSeen(key=key) for key in self.boots})

    def boot_of(self, host: str) -> str:
        return self.boots.get(host, "")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name, value in {
        "RENEW_S": 0.05,
        "WATCH_S": 0.1,
        "ACT_S": 0.4,
        "STALE_S": 1.0,
        "SETTLE_S": 0.1,
        "RANK_S": 0.02,
    }.items():
        monkeypatch.setattr(lease, name, value)
    monkeypatch.setattr(lease, "WRITE_S_MAX", 0.5)
    with nats_server(tmp_path) as found:
        yield found


@pytest.fixture
async def transport(server: Server) -> AsyncIterator[NatsTransport]:
    found = await connect(NatsSettings(urls=(server.url,)))
    yield found
    await found.close()


@asynccontextmanager
async def candidate(transport: NatsTransport, key: str, seen: Seen, boot: str = "b") -> AsyncIterator[Lease]:
    made = Lease(lambda: transport.bucket("LEASE_test"), key, boot, seen)  # type: ignore[arg-type]
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 5)


async def stored(transport: NatsTransport) -> LeaseRecord:
    found = await (await transport.bucket("LEASE_test")).get(KEY)
    assert found is not None
    assert found.value is not None
    return msgspec.json.decode(found.value, type=LeaseRecord)


async def test_of_two_candidates_one_holds_it(transport: NatsTransport) -> None:
    seen = Seen(N1="b", N2="b")
    async with candidate(transport, "N1", seen) as one, candidate(transport, "N2", seen) as two:
        await until(lambda: one.epoch or two.epoch)
        for _ in range(30):
            assert not (one.epoch and two.epoch)
            await asyncio.sleep(0.01)
        await until(lambda: one.holder == two.holder != "")
        assert one.restarted_epoch == two.restarted_epoch == 0


async def test_it_is_taken_over_from_a_host_that_is_lost_with_a_larger_epoch(transport: NatsTransport) -> None:
    seen = Seen(N1="b", N2="b")
    async with candidate(transport, "N2", seen) as two:
        async with candidate(transport, "N1", Seen(N1="b", N2="b")) as one:
            await until(lambda: one.epoch or two.epoch)
            if two.epoch:
                await two.release()
                await until(lambda: one.epoch > 1)
            was = one.epoch
        del seen.boots["N1"]
        two.hurry()
        await until(lambda: two.epoch > was)
        assert (await stored(transport)).holder == "N2"


async def test_a_restarted_holder_is_another(transport: NatsTransport) -> None:
    async with candidate(transport, "N1", Seen(N1="b1"), "b1") as old:
        await until(lambda: old.epoch == 1)
    async with candidate(transport, "N2", Seen(N1="b2", N2="b")) as two:
        await until(lambda: two.epoch == 2)


async def test_a_living_holder_keeps_it(transport: NatsTransport) -> None:
    seen = Seen(N1="b", N2="b")
    async with candidate(transport, "N1", seen) as one:
        await until(lambda: one.epoch == 1)
        async with candidate(transport, "N0", Seen(N0="b", N1="b", N2="b")) as zero:
            await until(lambda: zero.holder == "N1")
            await asyncio.sleep(0.4)
            assert (one.epoch, zero.epoch) == (1, 0)


async def test_a_holder_that_cannot_write_is_replaced_though_it_lives(transport: NatsTransport) -> None:
    bucket = await transport.bucket("LEASE_test")
    await bucket.update(KEY, msgspec.json.encode(LeaseRecord("N1", "b", 5)), 0)
    async with candidate(transport, "N2", Seen(N1="b", N2="b")) as two:
        await until(lambda: two.epoch == 6)


async def test_given_away_it_goes_to_the_next_at_once(transport: NatsTransport) -> None:
    seen = Seen(N1="b", N2="b")
    async with candidate(transport, "N2", seen) as two:
        async with candidate(transport, "N1", seen) as one:
            await until(lambda: one.epoch or two.epoch)
        holder, other = (one, two) if one.epoch else (two, one)
        await holder.release()
        assert holder.epoch == 0
        if other is two:
            await until(lambda: two.epoch == 2)


async def test_without_the_store_nobody_acts_and_with_it_one_does(transport: NatsTransport, server: Server) -> None:
    async with candidate(transport, "N1", Seen(N1="b")) as one:
        await until(lambda: one.epoch == 1)
        server.kill()
        await until(lambda: one.epoch == 0, 5)
        server.start()
        await until(lambda: one.epoch > 0)
        assert (await stored(transport)).holder == "N1"


async def test_a_hint_that_comes_during_a_look_is_not_lost(
    transport: NatsTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look would be seconds away, and a lost host is to be replaced within three."""
    monkeypatch.setattr(lease, "WATCH_S", 60.0)
    monkeypatch.setattr(lease, "STALE_S", 60.0)
    monkeypatch.setattr(lease, "SETTLE_S", 0.0)
    bucket = await transport.bucket("LEASE_test")
    await bucket.update(KEY, msgspec.json.encode(LeaseRecord("N1", "b", 5)), 0)
    seen = Seen(N1="b", N2="b")
    read = bucket.get

    class Slow:
        update = bucket.update

        async def get(self, key: str, timeout_s: float = 5.0) -> object:
            found = await read(key, timeout_s)
            asyncio.get_running_loop().call_soon(lost)
            await asyncio.sleep(0.02)
            return found

    async def opened() -> Slow:
        return Slow()

    two = Lease(opened, "N2", "b", seen)  # type: ignore[arg-type]
    checked = two._free

    def still_there() -> bool:
        """What the first look found before the loss was noticed."""
        two._free = checked  # type: ignore[method-assign]
        return False

    def lost() -> None:
        seen.boots.pop("N1", None)
        two.hurry()

    two._free = still_there  # type: ignore[method-assign]
    task = asyncio.create_task(two.run())
    try:
        await until(lambda: two.epoch == 6, 5)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_lease_that_nobody_understands_is_taken_over(transport: NatsTransport) -> None:
    await (await transport.bucket("LEASE_test")).put(KEY, b"\xff nonsense")
    async with candidate(transport, "N1", Seen(N1="b")) as one:
        await until(lambda: one.epoch > 0)


async def test_a_write_of_somebody_else_ends_it_at_once(transport: NatsTransport) -> None:
    async with candidate(transport, "N1", Seen(N1="b", N9="b")) as one:
        await until(lambda: one.epoch == 1)
        await (await transport.bucket("LEASE_test")).put(KEY, msgspec.json.encode(LeaseRecord("N9", "b", 7, 1)))
        await until(lambda: one.holder == "N9")
        assert one.epoch == 0
        await until(lambda: one.epoch == 8, 5)  # N9 never renews it
