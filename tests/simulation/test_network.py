"""The network in memory behaves as NATS does where a host could tell: who gets what, and what loss looks like."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from lattice import errors
from lattice.testing.memory_transport import NOTICE_S
from lattice.testing.network import STALE_S, Weather
from lattice.transport.transport import Delivery, request
from tests.simulation.lattices import Site, simulated


@simulated
async def test_words_and_wildcards(site: Site) -> None:
    for name, subject in {"same": "a.b.c", "one": "a.*.c", "rest": "a.>", "other": "a.b", "long": "a.b.c.d"}.items():
        await site.listener(name, "west", subject)
    await site.client("sender", "east").publish("a.b.c", b"1")
    await asyncio.sleep(1)
    assert {name for name, got in site.heard.items() if got == [b"1"]} == {"same", "one", "rest"}


@simulated
async def test_one_of_a_group_gets_each_message(site: Site) -> None:
    for name in ("one", "two"):
        await site.listener(name, "west", "work", queue="workers")
    sender = site.client("sender", "east")
    for number in range(100):
        await sender.publish("work", str(number).encode())
    await asyncio.sleep(1)
    assert sorted(site.heard["one"] + site.heard["two"], key=int) == [str(number).encode() for number in range(100)]
    assert min(len(got) for got in site.heard.values()) > 20


@simulated
async def test_messages_keep_their_order_in_calm_weather(site: Site) -> None:
    await site.listener("one", "west", "news")
    sender = site.client("sender", "east")
    for number in range(200):
        await sender.publish("news", str(number).encode())
    await asyncio.sleep(1)
    assert site.heard["one"] == [str(number).encode() for number in range(200)]


@simulated
async def test_rough_weather_loses_doubles_and_reorders(site: Site) -> None:
    await site.listener("one", "west", "news")
    sender = site.client("sender", "east")
    site.network.weather = Weather(loss=0.2, duplicates=0.2, jitter_s=0.5)
    for number in range(500):
        await sender.publish("news", str(number).encode())
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    got = Counter(site.heard["one"])
    assert 320 < len(got) < 480
    assert 40 < sum(count > 1 for count in got.values()) < 160
    assert site.heard["one"] != sorted(site.heard["one"], key=int)


@simulated
async def test_an_answer_comes_back(site: Site) -> None:
    client = site.client("server", "west")

    def receive(delivery: Delivery) -> None:
        asyncio.get_running_loop().create_task(client.publish(delivery.reply, delivery.payload + b"!"))

    await client.subscribe("echo", receive)
    sender = site.client("sender", "east")
    assert await request(sender, "echo", b"hello", 1) == b"hello!"
    assert [answer async for answer in sender.gather("echo", b"all", 0.5)] == [b"all!"]


@simulated
async def test_nobody_there_is_told_at_once(site: Site) -> None:
    sender = site.client("sender", "east")
    began = asyncio.get_running_loop().time()
    with pytest.raises(errors.Unreachable):
        await request(sender, "echo", b"", 5)
    assert asyncio.get_running_loop().time() - began < 0.1


@simulated
async def test_a_dead_listener_is_gone_and_a_silent_one_is_not(site: Site) -> None:
    dead = await site.listener("dead", "west", "echo.dead")
    silent = await site.listener("silent", "west", "echo.silent")
    sender = site.client("sender", "east")
    dead.die()
    silent.isolate()
    with pytest.raises(errors.Unreachable):
        await request(sender, "echo.dead", b"", 1)
    with pytest.raises(errors.AnswerLost):
        await request(sender, "echo.silent", b"", 1)
    await asyncio.sleep(STALE_S)
    with pytest.raises(errors.Unreachable):
        await request(sender, "echo.silent", b"", 1)


@simulated
async def test_a_client_notices_silence_and_comes_back(site: Site) -> None:
    client = site.client("client", "west")
    states: list[str] = []
    client.on_state(states.append)
    client.isolate()
    await asyncio.sleep(NOTICE_S - 0.5)
    assert client.state == "connected"
    await asyncio.sleep(1)
    assert client.state == "disconnected"
    with pytest.raises(errors.Unreachable):
        await client.publish("news", b"")
    client.restore()
    await asyncio.sleep(1)
    assert states == ["disconnected", "connected"]


@simulated
async def test_a_client_finds_another_server_and_goes_home(site: Site) -> None:
    client = await site.listener("client", "west", "news")
    sender = site.client("sender", "east")
    site.network.kill_server("west")
    await asyncio.sleep(1)
    assert (client.state, client.site) == ("connected", "east")
    await sender.publish("news", b"abroad")
    site.network.start_server("west")
    await asyncio.sleep(10)
    assert client.site == "west"
    await sender.publish("news", b"at home")
    await asyncio.sleep(1)
    assert site.heard["client"] == [b"abroad", b"at home"]


@simulated
async def test_what_is_sent_over_a_cut_arrives_late_or_is_lost(site: Site) -> None:
    for place in ("east", "west", "witness"):
        await site.listener(place, place, "news")
    sender = site.client("sender", "east")
    site.network.cut("east", "west")
    await sender.publish("news", b"1")
    await asyncio.sleep(1)
    assert site.heard == {"east": [b"1"], "west": [], "witness": [b"1"]}
    site.network.mend("east", "west")
    await asyncio.sleep(1)
    assert site.heard["west"] == [b"1"]
    site.network.cut("east", "west")
    await sender.publish("news", b"2")
    await asyncio.sleep(STALE_S + 1)
    site.network.mend("east", "west")
    await sender.publish("news", b"3")
    await asyncio.sleep(1)
    assert site.heard == {"east": [b"1", b"2", b"3"], "west": [b"1", b"3"], "witness": [b"1", b"2", b"3"]}


@simulated
async def test_a_short_silence_of_a_client_loses_nothing(site: Site) -> None:
    client = await site.listener("client", "west", "news")
    other = await site.listener("other", "east", "news")
    client.isolate()
    await client.publish("news", b"out")
    await other.publish("news", b"in")
    await asyncio.sleep(1)
    assert site.heard == {"client": [], "other": [b"in"]}
    client.restore()
    await asyncio.sleep(1)
    assert site.heard["other"] == [b"in", b"out"]
    assert sorted(site.heard["client"]) == [b"in", b"out"]
    client.isolate()
    await other.publish("news", b"lost")
    await asyncio.sleep(NOTICE_S + 1)
    client.restore()
    await asyncio.sleep(1)
    assert sorted(site.heard["client"]) == [b"in", b"out"]
