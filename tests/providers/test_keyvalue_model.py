"""Random programs of key-value operations: every backend answers as a few lines of plain Python do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lattice_keyvalue import rules

from lattice.contracts import keyvalue as kv
from lattice.errors import ProviderError, ProviderUnavailable
from lattice.testing import ProviderRig
from tests.providers.keyvalue_backends import NAMES, Backend, one_backend

# Few keys and values, so that operations meet; among them what an encoding could confuse.
KEYS = st.sampled_from(["", "a", "a.", "ø b"])
VALUES = st.sampled_from(["", "1", "-7", "2147483647", "01", "x", "ÿ"])
INDEXES = st.integers(-4, 4)
BYTES = VALUES.map(str.encode)
WIDE_DELTAS = st.sampled_from([2**62, -(2**62), 2**63 - 1, -(2**63)])
DELTAS = st.sampled_from([1, -1, 0, 5, 2147483647, -2147483648])

OPERATIONS = st.one_of(
    st.tuples(st.just("Get"), KEYS),
    st.tuples(st.just("Set"), st.builds(kv.SetRequest, key=KEYS, value=VALUES)),
    st.tuples(st.sampled_from(["Del", "Contains", "ListClear", "SetClear", "SetQuery"]), KEYS),
    st.tuples(st.just("Increment"), st.builds(kv.IncrementRequest, key=KEYS, value=DELTAS, wide=st.booleans())),
    st.tuples(st.just("Increment"), st.builds(kv.IncrementRequest, key=KEYS, value=WIDE_DELTAS, wide=st.just(True))),
    st.tuples(
        st.just("CompareAndSwap"),
        st.builds(kv.CompareAndSwapRequest, key=KEYS, value=BYTES, expected=st.none() | BYTES),
    ),
    st.tuples(st.just("ListKeys"), st.just(kv.ListKeysRequest())),
    st.tuples(st.just("ListAdd"), st.builds(kv.ListAddRequest, list_name=KEYS, value=VALUES)),
    st.tuples(st.just("ListDel"), st.builds(kv.ListDelRequest, list_name=KEYS, value=VALUES)),
    st.tuples(st.just("ListRange"), st.builds(kv.ListRangeRequest, list_name=KEYS, start=INDEXES, stop=INDEXES)),
    st.tuples(st.just("SetAdd"), st.builds(kv.SetAddRequest, set_name=KEYS, value=VALUES)),
    st.tuples(st.just("SetDel"), st.builds(kv.SetDelRequest, set_name=KEYS, value=VALUES)),
    st.tuples(st.sampled_from(["SetUnion", "SetIntersection"]), st.lists(KEYS, max_size=3)),
)
PROGRAMS = st.lists(OPERATIONS, min_size=1, max_size=40)

REFUSED = "refused"


class Model:
    """What the contract means, in Python's own types: str, list, set."""

    def __init__(self) -> None:
        self.keys: dict[str, str | list[str] | set[str]] = {}

    def answer(self, operation: str, message: Any) -> Any:
        """The reply, or REFUSED."""
        if isinstance(message, list):
            return self.combine(operation, message)
        if isinstance(message, kv.ListKeysRequest):
            return kv.ListKeysResponse(keys=sorted(self.keys))
        key = message if isinstance(message, str) else getattr(message, message.__struct_fields__[0])
        method: Callable[[str, Any], Any] = getattr(self, "delete" if operation == "Del" else operation.lower())
        return method(key, message)

    def get(self, key: str, _message: str) -> Any:
        held = self.keys.get(key, "")
        return kv.GetResponse(value=held, exists=key in self.keys) if isinstance(held, str) else REFUSED

    def set(self, key: str, message: kv.SetRequest) -> None:
        self.keys[key] = message.value

    def contains(self, key: str, _message: str) -> bool:
        return key in self.keys

    def increment(self, key: str, message: kv.IncrementRequest) -> Any:
        held = self.keys.get(key, "0")
        if not isinstance(held, str) or str(_number(held)) != held:
            return REFUSED
        total = int(held) + message.value
        bits = 63 if message.wide else 31
        if not -(2**bits) <= total < 2**bits:
            return REFUSED
        self.keys[key] = str(total)
        return total

    def compareandswap(self, key: str, message: kv.CompareAndSwapRequest) -> Any:
        held = self.keys.get(key)
        if held is not None and not isinstance(held, str):
            return REFUSED
        before = None if held is None else held.encode()
        if before == message.expected:
            self.keys[key] = message.value.decode()
        return kv.CompareAndSwapResponse(
            swapped=before == message.expected, value=before or b"", exists=before is not None
        )

    def listadd(self, key: str, message: kv.ListAddRequest) -> Any:
        held = self.keys.get(key, [])
        if not isinstance(held, list):
            return REFUSED
        self.keys[key] = [*held, message.value]
        return len(held) + 1

    def listdel(self, key: str, message: kv.ListDelRequest) -> Any:
        held = self.keys.get(key, [])
        if not isinstance(held, list):
            return REFUSED
        self.put_or_drop(key, [item for item in held if item != message.value])
        return message.value in held

    def listrange(self, key: str, message: kv.ListRangeRequest) -> Any:
        held = self.keys.get(key, [])
        if not isinstance(held, list):
            return REFUSED
        indexes = range(len(held))
        first = message.start if message.start >= 0 else message.start + len(held)
        last = message.stop if message.stop >= 0 else message.stop + len(held)
        return [held[index] for index in indexes if first <= index <= last]

    def setadd(self, key: str, message: kv.SetAddRequest) -> Any:
        held = self.keys.get(key, set())
        if not isinstance(held, set):
            return REFUSED
        self.keys[key] = held | {message.value}
        return int(message.value not in held)

    def setdel(self, key: str, message: kv.SetDelRequest) -> Any:
        held = self.keys.get(key, set())
        if not isinstance(held, set):
            return REFUSED
        self.put_or_drop(key, held - {message.value})
        return int(message.value in held)

    def setquery(self, key: str, _message: str) -> Any:
        held = self.keys.get(key, set())
        return sorted(held) if isinstance(held, set) else REFUSED

    def combine(self, operation: str, keys: list[str]) -> Any:
        held = [self.keys.get(key, set()) for key in keys]
        sets = [one for one in held if isinstance(one, set)]
        if len(sets) < len(held):
            return REFUSED
        if not sets:
            return []
        return sorted(set.union(*sets) if operation == "SetUnion" else set.intersection(*sets))

    def delete(self, key: str, _message: str) -> bool:
        return self.keys.pop(key, None) is not None

    def clear(self, key: str, kind: type) -> Any:
        if not isinstance(self.keys.get(key, kind()), kind):
            return REFUSED
        return self.keys.pop(key, None) is not None

    def listclear(self, key: str, _message: str) -> Any:
        return self.clear(key, list)

    def setclear(self, key: str, _message: str) -> Any:
        return self.clear(key, set)

    def put_or_drop(self, key: str, left: list[str] | set[str]) -> None:
        self.keys.pop(key, None)
        if left:
            self.keys[key] = left


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


@pytest.fixture(scope="module", params=NAMES)
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    yield from one_backend(request.param, tmp_path_factory)


@pytest.fixture
async def rig(backend: Backend) -> AsyncIterator[ProviderRig]:
    async with backend.rig() as rig:
        yield rig


async def check(rig: ProviderRig, link: dict[str, str], program: list[tuple[str, Any]]) -> None:
    link_id = await rig.attach(**link)
    model = Model()
    for operation, message in program:
        expected = model.answer(operation, message)
        try:
            found = await rig.call(f"KeyValue.{operation}", message)
        except ProviderUnavailable:
            raise
        except ProviderError:
            found = REFUSED
        if operation == "ListKeys":
            found = kv.ListKeysResponse(keys=sorted(found.keys), cursor=found.cursor)
        assert found == expected, (operation, message)
    await rig.provider.detach_link(link_id)


# One rig serves all examples, as each has a namespace of its own.
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=PROGRAMS)
async def test_a_random_program_gets_the_answers_of_the_model(
    rig: ProviderRig, backend: Backend, program: list[tuple[str, Any]]
) -> None:
    await check(rig, backend.link(), program)


@given(key=st.text(max_size=30), value=st.binary(max_size=30), delta=st.integers(-(2**31), 2**31 - 1))
def test_integers_are_read_as_redis_reads_them(key: str, value: bytes, delta: int) -> None:
    text = value.decode("latin-1")
    number = int(text) if text.isascii() and text.lstrip("-").isdigit() else None
    possible = number is not None and str(number) == text and -(2**31) <= number + delta < 2**31
    try:
        assert rules.added(key, value, delta) == (number or 0) + delta
        assert possible
    except ProviderError:
        assert not possible


@given(length=st.integers(0, 6), start=st.integers(-9, 9), stop=st.integers(-9, 9))
def test_a_span_is_what_python_finds_by_counting(length: int, start: int, stop: int) -> None:
    first = start + length if start < 0 else start
    last = stop + length if stop < 0 else stop
    expected = [position for position in range(length) if first <= position <= last]
    assert list(range(*rules.span(length, start, stop))) == expected
