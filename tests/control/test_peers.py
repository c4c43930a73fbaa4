"""Who is there: silence measured by the listener's own clock, restarts, cuts of its own, and what strangers send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lattice import errors
from lattice.control import messages, peers
from lattice.control.messages import Inventory, Pulse
from lattice.control.peers import LOST_S, SUSPECT_S, Peers
from lattice.control.state import ActorSeen, Failure, HostSeen
from lattice.transport.transport import Delivery

OWN = "NOWN"


class Wire:
    """As much of a transport as membership uses: what it subscribes gets what the test says, and nobody answers."""

    def __init__(self) -> None:
        self.state = "connected"
        self.receivers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.states: list[Any] = []

    def on_state(self, changed: Any) -> None:
        self.states.append(changed)

    async def subscribe(self, subject: str, receive: Any, *, queue: str = "") -> Any:
        self.receivers[subject] = receive

        class Subscription:
            async def unsubscribe(self) -> None:
                return None

        return Subscription()

    async def ask(self, subject: str, _payload: bytes, *_more: object) -> asyncio.Future[bytes]:
        self.asked.append(subject)
        raise errors.Unreachable("nobody")


class Rig:
    def __init__(self, wire: Wire, found: Peers) -> None:
        self.wire = wire
        self.peers = found
        self.now = 100.0
        self.suspects: list[str] = []
        found.on_suspect(self.suspects.append)

    def pulse(self, host: str, boot: str = "b1", revision: int = 0, draining: bool = False) -> None:
        self.receive("nanolattice.test.pulse", messages.encode_pulse(Pulse(host, boot, revision, draining)))

    def event(self, name: str, source: str, data: Any) -> None:
        self.receive("wasmbus.evt.test.*", messages.encode_event(name, source, data))

    def beat(self, host: str, *actors: str, boot: str = "b1", revision: int = 0, **labels: str) -> None:
        items = {key: ActorSeen(key=key, name=key, image="file:///x") for key in actors}
        seen = HostSeen(key=host, name=host, labels=labels, actors=items)
        document = messages.inventory_of(seen, boot=boot, revision=revision, lattice="test")
        self.event("host_heartbeat", host, document)

    def receive(self, subject: str, payload: bytes) -> None:
        self.wire.receivers[subject](Delivery(subject, payload))

    def passes(self, seconds: float) -> None:
        """Time in which nothing is heard, with a look at its end."""
        self.now += seconds
        self.peers.sweep()

    @property
    def hosts(self) -> set[str]:
        return set(self.peers.observed.hosts)


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    wire = Wire()
    found = Peers(wire, "test", OWN, "own-boot", lambda: HostSeen(key=OWN, labels={"zone": "a", "cloud": "x"}))  # type: ignore[arg-type]
    made = Rig(wire, found)
    monkeypatch.setattr(peers, "_now", lambda: made.now)
    await found.start()
    yield made
    await found.stop()


async def test_a_host_is_known_by_its_first_sign_and_lost_by_silence(rig: Rig) -> None:
    rig.beat("N1", "a")
    rig.pulse("N1")
    assert rig.hosts == {OWN, "N1"}
    assert rig.peers.copies("a") == ["N1"]
    rig.passes(SUSPECT_S - 0.1)
    assert rig.peers.copies("a") == ["N1"]
    rig.passes(0.2)
    assert (rig.peers.copies("a"), rig.suspects) == ([], ["N1"])
    assert "N1" in rig.hosts, "nothing is moved yet"
    rig.pulse("N1")
    assert rig.peers.copies("a") == ["N1"]
    rig.passes(LOST_S + 0.1)
    assert rig.hosts == {OWN}
    assert rig.peers.observed.lost["N1"].actors.keys() == {"a"}
    assert rig.peers.knows("a"), "callers wait for its replacement"
    rig.pulse("N1")
    assert "N1" in rig.hosts
    assert "N1" not in rig.peers.observed.lost


async def test_whoever_is_cut_off_accuses_nobody(rig: Rig) -> None:
    rig.beat("N1", "a")
    rig.pulse("N1")
    rig.wire.state = "disconnected"
    rig.passes(3600)
    assert rig.peers.copies("a") == ["N1"]
    rig.wire.state = "connected"
    for changed in rig.wire.states:
        changed("connected")
    rig.passes(SUSPECT_S - 0.1)
    assert rig.peers.copies("a") == ["N1"], "everybody has time to be heard again"
    rig.passes(LOST_S)
    assert rig.hosts == {OWN}


async def test_a_process_that_did_not_run_excuses_others(rig: Rig) -> None:
    rig.beat("N1")
    rig.pulse("N1")
    rig.now += 30
    rig.peers.excuse(29.9)
    rig.passes(0)
    assert "N1" in rig.hosts


async def test_another_run_of_a_host_forgets_what_the_last_one_was_asked(rig: Rig) -> None:
    rig.beat("N1", "a", boot="b1", revision=9)
    rig.peers.note_failure(Failure(host="N1", key="x", code="c", message="m"))
    rig.beat("N1", boot="b2", revision=1)
    assert rig.suspects == ["N1"]
    assert rig.peers.boot_of("N1") == "b2"
    assert not rig.peers.copies("a")
    assert rig.peers.observed.failures == {}


async def test_an_older_inventory_of_the_same_run_is_left(rig: Rig) -> None:
    rig.beat("N1", "a", "b", revision=5)
    rig.beat("N1", "a", revision=4)
    assert rig.peers.copies("b") == ["N1"]
    rig.beat("N1", "a", revision=6)
    assert not rig.peers.copies("b")


async def test_clocks_of_others_do_not_matter(rig: Rig) -> None:
    for time in ("1970-01-01T00:00:00Z", "2999-12-31T23:59:59Z", "yesterday", ""):
        data = json.loads(messages.encode(Inventory(host_id="N1", boot="b1")))
        event = {"type": "com.wasmcloud.lattice.host_heartbeat", "source": "N1", "data": data, "time": time}
        rig.receive("wasmbus.evt.test.*", json.dumps(event).encode())
        rig.pulse("N1")
        rig.passes(1.0)
        assert "N1" in rig.hosts
    rig.passes(LOST_S)
    assert rig.hosts == {OWN}


async def test_draining_and_stopping_are_known_at_once(rig: Rig) -> None:
    rig.beat("N1", "a")
    rig.beat("N2", "a")
    rig.pulse("N1", draining=True)
    assert rig.peers.copies("a") == ["N2"]
    rig.event("host_stopped", "N1", {"labels": {}})
    assert rig.hosts == {OWN, "N2"}
    assert rig.suspects == ["N1"]


async def test_the_near_copy_comes_first_and_the_failing_one_last(rig: Rig) -> None:
    rig.beat("N1", "a", zone="far", cloud="y")
    rig.beat("N2", "a", zone="b", cloud="x")
    rig.beat("N3", "a", zone="a", cloud="x")
    assert all(list(rig.peers.copies("a")) == ["N3", "N2", "N1"] for _ in range(6))
    rig.peers.avoid("N3")
    assert list(rig.peers.copies("a")) == ["N2", "N1", "N3"]
    rig.now += 1.1
    assert next(iter(rig.peers.copies("a"))) == "N3"


async def test_equal_copies_take_turns(rig: Rig) -> None:
    for host in ("N1", "N2", "N3"):
        rig.beat(host, "a")
    assert {next(iter(rig.peers.copies("a"))) for _ in range(3)} == {"N1", "N2", "N3"}


async def test_hosts_of_other_kinds_send_no_pulses_and_have_longer(rig: Rig) -> None:
    """Their inventory has none of the additions."""
    data = {
        "host_id": "NWASMCLOUD",
        "friendly_name": "old",
        "labels": {"hostcore.os": "linux"},
        "version": "1.4.0",
        "uptime_human": "1m",
        "uptime_seconds": 60,
        "components": [
            {"id": "c", "image_ref": "r", "name": None, "annotations": None, "revision": 0, "max_instances": 5}
        ],
        "providers": [{"id": "p", "image_ref": "r", "name": "P", "revision": 0, "annotations": {"a": "b"}}],
        "max_linear_memory": 1,
    }
    rig.event("host_heartbeat", "NWASMCLOUD", data)
    rig.passes(60)
    assert rig.peers.observed.hosts["NWASMCLOUD"].actors["c"].count == 5
    rig.passes(60)
    assert rig.hosts == {OWN}


async def test_a_failure_that_is_told_is_counted_until_it_ends(rig: Rig) -> None:
    told = {"component_id": "x", "error": "no", "code": "artifact", "remedy": "yes", "fingerprint": "f"}
    for _ in range(3):
        rig.event("component_scale_failed", "N1", told)
    failure = rig.peers.observed.failures["N1", "x"]
    assert (failure.attempts, failure.message, failure.code, failure.remedy) == (3, "no", "artifact", "yes")
    rig.event("component_scale_failed", "N1", {**told, "fingerprint": "g"})
    assert rig.peers.observed.failures["N1", "x"].attempts == 1
    rig.peers.clear_failure("N1", "x")
    assert rig.peers.observed.failures == {}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[" * 10_000,
        b"{}",
        b'{"type":"com.wasmcloud.lattice.host_heartbeat","source":"N1"}',
        b'{"type":"com.wasmcloud.lattice.host_heartbeat","source":"N1","data":{"host_id":"a b"}}',
        b'{"type":"com.wasmcloud.lattice.host_heartbeat","source":"N1","data":{"host_id":""}}',
        b'{"type":"com.wasmcloud.lattice.host_heartbeat","source":"N1","data":{"host_id":"N1","components":[{}]}}',
        b'{"type":"com.wasmcloud.lattice.host_started","source":"N1","data":{"labels":{},"friendly_name":"x"}}',
        b'{"type":"com.wasmcloud.lattice.host_stopped","source":"NNOBODY","data":null}',
        b'{"type":"com.wasmcloud.lattice.component_scale_failed","source":"N1","data":[1]}',
        b'{"type":"com.wasmcloud.lattice.component_scale_failed","source":"N1","data":{"component_id":5}}',
        b'{"type":"com.example.thing","source":"N1","data":{"host_id":"N1"}}',
        b'{"type":"com.wasmcloud.lattice.host_stopped","source":"NOWN","data":{}}',
    ],
    ids=lambda value: repr(value[-40:]),
)
async def test_foreign_events_do_no_harm(rig: Rig, payload: bytes) -> None:
    rig.receive("wasmbus.evt.test.*", payload)
    rig.receive("nanolattice.test.pulse", payload)
    assert rig.hosts == {OWN}
    assert rig.peers.observed.failures == {}


async def test_made_up_hosts_are_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "HOSTS_MAX", 50)
    for number in range(200):
        rig.pulse(f"N{number}")
    assert len(rig.hosts) == 51
    rig.passes(LOST_S + 1)
    assert rig.hosts == {OWN}


async def test_an_inventory_that_did_not_come_is_asked_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "INVENTORY_WAIT_S", 0.0)
    rig.beat("N1", "a", revision=1)
    rig.pulse("N1", revision=1)
    await asyncio.sleep(0.02)
    assert rig.wire.asked == []
    rig.pulse("N1", revision=2)
    rig.pulse("N1", revision=2)
    async with asyncio.timeout(5):
        while not rig.wire.asked:
            await asyncio.sleep(0.005)
    assert rig.wire.asked == ["wasmbus.ctl.v1.test.host.get.N1"]
