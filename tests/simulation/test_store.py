"""Stores in memory: what was acknowledged stays, a minority writes nothing, replicas lag, answers get lost."""

from __future__ import annotations

import asyncio

import pytest

from lattice import errors
from lattice.testing.memory_store import ELECTION_S
from lattice.testing.network import Weather
from tests.simulation.lattices import Site, simulated


@simulated
async def test_values_revisions_and_deletions(site: Site) -> None:
    bucket = await site.client("one", "east").bucket("B")
    assert await bucket.update("key", b"1", 0) == 1
    with pytest.raises(errors.Conflict):
        await bucket.update("key", b"other", 0)
    assert await bucket.update("key", b"2", 1) == 2
    found = await bucket.get("key")
    assert found is not None
    assert (found.value, found.revision) == (b"2", 2)
    await bucket.delete("key")
    assert await bucket.get("key") is None
    assert [(entry.key, entry.value) for entry in await bucket.changes(2)] == [("key", None)]
    assert await bucket.update("key", b"again", 0) == 4


@simulated
async def test_a_minority_writes_nothing_and_reads_what_it_has(site: Site) -> None:
    here, there = site.client("here", "east"), site.client("there", "west")
    one, other = await here.bucket("B"), await there.bucket("B")
    await one.put("key", b"1")
    await asyncio.sleep(1)
    site.network.cut("west", "east")
    site.network.cut("west", "witness")
    await asyncio.sleep(2 * ELECTION_S[1])
    with pytest.raises(errors.StoreUnavailable):
        await other.put("key", b"minority", 1)
    await one.put("key", b"2")
    assert [entry.value for entry in await other.changes(0)] == [b"1"]
    site.network.mend("west", "east")
    site.network.mend("west", "witness")
    await asyncio.sleep(2)
    assert [entry.value for entry in await other.changes(0)] == [b"2"]


@simulated
async def test_a_lost_leader_is_replaced_and_what_was_acknowledged_stays(site: Site) -> None:
    stream = site.cluster.stream("KV_B")
    for number in range(6):
        dying = stream.leader
        living = "west" if dying != "west" else "east"
        bucket = await site.client(f"client{number}", living).bucket("B")
        await bucket.put(f"key{number}", b"1")
        site.network.kill_server(dying)
        with pytest.raises(errors.StoreUnavailable):
            await bucket.put("nobody", b"1")
        await asyncio.sleep(2 * ELECTION_S[1])
        assert stream.leader not in ("", dying)
        assert [entry.key for entry in await bucket.changes(0)] == [f"key{place}" for place in range(number + 1)]
        site.network.start_server(dying)
        await asyncio.sleep(1)


@simulated
async def test_an_answer_that_is_lost_leaves_it_open_whether_it_was_written(site: Site) -> None:
    bucket = await site.client("one", "east").bucket("B")
    site.network.weather = Weather(loss=0.5)
    acknowledged, failed = set(), set()
    for number in range(60):
        try:
            await bucket.put(f"key{number}", b"1", 0.5)
            acknowledged.add(f"key{number}")
        except errors.StoreUnavailable:
            failed.add(f"key{number}")
    there = {key for key, entry in site.cluster.stream("KV_B").values.items() if entry.value is not None}
    assert acknowledged <= there
    assert failed & there, "some were written and not acknowledged"
    assert failed - there, "some were not written"


@simulated
async def test_a_full_store_says_so_and_lets_delete(site: Site) -> None:
    bucket = await site.client("one", "east").bucket("B")
    await bucket.put("key", b"1")
    site.cluster.fill(True)
    with pytest.raises(errors.StoreUnavailable, match="room"):
        await bucket.put("key", b"2")
    await bucket.delete("key")
    site.cluster.fill(False)
    await bucket.put("key", b"3")


@simulated
async def test_objects_are_kept_whole(site: Site) -> None:
    objects = await site.client("one", "east").objects("O")
    await objects.put("image", memoryview(b"x" * 100_000))
    assert await objects.get("image") == b"x" * 100_000
    await objects.delete("image")
    with pytest.raises(errors.TargetUnknown):
        await objects.get("image")
