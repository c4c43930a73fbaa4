"""Where zig is: the compiler of C and of Zig."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from lattice import errors
from lattice.authoring.compiling import version_of
from lattice.authoring.toolchain import Tool

VARIABLE = "LATTICE_ZIG"
"""Names another command for zig."""
TESTED = "0.17.1"
OLDEST = (0, 13)
"""Before it, `zig cc` wants other names of features."""


def find_zig(exactly: str = "", oldest: tuple[int, int] = OLDEST) -> Tool:
    """`$LATTICE_ZIG`, else the package `ziglang` of this Python, else `zig` on the path. `exactly` is the only version
    that will do, "" for any that is new enough. Raises `errors.ToolMissing`."""
    candidates = [(sys.executable, "-m", "ziglang"), ("zig",)]
    if chosen := os.environ.get(VARIABLE):
        candidates = [tuple(shlex.split(chosen))]
    seen = []
    for command in candidates:
        version = version_of(command, "version")
        if version is None:
            continue
        if version == exactly or (not exactly and _is_new_enough(version, oldest)):
            return Tool("zig", version, _place(command), command)
        seen.append(f"{shlex.join(command)} is {version}")
    wanted = exactly or f"{oldest[0]}.{oldest[1]} or newer"
    instead = f"; {' and '.join(seen)}" if seen else ""
    raise errors.ToolMissing(
        f"zig {wanted}, which compiles C and Zig, was not found{instead}",
        remedy=f"{sys.executable} -m pip install ziglang=={exactly or TESTED}",
    )


def _is_new_enough(version: str, oldest: tuple[int, int]) -> bool:
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= oldest


def _place(command: tuple[str, ...]) -> Path:
    return Path(shutil.which(command[0]) or command[0])
