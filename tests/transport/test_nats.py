"""The lattice's connection to NATS: messages, requests, what happens when servers go, and stored state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lattice import errors
from lattice.transport import nats_buckets
from lattice.transport.nats import NatsTransport, connect
from lattice.transport.settings import NatsSettings
from lattice.transport.transport import Delivery, request
from tests.support.servers import Server, nats_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with nats_server(tmp_path) as found:
        yield found


@pytest.fixture
async def pair(server: Server) -> AsyncIterator[tuple[NatsTransport, NatsTransport]]:
    one, two = await connect(NatsSettings(urls=(server.url,))), await connect(NatsSettings(urls=(server.url,)))
    yield one, two
    await one.close()
    await two.close()


async def echo(transport: NatsTransport, subject: str, queue: str = "") -> list[bytes]:
    """Answers requests with their payload; returns the list that they are noted in."""
    seen: list[bytes] = []
    tasks = set()

    def received(delivery: Delivery) -> None:
        seen.append(delivery.payload)
        if delivery.reply:
            task = asyncio.ensure_future(transport.publish(delivery.reply, delivery.payload))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    await transport.subscribe(subject, received, queue=queue)
    await transport.flush()
    return seen


async def until(condition: object, within_s: float = 10.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


async def test_messages_arrive_in_order_and_everybody_gets_them(pair: tuple[NatsTransport, NatsTransport]) -> None:
    one, two = pair
    first, second = await echo(one, "news.*"), await echo(two, "news.>")
    for number in range(100):
        await one.publish("news.today", str(number).encode())
    await until(lambda: len(first) == len(second) == 100)
    assert first == second == [str(number).encode() for number in range(100)]


async def test_one_of_a_queue_group_gets_a_message(pair: tuple[NatsTransport, NatsTransport]) -> None:
    one, two = pair
    first, second = await echo(one, "work", "group"), await echo(two, "work", "group")
    for number in range(100):
        await one.publish("work", str(number).encode())
    await until(lambda: len(first) + len(second) >= 100)
    await one.flush()
    assert sorted([*first, *second]) == sorted(str(number).encode() for number in range(100))


async def test_a_request_is_answered_and_one_to_nobody_fails_at_once(pair: tuple[NatsTransport, NatsTransport]) -> None:
    one, two = pair
    await echo(two, "ping.me")
    assert await request(one, "ping.me", b"x", 5) == b"x"
    with pytest.raises(errors.Unreachable):
        await request(one, "nobody.here", b"x", 5)
    assert [answer async for answer in one.gather("ping.me", b"y", 0.3)] == [b"y"]


async def test_headers_go_along_where_there_are_any(pair: tuple[NatsTransport, NatsTransport]) -> None:
    one, two = pair
    heard: list[Delivery] = []
    await two.subscribe("headed", heard.append)
    await two.flush()
    await one.publish("headed", b"1")
    await one.publish("headed", b"2", headers={"Nanolattice-Token": "a.b.c"})
    (await one.ask("headed", b"3", {"Nanolattice-Token": "d"})).cancel()
    async for _ in one.gather("headed", b"4", 0.1, {"Nanolattice-Token": "e"}):
        raise AssertionError("nobody answers")
    async with asyncio.timeout(5):
        while len(heard) < 4:
            await asyncio.sleep(0.01)
    found = [None if message.headers is None else dict(message.headers) for message in heard]
    assert found == [None, *({"Nanolattice-Token": value} for value in ("a.b.c", "d", "e"))]


async def test_an_answer_that_is_not_accepted_is_as_if_it_had_not_come(
    pair: tuple[NatsTransport, NatsTransport],
) -> None:
    one, two = pair
    replies: asyncio.Queue[str] = asyncio.Queue()
    await two.subscribe("choosy", lambda delivery: replies.put_nowait(delivery.reply))
    await two.flush()
    looked_at: asyncio.Queue[bytes | None] = asyncio.Queue()

    def accept(answer: bytes | None) -> bool:
        looked_at.put_nowait(answer)
        return answer == b"right"

    async with asyncio.timeout(5):
        waiting = await one.ask("choosy", b"", None, accept)
        inbox = await replies.get()
        for answer in (b"wrong", b"", b"right", b"late"):
            await two.publish(inbox, answer)
        assert await waiting == b"right"
        assert [await looked_at.get() for _ in range(3)] == [b"wrong", b"", b"right"]
        nobody = await one.ask("nobody.there", b"", None, accept)
        assert await looked_at.get() is None
        assert looked_at.empty()
    assert not nobody.done()
    nobody.cancel()


async def test_a_silent_target_is_an_answer_lost(pair: tuple[NatsTransport, NatsTransport]) -> None:
    one, two = pair
    await two.subscribe("silent", lambda _: None)
    await two.flush()
    with pytest.raises(errors.AnswerLost):
        await request(one, "silent", b"x", 0.1)


async def test_nothing_arrives_after_unsubscribing(pair: tuple[NatsTransport, NatsTransport]) -> None:
    one, two = pair
    seen: list[bytes] = []
    subscription = await two.subscribe("once", lambda delivery: seen.append(delivery.payload))
    await two.flush()
    await one.publish("once", b"1")
    await until(lambda: seen)
    await subscription.unsubscribe()
    await two.flush()
    with pytest.raises(errors.Unreachable):
        await request(one, "once", b"2", 5)
    assert seen == [b"1"]


async def test_a_killed_server_fails_requests_and_nothing_is_kept(
    pair: tuple[NatsTransport, NatsTransport], server: Server
) -> None:
    one, two = pair
    seen = await echo(two, "some.thing")
    await two.subscribe("silent", lambda _: None)
    await two.flush()
    waiting = await one.ask("silent", b"x")
    server.kill()
    with pytest.raises(errors.AnswerLost):
        await asyncio.wait_for(waiting, 5)
    await until(lambda: one.state == two.state == "disconnected")
    with pytest.raises(errors.Unreachable):
        await one.publish("some.thing", b"lost")
    with pytest.raises(errors.Unreachable):
        await one.flush()
    server.start()
    await until(lambda: one.state == two.state == "connected")
    assert await request(one, "some.thing", b"back", 5) == b"back"
    assert seen == [b"back"]


async def test_a_connection_goes_to_the_other_server_and_home_again(tmp_path: Path) -> None:
    (tmp_path / "near").mkdir()
    (tmp_path / "far").mkdir()
    with nats_server(tmp_path / "near") as near, nats_server(tmp_path / "far") as far:
        transport = await connect(NatsSettings(urls=(near.url, far.url)))
        try:
            await echo(transport, "me")
            assert transport.server == near.url
            near.kill()
            await until(lambda: transport.state == "connected" and transport.server == far.url)
            assert await request(transport, "me", b"1", 5) == b"1"
            near.start()
            await until(lambda: transport.server == near.url, 15)
            assert transport.state == "connected"
            assert await request(transport, "me", b"2", 5) == b"2"
        finally:
            await transport.close()


async def test_a_server_that_falls_silent_is_noticed(server: Server) -> None:
    transport = await connect(NatsSettings(urls=(server.url,)))
    try:
        server.pause()
        await until(lambda: transport.state == "disconnected", 9)
        server.resume()
        await until(lambda: transport.state == "connected", 9)
    finally:
        server.resume()
        await transport.close()


async def test_a_connection_on_which_no_server_greets_is_closed(server: Server) -> None:
    tried = 0
    ended = asyncio.Event()

    async def never_greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tried
        tried += 1
        assert await reader.read() == b""
        ended.set()
        writer.close()

    silent = await asyncio.start_server(never_greets, "127.0.0.1", 0)
    host, port = silent.sockets[0].getsockname()
    transport = await connect(NatsSettings(urls=(server.url, f"nats://{host}:{port}")))
    try:
        server.kill()
        await until(lambda: tried > 1, 30)
        async with asyncio.timeout(20):
            await ended.wait()
    finally:
        await transport.close()
        silent.close()
        await silent.wait_closed()


async def test_no_server_is_an_error_that_names_it() -> None:
    with pytest.raises(errors.Unreachable, match=r"nats://127\.0\.0\.1:1"):
        await connect(NatsSettings(urls=("nats://127.0.0.1:1",)), timeout_s=0.5)


async def test_a_refused_login_is_an_error_at_once(tmp_path: Path) -> None:
    with nats_server(tmp_path, 'authorization { user: "me", password: "secret-word" }') as server:
        with pytest.raises(errors.ConfigError, match="refuses") as raised:
            await connect(NatsSettings(urls=(server.url,), user="me", password="wrong-word"))
        assert "word" not in str(raised.value)
        transport = await connect(NatsSettings(urls=(server.url,), user="me", password="secret-word"))
        assert transport.state == "connected"
        await transport.close()


# What is stored.


async def test_a_bucket_keeps_compares_and_tells_what_changed(pair: tuple[NatsTransport, NatsTransport]) -> None:
    one, two = pair
    mine, theirs = await one.bucket("STATE_x"), await two.bucket("STATE_x")
    first = await mine.update("a", b"1", 0)
    with pytest.raises(errors.Conflict):
        await theirs.update("a", b"2", 0)
    with pytest.raises(errors.Conflict):
        await theirs.update("a", b"2", first + 7)
    second = await theirs.update("a", b"2", first)
    await mine.put("b/c", b"3")
    assert [(entry.key, entry.value) for entry in await mine.changes(0)] == [("a", b"2"), ("b/c", b"3")]
    assert (entry := await mine.get("a")) is not None
    assert (entry.value, entry.revision) == (b"2", second)
    await mine.delete("a")
    assert await theirs.get("a") is None
    assert [(entry.key, entry.value) for entry in await theirs.changes(second)] == [("b/c", b"3"), ("a", None)]
    again = await theirs.update("a", b"4", 0)
    assert [entry.revision for entry in await mine.changes(again - 1)] == [again]
    assert await mine.changes(again) == []
    with pytest.raises(errors.MalformedMessage):
        await mine.put("a b", b"")


async def test_many_changes_come_in_batches(pair: tuple[NatsTransport, NatsTransport]) -> None:
    bucket = await pair[0].bucket("MANY")
    await asyncio.gather(*(bucket.put(f"key.{number}", b"x") for number in range(1200)))
    found = await bucket.changes(0)
    assert len({entry.key for entry in found}) == 1200
    assert [entry.revision for entry in found] == sorted(entry.revision for entry in found)


async def test_what_was_acknowledged_survives_a_kill(pair: tuple[NatsTransport, NatsTransport], server: Server) -> None:
    one, _ = pair
    bucket = await one.bucket("KEPT")
    for number in range(50):
        await bucket.put(f"k{number}", str(number).encode())
    server.kill()
    await until(lambda: one.state == "disconnected")
    with pytest.raises(errors.StoreUnavailable):
        await bucket.put("k0", b"lost")
    server.start()
    await until(lambda: one.state == "connected")
    assert {entry.key: entry.value for entry in await bucket.changes(0)} == {
        f"k{number}": str(number).encode() for number in range(50)
    }


async def test_without_jetstream_a_bucket_says_what_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_buckets, "CREATE_S_MAX", 0.5)
    with nats_server(tmp_path, jetstream=False) as server:
        transport = await connect(NatsSettings(urls=(server.url,)))
        try:
            with pytest.raises((errors.ConfigError, errors.StoreUnavailable)) as raised:
                await transport.bucket("STATE")
            assert "JetStream" in raised.value.remedy
        finally:
            await transport.close()


async def test_an_object_comes_back_whole(pair: tuple[NatsTransport, NatsTransport]) -> None:
    one, two = pair
    mine, theirs = await one.objects("lattice", keep_s=600), await two.objects("lattice", keep_s=600)
    data = bytes(range(256)) * 4096 * 4  # 4 MiB
    await mine.put("id-1", memoryview(data))
    assert await theirs.get("id-1") == data
    await mine.put("id-1", b"short")
    assert await theirs.get("id-1") == b"short"
    await theirs.delete("id-1")
    with pytest.raises(errors.TargetUnknown):
        await mine.get("id-1")
    await mine.put("empty", b"")
    assert await theirs.get("empty") == b""
