"""The folder of one nats-server: who may use it, which process was left over in it, what the server wrote.

One process at a time owns a folder; the kernel takes the lock away from one that dies. A server in the folder of nobody
is an orphan: its parent was killed, and it did not end with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from lattice import errors

NAME = "nats-server"
LOG_BYTES_MAX = 8 * 1024 * 1024
"""Of the log; the server then begins another. At 100 bytes a line some days of a cluster that has trouble."""
LOG_FILES_MAX = 3


class ServerFolder:
    """Methods read and write small files, and block for that long."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.config = self.path / f"{NAME}.conf"
        self.log = self.path / f"{NAME}.log"
        self.said = self.path / f"{NAME}.out"
        """What the server says before it has a log, or when it breaks."""
        self._pid = self.path / f"{NAME}.pid"
        self._lock = -1

    def take(self) -> None:
        """Makes this process the owner until `release`. Raises `errors.ConfigError`."""
        if self._lock >= 0:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / f"{NAME}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise errors.ConfigError(f"{self.path} cannot be written: {error.strerror or error}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise errors.ConfigError(
                f"another process runs a nats-server in {self.path}",
                remedy="end it, or give this one a data folder of its own",
            ) from error
        self._lock = lock

    def release(self) -> None:
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def write(self, config: str) -> None:
        """Writes the configuration, for the owner's eyes: it may hold passwords. Raises `errors.ConfigError`."""
        kept = [
            f"log_file: {json.dumps(str(self.log))}",
            f"logfile_size_limit: {LOG_BYTES_MAX}",
            f"logfile_max_num: {LOG_FILES_MAX}",
            f"ports_file_dir: {json.dumps(str(self.path))}",
        ]
        try:
            for old in self.path.glob("*.ports"):
                old.unlink()
            self.config.unlink(missing_ok=True)
            handle = os.open(self.config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "w", encoding="utf-8") as file:
                file.write("\n".join([config, *kept, ""]))
        except OSError as error:
            raise errors.ConfigError(f"{self.path} cannot be written: {error.strerror or error}") from error

    def remember(self, pid: int) -> None:
        """Notes which process is the server. Raises `errors.ConfigError`."""
        try:
            self._pid.write_text(f"{pid}\n")
        except OSError as error:
            raise errors.ConfigError(f"{self._pid} cannot be written: {error.strerror or error}") from error

    def forget(self) -> None:
        with contextlib.suppress(OSError):
            self._pid.unlink(missing_ok=True)

    def orphan(self) -> int:
        """The process id of a server that still runs on this folder, 0 for none. For the owner of the folder only.

        Raises `errors.ConfigError` where it cannot be told whether the process is one.
        """
        try:
            pid = int(self._pid.read_text())
        except (OSError, ValueError):
            return 0
        if pid <= 0 or not _lives(pid):
            return 0
        if sys.platform == "linux":
            return pid if str(self.config) in _arguments(pid) else 0
        raise errors.ConfigError(
            f"process {pid} may be a nats-server that an earlier run left in {self.path}",
            remedy=f"end it if it is one; then remove {self._pid}",
        )

    def port(self, pid: int) -> int:
        """Where the server of this process id listens for clients; 0 while it does not."""
        for file in self.path.glob(f"*_{pid}.ports"):  # it begins with what the program is called
            with contextlib.suppress(OSError, ValueError, KeyError, IndexError, TypeError):
                return urlsplit(json.loads(file.read_text())["nats"][0]).port or 0
        return 0

    def last_words(self) -> str:
        """The line that says best why the server ended."""
        lines: list[str] = []
        for file in (self.log, self.said):
            with contextlib.suppress(OSError), open(file, "rb") as opened:
                opened.seek(max(0, file.stat().st_size - 4000))
                lines += opened.read().decode(errors="replace").splitlines()[-20:]
        wrong = [line for line in lines if "[FTL]" in line or f"{NAME}:" in line]
        wrong = wrong or [line for line in lines if "[ERR]" in line] or lines
        return wrong[-1].strip()[-300:] if wrong else "it wrote no log"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _arguments(pid: int) -> list[str]:
    """The command line of a process; nothing of one that has ended and was not reaped."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
