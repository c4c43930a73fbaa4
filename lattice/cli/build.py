"""`lattice build`: an actor's project compiled to a signed module."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lattice import errors
from lattice.cli.output import Format, FormatOption, print_json, print_table

if TYPE_CHECKING:
    from lattice.authoring.building import Built
    from lattice.authoring.project import Project

ProjectArgument = Annotated[Path, typer.Argument(help="The actor's project: its folder, or one inside.")]


def build(project: ProjectArgument = Path(), output: FormatOption = Format.TEXT) -> None:
    """Compile an actor's project to build/NAME.wasm, and sign it with your development key.

    The compiler is found or explained, never installed. The contracts that the actor uses are found in its sources or
    its module, and become the claims of its token; `capabilities` in lattice.toml stands above what is found.

    \b
    Example:
      lattice build shop
    """
    from lattice.authoring import building
    from lattice.authoring.project import load

    found = load(project)
    built = building.build(found)
    notes = [*built.notes, *_unlinked(found, built)]
    if output is Format.JSON:
        print_json({**document(found.name, built), "notes": notes})
        return
    print_table(("property", "value"), [["actor", found.name], *rows(built)])
    for note in notes:
        print(f"note: {note}")


def _unlinked(project: Project, built: Built) -> list[str]:
    """What an author would otherwise learn from a refused call. Mistakes of the manifest are for those who run it."""
    from lattice.authoring import app_manifest, wiring
    from lattice.supervisor import Installed

    try:
        manifest = app_manifest.read(project, Installed())
    except errors.ManifestError as error:
        return [f"{error}; lattice app validate {project.manifest.name} has every mistake"]
    contracts = wiring.unlinked(project, built, manifest)
    return [f"app.yaml has no link for {one}: lattice dev makes one, other hosts do not" for one in contracts]


def rows(built: Built) -> list[list[str]]:
    kind = {"wapc": "waPC actor", "component": "component (WASI 0.2)", "command": "WASI command"}[built.kind]
    return [
        ["module", str(built.path)],
        ["kind", kind],
        ["size", f"{size(built.size)}{', by wasm-opt' if built.optimised else ''}"],
        ["contracts", ", ".join(built.contracts) or "none: it may call nothing"],
        ["imports", imported(built.imports)],
        ["revision", str(built.revision)],
        ["compiler", built.compiler],
        ["time", f"{built.seconds:.2f} s"],
    ]


def imported(names: tuple[str, ...]) -> str:
    """How many names are imported from where: programs of Go and Python have dozens. `lattice inspect` has each."""
    places = Counter(re.split(r"[./]", name, maxsplit=1)[0] for name in names)
    return ", ".join(f"{count} of {place}" for place, count in sorted(places.items())) or "none"


def size(count: int) -> str:
    """As people read it."""
    if count < 10 * 1024:
        return f"{count} bytes"
    return f"{count / 1024:.0f} KB" if count < 10 * 1024 * 1024 else f"{count / 1024 / 1024:.1f} MB"


def document(name: str, built: Built) -> dict[str, object]:
    return {
        "name": name,
        "path": str(built.path),
        "kind": built.kind,
        "size": built.size,
        "contracts": list(built.contracts),
        "imports": list(built.imports),
        "revision": built.revision,
        "compiler": built.compiler,
        "optimised": built.optimised,
        "seconds": round(built.seconds, 3),
    }
