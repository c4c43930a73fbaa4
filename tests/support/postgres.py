"""A real PostgreSQL server for tests, in a folder of its own. It refuses to run as root, so root lends it a user."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.servers import Server, running

USER = "postgres"
"""The database's superuser; any password is accepted, because only this test's folder is behind it."""


class PostgresServer(Server):
    """`url` names the database "postgres". Stopping does not wait for clients, as a restart of the service does not."""

    def stop(self) -> None:
        self._end(signal.SIGINT)


def find_postgres() -> Path:
    """The folder of initdb and postgres; skips the test without it."""
    folders = [Path(found).resolve().parent for name in ("initdb", "postgres") if (found := shutil.which(name))]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.skip("PostgreSQL is not installed on this machine (initdb and postgres are not found)")


def _as_other_user() -> list[str]:
    if os.geteuid():
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("PostgreSQL does not run as root, and setpriv is not there to lend it another user")
    return [setpriv, "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig", "KILL"]


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server on a free port; its data goes away with it. A start takes about a second, most of it for new data."""
    programs, as_user = find_postgres(), _as_other_user()
    # Not below pytest's own folder: nobody but its owner may enter that.
    folder = Path(tempfile.mkdtemp(prefix="lattice-postgres-"))
    try:
        if as_user:
            shutil.chown(folder, "nobody", "nogroup")
        data = folder / "data"
        options = ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--no-sync"]
        made = subprocess.run(
            [*as_user, programs / "initdb", "--pgdata", data, *options],
            cwd=folder,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert made.returncode == 0, made.stderr.decode()

        def make(port: int) -> PostgresServer:
            # Settings for tests: nothing needs to survive a power cut, and no socket file is left in /tmp.
            settings = {"fsync": "off", "unix_socket_directories": "", "listen_addresses": "127.0.0.1", "port": port}
            settings |= {"max_connections": 30, "shared_buffers": "8MB", "dynamic_shared_memory_type": "mmap"}
            command = [*as_user, str(programs / "postgres"), "-D", str(data)]
            for name, value in settings.items():
                command += ["-c", f"{name}={value}"]

            def serves(connection: socket.socket, pid: int) -> bool:
                return _serves(connection) and (data / "postmaster.pid").read_text().startswith(f"{pid}\n")

            server = PostgresServer("postgresql", command, port, folder, serves)
            server.url = f"postgresql://{USER}@127.0.0.1:{port}/postgres"
            return server

        with running(make) as server:
            assert isinstance(server, PostgresServer)
            yield server
    finally:
        shutil.rmtree(folder)


def _serves(connection: socket.socket) -> bool:
    """Logs in: the port is open long before that works."""
    text = f"user\0{USER}\0database\0postgres\0\0".encode()
    connection.sendall(struct.pack("!ii", 8 + len(text), 196608) + text)
    return connection.recv(1) == b"R"
