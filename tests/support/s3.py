"""A real S3 service for tests: versitygw over a folder, found by LATTICE_TEST_S3_SERVER, on the path or in ~/go/bin."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.servers import Server, running

ACCESS_KEY = "test-access"
SECRET_KEY = "test-secret-that-no-log-may-show"


def find_gateway() -> str:
    """The program; skips the test without it."""
    named = os.environ.get("LATTICE_TEST_S3_SERVER")
    at_home = Path.home() / "go" / "bin" / "versitygw"
    found = named or shutil.which("versitygw") or (str(at_home) if at_home.exists() else None)
    if found is None:
        pytest.skip("versitygw is not installed (go install github.com/versity/versitygw/cmd/versitygw@v1.8.0)")
    return found


@contextmanager
def s3_server(folder: Path) -> Iterator[Server]:
    """An S3 service with its buckets in `folder`/buckets."""
    program = find_gateway()
    buckets = folder / "buckets"
    buckets.mkdir()
    probe = folder / "probe"
    probe.touch()
    try:
        os.setxattr(probe, "user.lattice", b"1")
    except OSError:
        pytest.skip(f"the file system of {folder} keeps no extended attributes, which versitygw needs")

    def make(port: int) -> Server:
        keys = ["--access", ACCESS_KEY, "--secret", SECRET_KEY]
        command = [program, "--port", f"127.0.0.1:{port}", *keys, "--quiet", "posix", str(buckets)]
        return Server("http", command, port, folder, serves)

    def serves(connection: socket.socket, _pid: int) -> bool:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer.startswith(b"HTTP/1.1 403")

    with running(make) as server:
        yield server
