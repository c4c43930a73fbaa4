"""The manifest of a project, app.yaml, while its module may not be built yet."""

from __future__ import annotations

from collections.abc import Mapping

from lattice import errors
from lattice.authoring.project import Project
from lattice.control.manifest import Application, parse


def read(project: Project, providers: Mapping[str, str]) -> Application | None:
    """None for a project without one. `providers` are those that are installed, with their contracts. Raises
    `errors.ManifestError`."""
    path = project.manifest
    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.ManifestError(f"cannot be read: {error}", file=path.name) from error
    # Images are looked at when they are started: that of the project may not be there, or be another one.
    return parse(text, file=path.name, folder=project.folder, providers=providers)
