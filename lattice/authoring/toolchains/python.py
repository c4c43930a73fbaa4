"""Python by componentize-py and the SDK in actors/sdk/python: a component with CPython in it, already started."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from lattice import errors
from lattice.authoring import resources, sdk_copy
from lattice.authoring.compiling import compile_project, version_of
from lattice.authoring.project import Project
from lattice.authoring.toolchain import Tool
from lattice.authoring.toolchains import python_imports

VARIABLE = "LATTICE_COMPONENTIZE_PY"
"""Names another componentize-py."""
PROGRAM = "componentize-py"
TESTED = "0.25.1"
VENDOR = "vendor"
"""The folder of a project with packages of other people, put there by `pip install --target vendor`."""
ENTRY = "nanolattice_entry"
"""The module that componentize-py is given: the actor's, and what the SDK exports for it."""
WORLD = "actor"


class Python:
    """A `Toolchain`."""

    language = "python"
    suffixes = (".py",)

    def find(self) -> Tool:
        return find_componentize_py()

    def build(self, project: Project, out: Path, scratch: Path) -> None:
        folder, module = entry_module(project)
        python_imports.sources(project)  # mistakes that can be found without a compiler are told at once
        tool = self.find()
        entry = scratch / "entry"
        entry.mkdir(parents=True, exist_ok=True)
        # The actor first: what it registers has to be there when the component is frozen.
        (entry / f"{ENTRY}.py").write_text(f"import {module}\nfrom nanolattice.component import Guest\n")
        paths = [entry, folder, sdk_copy.place(project, self.language)]
        if (vendor := project.folder / VENDOR).is_dir():
            paths.append(vendor)
        command = [*tool.command, "-d", str(resources.sdk("wit")), "-w", WORLD, "componentize", ENTRY, "-o", str(out)]
        for path in paths:
            command += ["-p", str(path)]
        # Without a VIRTUAL_ENV of its own it would take the packages of whatever environment the host runs in.
        nothing = scratch / "no-packages"
        nothing.mkdir(exist_ok=True)
        try:
            compile_project(project, command, cwd=scratch, environment={"VIRTUAL_ENV": str(nothing)})
        except errors.BuildFailed as error:
            raise _explained(error, paths, project) from error

    def contracts(self, project: Project) -> frozenset[str] | None:
        return python_imports.contracts(project)


def find_componentize_py() -> Tool:
    """`$LATTICE_COMPONENTIZE_PY`, else that of this Python, else the one on the path. Raises `errors.ToolMissing`."""
    beside = Path(sys.executable).parent / PROGRAM
    for candidate in (os.environ.get(VARIABLE), str(beside), shutil.which(PROGRAM)):
        if candidate and (version := version_of([candidate], "--version")) is not None:
            return Tool(PROGRAM, version.removeprefix(PROGRAM).strip(), Path(candidate), (candidate,))
    raise errors.ToolMissing(
        f"{PROGRAM}, which makes components of Python, was not found",
        remedy=f"{sys.executable} -m pip install {PROGRAM}=={TESTED}",
    )


def entry_module(project: Project) -> tuple[Path, str]:
    """The folder on Python's path and the name of the actor's module. Raises `errors.BuildFailed`."""
    source = project.folder / project.source
    if source.name == "__init__.py":
        source = source.parent
    name = source.stem
    if not name.isidentifier() or name in ("nanolattice", "wit_world", ENTRY) or name in sys.stdlib_module_names:
        raise errors.BuildFailed(
            f"{project.source} cannot be an actor's module: {name} is taken or is no name of Python's",
            remedy="call the file app.py, and say so in lattice.toml",
        )
    return source.parent, name


_MOUNTED = re.compile(r'File "/(\d+)/([^"]*)", line (\d+)')
_RAISED = re.compile(r"AssertionError: (Traceback .*?)\n\n*Caused by:", re.DOTALL)


def _explained(error: errors.BuildFailed, paths: list[Path], project: Project) -> errors.BuildFailed:
    """The same, if it came out of running the actor's module: where, without what componentize-py says around it.

    Inside the component each folder of Python's path stands under its number.
    """
    raised = _RAISED.search(error.message)
    if raised is None:
        return error
    places: list[str] = []

    def replace(found: re.Match[str]) -> str:
        number, file = int(found[1]), found[2]
        if number < len(paths) and paths[number].is_relative_to(project.folder):
            file = os.path.relpath(paths[number] / file, project.folder)
            if number == 1:  # before it the module around the actor's, after it the SDK
                places.append(f"{file}:{found[3]}: ")
        return f'File "{file}", line {found[3]}'

    text = _MOUNTED.sub(replace, raised[1].strip())
    remedy = "correct what it names, and build again"
    if missing := re.search(r"No module named '(\w+)", text):
        remedy = f"pip install --target {VENDOR} {missing[1]}: packages of pure Python can be part of an actor"
    place, what = places[-1] if places else "", text.splitlines()[-1]
    return errors.BuildFailed(f"{project.name} does not start:\n{place}{what}\n{text}", remedy=remedy)
