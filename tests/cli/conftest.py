"""Runs the program in this process, and whole hosts as processes of their own."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import wasmtime

from lattice.cli import main
from tests.support.servers import free_port

START_S = 20.0
"""A start takes half a second alone; the machine may be busy."""
GUESTS = Path(__file__).parent.parent / "guests"


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def lattice(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Result]]:
    """`lattice("inspect", "x.wasm")` in this process, whose logging is put back at the end."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.delenv("LATTICE_DEBUG", raising=False)
    monkeypatch.delenv("LATTICE_DATA", raising=False)

    def run(*arguments: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["lattice", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as exited:
            main()
        out, err = capfd.readouterr()
        code = exited.value.code
        return Result(code if isinstance(code, int) else 0 if code is None else 1, out, err)

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Contexts and images of this test alone."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("LATTICE_CACHE", str(tmp_path / "cache"))
    for name in ("LATTICE_NATS_URL", "LATTICE_NAME", "LATTICE_CONTEXT", "LATTICE_NATS_CREDS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


class Up(NamedTuple):
    """A running `lattice up` and what it has written."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text()

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + START_S
        while text not in self.out + self.err:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"no {text!r}:\n{self.out}\n{self.err}")
            time.sleep(0.02)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(START_S)


@contextmanager
def running_up(manifest: Path, *options: str) -> Iterator[Up]:
    folder = manifest.parent
    environment = {**os.environ, "LATTICE_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "lattice", "up", str(manifest), *options]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=environment)
    try:
        yield Up(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(START_S)


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """A manifest with an echo, a guest that computes for ever, and an HTTP server in front of the echo."""
    for name in ("echo", "spin"):
        (tmp_path / f"{name}.wasm").write_bytes(wasmtime.wat2wasm((GUESTS / f"{name}.wat").read_text()))
    manifest = tmp_path / "lattice.yaml"
    manifest.write_text(
        f"""\
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{name: demo}}
spec:
  components:
    - name: echo
      type: actor
      properties: {{image: file://echo.wasm, alias: demo/echo}}
    - name: spin
      type: actor
      properties: {{image: file://spin.wasm, limits: {{time: 30s}}}}
    - name: http
      type: capability
      properties: {{image: builtin://http-server}}
      traits:
        - type: link
          properties: {{target: echo, source_config: {{address: "127.0.0.1:{free_port()}"}}}}
"""
    )
    return manifest
