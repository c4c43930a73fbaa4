"""A real registry for tests: Debian's docker-registry over a folder, with and without logins and TLS."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.servers import Server, find_program, running

USER, PASSWORD = "pusher", "a-password-that-no-log-may-show"
HTPASSWD = "pusher:$2b$04$T7zvpnLZ6rzmMhM0dW.3iegZf4iW9elKWqInYnivoFguRNojj0iqW\n"
"""USER and PASSWORD by bcrypt, with the least work there is."""


@contextmanager
def registry_server(folder: Path, **sections: Any) -> Iterator[Server]:
    """A registry; `sections` go over its configuration: `auth`, and `tls` into its part `http`."""
    program = find_program("docker-registry")
    tls = sections.pop("tls", None)

    def make(port: int) -> Server:
        http: dict[str, Any] = {"addr": f"127.0.0.1:{port}", "secret": "of-tests"}
        if tls is not None:
            http["tls"] = tls
        storage = {"filesystem": {"rootdirectory": str(folder / "content")}, "delete": {"enabled": True}}
        configuration = {"version": 0.1, "log": {"level": "warn"}, "storage": storage, "http": http, **sections}
        file = folder / "registry.yml"
        file.write_text(json.dumps(configuration))  # JSON is YAML
        return Server("https" if tls else "http", [program, "serve", str(file)], port, folder, _serves(tls))

    with running(make) as server:
        yield server


def _serves(tls: Any) -> Any:
    def serves(connection: socket.socket, _pid: int) -> bool:
        if tls is not None:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = context.wrap_socket(connection)
        with connection:
            connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 401"))

    return serves


@contextmanager
def registry_with_password(folder: Path, **sections: Any) -> Iterator[Server]:
    """One that lets USER in with PASSWORD, and nobody else."""
    (folder / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    with registry_server(folder, auth=auth, **sections) as server:
        yield server
