"""What is particular to messaging inside one process: full queues refuse, draining, limits."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from lattice_messaging_memory import MessagingMemory

from lattice import errors
from lattice.contracts.messaging import PubMessage, RequestMessage
from lattice.testing import provider_rig


class Held:
    """An actor that handles nothing until `release`."""

    def __init__(self):
        self.got = []
        self.release = asyncio.Event()

    async def __call__(self, link, _operation, message):
        self.got.append((link.target, message.body))
        await self.release.wait()


@asynccontextmanager
async def held(tmp_path, **config):
    actors = Held()
    async with provider_rig(MessagingMemory, tmp_path, actors, **config) as rig:
        await rig.attach("pub")
        yield rig, actors
        actors.release.set()
    assert rig.failures == []


async def publish(rig, subject, body=b"x"):
    await rig.call("Messaging.Publish", PubMessage(subject=subject, body=body), actor="pub")


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_full_queue_refuses_and_the_message_went_to_nobody(tmp_path):
    async with held(tmp_path) as (rig, actors):
        await rig.route("small", subscriptions="s", queue_messages_max="2")
        await rig.route("large", subscriptions="s")
        await publish(rig, "s", b"0")
        await settle()
        for body in (b"1", b"2"):
            await publish(rig, "s", body)
        with pytest.raises(errors.Overloaded, match=r"small.*full"):
            await publish(rig, "s", b"3")
        actors.release.set()
        await settle()
        await publish(rig, "s", b"4")
        await rig.provider.drain()
    for actor in ("small", "large"):
        assert [body for key, body in actors.got if key == actor] == [b"0", b"1", b"2", b"4"]


async def test_a_queue_is_bounded_by_bytes_too(tmp_path):
    async with held(tmp_path) as (rig, actors):
        await rig.route("a", subscriptions="s", queue_bytes_max="100")
        await publish(rig, "s", b"0")
        await settle()
        await publish(rig, "s", b"x" * 60)
        with pytest.raises(errors.Overloaded):
            await publish(rig, "s", b"x" * 60)
        await publish(rig, "s", b"x" * 40)
        actors.release.set()
        await rig.provider.drain()
    assert [len(body) for _, body in actors.got] == [1, 60, 40]


async def test_a_message_larger_than_the_queue_passes_when_it_is_alone(tmp_path):
    async with held(tmp_path) as (rig, _actors):
        await rig.route("a", subscriptions="s", queue_bytes_max="10")
        await publish(rig, "s", b"x" * 60)
        with pytest.raises(errors.Overloaded):
            await publish(rig, "s", b"x")


async def test_a_group_is_full_only_when_all_its_members_are(tmp_path):
    async with held(tmp_path) as (rig, actors):
        for actor in ("a", "b"):
            await rig.route(actor, subscriptions="s", queue_group="g", queue_messages_max="3")
        await publish(rig, "s")
        await publish(rig, "s")
        await settle()
        for _ in range(6):
            await publish(rig, "s")
        with pytest.raises(errors.Overloaded):
            await publish(rig, "s")
        actors.release.set()
        await rig.provider.drain()
    assert [key for key, _ in actors.got].count("a") == 4
    assert len(actors.got) == 8


async def test_while_draining_new_messages_are_refused_and_replies_are_not(tmp_path):
    async def actors(link, _operation, message):
        await asyncio.sleep(0.02)
        reply = PubMessage(subject=message.reply_to, body=b"reply")
        await rig.call("Messaging.Publish", reply, actor="pub")

    async with provider_rig(MessagingMemory, tmp_path, actors) as rig:
        await rig.attach("pub")
        await rig.route("a", subscriptions="ask")
        question = RequestMessage(subject="ask", body=b"", timeout_ms=2000)
        asked = asyncio.create_task(rig.call("Messaging.Request", question, actor="pub"))
        await settle()
        draining = asyncio.create_task(rig.provider.drain())
        await settle()
        with pytest.raises(errors.Draining):
            await publish(rig, "ask")
        assert (await asked).body == b"reply"
        await draining
    assert rig.failures == []


async def test_messages_that_wait_are_dropped_with_their_link_and_counted(tmp_path, caplog):
    async with held(tmp_path) as (rig, actors):
        link, route = await rig.route("a", subscriptions="s")
        for _ in range(5):
            await publish(rig, "s")
            await settle()
        await rig.provider.unroute(link, route)
        actors.release.set()
        await settle()
        assert (route.dropped, len(actors.got)) == (4, 1)
    assert "4 waiting messages dropped" in caplog.text


async def test_stopping_ends_requests_that_wait(tmp_path):
    actors = Held()
    async with provider_rig(MessagingMemory, tmp_path, actors) as rig:
        await rig.attach("pub")
        await rig.route("a", subscriptions="ask")
        question = RequestMessage(subject="ask", body=b"", timeout_ms=30_000)
        asked = asyncio.create_task(rig.call("Messaging.Request", question, actor="pub"))
        await settle()
        await rig.provider.stop()
        with pytest.raises(errors.ProviderUnavailable, match="stopped"):
            await asyncio.wait_for(asked, 2)
        actors.release.set()


async def test_more_links_than_the_limit_are_refused(tmp_path):
    async with held(tmp_path, links_max="1") as (rig, _actors):
        await rig.route("a", subscriptions="s")
        with pytest.raises(errors.ConfigError, match="already has 1 links"):
            await rig.route("b", subscriptions="s")


async def test_the_largest_message_is_a_setting(tmp_path):
    async with held(tmp_path, message_bytes_max="10") as (rig, _actors):
        await publish(rig, "s", b"x" * 10)
        with pytest.raises(errors.PayloadTooLarge, match="11 bytes, more than 10"):
            await publish(rig, "s", b"x" * 11)
