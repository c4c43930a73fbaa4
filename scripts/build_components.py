"""Builds the components that are committed, and checks that what is committed is what their source makes.

    python scripts/build_components.py                    build all and write their digests
    python scripts/build_components.py --check            the committed files match their digests (needs no toolchain)
    python scripts/build_components.py --check --rebuild  and building them again gives the same bytes

A component is a folder of actors/ with `handler.c` and `world.wit` in it. `$LATTICE_COMPONENT_MODULES` names the
node_modules that has jco.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script

from scripts.build_actors import ACTORS, C_FLAGS, ROOT, BuildFailed, digest_file, digest_line, run, zig_command

MODULES = "LATTICE_COMPONENT_MODULES"
JCO_VERSION = "1.35.0"


def components() -> dict[str, Path]:
    """The folder of each, by name."""
    return {world.parent.name: world.parent for world in sorted(ACTORS.glob("*/world.wit"))}


def compile_component(folder: Path, target: Path) -> None:
    node, modules = shutil.which("node"), os.environ.get(MODULES)
    if node is None or modules is None:
        raise BuildFailed(
            f"node and jco are needed: npm install @bytecodealliance/jco@{JCO_VERSION}, and set ${MODULES}"
        )
    with tempfile.TemporaryDirectory() as scratch:
        core = Path(scratch) / "core.wasm"
        source = (folder / "handler.c").relative_to(ACTORS)
        run([*zig_command(), "cc", *C_FLAGS, str(source), "-o", str(core)], ACTORS)
        (Path(scratch) / "node_modules").symlink_to(Path(modules).resolve(), target_is_directory=True)
        script = ROOT / "scripts" / "component.mjs"
        run([node, str(script), str(core), str(folder / "world.wit"), str(target)], Path(scratch))
    target.chmod(0o644)


def check(folder: Path, rebuild: bool) -> None:
    """Raises `BuildFailed` when the committed component is not what its digest says or its source makes."""
    wasm = folder / f"{folder.name}.wasm"
    if not wasm.exists() or digest_file(wasm).read_text() != digest_line(wasm):
        raise BuildFailed(
            f"{wasm.relative_to(ROOT)} does not match its digest; run: python scripts/build_components.py"
        )
    if rebuild:
        with tempfile.TemporaryDirectory() as scratch:
            again = Path(scratch) / wasm.name
            compile_component(folder, again)
            if again.read_bytes() != wasm.read_bytes():
                raise BuildFailed(f"{wasm.relative_to(ROOT)} is not what its source makes")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, compare")
    parser.add_argument("--rebuild", action="store_true", help="with --check: also build again and compare the bytes")
    options = parser.parse_args(arguments)
    failed = False
    for name, folder in components().items():
        wasm = folder / f"{name}.wasm"
        try:
            if options.check:
                check(folder, options.rebuild)
            else:
                compile_component(folder, wasm)
                digest_file(wasm).write_text(digest_line(wasm))
        except BuildFailed as error:
            failed = True
            print(f"{name}: {error}", file=sys.stderr)
        else:
            print(f"{name}: {'as committed' if options.check else 'built'}, {wasm.stat().st_size} bytes")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
