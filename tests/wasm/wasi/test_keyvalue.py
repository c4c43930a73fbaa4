"""wasi:keyvalue in both of its drafts, with the provider that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lattice_keyvalue import rules
from lattice_keyvalue_sqlite import KeyValueSqlite

from lattice import errors
from lattice.contracts import keyvalue as api
from lattice.invocation import Invocation
from lattice.testing import ProviderRig, provider_rig
from lattice.wasm.component.host import Err
from lattice.wasm.component.types import (
    FunctionType,
    Handle,
    List,
    Primitive,
    Record,
    ResourceType,
    ValueType,
    Variant,
    option,
    result,
)
from lattice.wasm.wasi import keyvalue, keyvalue_atomics
from tests.support.wasi import WasiGuest

KEYVALUE = "wasmcloud:keyvalue"
STORE, ATOMICS, BATCH = "wasi:keyvalue/store", "wasi:keyvalue/atomics", "wasi:keyvalue/batch"
GET, SET, LIST = "[method]bucket.get", "[method]bucket.set", "[method]bucket.list-keys"

TEXT, U64, S64 = Primitive("string"), Primitive("u64"), Primitive("s64")
ERROR = Variant("variant", ("no-such-store", "access-denied", "other"), (None, None, TEXT))
BUCKET = Handle(own=False, resource=ResourceType(STORE, "bucket"))
OCTETS = List(Primitive("u8"))


def function(good: ValueType, *params: ValueType) -> FunctionType:
    return FunctionType(
        ("self", *(f"p{number}" for number in range(len(params)))), (BUCKET, *params), result(good, ERROR)
    )


def types(cursor: ValueType, number: ValueType, pair: ValueType) -> dict[str, FunctionType]:
    return {
        f"{STORE}#{LIST}": function(Record((List(TEXT), option(cursor))), option(cursor)),
        f"{ATOMICS}#increment": function(number, TEXT, number),
        f"{BATCH}#get-many": function(List(pair), List(TEXT)),
    }


DRAFT = types(U64, U64, option(Record((TEXT, OCTETS))))
DRAFT2 = types(TEXT, S64, option(Record((TEXT, OCTETS))))
LATER = types(TEXT, S64, Record((TEXT, option(OCTETS))))


def a_guest(rig: ProviderRig | None, versions: dict[str, FunctionType] = DRAFT2) -> WasiGuest:
    guest = WasiGuest({} if rig is None else {KEYVALUE: rig.provider.handle})
    guest.types = versions
    return guest


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[ProviderRig]:
    async with provider_rig(KeyValueSqlite, tmp_path) as rig:
        await rig.attach("actor")
        yield rig


async def test_keyvalue_of_a_component_is_that_of_its_links(rig: ProviderRig) -> None:
    guest = a_guest(rig)
    bucket = guest.ok(STORE, "open", "")
    assert await guest.good(STORE, GET, bucket, "k") is None
    assert await guest.good(STORE, "[method]bucket.exists", bucket, "k") is False
    assert await guest.good(STORE, SET, bucket, "k", "wörth".encode()) is None
    assert await guest.good(STORE, GET, bucket, "k") == "wörth".encode()
    assert await guest.good(STORE, "[method]bucket.exists", bucket, "k") is True
    assert await guest.good(STORE, "[method]bucket.delete", bucket, "k") is None
    assert await guest.good(STORE, GET, bucket, "k") is None
    await guest.good(BATCH, "set-many", bucket, [("a", b"1"), ("b", b"\xff")])
    assert await guest.good(BATCH, "get-many", bucket, ["a", "x", "b"]) == [("a", b"1"), None, ("b", b"\xff")]
    await guest.good(BATCH, "delete-many", bucket, ["a", "x"])
    assert await guest.good(BATCH, "get-many", bucket, ["a", "b"]) == [None, ("b", b"\xff")]
    assert await rig.call("KeyValue.Get", "a") == api.GetResponse(value="", exists=False)
    case, text = await guest.bad(BATCH, "get-many", bucket, ["k"] * (keyvalue.BATCH_MAX + 1))
    assert (case, "1001 keys" in text) == ("other", True)


async def test_many_values_come_as_the_version_has_them(rig: ProviderRig) -> None:
    guest = a_guest(rig, LATER)
    bucket = guest.ok(STORE, "open", "")
    await guest.good(STORE, SET, bucket, "a", b"1")
    assert await guest.good(BATCH, "get-many", bucket, ["a", "x"]) == [("a", b"1"), ("x", None)]


async def test_values_are_any_bytes_and_text_goes_by_the_published_operations(rig: ProviderRig) -> None:
    guest = a_guest(rig)
    bucket = guest.ok(STORE, "open", "")
    for value in (b"", b"text", b"\xff\x00", bytes(range(256))):
        await guest.good(STORE, SET, bucket, "k", value)
        assert await guest.good(STORE, GET, bucket, "k") == value
    made = [call.operation.removeprefix("KeyValue.") for call in guest.made]
    assert made == ["Set", "Get", "Set", "Get", *["SetBytes", "Get", "GetBytes"] * 2]


async def test_counters_have_64_bits(rig: ProviderRig) -> None:
    guest = a_guest(rig)
    bucket = guest.ok(STORE, "open", "")
    assert await guest.good(ATOMICS, "increment", bucket, "n", 5) == 5
    assert await guest.good(ATOMICS, "increment", bucket, "n", -7) == -2
    assert await guest.good(STORE, GET, bucket, "n") == b"-2"
    assert await guest.good(ATOMICS, "increment", bucket, "n", 2**63 - 1) == 2**63 - 3
    case, text = await guest.bad(ATOMICS, "increment", bucket, "n", 3)
    assert (case, "would leave the range" in text) == ("other", True)
    assert await guest.good(ATOMICS, "increment", bucket, "n", -(2**63)) == -3


async def test_counters_without_a_sign_say_so(rig: ProviderRig) -> None:
    guest = a_guest(rig, DRAFT)
    bucket = guest.ok(STORE, "open", "")
    assert await guest.good(ATOMICS, "increment", bucket, "n", 2**40) == 2**40
    case, text = await guest.bad(ATOMICS, "increment", bucket, "n", 2**63)
    assert (case, "64 bits" in text) == ("other", True)
    await guest.good(STORE, SET, bucket, "n", b"-5")
    case, text = await guest.bad(ATOMICS, "increment", bucket, "n", 2)
    assert (case, "counts -3 now" in text) == ("other", True)


@pytest.mark.parametrize("versions", [DRAFT, DRAFT2])
async def test_keys_are_listed_by_cursors_of_either_draft(
    rig: ProviderRig, versions: dict[str, FunctionType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "KEYS_PAGE_MAX", 10)
    await rig.attach("other", bucket="other")
    await rig.call("KeyValue.Set", api.SetRequest(key="theirs", value="v"), actor="other")
    guest = a_guest(rig, versions)
    bucket = guest.ok(STORE, "open", "")
    assert await guest.good(STORE, LIST, bucket, None) == ([], None)
    names = [f"k{number:02}" for number in range(35)]
    await guest.good(BATCH, "set-many", bucket, [(name, b"v") for name in names])
    found: list[str] = []
    cursor = None
    kind = str if versions is DRAFT2 else int
    while True:
        keys, cursor = await guest.good(STORE, LIST, bucket, cursor)
        found += keys
        if cursor is None:
            break
        assert type(cursor) is kind
    assert found == names


async def test_cursors_that_are_numbers_are_those_of_their_bucket_and_not_for_ever(
    rig: ProviderRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "KEYS_PAGE_MAX", 1)
    guest = a_guest(rig, DRAFT)
    bucket, another = guest.ok(STORE, "open", ""), guest.ok(STORE, "open", "")
    await guest.good(BATCH, "set-many", bucket, [("a", b""), ("b", b""), ("c", b"")])
    first = (await guest.good(STORE, LIST, bucket, None))[1]
    assert (await guest.good(STORE, LIST, bucket, first))[0] == ["b"]
    assert (await guest.good(STORE, LIST, bucket, first))[0] == ["b"]
    for unknown, where in ((first + 100, bucket), (first, another)):
        case, text = await guest.bad(STORE, LIST, where, unknown)
        assert (case, "cursors of this bucket" in text) == ("other", True)
    for _ in range(keyvalue.CURSORS_MAX):
        await guest.good(STORE, LIST, bucket, None)
    assert "cursors of this bucket" in (await guest.bad(STORE, LIST, bucket, first))[1]


async def test_a_value_is_swapped_if_nobody_was_faster(rig: ProviderRig) -> None:
    guest = a_guest(rig)
    bucket = guest.ok(STORE, "open", "")
    cas = await guest.good(ATOMICS, "[static]cas.new", bucket, "k")
    assert guest.ok(ATOMICS, "[method]cas.current", cas) is None
    assert await guest.good(ATOMICS, "swap", cas, b"\xff") is None
    assert await guest.good(STORE, GET, bucket, "k") == b"\xff"
    cas = await guest.good(ATOMICS, "[static]cas.new", bucket, "k")
    assert guest.ok(ATOMICS, "[method]cas.current", cas) == b"\xff"
    await guest.good(STORE, SET, bucket, "k", b"theirs")
    case, again = await guest.bad(ATOMICS, "swap", cas, b"mine")
    assert case == "cas-failed"
    assert guest.ok(ATOMICS, "[method]cas.current", again) == b"theirs"
    assert await guest.good(ATOMICS, "swap", again, b"mine") is None
    assert await guest.good(STORE, GET, bucket, "k") == b"mine"
    cas = await guest.good(ATOMICS, "[static]cas.new", bucket, "k")
    await guest.good(STORE, "[method]bucket.delete", bucket, "k")
    _, gone = await guest.bad(ATOMICS, "swap", cas, b"more")
    assert guest.ok(ATOMICS, "[method]cas.current", gone) is None
    guest.drop(gone, bucket)
    assert (guest.host.held, guest.host.kept_bytes) == (0, 0)


async def test_guests_that_swap_at_once_lose_nothing(rig: ProviderRig) -> None:
    async def count() -> int:
        guest = a_guest(rig)
        cas = await guest.good(ATOMICS, "[static]cas.new", guest.ok(STORE, "open", ""), "n")
        tries = 1
        while True:
            value = int(guest.ok(ATOMICS, "[method]cas.current", cas) or b"0") + 1
            outcome = await guest.call(ATOMICS, "swap", cas, b"%d" % value)
            if not isinstance(outcome, Err):
                return tries
            tries, cas = tries + 1, outcome.value[1]

    tries = await asyncio.gather(*(count() for _ in range(10)))
    assert sum(tries) > 10
    assert (await rig.call("KeyValue.Get", "n")).value == "10"


async def test_what_handles_keep_is_bounded_and_freed(rig: ProviderRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyvalue_atomics, "CAS_BYTES_MAX", 100)
    guest = a_guest(rig)
    bucket = guest.ok(STORE, "open", "")
    await guest.good(STORE, SET, bucket, "k", bytes(60))
    await guest.good(STORE, SET, bucket, "large", bytes(200))
    held = await guest.good(ATOMICS, "[static]cas.new", bucket, "k")
    for key in ("k", "large"):
        case, text = await guest.bad(ATOMICS, "[static]cas.new", bucket, key)
        assert (case, "compare-and-swap" in text) == ("other", True)
    guest.drop(held)
    await guest.good(ATOMICS, "[static]cas.new", bucket, "large")  # one alone may be as large as a payload
    guest.host.close()
    assert (guest.host.held, guest.host.kept_bytes) == (0, 0)


async def test_a_store_of_others_that_knows_the_published_contract_alone_says_what_is_missing(rig: ProviderRig) -> None:
    extension = {operation.name for operation in api.EXTENSION}

    async def published(call: Invocation) -> bytes:
        if call.operation in extension:
            raise errors.OperationUnknown(f"there is no {call.operation}")
        return await rig.provider.handle(call)

    guest = a_guest(None)
    guest.providers[KEYVALUE] = published
    bucket = guest.ok(STORE, "open", "")
    await guest.good(STORE, SET, bucket, "k", b"text")
    assert await guest.good(STORE, GET, bucket, "k") == b"text"
    assert await guest.good(ATOMICS, "increment", bucket, "n", 2) == 2
    await rig.call("KeyValue.SetBytes", api.SetBytesRequest(key="odd", value=b"\xff"))
    assert "not UTF-8" in (await guest.bad(STORE, GET, bucket, "odd"))[1]
    for interface, name, arguments in (
        (STORE, SET, (bucket, "k", b"\xff")),
        (STORE, LIST, (bucket, None)),
        (ATOMICS, "[static]cas.new", (bucket, "k")),
    ):
        case, text = await guest.bad(interface, name, *arguments)
        assert (case, "there is no KeyValue." in text) == ("other", True)
        assert "the extension of wasmcloud:keyvalue" in text
    cas = await a_guest(rig).good(ATOMICS, "[static]cas.new", bucket, "k")
    case, (inner, text) = await guest.bad(ATOMICS, "swap", cas, b"new")
    assert (case, inner) == ("store-error", "other")
    assert "the extension" in text


async def test_a_bucket_is_a_link_and_without_one_there_is_no_store() -> None:
    guest = WasiGuest()
    bucket = guest.ok(STORE, "open", "accounts")
    assert await guest.bad(STORE, "[method]bucket.get", bucket, "k") == ("no-such-store", None)
    assert guest.made[0].link_name == "accounts"
    assert guest.now(STORE, "open", "x" * 300) == Err(("no-such-store", None))

    async def denied(_call: Invocation) -> bytes:
        raise errors.Denied("not you")

    guest = WasiGuest({KEYVALUE: denied})
    bucket = guest.ok(STORE, "open", "")
    assert await guest.bad(STORE, "[method]bucket.get", bucket, "k") == ("access-denied", None)
