"""A new project from a template: whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lattice import errors
from lattice.authoring import resources
from lattice.authoring.project import Project, load, require_name
from lattice.authoring.toolchains import meant, toolchain

RESERVED = frozenset(
    {
        *("http", "keyvalue", "messaging", "blobs", "timer", "app", "main", "build", "test", "tests", "src"),
        *("core", "std", "alloc", "lattice", "nanolattice"),
    }
)
"""Names of the providers in a manifest, of folders in a project, and of what modules of some language are called."""

SPELLED = {"assemblyscript": "AssemblyScript", "javascript": "JavaScript", "typescript": "TypeScript"}
"""Names of languages in prose, where a capital letter is not enough."""


def spelled(language: str) -> str:
    """As prose has it: TypeScript."""
    return SPELLED.get(language, language.capitalize())


def create(name: str, language: str, template: str, parent: Path) -> Project:
    """Makes the folder NAME in `parent`. Raises `errors.ConfigError`; then nothing was made."""
    require_name(name)
    if name in RESERVED:
        raise errors.ConfigError(
            f"an actor cannot be called {name}: something else in its project is", remedy=f"for example {name}-actor"
        )
    toolchain(language)
    if template not in resources.TEMPLATES:
        raise errors.ConfigError(
            f"there is no template {template[:50]!r}", remedy=meant(template.lower(), resources.TEMPLATES)
        )
    folder = parent.absolute() / name
    if os.path.lexists(folder):
        raise errors.ConfigError(
            f"{folder} is there already, and nothing in it was changed",
            remedy="choose another name, or move it away",
        )
    texts = dict(rendered(name, language, template))
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
    except OSError as error:
        raise errors.ConfigError(f"nothing can be made in {parent}: {error.strerror or error}") from error
    try:
        temporary.chmod(0o755)
        for place, text in texts.items():
            path = temporary / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        temporary.rename(folder)
    except OSError as error:
        raise errors.ConfigError(f"{folder} cannot be made: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return load(folder)


def rendered(name: str, language: str, template: str) -> Iterator[tuple[str, str]]:
    """The files of a project, as path and text; those of the language come last. Raises `errors.ConfigError`."""
    words = {"{{name}}": name, "{{module}}": name.replace("-", "_"), "{{language}}": spelled(language)}
    for folder in (resources.shared(template), resources.template(language, template)):
        for path in sorted(folder.rglob("*")):
            # An installer compiles templates in Python as if they were part of this package.
            if path.is_file() and path.parent.name != "__pycache__":
                place, text = path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8")
                for placeholder, word in words.items():
                    place, text = place.replace(placeholder, word), text.replace(placeholder, word)
                yield place, text


def offered() -> dict[str, tuple[str, ...]]:
    """The templates of each language, by language. Raises `errors.ConfigError`."""
    found: dict[str, list[str]] = {}
    for template in resources.TEMPLATES:
        for language in resources.languages(template):
            found.setdefault(language, []).append(template)
    return {language: tuple(found[language]) for language in sorted(found)}
