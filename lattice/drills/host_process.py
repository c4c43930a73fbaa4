"""One `lattice host` as a child process, and the ways in which it can end."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lattice import errors
from lattice.child import end_with_parent

READY_S_MAX = 60.0
"""Until it has joined; the first on a machine compiles."""
STOP_S_MAX = 40.0
"""A host drains for at most 30 s."""
KILL_S_MAX = 10.0
LOOK_S = 0.05
LOG_TAIL_BYTES = 1000
KEPT_VARIABLES = ("LATTICE_CACHE", "LATTICE_DEBUG")
"""Other settings of whoever runs a drill are not those of its hosts."""


class HostProcess:
    """A host named `name` in `cloud`, which is one of its labels. Its data and its log are in `folder`/`name`."""

    def __init__(
        self, name: str, cloud: str, labels: Mapping[str, str], urls: Sequence[str], lattice: str, folder: Path
    ) -> None:
        self.name = name
        self.cloud = cloud
        self.labels = {"cloud": cloud, **labels}
        self.key = ""
        """What the lattice knows it by; the same after each start."""
        self.folder = folder / name
        self._command = [
            *(sys.executable, "-m", "lattice", "host", "--nats", ",".join(urls), "--lattice", lattice, "--name", name),
            *itertools.chain.from_iterable(("--label", f"{key}={value}") for key, value in self.labels.items()),
            *("--data", str(self.folder), "-o", "json", "--trust", "any", "--allow-unsigned"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        return self._process.pid if self._process is not None and self.running else 0

    async def start(self, ready_s_max: float = READY_S_MAX) -> None:
        """Returns when it has joined; at once when it runs. Raises `errors.ConfigError` with the end of its log when it
        does not join in time."""
        if self.running:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        said = self.folder / "ready.json"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LATTICE_")}
        environment |= {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}
        with open(said, "wb") as out, open(self.folder / "host.log", "ab") as log:  # noqa: ASYNC230  # takes no time
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603  # does not wait; this program
                self._command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=environment,
                preexec_fn=end_with_parent(), start_new_session=True,
            )  # fmt: skip
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ready_s_max
        try:
            while not (key := _host_id(said)):
                if not self.running or loop.time() > deadline:
                    why = f"within {ready_s_max:g} s" if self.running else "and ended"
                    raise errors.ConfigError(
                        f"the host {self.name} did not join {why}: {self.last_words()}",
                        remedy=f"its log is {self.folder / 'host.log'}",
                    )
                await asyncio.sleep(LOOK_S)
        except BaseException:
            self.kill()
            raise
        self.key = key

    def kill(self) -> None:
        """kill -9: nothing is flushed, nobody is told. Does nothing when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(KILL_S_MAX)

    def pause(self) -> None:
        """It keeps its connections and says nothing any more."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    async def stop(self, stop_s_max: float = STOP_S_MAX) -> bool:
        """SIGTERM; False when it had to be killed."""
        process = self._process
        if process is None or not self.running:
            return True
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)  # a paused one takes no other signal
        loop = asyncio.get_running_loop()
        deadline = loop.time() + stop_s_max
        while self.running:
            if loop.time() > deadline:
                self.kill()
                return False
            await asyncio.sleep(LOOK_S)
        return True

    def last_words(self) -> str:
        """The end of its log."""
        try:
            text = (self.folder / "host.log").read_text(errors="replace")
        except OSError:
            return "it wrote no log"
        return text[-LOG_TAIL_BYTES:].strip() or "its log is empty"


def _host_id(file: Path) -> str:
    """The key in what a host prints when it has joined, "" before."""
    try:
        return str(json.loads(file.read_text())["host_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
