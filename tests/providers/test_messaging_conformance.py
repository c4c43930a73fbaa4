"""One suite over both messaging providers: what an actor may count on whichever one is linked."""

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest
from lattice_messaging_memory import MessagingMemory
from lattice_messaging_nats import MessagingNats

from lattice import errors
from lattice.contracts.messaging import PubMessage, RequestMessage
from lattice.testing import provider_rig
from tests.support.servers import nats_server

WAIT_S = 5.0


@pytest.fixture(scope="module")
def nats(tmp_path_factory):
    with nats_server(tmp_path_factory.mktemp("nats"), jetstream=False) as server:
        yield server


@pytest.fixture(params=["memory", "nats"])
def messaging(request, tmp_path):
    """`async with messaging(actors)` is a rig with one actor, "pub", that may publish."""
    kind, config = MessagingMemory, {}
    if request.param == "nats":
        kind, config = MessagingNats, {"url": request.getfixturevalue("nats").url}

    @asynccontextmanager
    async def start(actors, **more):
        async with provider_rig(kind, tmp_path, actors, **config, **more) as rig:
            await rig.attach("pub")
            actors.rig = rig
            yield rig
            assert rig.failures == []

    return start


class Inboxes:
    """Plays every subscribed actor: remembers what each got; `answers` maps an actor to what it does with a message."""

    def __init__(self, **answers):
        self.got = []
        self.answers = answers
        self.rig = None
        self.changed = asyncio.Event()

    async def __call__(self, link, operation, message):
        assert operation == "MessageSubscriber.HandleMessage"
        actor = next(key for key in (link.target, link.source) if not key.startswith("V-"))
        self.got.append((actor, message))
        self.changed.set()
        if actor in self.answers:
            await self.answers[actor](message)

    def bodies(self, actor=None):
        return [message.body.decode() for key, message in self.got if actor in (None, key)]

    async def count(self, number):
        """Waits until so many messages arrived; then a little more, to see that there are no others."""
        async with asyncio.timeout(WAIT_S):
            while len(self.got) < number:
                self.changed.clear()
                await self.changed.wait()
        await asyncio.sleep(0.02)
        assert len(self.got) == number


async def publish(rig, subject, body="x", reply_to=None, actor="pub"):
    message = PubMessage(subject=subject, reply_to=reply_to, body=body.encode())
    await rig.call("Messaging.Publish", message, actor=actor)


async def request(rig, subject, body="x", timeout_ms=2000):
    message = RequestMessage(subject=subject, body=body.encode(), timeout_ms=timeout_ms)
    return await rig.call("Messaging.Request", message, actor="pub")


async def test_a_message_goes_to_every_subscriber_and_to_nobody_else(messaging):
    actors = Inboxes()
    async with messaging(actors) as rig:
        await rig.route("a", subscriptions="orders.new")
        await rig.route("b", subscriptions="orders.new, orders.old")
        await rig.route("c", subscriptions="orders.old")
        await publish(rig, "orders.new", "1")
        await actors.count(2)
    assert (actors.bodies("a"), actors.bodies("b"), actors.bodies("c")) == (["1"], ["1"], [])
    assert {message.subject for _, message in actors.got} == {"orders.new"}


async def test_wildcards_stand_for_one_word_or_for_the_rest(messaging):
    actors = Inboxes()
    async with messaging(actors) as rig:
        await rig.route("star", subscriptions="w.*.end")
        await rig.route("rest", subscriptions="w.>")
        for number, subject in enumerate(["w.a.end", "w.a.b.end", "w.end", "w", "x.a.end", "w.a"]):
            await publish(rig, subject, str(number))
        await actors.count(5)
    assert actors.bodies("star") == ["0"]
    assert sorted(actors.bodies("rest")) == ["0", "1", "2", "5"]


async def test_one_member_of_a_queue_group_gets_each_message(messaging):
    actors = Inboxes()
    async with messaging(actors) as rig:
        for actor in ("a", "b", "c"):
            await rig.route(actor, subscriptions="jobs.>", queue_group="workers", concurrency="10")
        await rig.route("audit", subscriptions="jobs.>", concurrency="10")
        for number in range(90):
            await publish(rig, "jobs.one", str(number))
        await actors.count(180)
    members = [actors.bodies(actor) for actor in ("a", "b", "c")]
    assert sorted((body for bodies in members for body in bodies), key=int) == [str(n) for n in range(90)]
    assert all(members), "every member has its share"
    assert len(actors.bodies("audit")) == 90


async def test_messages_are_handled_one_at_a_time_and_in_order_by_default(messaging):
    running, most = 0, 0

    async def slow(_message):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1

    actors = Inboxes(a=slow)
    async with messaging(actors) as rig:
        await rig.route("a", subscriptions="ordered.*")
        for number in range(50):
            await publish(rig, f"ordered.{number % 3}", str(number))
        await actors.count(50)
    assert actors.bodies() == [str(n) for n in range(50)]
    assert most == 1


async def test_no_more_messages_are_handled_at_once_than_the_link_allows(messaging):
    running, most, release = 0, 0, asyncio.Event()

    async def hold(_message):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1

    actors = Inboxes(a=hold)
    async with messaging(actors) as rig:
        await rig.route("a", subscriptions="held", concurrency="4")
        for number in range(10):
            await publish(rig, "held", str(number))
        await actors.count(4)
        release.set()
        await actors.count(10)
    assert most == 4


async def test_publish_does_not_wait_for_the_actor(messaging):
    release = asyncio.Event()

    async def hold(_message):
        await release.wait()

    actors = Inboxes(a=hold)
    async with messaging(actors) as rig:
        await rig.route("a", subscriptions="slow")
        await asyncio.wait_for(publish(rig, "slow"), 1)
        await actors.count(1)
        release.set()


async def test_a_request_gets_the_reply_that_an_actor_publishes(messaging):
    actors = Inboxes()

    async def answer(message):
        await publish(actors.rig, message.reply_to, message.body.decode().upper(), actor="a")

    actors.answers["a"] = answer
    async with messaging(actors) as rig:
        await rig.attach("a")
        await rig.route("a", subscriptions="shout", concurrency="10")
        replies = await asyncio.gather(*(request(rig, "shout", f"n{n}") for n in range(20)))
    assert [reply.body for reply in replies] == [f"N{n}".encode() for n in range(20)]


async def test_of_several_replies_the_first_counts(messaging):
    actors = Inboxes()

    async def answer(message):
        await publish(actors.rig, message.reply_to, "first", actor="a")
        await publish(actors.rig, message.reply_to, "second", actor="a")

    actors.answers["a"] = answer
    async with messaging(actors) as rig:
        await rig.attach("a")
        await rig.route("a", subscriptions="twice")
        assert (await request(rig, "twice")).body == b"first"
        assert (await request(rig, "twice")).body == b"first"


async def test_a_request_without_a_reply_ends_with_its_time(messaging):
    async with messaging(Inboxes()) as rig:
        await rig.route("a", subscriptions="silent")
        with pytest.raises(errors.DeadlineExceeded, match=r"'silent' within 0\.05 s"):
            await request(rig, "silent", timeout_ms=50)


async def test_a_request_that_nobody_can_answer_fails_at_once(messaging):
    async with messaging(Inboxes()) as rig:
        with pytest.raises(errors.TargetUnknown, match="nobody"):
            await asyncio.wait_for(request(rig, "void", timeout_ms=30_000), 2)


async def test_the_wait_for_a_reply_is_bounded_by_the_provider(messaging):
    async with messaging(Inboxes(), request_timeout_max="0.05") as rig:
        await rig.route("a", subscriptions="silent")
        for timeout_ms in (0, 4_000_000_000):
            with pytest.raises(errors.DeadlineExceeded):
                await asyncio.wait_for(request(rig, "silent", timeout_ms=timeout_ms), 2)


async def test_requests_over_the_limit_are_refused(messaging):
    async with messaging(Inboxes(), requests_max="2") as rig:
        await rig.route("a", subscriptions="silent", concurrency="9")
        waiting = [asyncio.create_task(request(rig, "silent", timeout_ms=200)) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(errors.Overloaded, match="2 requests wait"):
            await request(rig, "silent")
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [errors.DeadlineExceeded] * 2


async def test_reply_to_of_a_message_reaches_the_subscriber(messaging):
    actors = Inboxes()
    async with messaging(actors) as rig:
        await rig.route("a", subscriptions="ask")
        await publish(rig, "ask", reply_to="answers.here")
        await publish(rig, "ask", reply_to="")
        await publish(rig, "ask")
        await actors.count(3)
    assert [message.reply_to for _, message in actors.got] == ["answers.here", None, None]


async def test_subscriptions_may_stand_on_the_link_of_the_actor(messaging):
    actors = Inboxes()
    async with messaging(actors) as rig:
        link = await rig.attach("old", subscriptions="legacy.*")
        await publish(rig, "legacy.one", "1")
        await actors.count(1)
        await rig.provider.detach_link(link)
        await publish(rig, "legacy.one", "2")
        await actors.count(1)
    assert actors.bodies("old") == ["1"]


async def test_nothing_comes_after_unroute(messaging):
    actors = Inboxes()
    async with messaging(actors) as rig:
        link, route = await rig.route("a", subscriptions="news")
        other, _ = await rig.route("b", subscriptions="news")
        await publish(rig, "news", "1")
        await actors.count(2)
        await rig.provider.unroute(link, route)
        await publish(rig, "news", "2")
        await actors.count(3)
        assert other.target == "b"
    assert (actors.bodies("a"), actors.bodies("b")) == (["1"], ["1", "2"])


@pytest.mark.parametrize(
    "error", [errors.GuestTrapped("unreachable"), errors.InstancesExhausted("full"), ValueError("x")]
)
async def test_an_actor_that_fails_is_logged_and_counted_and_gets_the_next_message(messaging, caplog, error):
    async def fail(message):
        if message.body == b"bad":
            raise error

    actors = Inboxes(a=fail)
    async with messaging(actors) as rig:
        _, route = await rig.route("a", subscriptions="work")
        for body in ("bad", "good", "bad"):
            await publish(rig, "work", body)
        await actors.count(3)
        delivery = getattr(route, "delivery", route)
        assert (delivery.delivered, delivery.failed) == (1, 2)
    assert sum("was not handled" in r.message and r.levelno >= logging.WARNING for r in caplog.records) == 2


async def test_an_actor_that_takes_too_long_is_given_up(messaging):
    async def hang(message):
        if message.body == b"hang":
            await asyncio.sleep(60)

    actors = Inboxes(a=hang)
    async with messaging(actors) as rig:
        await rig.route("a", subscriptions="work", timeout="0.05")
        await publish(rig, "work", "hang")
        await publish(rig, "work", "next")
        await actors.count(2)


async def test_drain_delivers_what_is_queued(messaging):
    async def slow(_message):
        await asyncio.sleep(0.005)

    actors = Inboxes(a=slow)
    async with messaging(actors) as rig:
        _, route = await rig.route("a", subscriptions="work")
        for number in range(20):
            await publish(rig, "work", str(number))
        await asyncio.wait_for(rig.provider.drain(), WAIT_S)
        assert getattr(route, "delivery", route).delivered == 20
    assert actors.bodies() == [str(n) for n in range(20)]


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "a..b",
        ".a",
        "a.",
        "a b",
        "a\tb",
        "a\r\nPUB x 0\r\n",
        "a\0",
        "a.*",
        "a.>",
        "x" * 256,
        "$SYS.x",
        "wasmbus.ctl",
        "wadm.api.default.model.deploy.shop",
        "nanolattice.default.pulse",
    ],
)
async def test_a_subject_that_is_none_or_not_for_actors_is_refused(messaging, subject):
    async with messaging(Inboxes()) as rig:
        with pytest.raises(errors.ProviderError, match="subject"):
            await publish(rig, subject)
        with pytest.raises(errors.ProviderError, match="subject"):
            await request(rig, subject)


async def test_a_reply_subject_is_checked_too(messaging):
    async with messaging(Inboxes()) as rig:
        with pytest.raises(errors.ProviderError, match="blank"):
            await publish(rig, "fine", reply_to="a b\r\n")


async def test_replies_and_control_subjects_are_not_overheard(messaging):
    actors = Inboxes()

    async def answer(message):
        await publish(actors.rig, message.reply_to, "secret", actor="a")

    actors.answers["a"] = answer
    async with messaging(actors) as rig:
        await rig.attach("a")
        await rig.route("spy", subscriptions=">")
        await rig.route("a", subscriptions="ask")
        assert (await request(rig, "ask", "question")).body == b"secret"
        await publish(rig, "last", "over")
        await actors.count(3)
    assert actors.bodies("spy") == ["question", "over"]


async def test_a_message_over_the_limit_is_refused(messaging):
    async with messaging(Inboxes()) as rig:
        await publish(rig, "big", "x" * 1024 * 1024)
        with pytest.raises(errors.PayloadTooLarge, match="1048577 bytes"):
            await publish(rig, "big", "x" * (1024 * 1024 + 1))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "subscriptions: Field required"),
        ({"subscriptions": " , "}, "subscriptions: "),
        ({"subscriptions": "a..b"}, r"subscriptions: .*'a\.\.b'"),
        ({"subscriptions": "a.>.b"}, "subscriptions: .*last one"),
        ({"subscriptions": "a.b*"}, "subscriptions: .*whole word"),
        ({"subscriptions": "a.*, *.b"}, "match the same subjects"),
        ({"subscriptions": "$SYS.>"}, "belongs to the broker"),
        ({"subscriptions": "_INBOX.>"}, "belongs to the broker"),
        ({"subscriptions": "wasmbus.evt.>"}, "belongs to the broker"),
        ({"subscriptions": "a", "queue_group": "a b"}, "queue_group: "),
        ({"subscriptions": "a", "queue_group": "a.b"}, "queue_group: "),
        ({"subscriptions": "a", "concurrency": "0"}, "concurrency: "),
        ({"subscriptions": "a", "timeout": "0"}, "timeout: "),
        ({"subscriptions": "a", "subscription": "b"}, "subscription: no such key"),
    ],
)
async def test_a_link_with_a_mistake_is_refused_with_its_key(messaging, config, message):
    async with messaging(Inboxes()) as rig:
        with pytest.raises(errors.ConfigError, match=message):
            await rig.route("a", **config)
