"""What a language needs to become an actor: a compiler that is found or explained, and a build."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from lattice.authoring.project import Project


class Tool(msgspec.Struct, frozen=True):
    """A compiler on this machine. `command` starts it; `path` is the program or package, for people to see."""

    name: str
    version: str
    path: Path
    command: tuple[str, ...] = ()


class Toolchain(Protocol):
    """One language. Stateless; `TOOLCHAINS` has one of each."""

    @property
    def language(self) -> str: ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of the files that `lattice dev` watches, such as (".c", ".h")."""

    def find(self) -> Tool:
        """The compiler. Raises `errors.ToolMissing`, whose remedy is the exact command that installs it. Installs
        nothing."""

    def build(self, project: Project, out: Path, scratch: Path) -> None:
        """Compiles the project to the module or component `out`, not signed. `scratch` is a folder for what lies in
        between; it stays, so that the next build is faster.

        Runs in a thread or a process of its own. Raises `errors.ToolMissing`, and `errors.BuildFailed` with the
        compiler's text: positions as `file:line:column: message`, files relative to the project.
        """

    def contracts(self, project: Project) -> frozenset[str] | None:
        """The contracts that the sources use, or None: look at the module."""
