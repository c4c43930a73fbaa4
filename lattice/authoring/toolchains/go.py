"""Go by the Go toolchain and the SDK in actors/sdk/go: a waPC actor with Go's runtime and WASI preview 1."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from lattice import errors
from lattice.authoring import sdk_copy
from lattice.authoring.compiling import compile_project, version_of
from lattice.authoring.project import Project
from lattice.authoring.toolchain import Tool

OLDEST = (1, 24)
"""Before it there was no `go:wasmexport`."""
ENVIRONMENT = {"GOOS": "wasip1", "GOARCH": "wasm", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
"""Also: the compiler that is there, and not one that it would download."""
FLAGS = ("-trimpath", "-ldflags=-s -w")
"""Without the names of this machine, nor those for a debugger: they are a third of the module. What a panic says has
files and lines all the same."""


class Go:
    """A `Toolchain`."""

    language = "go"
    suffixes = (".go",)

    def find(self) -> Tool:
        return find_go()

    def build(self, project: Project, out: Path, scratch: Path) -> None:
        (go,) = self.find().command
        sdk_copy.place(project, self.language)
        folder = (project.folder / project.source).parent
        try:
            compile_project(
                project,
                [go, "build", *FLAGS, "-buildmode=c-shared", "-o", str(out), "."],
                environment=ENVIRONMENT,
                cwd=folder,
            )
        except errors.BuildFailed as error:
            # Go writes ./main.go:5:2 and the name of the package above it.
            plain = re.sub(r"^# .*\n", "", error.message, flags=re.MULTILINE).replace("\n./", "\n")
            raise errors.BuildFailed(plain, remedy=error.remedy) from error

    def contracts(self, project: Project) -> frozenset[str] | None:
        return None


def find_go() -> Tool:
    """Go, new enough. Raises `errors.ToolMissing`."""
    go = shutil.which("go")
    version = version_of([go], "env", "GOVERSION") if go else None
    wanted = f"{OLDEST[0]}.{OLDEST[1]} or newer"
    remedy = "apt-get install golang-go (Debian 13), or unpack a release of Go into /usr/local and put its bin on PATH"
    if go is None or version is None:
        raise errors.ToolMissing(f"Go {wanted} was not found", remedy=remedy)
    number = re.search(r"(\d+)\.(\d+)", version)
    if number is None or (int(number[1]), int(number[2])) < OLDEST:
        raise errors.ToolMissing(f"{version} is here, and actors need Go {wanted}", remedy=remedy)
    return Tool("go", version.removeprefix("go"), Path(go), (go,))
