"""The files that an actor is made of, and whether they have changed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from lattice import errors
from lattice.authoring.project import Project
from lattice.authoring.toolchains import toolchain

FILES_MAX = 20_000
"""Sources of one project. Looking at so many takes a tenth of a second; more are packages or data, not an actor."""
_NOT_SOURCES = frozenset({"build", "target", "node_modules", "__pycache__", "tests", "zig-out", "dist", "venv"})
_ALSO = frozenset({"lattice.toml", "app.yaml", "Cargo.toml", "go.mod", "package.json"})


def is_stale(project: Project) -> bool:
    """Whether a source is newer than what was built of it, or nothing was built."""
    try:
        built = project.target.stat().st_mtime_ns
    except OSError:
        return True
    suffixes = toolchain(project.language).suffixes
    return any(stamp > built for _, stamp in sources(project, suffixes))


def sources(project: Project, suffixes: tuple[str, ...]) -> list[tuple[str, int]]:
    """The files that make the actor, with their times of change in ns, sorted: those with these suffixes, lattice.toml
    and app.yaml. Folders of builds, packages and caches are left out. Raises `errors.ConfigError`."""
    found: list[tuple[str, int]] = []
    pending = [project.folder]
    while pending:
        folder = pending.pop()
        with contextlib.suppress(OSError), os.scandir(folder) as entries:  # may go away while it is looked at
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith(".") and entry.name not in _NOT_SOURCES:
                        pending.append(Path(entry.path))
                elif entry.name.endswith(suffixes) or (folder == project.folder and entry.name in _ALSO):
                    found.append((entry.path, entry.stat().st_mtime_ns))
        if len(found) > FILES_MAX:
            raise errors.ConfigError(
                f"{project.folder} has more than {FILES_MAX} source files",
                remedy="keep packages and data outside, or in a folder whose name begins with a dot",
            )
    return sorted(found)
