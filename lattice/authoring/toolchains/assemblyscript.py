"""AssemblyScript by its compiler from npm and the SDK in actors/sdk/assemblyscript: a waPC actor."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

from lattice import errors
from lattice.authoring import resources, sdk_copy
from lattice.authoring.compiling import compile_project, version_of
from lattice.authoring.project import Project
from lattice.authoring.toolchain import Tool

VARIABLE = "LATTICE_COMPONENT_MODULES"
"""Names a folder of npm packages to look in first."""
TESTED = "0.28.20"
PACKAGE = "nanolattice"
"""What actors import the SDK as, which the compiler looks for as a folder of this name."""
FLAGS = tuple(shlex.split("--optimizeLevel 3 --shrinkLevel 1 --converge --runtime minimal --noColors"))
DEBUG_FLAGS = tuple(shlex.split("--debug --runtime minimal --noColors"))
"""With the names of functions, and compiled in half the time."""
_MISTAKE = re.compile(r"^(?:ERROR|FAILURE) (?P<what>.+?)$(?P<rest>.*?)(?=^(?:ERROR|FAILURE|WARNING) |\Z)", re.M | re.S)
_PLACE = re.compile(r"in (?P<file>\S+?)\((?P<line>\d+),(?P<column>\d+)\)")


class AssemblyScript:
    """A `Toolchain`."""

    language = "assemblyscript"
    suffixes = (".ts",)

    def find(self) -> Tool:
        return find_asc()

    def build(self, project: Project, out: Path, scratch: Path) -> None:
        tool = self.find()
        compile_with(tool, project, out, sdk_copy.place(project, self.language, PACKAGE))

    def contracts(self, project: Project) -> frozenset[str] | None:
        return None


def compile_with(tool: Tool, project: Project, out: Path, sdk: Path) -> None:
    """`build` by a compiler that was chosen, and a copy of the SDK in a folder called `PACKAGE`."""
    flags = DEBUG_FLAGS if project.debug else FLAGS
    # Relative, because the compiler writes paths as they are given into the messages of failed assertions.
    places = ["--path", os.path.relpath(sdk.parent, project.folder), "--outFile", os.path.relpath(out, project.folder)]
    try:
        compile_project(project, [*tool.command, project.source, *flags, *places])
    except errors.BuildFailed as error:
        raise errors.BuildFailed(mistakes(error.message), remedy=error.remedy) from error


def find_asc(exactly: str = "") -> Tool:
    """The compiler of the npm packages in `$LATTICE_COMPONENT_MODULES` or actors/, else `asc` on the path. `exactly` is
    the only version that will do. Raises `errors.ToolMissing`."""
    node = shutil.which("node")
    if node is None:
        raise errors.ToolMissing(
            "Node.js, which the compiler of AssemblyScript runs on, was not found",
            remedy="install Node.js 20 or newer, for example: apt install nodejs npm",
        )
    folders = [Path(chosen)] if (chosen := os.environ.get(VARIABLE)) else []
    folders.append(resources.actors() / "node_modules")
    scripts = [folder / "assemblyscript" / "bin" / "asc.js" for folder in folders]
    candidates: list[tuple[str, ...]] = [(node, str(script)) for script in scripts if script.is_file()]
    if program := shutil.which("asc"):
        candidates.append((program,))
    seen = []
    for command in candidates:
        version = (version_of(command, "--version") or "").removeprefix("Version ")
        if version == exactly or (version and not exactly):
            return Tool("assemblyscript", version, Path(command[-1]), tuple(command))
        seen.append(f"{command[-1]} is {version or 'broken'}")
    instead = f"; {' and '.join(seen)}" if seen else ""
    raise errors.ToolMissing(
        f"the compiler of AssemblyScript{f' {exactly}' if exactly else ''} was not found{instead}",
        remedy=f"npm install --global assemblyscript@{exactly or TESTED}",
    )


def mistakes(text: str) -> str:
    """What the compiler said, a line for each mistake with its place in front; all of it where there are none."""
    head, newline, said = text.partition("\n")
    placed = ((found["what"], _PLACE.search(found["rest"])) for found in _MISTAKE.finditer(said))
    lines = [f"{place['file']}:{place['line']}:{place['column']}: {what}" for what, place in placed if place]
    return head + newline + "\n".join(lines) if lines else text
