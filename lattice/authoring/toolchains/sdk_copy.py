"""The SDK of a language inside of a project, where editors and type checkers find it."""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path

from lattice import errors
from lattice.authoring.project import Project

FOLDER = "sdk"
"""Of the project's own folder: `.lattice/sdk`."""


def copy_sdk(source: Path, project: Project, name: str = "") -> Path:
    """Makes the project's copy, or `name` in it, the same as `source`. What is the same already is left alone, so that
    nobody who watches is told of a change. Raises `errors.ConfigError`."""
    target = project.own_folder / FOLDER / name
    wanted = {
        path.relative_to(source) for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(target.rglob("*"), reverse=True):
            if path.is_file() and path.relative_to(target) not in wanted:
                path.unlink()
        for each in wanted:
            to = target / each
            if not to.is_file() or not filecmp.cmp(source / each, to, shallow=False):
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / each, to)
    except OSError as error:
        raise errors.ConfigError(f"the SDK cannot be copied to {target}: {error.strerror or error}") from error
    return target
