"""Running compilers: bounded, in a folder, what they say made readable."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path

from lattice import errors
from lattice.authoring.project import Project

BUILD_S_MAX = 600.0
"""One run of a compiler. They take seconds; the first one of a fresh toolchain may compile a standard library."""
VERSION_S_MAX = 60.0
"""Asking a compiler for its version: interpreters on a busy machine take a second or two."""
OUTPUT_LETTERS_MAX = 20_000
"""Of what a compiler says: the first mistakes are the ones to read."""
_STYLES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Compilers:
    """The compilers that a build runs, in other threads too, so that they can be ended with it."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self.ended = False

    def add(self, process: subprocess.Popen[bytes]) -> None:
        self._running.add(process)
        if self.ended:
            _kill(process)

    def discard(self, process: subprocess.Popen[bytes]) -> None:
        self._running.discard(process)

    def end(self) -> None:
        """Those that run, and those that are started after this."""
        self.ended = True
        for process in list(self._running):
            _kill(process)


_COMPILERS: ContextVar[Compilers | None] = ContextVar("compilers", default=None)


@contextlib.contextmanager
def ended_by(compilers: Compilers) -> Iterator[None]:
    """Compilers that are run inside it belong to `compilers`."""
    token = _COMPILERS.set(compilers)
    try:
        yield
    finally:
        _COMPILERS.reset(token)


def run(
    command: Sequence[str],
    cwd: Path,
    *,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = BUILD_S_MAX,
) -> str:
    """Standard output of a command. Raises `errors.BuildFailed` with all that it said when it fails, and
    `FileNotFoundError` when it is not there. `environment` is added to that of this process."""
    owner = _COMPILERS.get()
    # In a session of its own: what it starts ends with it.
    process = subprocess.Popen(  # noqa: S603  # a compiler that was found, told what to do by its toolchain
        list(command),
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    if owner is not None:
        owner.add(process)
    try:
        out, err = (data.decode(errors="replace") for data in process.communicate(timeout=timeout_s))
    except subprocess.TimeoutExpired as error:
        raise errors.BuildFailed(
            f"{shlex.join(command)[:500]} had not ended after {timeout_s:g} s",
            remedy="try it by hand in the project's folder",
        ) from error
    finally:
        if process.poll() is None:
            _kill(process)
            process.communicate()
        if owner is not None:
            owner.discard(process)
    if process.returncode:
        said = _STYLES.sub("", (err + out).strip()) or f"it said nothing, and ended with {process.returncode}"
        if len(said) > OUTPUT_LETTERS_MAX:
            said = f"{said[:OUTPUT_LETTERS_MAX]}\n... and {len(said) - OUTPUT_LETTERS_MAX} more letters"
        raise errors.BuildFailed(said)
    return out


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def version_of(command: Sequence[str], *arguments: str) -> str | None:
    """What a compiler answers when it is asked for its version, or None where it cannot be run."""
    try:
        return run([*command, *arguments], Path.cwd(), timeout_s=VERSION_S_MAX).strip()
    except (errors.BuildFailed, OSError):
        return None


def compile_project(
    project: Project, command: Sequence[str], *, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Runs a compiler on a project, in its folder unless `cwd` says otherwise. Raises `errors.BuildFailed`, whose
    positions are relative to the project."""
    try:
        return run(command, cwd or project.folder, environment=environment)
    except errors.BuildFailed as error:
        raise errors.BuildFailed(
            f"{project.name} does not compile:\n{relative(error.message, project.folder)}",
            remedy=error.remedy or "correct what it names, and build again",
        ) from error


def relative(text: str, folder: Path) -> str:
    """What a compiler said, with the paths below `folder` shortened to what people see in it."""
    for known in (str(folder), str(folder.resolve())):
        text = text.replace(f"{known}{os.sep}", "")
    return text
