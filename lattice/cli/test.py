"""`lattice test`: the tests of an actor's project, with everything around the actor in memory."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from lattice import errors
from lattice.cli.build import ProjectArgument, size
from lattice.cli.output import Format, FormatOption, print_json

NO_TESTS = 5
"""What pytest exits with when there was none."""
PASSED_OR_FAILED = (0, 1)
LOOP_SCOPE = "asyncio_default_fixture_loop_scope"
"""Of pytest-asyncio, which nothing here needs: where it is installed it warns of projects that do not set it."""


def run_tests(
    project: ProjectArgument = Path(),
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- PYTEST...]", help="For pytest, as they are.")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Keep what was called, in tests/transcripts, for later runs to compare.")
    ] = False,
    output: FormatOption = Format.TEXT,
) -> None:
    """Build an actor's project when it has changed, and run its tests.

    Tests are written in Python, whatever the actor is written in: lattice.testing has the host that they use, with
    every capability in memory and time that passes when a test says so. What each test made the actor call is written
    to .lattice/transcripts, and compared where an earlier run was recorded.

    \b
    Example:
      lattice test shop
      lattice test shop -- -k people -x
    """
    from lattice.authoring import sources
    from lattice.authoring.project import load

    found = load(project)
    tests = found.folder / "tests"
    if not tests.is_dir():
        raise errors.ConfigError(
            f"{found.folder} has no tests: there is no folder tests in it",
            remedy="docs/guides/testing.md shows how they are written; lattice new makes a project that has some",
        )
    _require_pytest()
    if sources.is_stale(found):
        from lattice.authoring import building

        built = building.build(found)
        if output is Format.TEXT:
            print(f"built {built.path.name}: {size(built.size)}, {built.seconds:.2f} s", flush=True)
    code, results = _run(found.folder, tests, arguments or [], record, output)
    if output is Format.JSON:
        print_json(_document(found.name, results))
    if code == NO_TESTS:
        raise errors.ConfigError(
            f"no test was found in {tests}", remedy="files are called test_*.py, and functions in them test_*"
        )
    if code not in PASSED_OR_FAILED:
        raise errors.ConfigError(f"pytest could not run the tests: it exited with {code}", remedy="it says why above")
    if code:
        raise typer.Exit(code)


def _require_pytest() -> None:
    if importlib.util.find_spec("pytest") is None:
        raise errors.ToolMissing(
            "pytest, which runs the tests, is not installed", remedy='pip install "nanolattice[test]"'
        )


def _run(
    folder: Path, tests: Path, arguments: list[str], record: bool, output: Format
) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of pytest, and what came of each test."""
    with tempfile.TemporaryDirectory(prefix="lattice-test-") as scratch:
        summary = Path(scratch) / "summary.json"
        command = [sys.executable, "-m", "pytest", "-p", "lattice.testing.pytest_plugin"]
        command += ["--lattice-project", str(folder), "--lattice-summary", str(summary), "--rootdir", str(folder)]
        command += ["--lattice-record"] if record else []
        configuration = _configuration(folder, Path(scratch))
        command += ["-c", str(configuration)]
        if importlib.util.find_spec("pytest_asyncio") and LOOP_SCOPE not in configuration.read_text(encoding="utf-8"):
            command += ["-o", f"{LOOP_SCOPE}=function"]
        # Whoever waits for tests sees them run, and ends them.
        done = subprocess.run(  # noqa: S603  # this interpreter, and what its owner gives it
            [*command, str(tests), *arguments],
            stdout=sys.stderr if output is Format.JSON else None,
            check=False,
        )
        results = json.loads(summary.read_text(encoding="utf-8")) if summary.exists() else []
    return done.returncode, results


def _configuration(folder: Path, scratch: Path) -> Path:
    """The project's own, if it has one; else none: what is configured in folders above is meant for something else."""
    for name in ("pytest.toml", "pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"):
        if (folder / name).is_file():
            return folder / name
    empty = scratch / "pytest.ini"
    empty.write_text("[pytest]\ncache_dir = .lattice/pytest\n", encoding="utf-8")
    return empty


def _document(name: str, results: list[dict[str, Any]]) -> dict[str, object]:
    counts = {kind: sum(1 for one in results if one["outcome"] == kind) for kind in ("passed", "failed", "skipped")}
    return {"name": name, **counts, "tests": results}
