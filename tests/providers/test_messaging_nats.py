"""What is particular to NATS: servers that go and come back, full queues, JetStream, several servers."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager

import nats
import pytest
from lattice_messaging_nats import MessagingNats

from lattice import errors
from lattice.contracts.messaging import PubMessage, RequestMessage
from lattice.testing import provider_rig
from tests.support.servers import free_port, nats_server

WAIT_S = 10.0


@pytest.fixture
def server(tmp_path):
    (tmp_path / "nats").mkdir()
    with nats_server(tmp_path / "nats") as running:
        yield running


class Actors:
    """Remembers (actor, body, time) of every try; `fails` says how often each body fails first."""

    def __init__(self, **fails):
        self.got = []
        self.fails = fails
        self.release = asyncio.Event()
        self.release.set()

    async def __call__(self, link, _operation, message):
        body = message.body.decode()
        self.got.append((link.target, body, time.monotonic()))
        await self.release.wait()
        if self.fails.get(body, 0) > 0:
            self.fails[body] -= 1
            raise errors.GuestError("not now")

    def bodies(self):
        return [body for _, body, _ in self.got]

    async def count(self, number):
        await until(lambda: len(self.got) >= number)
        await asyncio.sleep(0.02)
        assert len(self.got) == number


async def until(condition):
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def messaging(tmp_path, server, actors=None, **attach):
    async with provider_rig(MessagingNats, tmp_path, actors, url=server.url) as rig:
        await rig.attach("pub", **attach)
        yield rig
        assert rig.failures == []


async def publish(rig, subject, body="x"):
    await rig.call("Messaging.Publish", PubMessage(subject=subject, body=body.encode()), actor="pub")


async def add_stream(server, name, *subjects):
    client = await nats.connect(server.url)
    await client.jetstream().add_stream(name=name, subjects=list(subjects))
    await client.close()


def connection_of(rig):
    return rig.provider.attached("pub", "default").connection


async def test_a_lost_server_is_provider_unavailable_and_comes_back_by_itself(tmp_path, server):
    actors = Actors()
    async with messaging(tmp_path, server, actors) as rig:
        await rig.route("a", subscriptions="news")
        await rig.provider.health()
        await publish(rig, "news", "before")
        await actors.count(1)
        server.kill()
        await until(lambda: not connection_of(rig).client.is_connected)
        began = time.monotonic()
        for call, message in (
            ("Messaging.Publish", PubMessage(subject="news", body=b"lost")),
            ("Messaging.Request", RequestMessage(subject="news", body=b"lost", timeout_ms=30_000)),
        ):
            with pytest.raises(errors.ProviderUnavailable, match="cannot be reached"):
                await rig.call(call, message, actor="pub")
        with pytest.raises(errors.ProviderUnavailable):
            await rig.provider.health()
        assert time.monotonic() - began < 20
        server.start()
        await until(lambda: connection_of(rig).client.is_connected)
        await rig.provider.health()
        await publish(rig, "news", "after")
        await actors.count(2)
    assert actors.bodies() == ["before", "after"]


async def test_a_request_does_not_outwait_the_loss_of_its_server(tmp_path, server):
    actors = Actors()
    actors.release.clear()
    async with messaging(tmp_path, server, actors) as rig:
        await rig.route("a", subscriptions="ask")
        question = RequestMessage(subject="ask", body=b"x", timeout_ms=30_000)
        asked = asyncio.create_task(rig.call("Messaging.Request", question, actor="pub"))
        await actors.count(1)
        server.kill()
        with pytest.raises(errors.ProviderUnavailable, match="was lost"):
            await asyncio.wait_for(asked, 2)
        actors.release.set()


async def test_a_link_is_refused_when_no_server_answers_and_no_password_is_shown(tmp_path):
    url = f"nats://alice:s3cret@127.0.0.1:{free_port()}"
    async with provider_rig(MessagingNats, tmp_path, url=url, connect_timeout="0.3") as rig:
        with pytest.raises(errors.ProviderUnavailable, match="cannot be reached") as refused:
            await rig.attach("pub")
    assert "s3cret" not in str(refused.value)


async def test_dead_connections_are_noticed_by_the_kernel_also_after_a_reconnect(tmp_path, server):
    async with messaging(tmp_path, server) as rig:
        client = connection_of(rig).client
        for reconnects in (1, 2):
            sock = client._transport._bare_io_writer.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000
            server.kill()
            server.start()
            await until(lambda n=reconnects: client.stats["reconnects"] == n and client.is_connected)
            await client.flush(timeout=2)


async def test_a_full_queue_drops_and_counts_and_the_publisher_does_not_notice(tmp_path, server, caplog):
    actors = Actors()
    actors.release.clear()
    async with messaging(tmp_path, server, actors) as rig:
        _, route = await rig.route("a", subscriptions="flood", queue_messages_max="3")
        await publish(rig, "flood", "0")
        await actors.count(1)
        for number in range(1, 11):
            await publish(rig, "flood", str(number))
        await until(lambda: route.delivery.dropped == 7)
        actors.release.set()
        await actors.count(4)
    assert actors.bodies() == ["0", "1", "2", "3"]
    assert "the queue is full" in caplog.text


async def test_links_may_name_other_servers_with_a_password_and_share_connections(tmp_path, server):
    (tmp_path / "other").mkdir()
    actors = Actors()
    with nats_server(tmp_path / "other", 'authorization { user: "alice", password: "s3cret" }') as other:
        url = other.url.replace("nats://", "nats://alice:s3cret@")
        async with messaging(tmp_path, server, actors) as rig:
            there = await rig.attach("pub", "there", url=url)
            link, route = await rig.route("a", "there", subscriptions="news", url=url)
            await publish(rig, "news", "here")
            message = PubMessage(subject="news", body=b"there")
            await rig.call("Messaging.Publish", message, actor="pub", name="there")
            await actors.count(1)
            assert actors.bodies() == ["there"]
            assert len(rig.provider._connections.all()) == 2
            await rig.provider.unroute(link, route)
            await rig.provider.detach_link(there)
            assert len(rig.provider._connections.all()) == 1


async def test_an_actor_may_be_given_the_brokers_subjects(tmp_path, server):
    actors = Actors()
    async with messaging(tmp_path, server, actors, allow_reserved="true") as rig:
        await rig.route("watcher", subscriptions="wasmbus.evt.>", allow_reserved="true")
        await publish(rig, "wasmbus.evt.default.host_started", "event")
        await actors.count(1)


# JetStream.


async def test_a_stored_message_is_delivered_after_a_crash_of_server_and_provider(tmp_path, server):
    await add_stream(server, "orders", "orders.*")
    async with messaging(tmp_path, server, acknowledge="true") as rig:
        await publish(rig, "orders.new", "1")
    server.kill()
    server.start()
    actors = Actors()
    async with messaging(tmp_path, server, actors) as rig:
        await rig.route("a", subscriptions="orders.*", stream="orders", durable="billing")
        await actors.count(1)
        await publish(rig, "orders.new", "2")
        await actors.count(2)
        await rig.provider.drain()
    again = Actors()
    async with messaging(tmp_path, server, again) as rig:
        await rig.route("a", subscriptions="orders.*", stream="orders", durable="billing")
        await publish(rig, "orders.new", "3")
        await again.count(1)
    assert (actors.bodies(), again.bodies()) == (["1", "2"], ["3"])


async def test_a_message_that_fails_comes_again_later_and_later_and_is_given_up(tmp_path, server, caplog):
    await add_stream(server, "work", "work")
    actors = Actors(flaky=1, broken=9)
    async with messaging(tmp_path, server, actors) as rig:
        config = {"stream": "work", "durable": "d", "backoff": "0.1", "deliveries_max": "3", "concurrency": "10"}
        _, route = await rig.route("a", subscriptions="work", **config)
        for body in ("flaky", "broken", "fine"):
            await publish(rig, "work", body)
        await until(lambda: route.durable.given_up == 1)
        await actors.count(6)
        assert (route.durable.delivered, route.durable.failed) == (2, 4)
    times = [at for _, body, at in actors.got if body == "broken"]
    assert 0.09 < times[1] - times[0] < times[2] - times[1]
    assert "failed 3 times and is given up" in caplog.text


async def test_a_durable_consumer_delivers_in_order_and_one_at_a_time_by_default(tmp_path, server):
    await add_stream(server, "work", "work")
    actors = Actors()
    async with messaging(tmp_path, server, actors, acknowledge="true") as rig:
        for number in range(30):
            await publish(rig, "work", str(number))
        await rig.route("a", subscriptions="work", stream="work", durable="d")
        await actors.count(30)
    assert actors.bodies() == [str(n) for n in range(30)]


async def test_a_single_message_does_not_wait_for_a_batch(tmp_path, server):
    await add_stream(server, "work", "work")
    actors = Actors()
    async with messaging(tmp_path, server, actors) as rig:
        await rig.route("a", subscriptions="work", stream="work", durable="d", concurrency="100")
        await publish(rig, "work", "first")
        began = time.monotonic()
        await actors.count(1)
        assert time.monotonic() - began < 20


async def test_no_more_than_the_concurrency_is_taken_from_the_stream(tmp_path, server):
    await add_stream(server, "work", "work")
    actors = Actors()
    actors.release.clear()
    async with messaging(tmp_path, server, actors) as rig:
        await rig.route("a", subscriptions="work", stream="work", durable="d", concurrency="3")
        for number in range(10):
            await publish(rig, "work", str(number))
        await actors.count(3)
        await rig.route("b", subscriptions="work", stream="work", durable="d", concurrency="7")
        await actors.count(10)
        actors.release.set()
        await rig.provider.drain()
    assert [key for key, _, _ in actors.got].count("b") == 7


async def test_a_durable_consumer_goes_on_after_its_server_was_away(tmp_path, server):
    await add_stream(server, "work", "work")
    actors = Actors()
    async with messaging(tmp_path, server, actors) as rig:
        await rig.route("a", subscriptions="work", stream="work", durable="d")
        await publish(rig, "work", "1")
        await actors.count(1)
        server.kill()
        await until(lambda: not connection_of(rig).client.is_connected)
        server.start()
        await until(lambda: connection_of(rig).client.is_connected)
        await publish(rig, "work", "2")
        await until(lambda: "2" in actors.bodies())


async def test_an_acknowledged_publish_needs_a_stream(tmp_path, server):
    async with messaging(tmp_path, server, acknowledge="true") as rig:
        with pytest.raises(errors.ProviderError, match="no stream takes"):
            await publish(rig, "nowhere")
        message = PubMessage(subject="nowhere", reply_to="answers", body=b"x")
        with pytest.raises(errors.ProviderError, match="replyTo"):
            await rig.call("Messaging.Publish", message, actor="pub")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"stream": "s"}, "stream and durable belong together"),
        ({"durable": "d"}, "stream and durable belong together"),
        ({"stream": "s", "durable": "a.b"}, "durable: 'a.b' is not a name"),
        ({"stream": "s", "durable": "d", "queue_group": "g"}, "queue_group: "),
        ({"stream": "missing", "durable": "d"}, "there is no stream 'missing'"),
        ({"deliveries_max": "0"}, "deliveries_max: "),
    ],
)
async def test_a_durable_link_with_a_mistake_is_refused(tmp_path, server, config, message):
    async with messaging(tmp_path, server, Actors()) as rig:
        with pytest.raises(errors.ConfigError, match=message):
            await rig.route("a", subscriptions="work", **config)
        assert len(rig.provider._links) == 1
