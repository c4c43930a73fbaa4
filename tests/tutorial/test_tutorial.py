"""docs/tutorial.md, from its first command to its last, as somebody types it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lattice import errors
from lattice.authoring.toolchains import toolchain
from tests.support.servers import free_port
from tests.tutorial.page import commands, fits, steps

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
COMMAND_S = 240.0
"""CPython is compiled on a machine that may be busy with other tests."""
POLL_S = 0.1


class Walk:
    """A shell in a folder, and one command that goes on beside it. `ports` are those of the page and the free ones that
    are taken instead."""

    def __init__(self, folder: Path, ports: dict[str, str]) -> None:
        self._folder = folder
        self._here = folder
        self._ports = ports
        self._log = folder / "running.log"
        self._read = 0
        self._running: subprocess.Popen[bytes] | None = None
        tools = folder / "bin"
        tools.mkdir()
        (tools / "lattice").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lattice "$@"\n')
        (tools / "lattice").chmod(0o755)
        unwanted = [name for name in os.environ if name.startswith("LATTICE_") and name != "LATTICE_COMPONENTIZE_PY"]
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in unwanted},
            "PATH": f"{tools}:{os.environ['PATH']}",
            "LATTICE_KEYS": str(folder / "keys"),
            "LATTICE_CACHE": str(PAGE.parents[1] / ".cache" / "tutorial"),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }

    def ported(self, text: str) -> str:
        for told, free in self._ports.items():
            text = text.replace(told, free)
        return text

    def run(self, block: str) -> None:
        for command in commands(self.ported(block)):
            if command.text.startswith("cd "):
                self._here = self._here / command.text.removeprefix("cd ")
            elif command.text.startswith("export "):
                name, _, value = command.text.removeprefix("export ").partition("=")
                self._environment[name] = value
            else:
                done = subprocess.run(
                    ["sh", "-c", command.text],
                    cwd=self._here,
                    env=self._environment,
                    capture_output=True,
                    text=True,
                    timeout=COMMAND_S,
                )
                said = f"$ {command.text}\n{done.stdout}{done.stderr}"
                assert done.returncode == 0, said
                assert fits(command.expected, done.stdout), f"{said}\n-- and the page says:\n{command.expected}"
            if command.text.startswith("lattice new"):
                for manifest in self._here.glob("*/app.yaml"):
                    manifest.write_text(self.ported(manifest.read_text()))

    def start(self, block: str, until: str) -> None:
        assert self._running is None, "one at a time"
        (command,) = commands(self.ported(block))
        self._read = 0
        with self._log.open("wb") as log:
            self._running = subprocess.Popen(
                ["sh", "-c", f"exec {command.text}"],
                cwd=self._here,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait(until)
        self._expect(command.expected)

    def seen(self, block: str) -> None:
        expected = self.ported(block)
        self._wait(expected.strip().splitlines()[-1].partition("...")[0].strip())
        self._expect(f"...\n{expected}")

    def end(self) -> None:
        if self._running is not None:
            running, self._running = self._running, None
            running.send_signal(signal.SIGINT)
            try:
                assert running.wait(COMMAND_S) == 0, self._log.read_text()
            finally:
                running.kill()

    def write(self, path: str, text: str) -> None:
        (self._here / path).write_text(self.ported(text))

    def _wait(self, text: str) -> None:
        assert self._running is not None
        deadline = time.monotonic() + COMMAND_S
        while text not in self._log.read_text()[self._read :]:
            assert self._running.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, f"{text!r} was not said: {self._log.read_text()}"
            time.sleep(POLL_S)
        time.sleep(POLL_S)  # the rest of its line

    def _expect(self, expected: str) -> None:
        said = self._log.read_text()
        new, self._read = said[self._read :], len(said)
        assert fits(expected + "...\n", new), f"{new}\n-- and the page says:\n{expected}"


def test_the_tutorial_is_what_happens(tmp_path: Path) -> None:
    try:
        toolchain("python").find()
    except errors.ToolMissing as missing:
        pytest.skip(f"{missing}; {missing.remedy}")
    walk = Walk(tmp_path, {"8080": str(free_port()), "4222": str(free_port())})
    try:
        for step in steps(PAGE):
            match step.kind:
                case "run":
                    walk.run(step.block)
                case "run until":
                    walk.start(step.block, step.argument)
                case "seen":
                    walk.seen(step.block)
                case "file":
                    walk.write(step.argument, step.block)
                case "end":
                    walk.end()
    finally:
        walk.end()


def test_the_walk_notices_what_is_not_so() -> None:
    assert fits("a ... c\n...\nlast\n", "a b c\nx\ny\nlast  \n")
    assert fits("...\nlast\n...\n", "last\n")
    assert fits("", "")
    assert not fits("a\n", "a\nb\n")
    assert not fits("a\n...\nb\n", "a\nc\n")
    assert not fits("", "something\n")
    assert [command.text for command in commands("$ one\nout\n$ two\n")] == ["one", "two"]
    with pytest.raises(AssertionError, match="without a command"):
        commands("out\n")
