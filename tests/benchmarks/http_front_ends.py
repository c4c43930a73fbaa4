"""What a request costs in several HTTP servers for Python, the provider's own among them.

    python tests/benchmarks/http_front_ends.py [--seconds 3] [--rounds 2] [--only NAME,NAME]

Each server answers "hello" in a process of its own on one core; the load (wrk, 32 connections) comes from another. The
servers take turns, so that a noisy minute hits all of them. Prints the best round of each, as other work on the machine
only takes away: requests per second, and the processor time that the server takes for one request, kernel included. The
second is the steadier one, and `ratio` compares it with that of an aiohttp application. `provider` is the whole of
lattice_http_server with a handler in place of the actor: routing, MessagePack both ways, limits.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

CONNECTIONS = 32
ANSWER_S = 20.0
"""What takes longer is an error. The slowest that is measured has as many connections to answer, at a few a second on a
busy machine."""
START_S = 15.0
BODY = b"hello"


async def serve_aiohttp_application(port: int) -> None:
    from aiohttp import web

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(body=BODY, content_type="text/plain")

    application = web.Application()
    application.router.add_get("/", hello)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


async def serve_aiohttp_low_level(port: int) -> None:
    from aiohttp import web

    async def hello(_request: web.BaseRequest) -> web.Response:
        return web.Response(body=BODY, content_type="text/plain")

    runner = web.ServerRunner(web.Server(hello, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


async def serve_granian(port: int) -> None:
    from granian.constants import Interfaces
    from granian.server.embed import Server

    async def application(_scope: Any, protocol: Any) -> None:
        protocol.response_bytes(200, [("content-type", "text/plain")], BODY)

    await Server(application, address="127.0.0.1", port=port, interface=Interfaces.RSGI, log_enabled=False).serve()


async def serve_llhttp(port: int) -> None:
    import httptools

    answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)

    class Hello(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            self.parser = httptools.HttpRequestParser(self)

        def data_received(self, data: bytes) -> None:
            self.parser.feed_data(data)

        def on_url(self, url: bytes) -> None:
            self.url = url

        def on_message_complete(self) -> None:
            self.transport.write(answer)

    server = await asyncio.get_running_loop().create_server(Hello, "127.0.0.1", port)
    await server.serve_forever()


async def serve_provider(port: int) -> None:
    from lattice_http_server import HttpServer

    from lattice import wire
    from lattice.contracts.httpserver import CONTRACT, HttpResponse
    from lattice.links import Link
    from lattice.provider import Context, validated

    reply = wire.encode(HttpResponse(status_code=200, header={"content-type": ["text/plain"]}, body=BODY))

    async def handler(_invocation: Any) -> bytes:
        return reply

    provider = HttpServer(validated(HttpServer.settings_type, {"address": f"127.0.0.1:{port}"}, "benchmark"))
    log = logging.getLogger("benchmark")
    provider.context = Context("V", Path(tempfile.gettempdir()), log, handler, sys.exit)
    await provider.start()
    await provider.route_link(Link("V", "M", CONTRACT.id))
    await asyncio.Event().wait()


SERVERS: dict[str, Callable[[int], Coroutine[Any, Any, None]]] = {
    "aiohttp-application": serve_aiohttp_application,
    "aiohttp-low-level": serve_aiohttp_low_level,
    "granian": serve_granian,
    "llhttp-bare": serve_llhttp,
    "provider": serve_provider,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_open(port: int, server: subprocess.Popen[bytes], within_s: float = START_S) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"the server on port {port} did not start within {within_s:g} s")


def load(port: int, seconds: float, pipelined: int) -> tuple[float, int]:
    """(requests per second, requests) that wrk gets through."""
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds:.0f}s",
        f"--timeout={ANSWER_S:.0f}s",
        f"http://127.0.0.1:{port}/",
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        if pipelined > 1:
            script.write(
                f"init = function() r = string.rep(wrk.format(), {pipelined}) end\nrequest = function() return r end\n"
            )
            script.flush()
            command[1:1] = ["-s", script.name]
        output = subprocess.run(pinned(command, last_core()), capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"wrk met errors:\n{output}")
    found = re.search(r"(\d+) requests in .*Requests/sec:\s+([\d.]+)", output, re.DOTALL)
    assert found is not None, output
    return float(found[2]), int(found[1])


def last_core() -> int:
    return max(os.sched_getaffinity(0))


def pinned(command: list[str], core: int) -> list[str]:
    return ["taskset", "-c", str(core), *command] if shutil.which("taskset") else command


def cpu_seconds(process: int) -> float:
    """User and system time of a process so far, all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(name: str, seconds: float, pipelined: int) -> tuple[float, float]:
    """(requests per second, microseconds of processor time for each)."""
    port = free_port()
    command = [sys.executable, __file__, "--serve", name, "--port", str(port)]
    server = subprocess.Popen(pinned(command, min(os.sched_getaffinity(0))))
    try:
        wait_until_open(port, server)
        load(port, 1, pipelined)
        before = cpu_seconds(server.pid)
        rate, requests = load(port, seconds, pipelined)
        return rate, (cpu_seconds(server.pid) - before) / requests * 1e6
    finally:
        server.kill()
        server.wait(timeout=5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--pipelined", type=int, default=1, help="requests that a connection sends at once")
    parser.add_argument("--only", default=",".join(SERVERS), help=f"of {', '.join(SERVERS)}")
    parser.add_argument("--serve", choices=sorted(SERVERS), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        import uvloop

        uvloop.run(SERVERS[options.serve](options.port))
        return
    if shutil.which("wrk") is None:
        raise SystemExit("this needs wrk, the load generator, on the PATH")
    names = [name for name in options.only.split(",") if name in SERVERS]
    if "granian" in names and importlib.util.find_spec("granian") is None:
        print("granian is left out: it is not installed")
        names.remove("granian")
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            results[name].append(measure(name, options.seconds, options.pipelined))
    cost = {name: min(cpu for _, cpu in rounds) for name, rounds in results.items()}
    unit = cost.get("aiohttp-application") or max(cost.values())
    print(f"{'server':22} {'requests/s':>11} {'cpu us':>7} {'ratio':>6}   rounds")
    for name, rounds in results.items():
        rate = max(rate for rate, _ in rounds)
        each = " ".join(f"{rate:,.0f}/{cpu:.1f}" for rate, cpu in rounds)
        print(f"{name:22} {rate:>11,.0f} {cost[name]:>7.1f} {unit / cost[name]:>6.2f}   {each}")


if __name__ == "__main__":
    main()
