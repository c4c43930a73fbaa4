"""The SDK beside the code that uses it: cargo and go take a dependency from a folder of the project.

So editors, tests and debuggers find it too, without a registry. The copy lies in the project's own folder, is not for
version control, and is brought up to date by each build; files that are the same stay untouched, or compilers would
take them for changed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lattice import errors
from lattice.authoring import resources
from lattice.authoring.project import Project

_LEFT_OUT = frozenset({"target", "conformance", "conformance.py", "conformance.ts", "tests", "__pycache__"})
"""What belongs to the SDK's own tests and builds."""
_TESTS = "_test.go"


def place(project: Project, language: str, name: str = "") -> Path:
    """The folder of the copy, which is now what this version of nanolattice has: called like the language, or `name`.
    Raises `errors.ConfigError`."""
    own = project.own_folder
    target = own / "sdk" / (name or language)
    for folder in (own, target.parent, target):
        # The project may be somebody else's, and what is not of the SDK is removed where the copy is made.
        if folder.is_symlink():
            raise errors.ConfigError(
                f"{folder} is a link, and nothing is copied through one", remedy="remove it: a build makes the folder"
            )
    return copy(language, target)


def copy(language: str, target: Path) -> Path:
    """Makes `target` such a copy. Raises `errors.ConfigError`."""
    try:
        _mirror(resources.sdk(language), target)
    except OSError as error:
        raise errors.ConfigError(f"the SDK cannot be copied to {target}: {error.strerror or error}") from error
    return target


def _mirror(source: Path, target: Path) -> None:
    if target.is_symlink():
        target.unlink()  # what it leads to is not a part of the copy
    target.mkdir(parents=True, exist_ok=True)
    wanted = [entry for entry in source.iterdir() if entry.name not in _LEFT_OUT and not entry.name.endswith(_TESTS)]
    for stranger in {entry.name for entry in target.iterdir()} - {entry.name for entry in wanted}:
        _remove(target / stranger)
    for entry in wanted:
        mine = target / entry.name
        if entry.is_dir():
            _mirror(entry, mine)
        elif not mine.is_file() or mine.read_bytes() != entry.read_bytes():
            temporary = mine.with_name(f".{entry.name}.{os.getpid()}")
            shutil.copyfile(entry, temporary)
            temporary.replace(mine)  # whole or not at all: another build may be reading


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
