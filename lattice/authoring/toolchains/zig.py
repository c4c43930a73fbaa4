"""Zig by its compiler and the SDK in actors/sdk/zig: a waPC actor without an operating system."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from lattice.authoring import resources
from lattice.authoring.compiling import compile_project
from lattice.authoring.project import Project
from lattice.authoring.toolchain import Tool
from lattice.authoring.toolchains.zig_compiler import find_zig

OLDEST = (0, 17)
"""The SDK is written in the language of this version; Zig changes it until 1.0."""
FLAGS = tuple(
    shlex.split("-target wasm32-freestanding -fno-entry --export=__guest_call --stack 65536 -O small -fstrip")
)
DEBUG_FLAGS = (*FLAGS[:-3], "-O", "safe")
"""With checks, and the names and lines of functions: a guest that traps then says where and why."""


class Zig:
    """A `Toolchain`."""

    language = "zig"
    suffixes = (".zig",)

    def find(self) -> Tool:
        return find_zig(oldest=OLDEST)

    def build(self, project: Project, out: Path, scratch: Path) -> None:
        tool = self.find()
        # Relative, so that what the compiler says has short names, and the module nothing of this machine.
        sdk = Path(os.path.relpath(resources.sdk("zig"), project.folder)) / "nanolattice.zig"
        modules = ["--dep", "nanolattice", f"-Mroot={project.source}", f"-Mnanolattice={sdk}"]
        flags = DEBUG_FLAGS if project.debug else FLAGS
        places = ["--cache-dir", str(scratch / "zig"), f"-femit-bin={out}"]
        compile_project(project, [*tool.command, "build-exe", *flags, *places, *modules])

    def contracts(self, project: Project) -> frozenset[str] | None:
        return None
