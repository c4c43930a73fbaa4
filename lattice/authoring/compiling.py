"""Running compilers: bounded, in a folder, what they say made readable."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
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


def run(
    command: Sequence[str],
    cwd: Path,
    *,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = BUILD_S_MAX,
) -> str:
    """Standard output of a command. Raises `errors.BuildFailed` with all that it said when it fails, and
    `FileNotFoundError` when it is not there. `environment` is added to that of this process."""
    try:
        done = subprocess.run(  # noqa: S603  # a compiler that was found, told what to do by its toolchain
            list(command),
            cwd=cwd,
            env={**os.environ, "NO_COLOR": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise errors.BuildFailed(
            f"{shlex.join(command)[:500]} had not ended after {timeout_s:g} s",
            remedy="try it by hand in the project's folder",
        ) from error
    out, err = (data.decode(errors="replace") for data in (done.stdout, done.stderr))
    if done.returncode:
        said = _STYLES.sub("", (err + out).strip()) or f"it said nothing, and ended with {done.returncode}"
        if len(said) > OUTPUT_LETTERS_MAX:
            said = f"{said[:OUTPUT_LETTERS_MAX]}\n... and {len(said) - OUTPUT_LETTERS_MAX} more letters"
        raise errors.BuildFailed(said)
    return out


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
