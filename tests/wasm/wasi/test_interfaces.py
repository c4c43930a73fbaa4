"""The interfaces are whole, and what one instance holds is bounded and freed."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from lattice import errors
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi import instance as instances
from lattice.wasm.wasi.instance import Grants
from lattice.wasm.wasi.interfaces import INTERFACES
from tests.support.wasi import WasiGuest, settle

LINES = (Path(__file__).parent / "names.txt").read_text().splitlines()


def test_every_function_and_resource_of_wasi_is_here_under_its_name() -> None:
    wanted = {tuple(line.split(" ", 1)) for line in LINES if not line.startswith("#")}
    packages = {interface.partition("/")[0] for interface, _ in wanted}
    here = {
        (interface.name, name)
        for interface in INTERFACES.values()
        if interface.name.partition("/")[0] in packages
        for name in (*interface.functions, *interface.plain, *(f"resource {name}" for name in interface.resources))
    }
    assert here == wanted


def test_an_unknown_interface_or_function_is_none() -> None:
    guest = WasiGuest()
    assert guest.host.function("wasi:nothing/here", "f") is None
    assert guest.host.function("wasi:io/streams", "f") is None
    assert not guest.host.resource("wasi:io/streams", "pollable")
    assert guest.host.resource("wasi:io/poll", "pollable")


async def test_an_instance_holds_a_bounded_number_of_resources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "RESOURCES_MAX", 10)
    guest = WasiGuest()
    held = [guest.now("wasi:http/types", "[constructor]fields") for _ in range(10)]
    with pytest.raises(errors.GuestError, match="holds 10 resources"):
        guest.now("wasi:http/types", "[constructor]fields")
    guest.drop(held.pop())
    guest.now("wasi:http/types", "[constructor]fields")
    guest.host.close()
    assert guest.host.held == 0


async def test_closing_ends_the_work_beside_the_guest() -> None:
    guest = WasiGuest()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    guest.host.start(work())
    await settle()
    guest.host.close()
    await settle()
    assert ended.is_set()
    assert guest.host.working == 0


async def test_what_a_guest_prints_goes_to_the_log_whole_lines_first(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lattice.actor")
    guest = WasiGuest()
    out = guest.now("wasi:cli/stdout", "get-stdout")
    err = guest.now("wasi:cli/stderr", "get-stderr")
    await guest.write_all(out, b"one\ntw")
    assert [record.message for record in caplog.records] == ["one"]
    await guest.good("wasi:io/streams", "[method]output-stream.blocking-write-and-flush", err, b"careful\n")
    await guest.write_all(out, b"o")
    guest.host.close()
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "one"),
        ("WARNING", "careful"),
        ("INFO", "two"),
    ]


def test_environment_and_arguments_are_what_was_granted() -> None:
    guest = WasiGuest(grants=Grants(environment=(("A", "1"),), arguments=("run", "-v")))
    assert guest.now("wasi:cli/environment", "get-environment") == [("A", "1")]
    assert guest.now("wasi:cli/environment", "get-arguments") == ["run", "-v"]
    assert guest.now("wasi:cli/environment", "initial-cwd") is None
    assert WasiGuest().now("wasi:cli/environment", "get-environment") == []


@pytest.mark.parametrize(("status", "code"), [(Ok(), 0), (Err(), 1)])
def test_exit_ends_the_guest_and_leaves_its_code(status: Ok | Err, code: int) -> None:
    guest = WasiGuest()
    with pytest.raises(errors.GuestTrapped):
        guest.now("wasi:cli/exit", "exit", status)
    assert guest.host.exit_code == code


async def test_there_is_nothing_to_read_and_no_terminal() -> None:
    guest = WasiGuest()
    assert await guest.read_all(guest.now("wasi:cli/stdin", "get-stdin")) == b""
    for name in ("stdin", "stdout", "stderr"):
        assert guest.now(f"wasi:cli/terminal-{name}", f"get-terminal-{name}") is None


def test_random_bytes_come_in_the_amount_asked_for_up_to_a_limit() -> None:
    guest = WasiGuest()
    first, second = (guest.now("wasi:random/random", "get-random-bytes", 32) for _ in range(2))
    assert len(first) == 32
    assert first != second
    assert 0 <= guest.now("wasi:random/random", "get-random-u64") < 2**64
    assert len(guest.now("wasi:random/insecure", "get-insecure-random-bytes", 3)) == 3
    assert len(guest.now("wasi:random/insecure-seed", "insecure-seed")) == 2
    with pytest.raises(errors.GuestProtocolError, match="random bytes"):
        guest.now("wasi:random/random", "get-random-bytes", 2**40)


def test_sockets_are_refused_and_the_refusal_is_told() -> None:
    guest = WasiGuest()
    network = guest.now("wasi:sockets/instance-network", "instance-network")
    assert guest.now("wasi:sockets/tcp-create-socket", "create-tcp-socket", "ipv4") == Err("access-denied")
    assert guest.now("wasi:sockets/udp-create-socket", "create-udp-socket", "ipv6") == Err("access-denied")
    lookup = guest.now("wasi:sockets/ip-name-lookup", "resolve-addresses", network, "example.com")
    assert lookup == Err("access-denied")
    assert [what for what, _ in guest.refusals] == [
        "wasi:sockets tcp-socket",
        "wasi:sockets udp-socket",
        "wasi:sockets resolve-addresses 'example.com'",
    ]
