"""One suite for every key-value backend: the contract on the wire, the same answers everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from lattice_keyvalue import Bucket, rules
from lattice_keyvalue.rules import KEY_BYTES_MAX

from lattice.contracts import keyvalue as kv
from lattice.errors import MalformedMessage, ProviderError
from lattice.testing import ProviderRig
from tests.providers.keyvalue_backends import NAMES, Backend, one_backend


@pytest.fixture(scope="module", params=NAMES)
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    yield from one_backend(request.param, tmp_path_factory)


@dataclass
class Store:
    """An actor's view of the contract; every call is encoded and decoded as a guest's is."""

    rig: ProviderRig
    actor: str = "actor"

    @property
    def bucket(self) -> Bucket:
        return self.rig.provider.attached(self.actor, "default")

    async def call(self, operation: str, message: Any) -> Any:
        return await self.rig.call(f"KeyValue.{operation}", message, actor=self.actor)

    async def get(self, key: str) -> str | None:
        reply = await self.call("Get", key)
        assert reply.exists or reply.value == ""
        return reply.value if reply.exists else None

    async def set(self, key: str, value: str, expires: int = 0) -> None:
        assert await self.call("Set", kv.SetRequest(key=key, value=value, expires=expires)) is None

    async def increment(self, key: str, value: int = 1) -> int:
        return await self.call("Increment", kv.IncrementRequest(key=key, value=value))

    async def push(self, key: str, *values: str) -> None:
        for value in values:
            await self.call("ListAdd", kv.ListAddRequest(list_name=key, value=value))

    async def items(self, key: str, start: int = 0, stop: int = -1) -> list[str]:
        return await self.call("ListRange", kv.ListRangeRequest(list_name=key, start=start, stop=stop))

    async def add(self, key: str, *values: str) -> list[int]:
        return [await self.call("SetAdd", kv.SetAddRequest(set_name=key, value=value)) for value in values]


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[Store]:
    async with backend.rig() as rig:
        await rig.attach(**backend.link())
        yield Store(rig)
        assert rig.failures == []


@pytest.mark.parametrize(
    "value", ["", "plain", "naïve ☃ \U0001f980", "line\nbreak\0nul", " spaces ", "0", "x" * 500_000]
)
async def test_a_value_comes_back_as_it_was_set(store: Store, value: str) -> None:
    assert await store.get("k") is None
    await store.set("k", value)
    assert await store.get("k") == value


@pytest.mark.parametrize(
    "key",
    ["", "a", ".", "..", "a.b", "a..b", ".a.", "a b", "a:b/c", "*", ">", "ключ", "a=b", "=41", "A", "\0", "a\n", "%s"],
)
async def test_any_text_is_a_key_of_its_own(store: Store, key: str) -> None:
    await store.set(f"{key}x", "other")
    await store.set(f"x{key}", "other")
    assert await store.get(key) is None
    await store.set(key, "mine")
    assert (await store.get(key), await store.call("Contains", key), await store.call("Del", key)) == (
        "mine",
        True,
        True,
    )
    assert (await store.get(f"{key}x"), await store.get(f"x{key}")) == ("other", "other")


async def test_keys_of_the_longest_length_work_and_longer_ones_are_refused(store: Store) -> None:
    longest = "é" * (KEY_BYTES_MAX // 2)
    await store.set(longest, "v")
    assert await store.get(longest) == "v"
    for operation in ("Get", "Del", "Contains", "ListClear", "SetClear", "SetQuery"):
        with pytest.raises(ProviderError, match="1025 bytes; at most 1024"):
            await store.call(operation, longest + "x")
    with pytest.raises(ProviderError, match="at most"):
        await store.call("SetUnion", ["a", longest + "x"])
    with pytest.raises(ProviderError, match="at most"):
        await store.increment(longest + "x")


async def test_set_replaces_any_kind_of_value(store: Store) -> None:
    await store.push("k", "a", "b")
    await store.set("k", "value")
    assert await store.get("k") == "value"
    assert await store.call("Del", "k")
    assert await store.items("k") == []
    await store.add("k", "a", "b")
    await store.set("k", "again")
    assert await store.call("Del", "k")
    assert await store.call("SetQuery", "k") == []


async def test_del_removes_any_kind_and_says_whether_it_was_there(store: Store) -> None:
    await store.set("value", "v")
    await store.push("list", "a", "b")
    await store.add("set", "a", "b")
    for key in ("value", "list", "set"):
        assert await store.call("Contains", key)
        assert await store.call("Del", key)
        assert not await store.call("Contains", key)
        assert not await store.call("Del", key)
    assert (await store.items("list"), await store.call("SetQuery", "set")) == ([], [])
    await store.push("list", "c")
    assert await store.items("list") == ["c"]


async def test_increment_counts_from_zero_and_up_and_down(store: Store) -> None:
    assert [await store.increment("n", delta) for delta in (5, -7, 0, 2)] == [5, -2, -2, 0]
    assert await store.get("n") == "0"
    await store.set("n", "-41")
    assert await store.increment("n", -1) == -42


@pytest.mark.parametrize("value", ["", "x", "1.5", "+1", " 1", "1 ", "007", "-0", "0x10", "1_000", "\u0661", "9" * 30])
async def test_increment_refuses_what_is_no_integer_and_changes_nothing(store: Store, value: str) -> None:
    await store.set("n", value)
    with pytest.raises(ProviderError, match="'n'"):
        await store.increment("n")
    assert await store.get("n") == value


@pytest.mark.parametrize(
    ("value", "delta"),
    [
        ("2147483647", 1),
        ("-2147483648", -1),
        ("2147483000", 2147483647),
        ("2147483648", -1),
        ("9223372036854775807", 1),
    ],
)
async def test_a_counter_that_would_leave_32_bits_is_refused_and_unchanged(
    store: Store, value: str, delta: int
) -> None:
    await store.set("n", value)
    if value == "2147483648":
        # What another program stored outside of the range may come back into it.
        assert await store.increment("n", delta) == 2147483647
        return
    with pytest.raises(ProviderError, match="range"):
        await store.increment("n", delta)
    assert await store.get("n") == value


async def test_increment_reaches_both_ends_of_the_range(store: Store) -> None:
    assert await store.increment("n", 2147483647) == 2147483647
    assert await store.increment("m", -2147483648) == -2147483648


async def test_hundred_concurrent_increments_each_see_a_different_number(store: Store) -> None:
    found = await asyncio.gather(*(store.increment("n") for _ in range(100)))
    assert sorted(found) == list(range(1, 101))
    assert await store.get("n") == "100"


async def test_concurrent_changes_of_lists_and_sets_lose_nothing(store: Store) -> None:
    numbers = [str(number) for number in range(30)]
    await asyncio.gather(*(store.push("list", number) for number in numbers))
    await asyncio.gather(*(store.add("set", number, number) for number in numbers))
    assert sorted(await store.items("list"), key=int) == numbers
    assert await store.call("SetQuery", "set") == sorted(numbers)


async def test_lists_keep_their_order_and_their_duplicates(store: Store) -> None:
    lengths = [await store.call("ListAdd", kv.ListAddRequest(list_name="l", value=v)) for v in ("b", "a", "b", "", "c")]
    assert lengths == [1, 2, 3, 4, 5]
    assert await store.items("l") == ["b", "a", "b", "", "c"]


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, -1, "abcde"), (0, 0, "a"), (1, 3, "bcd"), (-2, -1, "de"), (-3, 3, "cd"), (3, 1, ""), (5, 9, ""),
        (0, 99, "abcde"), (-99, 1, "ab"), (-99, -99, ""), (4, -1, "e"), (-1, 0, ""), (2, -9, ""),
        (2147483647, 2147483647, ""), (-2147483648, 2147483647, "abcde"),
    ],
)  # fmt: skip
async def test_a_range_includes_both_ends_and_counts_from_either(
    store: Store, start: int, stop: int, expected: str
) -> None:
    await store.push("l", *"abcde")
    assert await store.items("l", start, stop) == list(expected)


async def test_list_del_removes_every_occurrence_and_the_last_item_takes_the_list_along(store: Store) -> None:
    async def remove(value: str) -> bool:
        return await store.call("ListDel", kv.ListDelRequest(list_name="l", value=value))

    assert not await remove("a")
    await store.push("l", *"abaca")
    assert await remove("a")
    assert await store.items("l") == ["b", "c"]
    assert not await remove("a")
    await store.push("l", "d")
    assert await store.items("l", -1, -1) == ["d"]
    assert [await remove(value) for value in "bcd"] == [True, True, True]
    assert not await store.call("Contains", "l")
    await store.set("l", "free for any kind again")


async def test_clearing_says_whether_there_was_something(store: Store) -> None:
    await store.push("l", "a", "b")
    await store.add("s", "a", "b")
    assert [await store.call("ListClear", "l") for _ in range(2)] == [True, False]
    assert [await store.call("SetClear", "s") for _ in range(2)] == [True, False]
    assert (await store.items("l"), await store.call("SetQuery", "s")) == ([], [])


async def test_sets_hold_each_value_once_and_answer_in_order(store: Store) -> None:
    assert await store.add("s", "b", "a", "b", "é", "", "Z") == [1, 1, 0, 1, 1, 1]
    assert await store.call("SetQuery", "s") == ["", "Z", "a", "b", "é"]
    removed = [await store.call("SetDel", kv.SetDelRequest(set_name="s", value=value)) for value in ("b", "b", "no")]
    assert removed == [1, 0, 0]
    assert await store.call("SetQuery", "s") == ["", "Z", "a", "é"]


async def test_a_set_without_members_is_gone(store: Store) -> None:
    await store.add("s", "a")
    assert await store.call("SetDel", kv.SetDelRequest(set_name="s", value="a")) == 1
    assert not await store.call("Contains", "s")
    await store.push("s", "free for any kind again")


async def test_union_and_intersection(store: Store) -> None:
    await store.add("one", "a", "b", "c")
    await store.add("two", "b", "c", "d")
    await store.add("three", "c")
    assert await store.call("SetUnion", ["one", "two", "none"]) == ["a", "b", "c", "d"]
    assert await store.call("SetIntersection", ["one", "two"]) == ["b", "c"]
    assert await store.call("SetIntersection", ["one", "two", "three", "three"]) == ["c"]
    assert await store.call("SetIntersection", ["one", "none", "two"]) == []
    assert [await store.call(name, []) for name in ("SetUnion", "SetIntersection")] == [[], []]
    assert [await store.call(name, ["two"]) for name in ("SetUnion", "SetIntersection")] == [["b", "c", "d"]] * 2


async def test_operations_for_another_kind_are_refused_and_change_nothing(store: Store) -> None:
    await store.set("value", "5")
    await store.push("list", "a")
    await store.add("set", "a")
    for_values = [("Get", "{}"), ("Increment", lambda key: kv.IncrementRequest(key=key, value=1))]
    for_lists = [
        ("ListAdd", lambda key: kv.ListAddRequest(list_name=key, value="a")),
        ("ListDel", lambda key: kv.ListDelRequest(list_name=key, value="a")),
        ("ListRange", lambda key: kv.ListRangeRequest(list_name=key, start=0, stop=-1)),
        ("ListClear", "{}"),
    ]
    for_sets = [
        ("SetAdd", lambda key: kv.SetAddRequest(set_name=key, value="a")),
        ("SetDel", lambda key: kv.SetDelRequest(set_name=key, value="a")),
        ("SetQuery", "{}"),
        ("SetClear", "{}"),
        ("SetUnion", lambda key: [key]),
        ("SetIntersection", lambda key: ["set", key]),
        ("SetIntersection", lambda key: ["none", key]),
    ]
    wrong = {"list": for_values + for_sets, "set": for_values + for_lists, "value": for_lists + for_sets}
    for key, operations in wrong.items():
        for operation, message in operations:
            with pytest.raises(ProviderError, match="something else than a"):
                await store.call(operation, key if message == "{}" else message(key))
    assert await store.get("value") == "5"
    assert (await store.items("list"), await store.call("SetQuery", "set")) == (["a"], ["a"])


async def test_values_expire_counters_keep_their_expiry_and_set_takes_it_away(store: Store) -> None:
    await asyncio.gather(
        store.set("short", "v", expires=1),
        store.set("counter", "5", expires=1),
        store.set("renewed", "v", expires=1),
        store.set("freed", "v", expires=1),
        store.set("long", "v", expires=4_000_000_000),
    )
    assert await store.increment("counter") == 6
    await store.set("renewed", "v", expires=60)
    await store.set("freed", "v")
    assert [await store.get(key) for key in ("short", "counter", "renewed", "freed", "long")] == [
        "v",
        "6",
        "v",
        "v",
        "v",
    ]
    await asyncio.sleep(1.05)
    assert [await store.get(key) for key in ("short", "counter", "renewed", "freed", "long")] == [None, None] + [
        "v"
    ] * 3
    assert not await store.call("Contains", "short")
    assert not await store.call("Del", "short")
    # What has expired is in nobody's way, and what comes after it does not expire.
    assert await store.increment("counter", 3) == 3
    await store.push("short", "now a list")
    assert await store.items("short") == ["now a list"]


async def test_bytes_that_are_no_text_are_kept_and_refused_to_readers_of_text(store: Store) -> None:
    every_byte = bytes(range(256))
    await store.bucket.set("k", every_byte)
    await store.bucket.list_add("l", every_byte)
    await store.bucket.set_add("s", every_byte)
    assert await store.bucket.get("k") == every_byte
    assert await store.bucket.list_range("l", 0, -1) == [every_byte]
    assert await store.bucket.set_query("s") == [every_byte]
    for operation, message in (
        ("Get", "k"),
        ("ListRange", kv.ListRangeRequest(list_name="l", start=0, stop=-1)),
        ("SetQuery", "s"),
        ("SetUnion", ["s"]),
    ):
        with pytest.raises(ProviderError, match="not UTF-8 text"):
            await store.call(operation, message)


async def test_each_link_sees_its_own_namespace_and_links_can_share_one(store: Store, backend: Backend) -> None:
    shared = backend.link()
    for actor in ("one", "two"):
        await store.rig.attach(actor, **shared)
    await store.rig.attach("three", **backend.link())
    await Store(store.rig, "one").set("k", "v")
    await Store(store.rig, "one").add("s", "v")
    found = [await Store(store.rig, actor).get("k") for actor in ("actor", "one", "two", "three")]
    assert found == [None, "v", "v", None]
    assert await Store(store.rig, "three").call("SetUnion", ["s"]) == []


async def test_a_detached_link_leaves_the_others_working(store: Store, backend: Backend) -> None:
    link = await store.rig.attach("other", **backend.link())
    await store.rig.provider.detach_link(link)
    await store.set("k", "v")
    assert await store.get("k") == "v"
    await store.rig.provider.health()


async def test_what_was_acknowledged_is_there_after_a_restart_of_the_provider(backend: Backend) -> None:
    if backend.name == "memory":
        return  # it holds what it has until it is stopped, and no longer
    link = backend.link()
    async with backend.rig() as rig:
        await rig.attach(**link)
        store = Store(rig)
        await store.set("k", "v")
        await store.push("l", "a", "b")
        await store.add("s", "a", "b")
        await store.increment("n", 7)
    async with backend.rig() as rig:
        await rig.attach(**link)
        store = Store(rig)
        assert (await store.get("k"), await store.items("l")) == ("v", ["a", "b"])
        assert (await store.call("SetQuery", "s"), await store.increment("n")) == (["a", "b"], 8)


async def test_a_cancelled_call_does_not_disturb_the_others(store: Store, backend: Backend) -> None:
    calls = [asyncio.create_task(store.increment("n")) for _ in range(20)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    # A call may be done at the moment it is cancelled, so a few may have an answer all the same.
    least = 0 if backend.name == "memory" else 8  # there nothing waits, and all are done at once
    assert sum(isinstance(result, asyncio.CancelledError) for result in results[::2]) >= least
    kept = [result for result in results[1::2] if isinstance(result, int)]
    assert len(set(kept)) == 10
    # A cancelled increment may have happened or not; the answers still belong to their questions.
    assert max(kept) <= int(await store.get("n") or 0) <= 20
    await asyncio.gather(*(store.set(f"k{number}", str(number)) for number in range(50)))
    found = await asyncio.gather(*(store.get(f"k{number}") for number in range(50)))
    assert found == [str(number) for number in range(50)]


async def test_a_message_that_is_not_the_contract_s_is_refused(store: Store) -> None:
    with pytest.raises(MalformedMessage, match=r"KeyValue\.Increment"):
        await store.increment("n", 2**31)
    with pytest.raises(MalformedMessage, match=r"KeyValue\.Set"):
        await store.call("Set", {"key": "k"})


async def swap(store: Store, key: str, expected: bytes | None, value: bytes) -> tuple[bool, bytes | None]:
    request = kv.CompareAndSwapRequest(key=key, expected=expected, value=value)
    reply = await store.call("CompareAndSwap", request)
    assert reply.exists or reply.value == b""
    return reply.swapped, reply.value if reply.exists else None


async def listed(store: Store) -> list[str]:
    """Every key, by as many pages as it takes."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await store.call("ListKeys", kv.ListKeysRequest(cursor=cursor))
        found += page.keys
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("value", [b"", b"text", bytes(range(256)), b"\xff" * 100_000])
async def test_bytes_come_back_as_they_were_set(store: Store, value: bytes) -> None:
    assert await store.call("GetBytes", "k") == kv.GetBytesResponse(value=b"", exists=False)
    await store.call("SetBytes", kv.SetBytesRequest(key="k", value=value))
    assert await store.call("GetBytes", "k") == kv.GetBytesResponse(value=value, exists=True)
    await store.push("list", "a")
    with pytest.raises(ProviderError, match="something else than a value"):
        await store.call("GetBytes", "list")


async def test_bytes_expire_as_text_does(store: Store) -> None:
    await store.call("SetBytes", kv.SetBytesRequest(key="k", value=b"\xff", expires=1))
    assert (await store.call("GetBytes", "k")).exists
    assert await listed(store) == ["k"]
    await asyncio.sleep(1.05)
    assert not (await store.call("GetBytes", "k")).exists
    assert await listed(store) == []
    assert await swap(store, "k", None, b"new") == (True, None)


async def test_a_swap_is_done_only_when_the_value_is_the_expected_one(store: Store) -> None:
    assert await swap(store, "k", b"", b"one") == (False, None)
    assert await swap(store, "k", None, b"\xff") == (True, None)
    assert await swap(store, "k", None, b"two") == (False, b"\xff")
    assert await swap(store, "k", b"one", b"two") == (False, b"\xff")
    assert await swap(store, "k", b"\xff", b"") == (True, b"\xff")
    assert await swap(store, "k", None, b"two") == (False, b"")
    assert await swap(store, "k", b"", b"two") == (True, b"")
    assert await store.get("k") == "two"
    await store.push("list", "a")
    for expected in (None, b"a"):
        with pytest.raises(ProviderError, match="something else than a value"):
            await swap(store, "list", expected, b"x")
    assert await store.items("list") == ["a"]


async def test_a_swap_keeps_the_expiry(store: Store) -> None:
    await store.set("k", "v", expires=1)
    assert await swap(store, "k", b"v", b"w") == (True, b"v")
    await asyncio.sleep(1.05)
    assert await store.get("k") is None


async def test_of_swaps_at_the_same_time_one_is_done(store: Store) -> None:
    await store.set("k", "0")
    outcomes = await asyncio.gather(*(swap(store, "k", b"0", b"%d" % number) for number in range(1, 21)))
    assert [swapped for swapped, _ in outcomes].count(True) == 1
    winner = next(number for number, (swapped, _) in enumerate(outcomes, 1) if swapped)
    assert await store.get("k") == str(winner)


async def test_counting_by_swaps_loses_nothing(store: Store) -> None:
    async def count() -> None:
        held: bytes | None = None
        done = False
        while not done:
            done, held = await swap(store, "n", held, b"%d" % (int(held or b"0") + 1))

    await asyncio.gather(*(count() for _ in range(8)))
    assert await store.get("n") == "8"


async def test_a_wide_counter_has_64_bits_and_others_keep_theirs(store: Store) -> None:
    async def wide(value: int) -> int:
        return await store.call("Increment", kv.IncrementRequest(key="n", value=value, wide=True))

    assert await wide(2**62) == 2**62
    assert await wide(2**62 - 1) == 2**63 - 1
    with pytest.raises(ProviderError, match="range -9223372036854775808 to 9223372036854775807"):
        await wide(1)
    with pytest.raises(ProviderError, match="range"):
        await store.increment("n")
    assert await wide(-1) == 2**63 - 2
    assert await store.get("n") == str(2**63 - 2)
    await store.set("n", "-9007199254740993")  # a float has it not
    assert await wide(-2) == -9007199254740995
    await store.set("n", str(-(2**63)))
    with pytest.raises(ProviderError, match="range"):
        await wide(-1)
    assert await wide(0) == -(2**63)
    await store.set("n", "text")
    with pytest.raises(ProviderError, match="not a decimal integer"):
        await wide(1)
    await store.push("list", "a")
    with pytest.raises(ProviderError, match="something else than a value"):
        await store.call("Increment", kv.IncrementRequest(key="list", value=1, wide=True))
    with pytest.raises(MalformedMessage, match="KeyValue"):
        await wide(2**63)


async def test_every_key_is_listed_whatever_it_holds(store: Store, backend: Backend) -> None:
    assert await listed(store) == []
    names = ["", "a", ".", "a.b", "ключ", "*", "[x]", "\\", "a=b", "=41", "\0", "é" * (KEY_BYTES_MAX // 2)]
    for name in names:
        await store.set(name, "v")
    await store.push("list", "a")
    await store.add("set", "a")
    await store.set("gone", "v")
    await store.call("Del", "gone")
    assert sorted(await listed(store)) == sorted([*names, "list", "set"])


async def test_keys_are_listed_by_pages_and_those_of_others_never(
    store: Store, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "KEYS_PAGE_MAX", 10)
    await store.rig.attach("other", **backend.link())
    other = Store(store.rig, "other")
    for number in range(37):
        await store.set(f"mine{number}", "v")
        await other.set(f"theirs{number}", "v")
    for number in range(0, 37, 4):
        await store.call("Del", f"mine{number}")
        await store.set(f"mine{number + 1}", "again")
    mine = {f"mine{number}" for number in range(38) if number % 4}
    found = await listed(store)
    assert set(found) == mine
    first = await store.call("ListKeys", kv.ListKeysRequest())
    assert first.cursor is not None
    if backend.name != "redis":  # whose pages are what its scan comes upon
        assert len(found) == len(mine)
        assert len(first.keys) <= 10
    # What is there all the while is listed, whatever happens to the rest between two pages.
    for number in range(0, 37, 3):
        await store.call("Del", f"mine{number}")
    kept = {name for name in mine if int(name.removeprefix("mine")) % 3}
    rest: list[str] = []
    cursor = first.cursor
    while cursor is not None:
        page = await store.call("ListKeys", kv.ListKeysRequest(cursor=cursor))
        rest += page.keys
        cursor = page.cursor
    assert kept <= set(first.keys) | set(rest)


async def test_a_prefix_with_the_signs_of_a_pattern_is_a_prefix(backend: Backend) -> None:
    async with backend.rig() as rig:
        if backend.name == "redis":
            await rig.attach(prefix="a*[b-z]?\\:")
            await rig.attach("other", prefix="axxbx\\:")
        else:
            await rig.attach(**backend.link())
            await rig.attach("other", **backend.link())
        await Store(rig).set("mine", "v")
        await Store(rig, "other").set("theirs", "v")
        assert await listed(Store(rig)) == ["mine"]


async def test_a_cursor_that_is_none_is_refused_or_begins_somewhere(store: Store, backend: Backend) -> None:
    await store.set("k", "v")
    if backend.name in ("redis", "nats"):
        for cursor in ("x", "-1", "1" * 30, "1\r\nDEL", ""):
            with pytest.raises(ProviderError, match="no cursor"):
                await store.call("ListKeys", kv.ListKeysRequest(cursor=cursor))
    else:
        assert (await store.call("ListKeys", kv.ListKeysRequest(cursor="zzz"))).keys == []
    for operation, message in (
        ("GetBytes", "k" * 2000),
        ("SetBytes", kv.SetBytesRequest(key="k" * 2000, value=b"")),
        ("CompareAndSwap", kv.CompareAndSwapRequest(key="k" * 2000, value=b"")),
    ):
        with pytest.raises(ProviderError, match="at most 1024"):
            await store.call(operation, message)
