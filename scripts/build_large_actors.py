"""Builds the actors whose modules are too large to commit: those that bring an interpreter or a runtime along.

    python scripts/build_large_actors.py               build those that tests want
    python scripts/build_large_actors.py counter-py    only these

What is built is kept in .cache/actors by the digest of its source and its tool, and copied beside its source. Wanted
are componentize-py (`$LATTICE_COMPONENTIZE_PY`, or on the path), the packages of actors/package.json
(`$LATTICE_COMPONENT_MODULES`, or actors/node_modules) and Go, as lattice/authoring/toolchains/go.py finds it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script

from lattice import errors
from lattice.authoring.toolchains import go
from lattice.authoring.toolchains.javascript import ENGINES, find_modules, find_node
from lattice.authoring.toolchains.python import find_componentize_py
from scripts.build_actors import ACTORS, ROOT, BuildFailed, run
from scripts.build_components import WASI_VERSION, modules_folder

T = TypeVar("T")
KEPT = ROOT / ".cache" / "actors"
COUNTER_WORLD = ACTORS / "counter-component" / "world.wit"
FETCH_EVENT_VERSION = "0.2.10"
"""The wasi:http that componentize-js of this version wants of a world, or its `fetch` event is not there."""


class ToolMissing(BuildFailed):
    """The tool is not on this machine; the message says how to get it."""


class Build(NamedTuple):
    """How to make one actor, with a tool that is there."""

    source: Path
    world: Path
    tool: str
    """Its name and version."""
    make: Callable[[Path, Path], None]
    """From an empty folder and the path of the module to write."""

    def kept(self) -> Path:
        said = "\0".join((self.tool, self.world.read_text(), self.source.read_text()))
        return KEPT / f"{self.source.stem}-{hashlib.sha256(said.encode()).hexdigest()[:16]}.wasm"


def _world_of(source: Path) -> Path:
    """The file that says what a component is of: one beside it, or else that of the counters."""
    own = source.with_suffix(".wit")
    return own if own.exists() else COUNTER_WORLD


def _wit(scratch: Path, world: Path, version: str) -> Path:
    """The world and the packages it uses, as a folder. The versions of WASI 0.2 differ in nothing that is used here."""
    folder = scratch / "wit"
    published = modules_folder() / "@bytecodealliance" / "jco" / "lib" / "wit" / "builtin" / WASI_VERSION
    if not published.is_dir():
        raise ToolMissing("the interfaces of WASI come with jco, which is not here; run: npm ci --prefix actors")
    shutil.copytree(published, folder / "deps")
    shutil.copy(world, folder)
    for path in folder.rglob("*.wit"):
        path.write_text(path.read_text().replace(WASI_VERSION, version))
    return folder


def _found(find: Callable[[], T]) -> T:
    """What a toolchain of `lattice build` finds. Raises `ToolMissing`."""
    try:
        return find()
    except errors.ToolMissing as missing:
        raise ToolMissing(f"{missing.message}; {missing.remedy}") from missing


def python_build(source: Path) -> Build:
    tool = _found(find_componentize_py)

    def make(scratch: Path, target: Path) -> None:
        wit = _wit(scratch, COUNTER_WORLD, WASI_VERSION)
        shutil.copy(source, scratch / "app.py")
        run([*tool.command, "-d", str(wit), "-w", "counter", "componentize", "app", "-o", str(target)], scratch)

    return Build(source, COUNTER_WORLD, f"{tool.name} {tool.version}", make)


def javascript_build(source: Path) -> Build:
    node = _found(find_node)
    package, version = ENGINES["starlingmonkey"]
    modules = find_modules(ACTORS, package)
    if modules is None:
        raise ToolMissing(f"{package} is not here; run: npm ci --prefix actors")

    world = _world_of(source)
    name = re.findall(r"^world (\S+)", world.read_text(), re.MULTILINE)[0]

    def make(scratch: Path, target: Path) -> None:
        wit = _wit(scratch, world, FETCH_EVENT_VERSION)
        (scratch / "node_modules").symlink_to(modules.resolve(), target_is_directory=True)
        script = shutil.copy(ROOT / "scripts" / "javascript.mjs", scratch)
        run([node, str(script), str(source), str(wit), name, str(target)], scratch)

    return Build(source, world, f"componentize-js {version}", make)


def go_build(source: Path) -> Build:
    tool = _found(go.find_go)

    def make(_scratch: Path, target: Path) -> None:
        settings = [f"{name}={value}" for name, value in {**go.ENVIRONMENT, "GO111MODULE": "off"}.items()]
        run(["env", *settings, *tool.command, "build", *go.FLAGS, "-o", str(target), source.name], source.parent)

    return Build(source, COUNTER_WORLD, f"go{tool.version}", make)


LARGE: dict[str, tuple[str, Callable[[Path], Build]]] = {
    "counter-py": (".py", python_build),
    "counter-js": (".js", javascript_build),
    "hello-js": (".js", javascript_build),
    "hello-again-js": (".js", javascript_build),
    "counter-go": (".go", go_build),
}

ON_DEMAND = frozenset({"hello-js"})
"""Built when they are named: they are there to be measured, and no test wants them."""


def build(name: str) -> Path:
    """The module, built unless it is kept. Raises `ToolMissing`, and `BuildFailed` with what the tool said."""
    suffix, build_of = LARGE[name]
    wanted = build_of(ACTORS / name / f"{name}{suffix}")
    kept = wanted.kept()
    if not kept.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            made = Path(scratch) / f"{name}.wasm"
            (Path(scratch) / "build").mkdir()
            wanted.make(Path(scratch) / "build", made)
            whole = kept.with_suffix(f".{os.getpid()}")
            shutil.copy(made, whole)
            whole.rename(kept)
    return kept


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(LARGE)}; the tests' without any")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(LARGE)):
        parser.error(f"no such actor: {', '.join(unknown)}; there are {', '.join(LARGE)}")
    failed = False
    for name in options.names or [name for name in LARGE if name not in ON_DEMAND]:
        try:
            beside = ACTORS / name / f"{name}.wasm"
            shutil.copy(build(name), beside)
        except (BuildFailed, subprocess.TimeoutExpired) as error:
            failed = True
            print(f"{name}: {error}", file=sys.stderr)
        else:
            print(f"{name}: built, {beside.stat().st_size} bytes")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
