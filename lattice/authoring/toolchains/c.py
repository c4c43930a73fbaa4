"""C by zig's C compiler and the SDK in actors/sdk/c: a waPC actor without a standard library."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from lattice.authoring import resources
from lattice.authoring.compiling import compile_project
from lattice.authoring.project import Project
from lattice.authoring.toolchain import Tool
from lattice.authoring.toolchains.zig_compiler import find_zig

FLAGS = tuple(
    shlex.split(
        "-target wasm32-freestanding -std=c11 -Os -Wall -Wextra -Werror -mbulk-memory -nostdlib "
        "-ffunction-sections -fdata-sections -Wl,--no-entry -Wl,--strip-all -Wl,--gc-sections -Wl,-z,stack-size=16384"
    )
)
DEBUG_FLAGS = (*(flag for flag in FLAGS if flag != "-Wl,--strip-all"), "-g")
"""With the names and lines of functions: a guest that traps then says where."""


class C:
    """A `Toolchain`."""

    language = "c"
    suffixes = (".c", ".h")

    def find(self) -> Tool:
        return find_zig()

    def build(self, project: Project, out: Path, scratch: Path) -> None:
        tool = self.find()
        # Relative, so that what the compiler says has short names, and the module nothing of this machine.
        sdk = Path(os.path.relpath(resources.sdk("c"), project.folder))
        own = sorted(path.relative_to(project.folder) for path in (project.folder / project.source).parent.glob("*.c"))
        flags = DEBUG_FLAGS if project.debug else FLAGS
        compile_project(project, [*tool.command, "cc", *command_line(flags, sdk, project.folder, own), "-o", str(out)])

    def contracts(self, project: Project) -> frozenset[str] | None:
        return None


def command_line(flags: tuple[str, ...], sdk: Path, cwd: Path, sources: list[Path]) -> list[str]:
    """What `zig cc` is told to compile `sources` with the SDK; `sdk` and `sources` are relative to `cwd`."""
    library = sorted(sdk / path.name for path in (cwd / sdk).glob("*.c") if path.name != "conformance.c")
    return [*flags, "-I", str(sdk), *map(str, library), *map(str, sources)]
