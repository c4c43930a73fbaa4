"""Builds the actors from source, and checks that what is committed is what their source makes.

    python scripts/build_actors.py                   build all actors and write their digests
    python scripts/build_actors.py echo counter      only these
    python scripts/build_actors.py --check           the committed files match their digests (needs no toolchain)
    python scripts/build_actors.py --check --rebuild and building them again gives the same bytes

An actor is a folder of actors/ with NAME.c or NAME.ts in it. The compilers are pinned: another version makes other
bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script

from lattice import errors
from lattice.authoring import sdk_copy
from lattice.authoring.project import Project
from lattice.authoring.toolchain import Tool
from lattice.authoring.toolchains.assemblyscript import PACKAGE, compile_with, find_asc
from lattice.authoring.toolchains.c import FLAGS as C_FLAGS
from lattice.authoring.toolchains.c import command_line
from lattice.authoring.toolchains.zig_compiler import find_zig

ROOT = Path(__file__).resolve().parent.parent
ACTORS = ROOT / "actors"
ZIG_VERSION = "0.17.1"
ASSEMBLYSCRIPT_VERSION = "0.28.20"
BUILD_S_MAX = 300
"""One compilation. They take about a second; the first one of a fresh compiler may take a minute."""

COMMANDS = ("counter-wagi", "hello-wagi", "probe-wagi")
"""Actors that are WASI commands: C with a `main` and the C library."""
COMMAND_FLAGS = shlex.split("-target wasm32-wasi -std=gnu11 -Os -Wall -Wextra -Werror -Wl,--strip-all")


class BuildFailed(Exception):
    """What went wrong, and what to do about it."""


def actor_sources() -> dict[str, Path]:
    """The source file of every actor, by name."""
    found = {}
    for folder in sorted(ACTORS.iterdir()):
        for suffix in (".c", ".ts"):
            source = folder / f"{folder.name}{suffix}"
            if source.exists():
                found[folder.name] = source
    return found


def run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=BUILD_S_MAX, check=False)
    if done.returncode:
        raise BuildFailed(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def zig_command() -> list[str]:
    """The pinned zig; see `find_zig`."""
    try:
        return list(find_zig(ZIG_VERSION).command)
    except errors.ToolMissing as error:
        raise BuildFailed(f"{error}; {error.remedy}") from error


def asc() -> Tool:
    """The pinned compiler of AssemblyScript; see `find_asc`."""
    try:
        return find_asc(ASSEMBLYSCRIPT_VERSION)
    except errors.ToolMissing as error:
        raise BuildFailed(f"{error}; {error.remedy}, or npm ci --prefix actors") from error


def compile_actor(source: Path, target: Path) -> None:
    """Compiles one actor. Paths are given relative to it or to actors/, so that none of this machine ends up in the
    output."""
    relative = source.relative_to(ACTORS)
    if source.suffix == ".ts":
        compile_assemblyscript(source, target)
    elif source.stem in COMMANDS:
        run([*zig_command(), "cc", *COMMAND_FLAGS, str(relative), "-o", str(target)], ACTORS)
    else:
        line = command_line(C_FLAGS, Path("sdk/c"), ACTORS, [relative])
        run([*zig_command(), "cc", *line, "-o", str(target)], ACTORS)
    target.chmod(0o644)


def compile_assemblyscript(source: Path, target: Path) -> None:
    project = Project(folder=source.parent, name=source.stem, language="assemblyscript", source=source.name)
    tool = asc()
    with tempfile.TemporaryDirectory() as folder:
        try:
            compile_with(tool, project, target, sdk_copy.copy("assemblyscript", Path(folder) / PACKAGE))
        except errors.BuildFailed as error:
            raise BuildFailed(str(error)) from error


def digest_line(wasm: Path) -> str:
    """As `sha256sum` writes it."""
    return f"{hashlib.sha256(wasm.read_bytes()).hexdigest()}  {wasm.name}\n"


def digest_file(wasm: Path) -> Path:
    return wasm.with_name(wasm.name + ".sha256")


def check(source: Path, rebuild: bool) -> None:
    """Raises `BuildFailed` when the committed module is not what its digest says or its source makes."""
    wasm = source.with_suffix(".wasm")
    if not wasm.exists() or not digest_file(wasm).exists():
        raise BuildFailed(f"{wasm.relative_to(ROOT)} or its digest is missing; run: make actors")
    if digest_file(wasm).read_text() != digest_line(wasm):
        raise BuildFailed(f"{wasm.relative_to(ROOT)} does not match its digest; run: make actors")
    if rebuild:
        with tempfile.TemporaryDirectory() as folder:
            again = Path(folder) / wasm.name
            compile_actor(source, again)
            if again.read_bytes() != wasm.read_bytes():
                raise BuildFailed(f"{wasm.relative_to(ROOT)} is not what its source makes; run: make actors")


def build(source: Path) -> None:
    wasm = source.with_suffix(".wasm")
    compile_actor(source, wasm)
    digest_file(wasm).write_text(digest_line(wasm))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="actors; all without any")
    parser.add_argument("--check", action="store_true", help="change nothing, compare")
    parser.add_argument("--rebuild", action="store_true", help="with --check: also build again and compare the bytes")
    options = parser.parse_args(arguments)
    sources = actor_sources()
    unknown = sorted(set(options.names) - set(sources))
    if unknown:
        parser.error(f"no such actor: {', '.join(unknown)}; there are {', '.join(sources)}")
    if options.rebuild and not options.check:
        parser.error("--rebuild goes with --check")
    failed = False
    for name in options.names or sources:
        try:
            if options.check:
                check(sources[name], options.rebuild)
            else:
                build(sources[name])
        except (BuildFailed, subprocess.TimeoutExpired) as error:
            failed = True
            print(f"{name}: {error}", file=sys.stderr)
        else:
            size = sources[name].with_suffix(".wasm").stat().st_size
            print(f"{name}: {'as committed' if options.check else 'built'}, {size} bytes")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
