"""What an actor in Python uses, by what its sources import of the SDK; and mistakes that parsing finds."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from lattice import errors
from lattice.authoring.project import Project
from lattice.contracts import blobstore, builtin, cron, httpclient, httpserver, keyvalue, messaging, sqldb

PACKAGE = "nanolattice"
SOURCES_MAX = 1_000
"""Files of one actor that are looked at. Real ones have some tens."""

USES: Mapping[str, str] = {
    "http": httpserver.CONTRACT.id,
    "keyvalue": keyvalue.CONTRACT.id,
    "messaging": messaging.CONTRACT.id,
    "on_message": messaging.CONTRACT.id,
    "timers": cron.CONTRACT.id,
    "on_timer": cron.CONTRACT.id,
    "blobstore": blobstore.CONTRACT.id,
    "sql": sqldb.CONTRACT.id,
    "fetch": httpclient.CONTRACT.id,
    "fetching": httpclient.CONTRACT.id,
    "log": builtin.LOGGING.id,
    "numbergen": builtin.NUMBERGEN.id,
}
"""The contract that a name of the package stands for."""


def contracts(project: Project) -> frozenset[str]:
    """Raises `errors.BuildFailed` for a source that cannot be parsed."""
    return frozenset(USES[name] for _, tree in sources(project) for name in _names(tree) if name in USES)


def sources(project: Project) -> list[tuple[Path, ast.Module]]:
    """The actor's module and what it imports that lies beside it. Raises `errors.BuildFailed`."""
    first = project.folder / project.source
    found: dict[Path, ast.Module] = {}
    pending = [first]
    while pending and len(found) < SOURCES_MAX:
        path = pending.pop()
        if path in found:
            continue
        found[path] = _parse(path, project.folder)
        pending += _beside(path, found[path], first.parent)
    return list(found.items())


def _parse(path: Path, folder: Path) -> ast.Module:
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    try:
        return ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        at = ":".join(str(part) for part in (shown, error.lineno, error.offset) if part)
        line = f"\n    {error.text.strip()}" if error.text else ""
        raise errors.BuildFailed(f"{at}: {error.msg}{line}", remedy="correct what it names, and build again") from error
    except (ValueError, RecursionError, OSError) as error:
        raise errors.BuildFailed(f"{shown}: cannot be read as Python: {error}") from error


def _beside(path: Path, tree: ast.Module, top: Path) -> Iterator[Path]:
    """The files that imports lead to, as far as they lie in the actor's folder."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted = [(top, alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = top if not node.level else path.parents[node.level - 1]
            names = node.module.split(".") if node.module else []
            wanted = [(start, names), *((start, [*names, alias.name]) for alias in node.names)]
        else:
            continue
        for start, parts in wanted:
            for end in range(1, len(parts) + 1):
                place = start.joinpath(*parts[:end])
                yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())


def _names(tree: ast.Module) -> Iterator[str]:
    """The names of the package that a source takes: `from nanolattice import http`, `import nanolattice.sql`, and what
    follows `nanolattice.` after `import nanolattice`."""
    modules = {PACKAGE}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                package, _, rest = alias.name.partition(".")
                if package == PACKAGE:
                    yield rest.partition(".")[0]
                    modules.add(alias.asname or package)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            package, _, rest = node.module.partition(".")
            if package == PACKAGE:
                yield from [rest.partition(".")[0]] if rest else [alias.name for alias in node.names]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield node.attr
