"""Real servers for tests: started on free ports of the loopback interface, watched, and ended by their process ids.

    with nats_server(folder) as nats:
        ...                         # nats.url
        nats.kill(); nats.start()   # gone without a word, then back on the same port with the same data

A server that this machine does not have skips the test and says which. Everything here is synchronous, so the same
function serves fixtures of any scope; a start takes 10 to 50 ms. Start servers from the main thread: where the system
can, a child is told to end with the thread that started it, so that a killed test run leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

START_S = 10.0
"""A start takes 50 ms alone; a machine shared by many builds may need a hundred times that."""
STOP_S = 5.0
"""From SIGTERM until SIGKILL."""
PORT_ATTEMPTS = 3
"""Somebody else may take a free port between the look and the start."""


class Server:
    """One child process that listens on `port` and keeps its data and its log (`server.log`) in `folder`.

    `serves` gets a connected socket and the process id; it says whether the right server answers. A port can be held
    by an orphan of another run, which would look alive.
    """

    def __init__(
        self, scheme: str, command: list[str], port: int, folder: Path, serves: Callable[[socket.socket, int], bool]
    ) -> None:
        self.port = port
        self.folder = folder
        self.url = f"{scheme}://127.0.0.1:{port}"
        self._command = [*_tied_to_parent(), *command]
        self._serves = serves
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"the server of {self.url} is not running"
        return self._process.pid

    def start(self) -> None:
        """Returns when the server answers; raises `RuntimeError` with its log when it ended or took too long."""
        assert self._process is None, f"the server of {self.url} already runs"
        with open(self.folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while not self._answers():
            ended = self._process.poll()
            if ended is not None or time.monotonic() > deadline:
                self.kill()
                why = "took too long to start" if ended is None else f"ended with status {ended}"
                log_tail = (self.folder / "server.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self._command}: {why}\n{log_tail}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return self._serves(connection, self.pid)
        except OSError:
            return False

    def stop(self) -> None:
        """Asks it to end and waits; does nothing when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a crash does: at once, nothing flushed. Does nothing when it does not run."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)

    def pause(self) -> None:
        """The server keeps its connections and says nothing any more, as behind a broken network."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        # The signal takes effect when the process next runs, and on a busy machine it may answer a few calls until
        # then. It cannot refuse, so this ends.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_program(name: str) -> str:
    """Where a server's program is: beside this Python (wheels bring some) or on the path. Skips the test without it."""
    own = Path(sysconfig.get_path("scripts")) / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed on this machine")
    return found


@contextmanager
def running(make: Callable[[int], Server]) -> Iterator[Server]:
    """Starts what `make(port)` describes and ends it; tries another port when the first was taken meanwhile."""
    for attempt in range(PORT_ATTEMPTS):
        server = make(free_port())
        try:
            server.start()
        except RuntimeError:
            if attempt == PORT_ATTEMPTS - 1:
                raise
            continue
        try:
            yield server
        finally:
            server.stop()
        return


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[Server]:
    """A redis-server; every write is on disk before it is acknowledged. `options` are added to its command line."""
    program = find_program("redis-server")

    def make(port: int) -> Server:
        durable = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")
        place = ("--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder))
        return Server("redis", [program, *place, *durable, *options], port, folder, _redis_serves)

    with running(make) as server:
        yield server


@contextmanager
def nats_server(folder: Path, config: str = "", *, jetstream: bool = True, domain: str = "") -> Iterator[Server]:
    """A nats-server with a JetStream store under `folder`; `config` is added to its configuration file."""
    program = find_program("nats-server")

    def make(port: int) -> Server:
        file = folder / "nats.conf"
        # Short pings: a lost client is noticed in seconds, as a lattice needs it.
        lines = [f'listen: "127.0.0.1:{port}"', f'server_name: "test-{port}"', 'ping_interval: "2s"', "ping_max: 2"]
        if jetstream:
            store = f"store_dir: {json.dumps(str(folder / 'jetstream'))}, sync_interval: always"
            lines.append(f"jetstream {{ {store}{f', domain: {domain}' if domain else ''} }}")
        file.write_text("\n".join([*lines, config, ""]))

        def serves(connection: socket.socket, _pid: int) -> bool:
            kind, _, text = connection.makefile("rb").readline().partition(b" ")
            if kind != b"INFO":
                return False
            info = json.loads(text)
            return info.get("server_name") == f"test-{port}" and bool(info.get("jetstream")) == jetstream

        return Server("nats", [program, "-c", str(file)], port, folder, serves)

    with running(make) as server:
        yield server


def _redis_serves(connection: socket.socket, pid: int) -> bool:
    connection.sendall(b"INFO server\r\n")
    answer = b""
    # Until the data is loaded the answer is an error line; a complete one ends with an empty line.
    while not answer.startswith(b"-") and not answer.endswith(b"\r\n\r\n"):
        part = connection.recv(65536)
        if not part:
            return False
        answer += part
    return f"process_id:{pid}\r\n".encode() in answer


def _tied_to_parent() -> list[str]:
    """A command prefix that makes the kernel end the child with its parent; the process id stays the child's."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []
