"""TypeScript and JavaScript: bundled with the SDK by esbuild, made a component with an engine in it.

The engine is QuickJS, which is small and built in a second, unless the project's package.json asks for StarlingMonkey,
which has more of what browsers have and takes a minute.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from lattice import errors
from lattice.authoring import resources, sdk_copy
from lattice.authoring.compiling import compile_project, version_of
from lattice.authoring.project import Project
from lattice.authoring.toolchain import Tool
from lattice.contracts import blobstore, builtin, cron, httpclient, httpserver, keyvalue, messaging, sqldb

VARIABLE = "LATTICE_COMPONENT_MODULES"
"""Names another node_modules."""
BUNDLER = ("esbuild", "0.28.2")
ENGINES: Mapping[str, tuple[str, str]] = {
    "quickjs": ("componentize-qjs", "0.4.5"),
    "starlingmonkey": ("@bytecodealliance/componentize-js", "0.23.0"),
}
"""The package that makes components with each engine, and the version that was tested."""
DEFAULT_ENGINE = "quickjs"
NODE_OLDEST = 20
PACKAGE_BYTES_MAX = 1024 * 1024
"""A package.json has some kilobytes."""

USES: Mapping[str, str] = {
    "http.ts": httpserver.CONTRACT.id,
    "keyvalue.ts": keyvalue.CONTRACT.id,
    "messaging.ts": messaging.CONTRACT.id,
    "timers.ts": cron.CONTRACT.id,
    "blobstore.ts": blobstore.CONTRACT.id,
    "sql.ts": sqldb.CONTRACT.id,
    "fetching.ts": httpclient.CONTRACT.id,
    "log.ts": builtin.LOGGING.id,
    "numbergen.ts": builtin.NUMBERGEN.id,
}
"""The contract that a file of the SDK stands for, when the bundle has code of it."""


class JavaScript:
    """A `Toolchain`, for either language."""

    def __init__(self, language: str, *suffixes: str) -> None:
        self.language = language
        self.suffixes = suffixes

    def find(self) -> Tool:
        return self._find(Path.cwd(), DEFAULT_ENGINE)

    def build(self, project: Project, out: Path, scratch: Path) -> None:
        self._run(project, scratch, out, engine_of(project))

    def contracts(self, project: Project) -> frozenset[str] | None:
        scratch = project.own_folder / "build"
        scratch.mkdir(parents=True, exist_ok=True)
        used = self._run(project, scratch, None, "")
        return frozenset(USES[name] for name in used if name in USES)

    def _find(self, folder: Path, engine: str) -> Tool:
        node = find_node()
        package, tested = ENGINES[engine]
        modules = find_modules(folder, BUNDLER[0], package)
        if modules is None:
            raise errors.ToolMissing(
                f"{BUNDLER[0]} and {package}, which make components of {self.language}, were not found",
                remedy=f"npm install --global {'@'.join(BUNDLER)} {package}@{tested}",
            )
        manifest = json.loads((modules / package / "package.json").read_text())
        return Tool(package, str(manifest["version"]), modules, (node,))

    def _run(self, project: Project, scratch: Path, out: Path | None, engine: str) -> list[str]:
        """Bundles, and with an engine makes the component. Returns the files of the SDK that are part of it."""
        tool = self._find(project.folder, engine or DEFAULT_ENGINE)
        sdk = resources.sdk("typescript")
        own = sdk_copy.place(project, "typescript") / "src"
        script = scratch / "build.mjs"
        shutil.copy(sdk / "build.mjs", script)
        _lead(scratch / "node_modules", tool.path.resolve())
        wanted = {
            "project": str(project.folder.resolve()),
            "source": project.source,
            "sdk": str(own.resolve()),
            "wit": str(resources.sdk("wit").resolve()),
            "engine": engine,
            "scratch": str(scratch.resolve()),
            "out": str(out),
        }
        said = compile_project(project, [*tool.command, str(script), json.dumps(wanted)], cwd=scratch)
        used: list[str] = json.loads(said.splitlines()[-1])
        return used


def _lead(link: Path, to: Path) -> None:
    """Makes a link that may be there already, perhaps made by another build at this moment."""
    if link.is_symlink() and link.readlink() == to:
        return
    link.unlink(missing_ok=True)
    with contextlib.suppress(FileExistsError):
        link.symlink_to(to, target_is_directory=True)


def find_node() -> str:
    """Raises `errors.ToolMissing`."""
    node = shutil.which("node")
    version = version_of([node], "--version") if node else None
    if node is None or version is None or int(version.removeprefix("v").partition(".")[0]) < NODE_OLDEST:
        raise errors.ToolMissing(
            f"Node.js {NODE_OLDEST} or newer, which runs the compilers of JavaScript, was not found",
            remedy="apt-get install nodejs npm, brew install node, or an installer from nodejs.org",
        )
    return node


def find_modules(folder: Path, *packages: str) -> Path | None:
    """The first node_modules that has all packages: `$LATTICE_COMPONENT_MODULES`, of the project or a folder above it,
    of this checkout, those installed globally."""
    for modules in _modules(folder):
        if all((modules / package / "package.json").is_file() for package in packages):
            return modules
    return None


def _modules(folder: Path) -> Iterator[Path]:
    if chosen := os.environ.get(VARIABLE):
        yield Path(chosen)
    for each in (folder, *folder.parents):
        yield each / "node_modules"
    yield resources.actors() / "node_modules"
    if node := shutil.which("node"):
        # Where npm puts what is global: beside node on Unix, with node on Windows.
        prefix = Path(node).resolve().parent
        yield prefix / "node_modules" if sys.platform == "win32" else prefix.parent / "lib" / "node_modules"
        yield Path("/usr/local/lib/node_modules")


def engine_of(project: Project) -> str:
    """What package.json asks for. Raises `errors.ConfigError`."""
    file = project.folder / "package.json"
    if not file.is_file():
        return DEFAULT_ENGINE
    try:
        with file.open("rb") as opened:
            document = json.loads(opened.read(PACKAGE_BYTES_MAX))
    except (OSError, ValueError, RecursionError) as error:
        raise errors.ConfigError(f"{file} cannot be read: {error}") from error
    settings = document.get("nanolattice", {}) if isinstance(document, dict) else {}
    engine = settings.get("engine", DEFAULT_ENGINE) if isinstance(settings, dict) else settings
    if engine not in ENGINES:
        raise errors.ConfigError(
            f"{file}: the engine {json.dumps(engine)[:100]} is not known", remedy=f"there are {' and '.join(ENGINES)}"
        )
    return str(engine)
