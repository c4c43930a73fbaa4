"""Arbitrary and mutated bytes in arbitrary pieces, sent to a live server on uvloop in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice import wire
from lattice.bodies import pieces
from lattice.contracts.httpserver import HttpResponse
from lattice.invocation import Invocation
from tests.providers.http_corpus.heads import CASES
from tests.providers.http_server_client import WAIT_S, Served, get, post, serving

QUIET_S = 0.02
"""The server is on the same machine and answers within a millisecond: what has not come by then is not coming."""


SETTINGS = {
    "body_bytes_max": "5000",
    "header_bytes_max": "8192",
    "header_timeout": "0.4",
    "body_timeout": "0.4",
    "idle_timeout": "0.4",
}


@dataclass
class Live:
    port: int
    served: Served
    loop: asyncio.AbstractEventLoop


async def in_pieces(call: Invocation) -> bytes:
    """Reads the body as it comes, wherever it is, and answers with its size."""
    bodies = call.bodies
    assert bodies is not None
    size = 0
    if bodies.request is not None:
        async for piece in pieces(bodies.request, 7):
            size += len(piece)
    return wire.encode(HttpResponse(body=f"{size}".encode()))


@pytest.fixture(scope="module", params=["whole", "in pieces"])
def live(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Live]:
    handler = in_pieces if request.param == "in pieces" else None
    ready = threading.Event()
    found: list[Live] = []
    ends: list[asyncio.Event] = []

    async def main(data: Path) -> None:
        async with serving(data, in_pieces=handler, **SETTINGS) as served:
            ends.append(asyncio.Event())
            found.append(Live(served.port, served, asyncio.get_running_loop()))
            ready.set()
            await ends[0].wait()

    failures: list[logging.LogRecord] = []
    watching = logging.Handler(logging.ERROR)
    watching.emit = failures.append  # type: ignore[method-assign]
    logging.getLogger().addHandler(watching)
    thread = threading.Thread(target=lambda: uvloop.run(main(tmp_path_factory.mktemp("fuzz"))))
    thread.start()
    assert ready.wait(WAIT_S)
    with patch("lattice_http_server.reader.WHOLE_BYTES_MAX", 20):
        yield found[0]
    found[0].loop.call_soon_threadsafe(ends[0].set)
    thread.join(WAIT_S)
    assert not thread.is_alive()
    logging.getLogger().removeHandler(watching)
    assert not [record.getMessage() for record in failures]


def talk(port: int, pieces: list[bytes]) -> bytes:
    """Sends the pieces, waits until no more comes back, hangs up; returns all that came until the server closed."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
        connection.settimeout(QUIET_S)
        with contextlib.suppress(ConnectionError, TimeoutError):
            while data := connection.recv(65536):
                received += data
        connection.settimeout(WAIT_S)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(65536):
                received += data
    return received


def responses(received: bytes) -> int:
    """How many whole responses these bytes are; anything else among them is a failure."""
    count = 0
    while received:
        head, end, rest = received.partition(b"\r\n\r\n")
        assert end, f"half a response: {received!r}"
        first, *lines = head.split(b"\r\n")
        version, status, _ = first.split(b" ", 2)
        assert version == b"HTTP/1.1"
        headers = dict(line.split(b": ", 1) for line in lines)
        length = int(headers.get(b"content-length", b"0"))
        assert len(rest) >= length
        received = rest[length:]
        count += 200 <= int(status) < 600
    return count


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(at)]


SEEDS = [case.data for case in CASES] + [get("/a"), post(b"body" * 50), get() * 5]
NOISE = st.sampled_from([b"\r", b"\n", b"\r\n\r\n", b"\0", b":", b" ", b"\xff", b"0", b"HTTP/1.1", b"chunked", b"GET "])


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = b"".join(draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=4)))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.integers(0, 8))
        data = data[:start] + draw(NOISE | st.binary(max_size=12)) + data[end:]
    return data


@settings(deadline=None, max_examples=300)
@given(data=mutated() | st.binary(max_size=400), places=st.lists(st.integers(0, 4000), max_size=12))
def test_no_bytes_in_any_pieces_break_the_server(live: Live, data: bytes, places: list[int]) -> None:
    # A response takes a request, and a request a line with a version of HTTP (0.9 needs none, and gets one refusal).
    count = responses(talk(live.port, cut(data, places)))
    assert count <= data.upper().count(b"HTTP/") + data.upper().count(b"ICE/") + 1
    assert responses(talk(live.port, [get("/after", "Connection: close")])) == 1


@settings(deadline=None, max_examples=60)
@given(data=mutated(), places=st.lists(st.integers(0, 4000), max_size=12))
def test_a_good_request_is_answered_after_any_bytes_elsewhere(live: Live, data: bytes, places: list[int]) -> None:
    talk(live.port, cut(data, places))
    with socket.create_connection(("127.0.0.1", live.port), timeout=WAIT_S) as connection:
        connection.sendall(get("/after"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


@settings(deadline=None, max_examples=25)
@given(data=st.lists(mutated(), min_size=8, max_size=8))
def test_connections_dropped_after_any_bytes_leave_nothing(live: Live, data: list[bytes]) -> None:
    opened = [socket.create_connection(("127.0.0.1", live.port), timeout=WAIT_S) for _ in data]
    for connection, some in zip(opened, data, strict=True):
        connection.sendall(some)
    for connection in opened:
        connection.close()
    deadline = time.monotonic() + WAIT_S
    while live.served.service.connections:
        assert time.monotonic() < deadline, "a connection outlives its client"
        time.sleep(0.01)
    assert live.served.service.bodies_bytes == 0
    assert live.served.running == 0


@settings(deadline=None, max_examples=3)
@given(data=st.lists(mutated(), min_size=30, max_size=30))
def test_connections_left_alone_after_any_bytes_are_closed(live: Live, data: list[bytes]) -> None:
    opened = [socket.create_connection(("127.0.0.1", live.port), timeout=WAIT_S) for _ in data]
    for connection, some in zip(opened, data, strict=True):
        connection.sendall(some)
    for connection in opened:
        with connection, contextlib.suppress(ConnectionError):
            while connection.recv(65536):
                pass
