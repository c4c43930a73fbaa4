"""The providers whose keys are on a server: what happens when it goes, hangs, is full, or is shared with others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nats
import pytest
import redis.asyncio
from hypothesis import example, given
from hypothesis import strategies as st
from lattice_keyvalue import Kind, rules
from lattice_keyvalue.rules import KEY_BYTES_MAX
from lattice_keyvalue.shared import without_password
from lattice_keyvalue_nats import KeyValueNats
from lattice_keyvalue_nats.entry import Entry, decode_key, encode_key, pack, unpack
from lattice_keyvalue_redis import KeyValueRedis
from nats.js.kv import VALID_KEY_RE

from lattice.contracts import keyvalue as kv
from lattice.errors import ConfigError, PayloadTooLarge, ProviderError, ProviderUnavailable
from lattice.testing import ProviderRig, provider_rig
from tests.providers.keyvalue_backends import Backend, start_backend
from tests.support.servers import Server, free_port, nats_server, redis_server

TIMEOUT_S = 0.4
BOUND_S = 50 * TIMEOUT_S
"""How long a call may take while the server is gone; the tests share their machine with others."""


@pytest.fixture(params=["redis", "nats"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from start_backend(request.param, tmp_path)


@pytest.fixture
def server(backend: Backend) -> Server:
    assert backend.server is not None
    return backend.server


@pytest.fixture
async def rig(backend: Backend) -> AsyncIterator[ProviderRig]:
    async with backend.rig(timeout_s=str(TIMEOUT_S)) as rig:
        await rig.attach(**backend.link())
        yield rig
        assert rig.failures == []


async def listed(rig: ProviderRig, actor: str = "actor") -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await rig.call("KeyValue.ListKeys", kv.ListKeysRequest(cursor=cursor), actor=actor)
        found += page.keys
        cursor = page.cursor
        if cursor is None:
            return found


async def increment(rig: ProviderRig, key: str = "n", actor: str = "actor") -> int:
    return await rig.call("KeyValue.Increment", kv.IncrementRequest(key=key, value=1), actor=actor)


async def set_value(rig: ProviderRig, key: str, value: str, actor: str = "actor", expires: int = 0) -> None:
    await rig.call("KeyValue.Set", kv.SetRequest(key=key, value=value, expires=expires), actor=actor)


async def until_it_works(rig: ProviderRig, within_s: float = 5) -> int:
    deadline = time.monotonic() + within_s
    while True:
        try:
            return await increment(rig)
        except ProviderUnavailable:
            assert time.monotonic() < deadline, "did not come back"
            await asyncio.sleep(0.02)


async def test_a_killed_server_is_an_error_soon_and_works_again_when_it_is_back(
    rig: ProviderRig, server: Server
) -> None:
    """Killed while calls are under way: each is answered in bounded time, and no acknowledged one is forgotten."""
    calls = [asyncio.create_task(increment(rig)) for _ in range(60)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    begun = time.monotonic()
    server.kill()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert time.monotonic() - begun < BOUND_S
    done = [result for result in results if isinstance(result, int)]
    lost = [result for result in results if not isinstance(result, int)]
    assert done
    assert all(isinstance(result, ProviderUnavailable) for result in lost), lost
    for _ in range(3):
        begun = time.monotonic()
        with pytest.raises(ProviderUnavailable, match=str(server.port)):
            await increment(rig)
        assert time.monotonic() - begun < BOUND_S
    with pytest.raises(ProviderUnavailable):
        await rig.provider.health()
    server.start()
    found = await until_it_works(rig)
    # Nothing happened twice: at most every call once, and those that were acknowledged for sure.
    assert max(done) < found <= 60 + 3 + 1
    await rig.provider.health()


async def test_a_server_that_says_nothing_any_more_is_an_error_in_bounded_time(
    rig: ProviderRig, server: Server
) -> None:
    await set_value(rig, "k", "v")
    server.pause()
    try:
        begun = time.monotonic()
        swap = kv.CompareAndSwapRequest(key="k", expected=b"v", value=b"w")
        calls = (
            *(increment(rig), rig.call("KeyValue.Get", "k"), rig.provider.health()),
            *(rig.call("KeyValue.ListKeys", kv.ListKeysRequest()), rig.call("KeyValue.CompareAndSwap", swap)),
        )
        results = await asyncio.gather(*calls, *(increment(rig) for _ in range(40)), return_exceptions=True)
        assert {type(result) for result in results} == {ProviderUnavailable}
        assert "did not answer" in str(results[0])
        assert time.monotonic() - begun < BOUND_S
    finally:
        server.resume()
    await until_it_works(rig)
    # Answers that came late are nobody else's.
    await asyncio.gather(*(set_value(rig, f"k{number}", str(number)) for number in range(40)))
    replies = await asyncio.gather(*(rig.call("KeyValue.Get", f"k{number}") for number in range(40)))
    assert [reply.value for reply in replies] == [str(number) for number in range(40)]


async def test_two_hosts_count_together(backend: Backend) -> None:
    link = backend.link()
    async with backend.rig() as one, backend.rig() as two:
        await one.attach(**link)
        await two.attach(**link)
        found = await asyncio.gather(*(increment(rig) for _ in range(25) for rig in (one, two)))
        assert sorted(found) == list(range(1, 51))
        add = [kv.ListAddRequest(list_name="l", value=str(number)) for number in range(10)]
        await asyncio.gather(*(rig.call("KeyValue.ListAdd", message) for message in add for rig in (one, two)))
        items = await one.call("KeyValue.ListRange", kv.ListRangeRequest(list_name="l", start=0, stop=-1))
        assert sorted(items) == sorted(message.value for message in add * 2)


async def test_two_hosts_swap_and_of_each_round_one_wins(backend: Backend) -> None:
    link = backend.link()
    async with backend.rig() as one, backend.rig() as two:
        await one.attach(**link)
        await two.attach(**link)
        expected: bytes | None = None
        for round_ in range(10):
            swaps = [
                rig.call(
                    "KeyValue.CompareAndSwap",
                    kv.CompareAndSwapRequest(key="k", expected=expected, value=b"%d-%d" % (round_, number)),
                )
                for number, rig in enumerate((one, two) * 3)
            ]
            replies = await asyncio.gather(*swaps)
            winners = [number for number, reply in enumerate(replies) if reply.swapped]
            assert len(winners) == 1
            expected = b"%d-%d" % (round_, winners[0])
        assert (await two.call("KeyValue.GetBytes", "k")).value == expected
        assert sorted(await listed(one)) == sorted(await listed(two)) == ["k"]


@pytest.mark.parametrize("provider_type", [KeyValueRedis, KeyValueNats])
async def test_a_link_to_nobody_is_refused_in_bounded_time_and_says_no_password(
    tmp_path: Path, provider_type: Any
) -> None:
    scheme = "redis" if provider_type is KeyValueRedis else "nats"
    async with provider_rig(provider_type, tmp_path, timeout_s=str(TIMEOUT_S)) as rig:
        begun = time.monotonic()
        with pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1") as caught:
            await rig.attach(url=f"{scheme}://user:secret@127.0.0.1:{free_port()}")
        assert time.monotonic() - begun < BOUND_S
        assert "secret" not in str(caught.value)
        assert caught.value.remedy


async def test_a_redis_link_needs_a_url_that_is_one(tmp_path: Path) -> None:
    async with provider_rig(KeyValueRedis, tmp_path) as rig:
        with pytest.raises(ConfigError, match="url is not set"):
            await rig.attach()
        with pytest.raises(ConfigError, match="is not the address of a Redis server"):
            await rig.attach(url="localhost:6379")


def test_urls_are_shown_without_their_passwords() -> None:
    assert without_password("redis://u:p@h:1/0") == "redis://h:1/0"
    assert without_password("nats://u:p@a:1,nats://t@b:2") == "nats://a:1,nats://b:2"
    assert without_password("redis://h:1") == "redis://h:1"


async def test_redis_keys_are_plain_and_shared_with_other_programs(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with (
            provider_rig(KeyValueRedis, tmp_path, url=server.url) as rig,
            redis.asyncio.Redis.from_url(server.url) as other,
        ):
            await rig.attach()
            await rig.attach("prefixed", prefix="app:")
            await set_value(rig, "k", "v", expires=100)
            await set_value(rig, "k", "w", actor="prefixed")
            assert await other.get("k") == b"v"
            assert 95 <= await other.ttl("k") <= 100
            assert await other.get("app:k") == b"w"
            await other.hset("hash", "field", "value")
            with pytest.raises(ProviderError, match="something else"):
                await rig.call("KeyValue.Get", "hash")
            await other.set("big", 2**40)
            with pytest.raises(ProviderError, match="range"):
                await increment(rig, "big")
            assert await other.get("big") == str(2**40).encode()
            # What no actor can name is nothing to list, and neither is what only looks like the prefix.
            await other.set(b"\xff", "v")
            await other.set("x" * 1025, "v")
            await other.set("ap", "v")
            assert sorted(await listed(rig)) == ["ap", "app:k", "big", "hash", "k"]
            assert await listed(rig, "prefixed") == ["k"]
            swap = kv.CompareAndSwapRequest(key="k", expected=b"v", value=b"new")
            assert (await rig.call("KeyValue.CompareAndSwap", swap)).swapped
            assert 95 <= await other.ttl("k") <= 100


async def test_a_redis_page_looks_at_a_bounded_part_of_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "KEYS_PAGE_MAX", 10)
    with redis_server(tmp_path) as server:
        async with (
            provider_rig(KeyValueRedis, tmp_path, url=server.url) as rig,
            redis.asyncio.Redis.from_url(server.url) as other,
        ):
            await rig.attach(prefix="mine:")
            await other.mset({f"other{number}": "v" for number in range(3000)})
            await set_value(rig, "k", "v")
            page = await rig.call("KeyValue.ListKeys", kv.ListKeysRequest())
            assert page.cursor is not None
            assert len(page.keys) <= 1
            assert await listed(rig) == ["k"]


async def test_a_full_redis_takes_no_writes_and_says_so(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as server:
        async with provider_rig(KeyValueRedis, tmp_path, url=server.url) as rig:
            await rig.attach()
            writes = (set_value(rig, f"k{number}", "x" * 100_000) for number in range(100))
            results = await asyncio.gather(*writes, return_exceptions=True)
            refused = [result for result in results if result is not None]
            assert {type(result) for result in refused} == {ProviderUnavailable}
            assert "takes no writes" in str(refused[0])
            found = [(await rig.call("KeyValue.Get", f"k{number}")).exists for number in range(100)]
            assert found == [result is None for result in results]


async def test_redis_connections_are_bounded_and_callers_wait_for_one(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with (
            provider_rig(KeyValueRedis, tmp_path, url=server.url, connections_max="3") as rig,
            redis.asyncio.Redis.from_url(server.url) as other,
        ):
            await rig.attach()
            await rig.attach("same-server")
            assert sorted(await asyncio.gather(*(increment(rig) for _ in range(200)))) == list(range(1, 201))
            named = [client for client in await other.client_list() if client["name"] == "nanolattice"]
            assert 1 <= len(named) <= 3


async def test_nats_values_are_plain_and_shared_with_other_programs(tmp_path: Path) -> None:
    with nats_server(tmp_path) as server:
        client = await nats.connect(server.url)
        async with provider_rig(KeyValueNats, tmp_path, url=server.url) as rig:
            await rig.attach(bucket="shared")
            bucket = await client.jetstream().key_value("shared")
            await set_value(rig, "a.b/c_d-1", "v")
            assert (await bucket.get("a.b/c_d-1")).value == b"v"
            await bucket.put("from-outside", b"41")
            assert await increment(rig, "from-outside") == 42
            await bucket.delete("from-outside")
            assert not await rig.call("KeyValue.Contains", "from-outside")
            await bucket.put("purged", b"1")
            await bucket.purge("purged")
            assert await increment(rig, "purged") == 1
            # A message that claims to be a list and is none.
            await client.jetstream().publish("$KV.shared.odd", b"\xc1", headers={"Lattice-Kind": "list"})
            with pytest.raises(ProviderError, match="not one that this provider writes"):
                await rig.call("KeyValue.Get", "odd")
            await set_value(rig, "odd", "repaired")
            assert (await rig.call("KeyValue.Get", "odd")).value == "repaired"
            assert sorted(await listed(rig)) == ["a.b/c_d-1", "odd", "purged"]
            # Keys as this provider does not write them have no name, or the name of another.
            for key in ("=zz", "=41", "=FF", "x" * 2000):
                await client.jetstream().publish(f"$KV.shared.{key}", b"v")
            await client.jetstream().publish("$KV.shared.late", b"v", headers={"Lattice-Expires-Ms": "1"})
            assert sorted(await listed(rig)) == ["a.b/c_d-1", "odd", "purged"]
            stream = await client.jetstream().stream_info("KV_shared")
            assert stream.state.consumer_count == 0
        await client.close()


async def test_a_nats_bucket_that_keeps_what_was_before_lists_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "KEYS_PAGE_MAX", 7)
    with nats_server(tmp_path) as server:
        client = await nats.connect(server.url)
        bucket = await client.jetstream().create_key_value(bucket="kept", history=5)
        async with provider_rig(KeyValueNats, tmp_path, url=server.url) as rig:
            await rig.attach(bucket="kept")
            for number in range(20):
                await bucket.put(f"k{number}", b"1")
            for number in range(0, 20, 2):
                await bucket.delete(f"k{number}")
            for number in range(0, 20, 3):
                await bucket.put(f"k{number}", b"2")
            there = sorted(f"k{number}" for number in range(20) if number % 2 or number % 3 == 0)
            assert sorted(await listed(rig)) == there
        await client.close()


async def test_nats_limits_are_errors_that_name_them(tmp_path: Path) -> None:
    with nats_server(tmp_path, "max_payload: 65536") as server:
        async with provider_rig(KeyValueNats, tmp_path, url=server.url) as rig:
            await rig.attach()
            with pytest.raises(PayloadTooLarge, match="65536 bytes"):
                await set_value(rig, "k", "x" * 70_000)
            add = [kv.ListAddRequest(list_name="l", value=f"{number}" * 10_000) for number in range(7)]
            for message in add[:6]:
                await rig.call("KeyValue.ListAdd", message)
            with pytest.raises(PayloadTooLarge, match="65536 bytes"):
                await rig.call("KeyValue.ListAdd", add[6])
            items = await rig.call("KeyValue.ListRange", kv.ListRangeRequest(list_name="l", start=0, stop=-1))
            assert [item[0] for item in items] == ["0", "1", "2", "3", "4", "5"]


async def test_nats_settings_of_no_use_are_refused_by_name(tmp_path: Path) -> None:
    with nats_server(tmp_path) as server:
        for settings, reason in (
            ({"url": server.url, "credentials": str(tmp_path / "none.creds")}, "none.creds cannot be read"),
            ({"url": "nats://127.0.0.1:port"}, "port"),
        ):
            async with provider_rig(KeyValueNats, tmp_path, **settings) as rig:
                with pytest.raises(ConfigError, match=reason):
                    await rig.attach()


async def test_nats_replicas_that_cannot_be_had_are_an_error_and_left_open_they_are_as_many_as_possible(
    tmp_path: Path,
) -> None:
    with nats_server(tmp_path) as server:
        async with provider_rig(KeyValueNats, tmp_path, url=server.url) as rig:
            with pytest.raises(ProviderError, match="replicas > 1 not supported"):
                await rig.attach(bucket="many", replicas="3")
            await rig.attach(bucket="one")
            with pytest.raises(ConfigError, match="replicas is 3, but the bucket 'one' is there with 1"):
                await rig.attach("second", bucket="one", replicas="3")
            with pytest.raises(ConfigError, match="bucket"):
                await rig.attach("third", bucket="no.dots")
            assert await increment(rig) == 1


async def test_a_nats_bucket_of_three_copies_survives_the_loss_of_a_server(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(3)]
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
    with ExitStack() as stack:
        servers = []
        for number, port in enumerate(ports):
            (tmp_path / f"{number}").mkdir()
            cluster = f'cluster {{ name: "c", listen: "127.0.0.1:{port}", routes: [{routes}] }}'
            servers.append(stack.enter_context(nats_server(tmp_path / f"{number}", cluster)))
        urls = ",".join(server.url for server in servers)
        async with provider_rig(KeyValueNats, tmp_path, url=urls, timeout_s="1") as rig:
            await until_attached(rig)
            with pytest.raises(ConfigError, match="replicas is 1, but the bucket 'kept' is there with 3"):
                await rig.attach("second", bucket="kept", replicas="1")
            before = await increment(rig)
            # The one that the client is connected to, being the first named.
            servers[0].kill()
            after = await until_it_works(rig, within_s=15)
            # Attempts that were not acknowledged may have happened.
            assert after > before
            assert await increment(rig) == after + 1


async def until_attached(rig: ProviderRig) -> None:
    """The servers need a moment to choose a leader and to see one another."""
    deadline = time.monotonic() + 15
    while True:
        try:
            await rig.attach(bucket="kept", replicas="3")
            return
        except ProviderError:
            assert time.monotonic() < deadline, "the cluster did not come up"
            await asyncio.sleep(0.1)


async def test_a_nats_domain_is_used_for_reads_and_writes(tmp_path: Path) -> None:
    with nats_server(tmp_path, domain="edge") as server:
        async with provider_rig(KeyValueNats, tmp_path, url=server.url, domain="edge") as rig:
            await rig.attach(reads="any")
            assert [await increment(rig) for _ in range(3)] == [1, 2, 3]
            assert (await rig.call("KeyValue.Get", "n")).value == "3"
            assert await listed(rig) == ["n"]
            assert await rig.call("KeyValue.Del", "n")
            assert await listed(rig) == []
        async with provider_rig(KeyValueNats, tmp_path, url=server.url, domain="elsewhere", timeout_s="0.3") as rig:
            with pytest.raises(ProviderUnavailable):
                await rig.attach()


@given(key=st.text(max_size=40))
@example(".")
@example("a..b.")
@example("=41")
@example("")
@example("=")
def test_every_key_has_a_subject_of_its_own_that_nats_allows(key: str) -> None:
    encoded = encode_key(key)
    assert decode_key(encoded) == key
    assert VALID_KEY_RE.match(encoded)
    assert all(encoded.split("."))


def test_the_longest_key_fits_and_plain_keys_stay_as_they_are() -> None:
    assert len(encode_key("\xe9" * (KEY_BYTES_MAX // 2))) == 3 * KEY_BYTES_MAX
    assert encode_key("user/42.name_x-Y") == "user/42.name_x-Y"
    with pytest.raises(ProviderError, match="at most"):
        encode_key("\xe9" * KEY_BYTES_MAX)


ENTRIES = st.one_of(
    st.builds(Entry, kind=st.just(Kind.VALUE), value=st.binary(), expires_ms=st.none() | st.integers(2**42, 2**50)),
    st.builds(Entry, kind=st.sampled_from([Kind.LIST, Kind.SET]), items=st.lists(st.binary()).map(tuple)),
)


@given(entry=ENTRIES)
def test_what_a_key_holds_survives_being_a_message(entry: Entry) -> None:
    body, headers = pack(entry)
    assert unpack("k", body, headers) == entry


@given(body=st.binary(), kind=st.sampled_from(["list", "set", "value", "hash", ""]), expires=st.text(max_size=8))
def test_messages_of_others_are_an_entry_or_an_error_of_ours(body: bytes, kind: str, expires: str) -> None:
    headers = {"Lattice-Kind": kind} | ({"Lattice-Expires-Ms": expires} if expires else {})
    try:
        entry = unpack("k", body, headers)
    except ProviderError:
        return
    assert entry is None or entry.kind.name.lower() == kind
