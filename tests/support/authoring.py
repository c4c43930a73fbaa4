"""Projects of actors for tests, with keys of their own, and `lattice dev` as a process."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lattice import errors, wasmfile
from lattice.authoring import creating
from lattice.authoring.key_folder import VARIABLE
from lattice.authoring.project import Project
from lattice.authoring.toolchains import toolchain
from lattice.security import admission

WAIT_S = 120.0
"""A compiler may be new and the machine busy."""


def require_toolchain(language: str) -> None:
    """Skips the test where the language's compiler is not."""
    try:
        toolchain(language).find()
    except errors.ToolMissing as missing:
        pytest.skip(f"{missing.message}; {missing.remedy}")


def project(folder: Path, language: str = "c", template: str = "http", name: str = "shop") -> Project:
    require_toolchain(language)
    return creating.create(name, language, template, folder)


def claims_of(module: bytes) -> Any:
    """The claims of a signed module, in which nothing is wrong."""
    examined = admission.examine(module, wasmfile.describe(module), admission.ANYONE, time.time())
    assert not examined.problems
    return examined.claims


def change(path: Path, before: str, after: str) -> None:
    """Saves a file with another text in it, as an editor does: a new file in its place."""
    text = path.read_text()
    assert before in text
    fresh = path.with_suffix(".new")
    fresh.write_text(text.replace(before, after))
    os.replace(fresh, path)


class Answer(NamedTuple):
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Dev(NamedTuple):
    """A running `lattice dev`, and what it has written so far."""

    process: subprocess.Popen[bytes]
    output: Path
    port: int

    @property
    def said(self) -> str:
        return self.output.read_text()

    def wait_for(self, text: str, after: int = 0) -> int:
        """Waits until it writes a text; returns where in its output that ends."""
        place = -1

        def there() -> bool:
            nonlocal place
            place = self.said.find(text, after)
            return place >= 0

        self.wait_until(there, f"no {text!r}")
        return place + len(text)

    def wait_until(self, holds: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not holds():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{otherwise}:\n{self.said}")
            time.sleep(0.02)

    def ask(self, method: str, path: str, body: str | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return Answer(response.status, response.read())
        finally:
            connection.close()

    def end(self, how: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(how)
        return self.process.wait(WAIT_S)


@contextmanager
def running_dev(project: Project, port: int, keys: Path, cache: Path, *options: str) -> Iterator[Dev]:
    """`lattice dev` on a project. It may not serve yet: wait for what it says."""
    output = project.folder / ".lattice" / f"said-{time.monotonic_ns()}"
    output.parent.mkdir(exist_ok=True)
    environment = {**os.environ, VARIABLE: str(keys), "LATTICE_CACHE": str(cache)}
    command = [sys.executable, "-m", "lattice", "dev", str(project.folder), "--port", str(port), *options]
    with output.open("wb") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
        )
    try:
        yield Dev(process, output, port)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(WAIT_S)
