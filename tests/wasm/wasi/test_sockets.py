"""wasi:sockets with grants: real connections and datagrams on the loopback interface, as a guest makes them."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from lattice import endpoints
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.guest import LOOKING_UP_MAX
from lattice.wasm.wasi.instance import Grants
from lattice.wasm.wasi.sockets import LOOKUPS_MAX, SOCKETS_MAX
from tests.support.servers import free_port
from tests.support.wasi import WasiGuest

TCP, CREATE = "wasi:sockets/tcp", "wasi:sockets/tcp-create-socket"
UDP, CREATE_UDP = "wasi:sockets/udp", "wasi:sockets/udp-create-socket"
LOOKUP, STREAMS, POLL = "wasi:sockets/ip-name-lookup", "wasi:io/streams", "wasi:io/poll"
ANYWHERE = ("ipv4", (0, (0, 0, 0, 0)))
WAIT_S = 20.0


def here(port: int) -> tuple[str, Any]:
    return ("ipv4", (port, (127, 0, 0, 1)))


Guest = Callable[..., WasiGuest]


@pytest.fixture
def guest() -> Iterator[Guest]:
    made: list[WasiGuest] = []

    def make(*granted: str) -> WasiGuest:
        made.append(WasiGuest(grants=Grants(sockets=tuple(endpoints.parse(place) for place in granted))))
        return made[-1]

    yield make
    for one in made:
        one.host.close()


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """A server that sends back what it gets, and ends when the other side does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def wait(of: WasiGuest, interface: str, resource: str, what: Any) -> None:
    pollable = of.now(interface, f"[method]{resource}.subscribe", what)
    async with asyncio.timeout(WAIT_S):
        await of.call(POLL, "[method]pollable.block", pollable)


async def connect(of: WasiGuest, port: int) -> tuple[Any, Any, Any]:
    network = of.now("wasi:sockets/instance-network", "instance-network")
    tcp = of.ok(CREATE, "create-tcp-socket", "ipv4")
    of.ok(TCP, "[method]tcp-socket.start-connect", tcp, network, here(port))
    while (answer := of.now(TCP, "[method]tcp-socket.finish-connect", tcp)) == Err("would-block"):
        await wait(of, TCP, "tcp-socket", tcp)
    assert isinstance(answer, Ok), answer
    return (tcp, *answer.value)


async def test_what_is_sent_comes_back_however_much_it_is(guest: Guest, echo: int) -> None:
    of = guest(f"tcp://127.0.0.1:{echo}")
    tcp, incoming, outgoing = await connect(of, echo)
    assert of.ok(TCP, "[method]tcp-socket.remote-address", tcp) == here(echo)
    assert of.ok(TCP, "[method]tcp-socket.local-address", tcp)[1][1] == (127, 0, 0, 1)
    sent = hashlib.sha256()
    got = hashlib.sha256()

    async def send() -> None:
        for number in range(1000):
            data = bytes([number % 251]) * 4096
            sent.update(data)
            await of.good(STREAMS, "[method]output-stream.blocking-write-and-flush", outgoing, data)
        of.ok(TCP, "[method]tcp-socket.shutdown", tcp, "send")

    async def receive() -> None:
        while True:
            answer = await of.call(STREAMS, "[method]input-stream.blocking-read", incoming, 100_000)
            if isinstance(answer, Err):
                assert answer.value == ("closed", None)
                return
            got.update(answer.value)

    async with asyncio.timeout(WAIT_S * 3):
        await asyncio.gather(send(), receive())
    assert got.digest() == sent.digest()
    system = tcp.system
    for resource, held in (("input-stream", incoming), ("output-stream", outgoing)):
        of.host.drop(STREAMS, resource, held)
        assert system.fileno() >= 0
    of.host.drop(TCP, "tcp-socket", tcp)
    assert system.fileno() < 0


async def test_what_was_not_granted_is_refused_and_told(guest: Guest, echo: int) -> None:
    of = guest(f"tcp://127.0.0.1:{echo}", "udp://127.0.0.1:9")
    network = of.now("wasi:sockets/instance-network", "instance-network")
    tcp = of.ok(CREATE, "create-tcp-socket", "ipv4")
    for address in (here(echo + 1 if echo < 65535 else 1), ("ipv4", (echo, (127, 0, 0, 2)))):
        assert of.now(TCP, "[method]tcp-socket.start-connect", tcp, network, address) == Err("access-denied")
    assert of.now(TCP, "[method]tcp-socket.start-bind", tcp, network, here(0)) == Err("access-denied")
    assert of.now(TCP, "[method]tcp-socket.start-listen", tcp) == Err("access-denied")
    assert of.now(LOOKUP, "resolve-addresses", network, "localhost") == Err("access-denied")
    told = [what for what, _ in of.refusals]
    assert told[1] == f"wasi:sockets tcp://127.0.0.2:{echo}"
    assert len(told) == 5


async def test_an_address_in_other_clothes_is_what_it_is(guest: Guest, echo: int) -> None:
    of = guest(f"tcp://[::1]:{echo}")
    network = of.now("wasi:sockets/instance-network", "instance-network")
    tcp = of.ok(CREATE, "create-tcp-socket", "ipv6")
    mapped = tuple(
        int.from_bytes(ipaddress.ip_address("::ffff:127.0.0.1").packed[at : at + 2]) for at in range(0, 16, 2)
    )
    address = ("ipv6", (echo, 0, mapped, 0))
    assert of.now(TCP, "[method]tcp-socket.start-connect", tcp, network, address) == Err("invalid-argument")
    for wrong in (("ipv6", (0, 0, (0,) * 7 + (1,), 0)), ("ipv6", (echo, 0, (0,) * 8, 0)), here(echo)):
        assert of.now(TCP, "[method]tcp-socket.start-connect", tcp, network, wrong) == Err("invalid-argument")


async def test_a_name_that_was_granted_is_looked_up_and_then_reached(guest: Guest, echo: int) -> None:
    of = guest(f"tcp://localhost:{echo}")
    network = of.now("wasi:sockets/instance-network", "instance-network")
    tcp = of.ok(CREATE, "create-tcp-socket", "ipv4")
    before = of.now(TCP, "[method]tcp-socket.start-connect", tcp, network, here(echo))
    assert before == Err("access-denied"), "nobody has said yet that this is localhost"
    lookup = of.ok(LOOKUP, "resolve-addresses", network, "localhost")
    next_address = "[method]resolve-address-stream.resolve-next-address"
    while of.now(LOOKUP, next_address, lookup) == Err("would-block"):
        await wait(of, LOOKUP, "resolve-address-stream", lookup)
    assert of.now(TCP, "[method]tcp-socket.start-connect", tcp, network, here(echo)) == Ok(None)
    assert of.now(LOOKUP, "resolve-addresses", network, "example.org") == Err("access-denied")
    literal = of.ok(LOOKUP, "resolve-addresses", network, "127.0.0.1")
    assert of.ok(LOOKUP, next_address, literal) == ("ipv4", (127, 0, 0, 1))
    assert of.ok(LOOKUP, next_address, literal) is None


async def look_up(of: WasiGuest, name: str) -> Any:
    network = of.now("wasi:sockets/instance-network", "instance-network")
    lookup = of.ok(LOOKUP, "resolve-addresses", network, name)
    next_address = "[method]resolve-address-stream.resolve-next-address"
    while (answer := of.now(LOOKUP, next_address, lookup)) == Err("would-block"):
        await wait(of, LOOKUP, "resolve-address-stream", lookup)
    of.host.drop(LOOKUP, "resolve-address-stream", lookup)
    return answer


async def test_an_instance_that_lives_long_looks_names_up_as_long(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(1 << 20))

    def getaddrinfo(*_arguments: Any, **_more: Any) -> list[Any]:
        return [(None, None, 0, "", (str(ipaddress.IPv4Address((10 << 24) + next(numbers))), 0)) for _ in range(8)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    of = guest("tcp://localhost:*")
    for _ in range(300):
        assert isinstance(await look_up(of, "localhost"), Ok)
    reach = of.host.reach
    assert not reach.permits("tcp", ipaddress.ip_address("10.0.0.0"), 1), "what it meant long ago is forgotten"
    assert reach.permits("tcp", ipaddress.IPv4Address((10 << 24) + next(numbers) - 1), 1)


async def test_names_that_are_not_answered_keep_few_threads_of_the_host(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever answers for a name may take as long as the system waits. Calls end, and their lookups do not."""
    go_on, asked = threading.Event(), 0

    def getaddrinfo(*_arguments: Any, **_more: Any) -> list[Any]:
        nonlocal asked
        asked += 1
        go_on.wait(WAIT_S)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    of = guest("tcp://*:*")
    network = of.now("wasi:sockets/instance-network", "instance-network")
    try:
        for _ in range(3):
            for number in range(LOOKUPS_MAX):
                of.ok(LOOKUP, "resolve-addresses", network, f"slow{number}.example")
            full = of.now(LOOKUP, "resolve-addresses", network, "one.more.example")
            assert full == Err("temporary-resolver-failure")
            await asyncio.sleep(0.05)
            of.host.end()
            await asyncio.sleep(0.05)
        assert asked == LOOKING_UP_MAX
    finally:
        go_on.set()
    monkeypatch.undo()
    assert isinstance(await look_up(of, "localhost"), Ok)


async def test_a_connection_that_nobody_takes_says_so(guest: Guest) -> None:
    port = free_port()
    of = guest(f"tcp://127.0.0.1:{port}")
    network = of.now("wasi:sockets/instance-network", "instance-network")
    tcp = of.ok(CREATE, "create-tcp-socket", "ipv4")
    of.ok(TCP, "[method]tcp-socket.start-connect", tcp, network, here(port))
    while (answer := of.now(TCP, "[method]tcp-socket.finish-connect", tcp)) == Err("would-block"):
        await wait(of, TCP, "tcp-socket", tcp)
    assert answer == Err("connection-refused")
    assert of.now(TCP, "[method]tcp-socket.finish-connect", tcp) == Err("not-in-progress")
    assert of.now(TCP, "[method]tcp-socket.remote-address", tcp) == Err("invalid-state")


async def test_options_are_kept_and_their_units_are_those_of_wasi(guest: Guest) -> None:
    of = guest("tcp://127.0.0.1:1")
    tcp = of.ok(CREATE, "create-tcp-socket", "ipv4")
    for name, value in (
        ("keep-alive-enabled", True),
        ("keep-alive-idle-time", 90_000_000_000),
        ("keep-alive-interval", 7_000_000_000),
        ("keep-alive-count", 3),
        ("hop-limit", 12),
    ):
        of.ok(TCP, f"[method]tcp-socket.set-{name}", tcp, value)
        assert of.ok(TCP, f"[method]tcp-socket.{name}", tcp) == value
    assert of.now(TCP, "[method]tcp-socket.set-hop-limit", tcp, 0) == Err("invalid-argument")
    of.ok(TCP, "[method]tcp-socket.set-receive-buffer-size", tcp, 2**63)
    assert of.ok(TCP, "[method]tcp-socket.receive-buffer-size", tcp) > 0


async def test_an_instance_has_an_end_of_sockets_and_frees_them(guest: Guest, echo: int) -> None:
    of = guest("tcp://127.0.0.1:*", "udp://127.0.0.1:*")
    held = [of.ok(CREATE, "create-tcp-socket", "ipv4") for _ in range(SOCKETS_MAX - 1)]
    udp = of.ok(CREATE_UDP, "create-udp-socket", "ipv4")
    assert of.now(CREATE, "create-tcp-socket", "ipv4") == Err("new-socket-limit")
    of.host.drop(TCP, "tcp-socket", held.pop())
    tcp, *_streams = await connect(of, echo)
    systems = [one.system for one in (*held, udp, tcp)]
    of.host.close()
    assert all(system.fileno() < 0 for system in systems)


async def test_datagrams_go_and_come_from_whom_it_was_granted(guest: Guest) -> None:
    friend, stranger = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with friend, stranger:
        for one in (friend, stranger):
            one.bind(("127.0.0.1", 0))
            one.settimeout(WAIT_S)
        port, other = (one.getsockname()[1] for one in (friend, stranger))
        of = guest(f"udp://127.0.0.1:{port}")
        network = of.now("wasi:sockets/instance-network", "instance-network")
        udp = of.ok(CREATE_UDP, "create-udp-socket", "ipv4")
        assert of.now(UDP, "[method]udp-socket.stream", udp, None) == Err("invalid-state")
        of.ok(UDP, "[method]udp-socket.start-bind", udp, network, ANYWHERE)
        of.ok(UDP, "[method]udp-socket.finish-bind", udp)
        incoming, outgoing = of.ok(UDP, "[method]udp-socket.stream", udp, None)
        assert of.ok(UDP, "[method]outgoing-datagram-stream.check-send", outgoing) > 1
        send = "[method]outgoing-datagram-stream.send"
        assert of.ok(UDP, send, outgoing, [(b"one", here(port)), (b"two", here(port))]) == 2
        assert of.now(UDP, send, outgoing, [(b"three", here(other))]) == Err("access-denied")
        assert of.now(UDP, send, outgoing, [(b"nowhere", None)]) == Err("invalid-argument")
        data, address = friend.recvfrom(100)
        assert (data, friend.recvfrom(100)[0]) == (b"one", b"two")
        target = ("127.0.0.1", address[1])
        stranger.sendto(b"let me in", target)
        friend.sendto(b"hello", target)
        got: list[Any] = []
        while not got:
            await wait(of, UDP, "incoming-datagram-stream", incoming)
            got = of.ok(UDP, "[method]incoming-datagram-stream.receive", incoming, 10)
        assert got == [(b"hello", here(port))]
        assert len(of.refusals) == 1
        newer, _ = of.ok(UDP, "[method]udp-socket.stream", udp, here(port))
        assert of.now(UDP, "[method]incoming-datagram-stream.receive", incoming, 1) == Err("invalid-state")
        assert of.ok(UDP, "[method]incoming-datagram-stream.receive", newer, 1) == []
        assert of.ok(UDP, "[method]udp-socket.remote-address", udp) == here(port)
