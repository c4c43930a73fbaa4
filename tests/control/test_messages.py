"""Bytes of strangers: every decoder of the control plane reads what was written, and refuses anything else by name."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import envelope, errors, wire
from lattice.control import messages, records
from lattice.control.lease import LeaseRecord
from lattice.control.state import ActorSeen, HostSeen, ProviderSeen
from lattice.invocation import EntityId, Invocation

NOW = 1000.0
TYPES = (
    messages.Inventory,
    messages.Event,
    messages.ScaleComponent,
    messages.UpdateComponent,
    messages.StartProvider,
    messages.StopProvider,
    messages.StopHost,
    messages.Auction,
    messages.LinkItem,
    messages.DeleteLink,
    messages.Label,
    messages.Reply,
    dict[str, str],
)

text = st.text(max_size=30)
words = st.text("abcXYZ019-_", min_size=1, max_size=20)
maps = st.dictionaries(text, text, max_size=4)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=20,
)

actors = st.builds(
    ActorSeen,
    key=words,
    name=words,
    image=text,
    count=st.integers(0, 1000),
    alias=text,
    digest=text,
    revision=st.integers(0, 9),
    annotations=st.just({}),
    application=words,
    fingerprint=words,
)
providers = st.builds(
    ProviderSeen,
    key=words,
    name=words,
    image=text,
    contract=text,
    message=text,
    restarts=st.integers(0, 9),
    urls=st.lists(text, max_size=3).map(tuple),
    links=st.integers(-1, 9),
)


@given(found=st.lists(actors, max_size=4), others=st.lists(providers, max_size=3), labels=maps, draining=st.booleans())
def test_an_inventory_comes_back_as_it_was(
    found: list[ActorSeen], others: list[ProviderSeen], labels: dict[str, str], draining: bool
) -> None:
    host = HostSeen(
        key="N1",
        name="one",
        labels=labels,
        version="1",
        uptime_s=7,
        draining=draining,
        actors={one.key: one for one in found},
        providers={one.key: one for one in others},
    )
    written = messages.encode(messages.inventory_of(host, boot="b", revision=3, lattice="l"))
    read = messages.host_seen(messages.decode(written, messages.Inventory, "it"))
    # What names an application travels as annotations, which those who read keep as they came.
    kept = {key: msgspec.structs.replace(one, annotations={}) for key, one in read.actors.items()}
    assert msgspec.structs.replace(read, actors=kept) == host


@pytest.mark.parametrize("type_", TYPES, ids=str)
@given(data=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_anything_is_read_or_refused(type_: Any, data: bytes) -> None:
    try:
        found = messages.decode(data, type_, "what came")
    except errors.MalformedMessage:
        return
    else:
        messages.encode(found)
        if isinstance(found, messages.Inventory):
            messages.host_seen(found)


@pytest.mark.parametrize("type_", TYPES, ids=str)
@pytest.mark.parametrize(
    "data",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":"' + b"x" * 5_000_000,
        b'"\\ud800"',
        b'{"\\ud800": "x"}',
        b"\xed\xa0\x80",
        b"9" * 100_000,
        b"1e999999",
        b"NaN",
        b"{} {}",
        b"\0",
    ],
    ids=lambda value: repr(value[:12]),
)
def test_monstrous_documents_are_refused(type_: Any, data: bytes) -> None:
    with pytest.raises(errors.MalformedMessage):
        messages.decode(data, type_, "it")


@given(data=st.binary(max_size=100))
def test_a_pulse_is_read_or_refused(data: bytes) -> None:
    try:
        found = messages.decode_pulse(data)
    except errors.MalformedMessage:
        return
    assert messages.decode_pulse(messages.encode_pulse(found)) == found


@given(data=st.dictionaries(text, json_values, max_size=4), name=words)
def test_an_event_is_a_cloud_event(data: dict[str, Any], name: str) -> None:
    written = messages.encode_event(name, "N1", data)
    assert json.loads(written).keys() == {"type", "source", "data", "id", "specversion", "time", "datacontenttype"}
    read = messages.decode(written, messages.Event, "it")
    assert (read.name, read.source) == (name, "N1")
    assert messages.Event(type="io.example.other", source="x").name == ""


@given(
    success=st.booleans(),
    response=json_values,
    error=st.sampled_from(sorted(errors.error_classes().items())),
    message=text.filter(bool),
)
def test_a_reply_tells_its_error(
    success: bool, response: Any, error: tuple[str, type[errors.LatticeError]], message: str
) -> None:
    if success:
        written = messages.encode_reply(messages.Reply(success=True, response=response))
        assert json.loads(written).keys() <= {"success", "message", "response"}
        return
    code, type_ = error
    reply = messages.failure(type_(message, remedy="do it"))
    read = messages.decode(messages.encode_reply(reply), messages.Reply, "it")
    told = messages.error_of(read)
    assert (str(told), told.remedy) == (message, "do it")
    assert told.code == (errors.ConfigError.code if code == errors.ManifestError.code else code)
    # Another kind of host knows no codes.
    plain = messages.decode(b'{"success":false,"message":"no"}', messages.Reply, "it")
    assert str(messages.error_of(plain)) == "no"


@pytest.mark.parametrize(
    ("seconds", "says"), [(0, "0s"), (59.9, "59s"), (61, "1m 1s"), (90061, "1d 1h 1m 1s"), (-5, "0s")]
)
def test_uptimes_are_for_people(seconds: float, says: str) -> None:
    assert messages.human(seconds) == says


# Stored records.


@given(data=st.binary(max_size=300) | st.binary(max_size=300).map(zlib.compress))
def test_a_stored_application_is_read_or_refused(data: bytes) -> None:
    with pytest.raises(errors.MalformedMessage):
        records.unpack(data)


def test_a_stored_application_that_unpacks_to_gigabytes_is_refused() -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(b" " * 2**20) for _ in range(80)) + packer.flush()
    assert len(bomb) < 200_000
    with pytest.raises(errors.MalformedMessage, match="unpacks to more"):
        records.unpack(bomb)


@given(name=words, deployed=text, manifests=st.lists(text, max_size=4))
def test_a_stored_application_comes_back(name: str, deployed: str, manifests: list[str]) -> None:
    versions = tuple(records.Version(version=str(n), created="", manifest=one) for n, one in enumerate(manifests))
    record = records.ApplicationRecord(name=name, versions=versions, deployed=deployed)
    assert records.unpack(records.pack(record)) == record


@given(data=st.binary(max_size=60))
def test_a_lease_of_strangers_does_not_crash(data: bytes) -> None:
    try:
        msgspec.json.decode(data, type=LeaseRecord)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return


# Envelopes.

keys = st.text("ABCdef019", min_size=1, max_size=12)
entities = st.builds(EntityId, key=keys, contract=text, link_name=words)


@given(
    origin=entities,
    target=entities,
    payload=st.binary(min_size=1, max_size=100),
    operation=text,
    depth=st.integers(0, 20),
    trace=text,
    timeout_ms=st.integers(1, 3_600_000),
)
def test_an_invocation_comes_back_with_the_time_that_is_left(
    origin: EntityId, target: EntityId, payload: bytes, operation: str, depth: int, trace: str, timeout_ms: int
) -> None:
    sent = Invocation(
        origin=origin,
        contract=target.contract,
        operation=operation,
        payload=payload,
        id="i",
        deadline=NOW + timeout_ms / 1000,
        target=target,
        depth=depth,
        trace=trace,
    )
    data = envelope.write_invocation(sent, target, "N1", timeout_ms / 1000, False)
    read, stored = envelope.read_invocation(data, NOW)
    assert stored == 0
    assert (read.origin, read.target, read.operation, read.payload) == (origin, target, operation, payload)
    assert (read.depth, read.trace, read.id) == (depth, trace, "i")
    assert read.deadline == pytest.approx(NOW + timeout_ms / 1000, abs=0.002)
    empty, stored = envelope.read_invocation(envelope.write_invocation(sent, target, "N1", 1, True), NOW)
    assert (empty.payload, stored) == (b"", len(payload))


@given(payload=st.binary(max_size=50), error=st.sampled_from(sorted(errors.error_classes())), message=text, remedy=text)
def test_an_answer_comes_back(payload: bytes, error: str, message: str, remedy: str) -> None:
    assert envelope.read_response(envelope.write_response("i", payload, None, False)) == (payload, 0)
    type_ = errors.error_classes()[error]
    if not issubclass(type_, errors.CallError):
        return
    with pytest.raises(type_) as raised:
        envelope.read_response(envelope.write_response("i", b"", type_(message, remedy=remedy), False))
    assert type(raised.value) is type_
    assert (raised.value.message, raised.value.remedy) == (message, remedy)


packed = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | text | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=15,
).map(wire.encode)
BOMBS = (
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\x91" * 500_000,
    b"\x81\xa1a" * 500_000,
    b"\xdd\x00\xff\xff\xff" + b"\xc0" * 100,
)


def refused(read: Callable[[bytes], Any], data: bytes) -> None:
    """Read, or refused as a call's error; nothing else comes out."""
    try:
        read(data)
    except errors.CallError:
        return


@given(data=st.binary(max_size=200) | packed)
def test_any_bytes_are_an_envelope_or_refused(data: bytes) -> None:
    refused(lambda given: envelope.read_invocation(given, NOW), data)
    refused(envelope.read_response, data)


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda value: repr(value[:6]))
def test_bombs_of_msgpack_are_refused(bomb: bytes) -> None:
    for read in (lambda given: envelope.read_invocation(given, NOW), envelope.read_response, messages.decode_pulse):
        with pytest.raises(errors.MalformedMessage):
            read(bomb)


ENTITY = {"public_key": "M1", "link_name": "", "contract_id": ""}
FOREIGN: dict[str, Any] = {"origin": ENTITY, "target": ENTITY, "operation": "Op", "msg": b"x", "id": "1"}


def test_unknown_fields_and_missing_ones_are_no_trouble() -> None:
    more = {**FOREIGN, "later": {"a": [1]}, "origin": {**ENTITY, "new": 1}, "traceContext": {"other": "x"}}
    read, _ = envelope.read_invocation(wire.encode(more), NOW)
    assert (read.payload, read.depth) == (b"x", 1)
    assert read.deadline == NOW + envelope.FOREIGN_TIMEOUT_S
    nothing = {**FOREIGN, "msg": None, "content_length": None, "traceContext": None, "encoded_claims": None}
    assert envelope.read_invocation(wire.encode(nothing), NOW)[1] == 0
    assert envelope.read_response(wire.encode({"msg": b"y", "later": 1})) == (b"y", 0)


@pytest.mark.parametrize(
    "change",
    [
        {"traceContext": {envelope.TIMEOUT: "soon"}},
        {"traceContext": {envelope.TIMEOUT: "-1"}},
        {"traceContext": {envelope.TIMEOUT: "9" * 5000}},
        {"traceContext": {envelope.DEPTH: "²"}},
        {"traceContext": {envelope.DEPTH: ""}},
        {"traceContext": {envelope.DEPTH: 1}},
        {"origin": {**ENTITY, "public_key": ""}},
        {"target": {**ENTITY, "public_key": ""}},
        {"operation": 5},
        {"msg": "text"},
    ],
    ids=str,
)
def test_nonsense_in_an_envelope_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(errors.MalformedMessage):
        envelope.read_invocation(wire.encode({**FOREIGN, **change}), NOW)


def test_what_is_beyond_all_bounds_is_bounded() -> None:
    trace = {envelope.TIMEOUT: "9" * 12, envelope.DEPTH: "9" * 12}
    read, stored = envelope.read_invocation(
        wire.encode({**FOREIGN, "msg": b"", "content_length": -5, "traceContext": trace}), NOW
    )
    assert read.deadline == NOW + envelope.TIMEOUT_S_MAX
    assert (read.depth, stored) == (envelope.DEPTH_MAX, 0)


@given(st.lists(text, max_size=20))
def test_ids_of_calls_come_back(ids: list[str]) -> None:
    assert envelope.read_ids(envelope.write_ids(ids)) == ids


@given(st.binary(max_size=200))
def test_no_bytes_are_taken_for_ids_of_calls(data: bytes) -> None:
    try:
        found = envelope.read_ids(data)
    except errors.MalformedMessage:
        return
    assert all(isinstance(one, str) for one in found)
