"""`lattice test` and the plugin for pytest: a project's tests run as its author runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.guests import COUNTER, ROOT

LATTICE_TOML = '[actor]\nname = "count-up"\nlanguage = "c"\nsource = "app.c"\n'

GOOD = """
import pytest

from lattice.testing import TestHost


async def test_it_counts(actor: TestHost) -> None:
    assert (await actor.http("GET", "/a")).json() == {"counter": 1}


@pytest.mark.parametrize("path", ["/b", "/c"])
class TestPaths:
    async def test_each_path_has_its_count(self, actor: TestHost, path: str, tmp_path) -> None:
        assert (await actor.http("GET", path)).json() == {"counter": 1}
        assert tmp_path.is_dir()


async def test_without_the_actor() -> None:
    pass


def test_plain() -> None:
    pass
"""

BAD = """
from lattice.testing import TestHost


async def test_wrong(actor: TestHost) -> None:
    await actor.http("GET", "/a")
    assert actor.keyvalue["/a"] == "7"


async def test_forgotten(actor: TestHost) -> None:
    actor.http("GET", "/a")


async def test_unmet(actor: TestHost) -> None:
    actor.expect("wasmcloud:keyvalue", "Get")


def test_not_async(actor: TestHost) -> None:
    pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One that is built already, so that no compiler is needed."""
    folder = tmp_path / "count-up"
    (folder / "tests").mkdir(parents=True)
    (folder / "lattice.toml").write_text(LATTICE_TOML)
    (folder / "app.c").write_text("// the source of the module\n")
    (folder / "build").mkdir()
    shutil.copy(COUNTER, folder / "build" / "count-up.wasm")
    for name in ("lattice.toml", "app.c"):
        os.utime(folder / name, (1, 1))
    return folder


def run(*arguments: str | Path, code: int = 0, program: tuple[str, ...] = ("lattice", "test")) -> tuple[str, str]:
    """What the command writes: output and errors."""
    places = (ROOT, ROOT / "providers", *filter(None, [os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", *program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places)), "PYTEST_ADDOPTS": ""},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


def test_tests_pass_are_summed_up_and_leave_their_transcripts(project: Path) -> None:
    (project / "tests" / "test_good.py").write_text(GOOD)
    out, _ = run(project, "-o", "json")
    summary = json.loads(out)
    assert {key: summary[key] for key in ("name", "passed", "failed", "skipped")} == {
        "name": "count-up",
        "passed": 5,
        "failed": 0,
        "skipped": 0,
    }
    assert all(test["seconds"] >= 0 for test in summary["tests"])
    kept = project / ".lattice" / "transcripts" / "test_good"
    assert {path.name for path in kept.iterdir()} == {
        "test_it_counts.txt",
        "test_each_path_has_its_count_b_.txt",
        "test_each_path_has_its_count_c_.txt",
    }
    assert "KeyValue.Increment" in (kept / "test_it_counts.txt").read_text()
    assert not (project / "tests" / "transcripts").exists()


def test_other_plugins_have_nothing_to_warn_of(project: Path) -> None:
    (project / "tests" / "test_good.py").write_text(GOOD)
    assert run(project)[1] == ""
    (project / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = session\n")
    out, err = run(project)
    assert err == ""
    assert "asyncio_default_fixture_loop_scope=session" in out


def test_recorded_transcripts_are_compared(project: Path) -> None:
    test = project / "tests" / "test_one.py"
    test.write_text('async def test_one(actor):\n    await actor.http("GET", "/a")\n')
    run(project, "--record")
    kept = project / "tests" / "transcripts" / "test_one" / "test_one.txt"
    assert "/a" in kept.read_text()
    run(project)
    test.write_text('async def test_one(actor):\n    await actor.http("GET", "/b")\n')
    out, _ = run(project, "--", "-q", code=1)
    assert "the calls are not those recorded in" in out
    assert '-+0.000   count-up > wasmcloud:keyvalue KeyValue.Increment {"key": "/a", "value": 1} = 1' in out
    assert "lattice test --record records them again" in out


def test_what_fails_is_told_so_that_it_can_be_mended(project: Path) -> None:
    (project / "tests" / "test_bad.py").write_text(BAD)
    out, err = run(project, "-o", "json", code=1)
    summary = json.loads(out)
    assert (summary["passed"], summary["failed"]) == (0, 4)
    # What pytest writes:
    assert "calls of count-up:" in err
    assert "KeyValue.Increment" in err
    assert "http('GET', '/a') was never awaited" in err
    assert "KeyValue.Get was never called" in err
    assert "write it as async def" in err


def test_what_keeps_tests_from_running_is_an_error_with_a_remedy(project: Path) -> None:
    _, err = run(project, code=1)
    assert "no test was found in" in err
    (project / "tests").rmdir()
    _, err = run(project, code=1)
    assert "has no tests" in err
    assert "docs/guides/testing.md" in err
    _, err = run(project.parent, code=1)
    assert "is not an actor's project" in err


def test_without_pytest_the_command_says_how_to_get_it(project: Path) -> None:
    hidden = project / "hidden.py"
    hidden.write_text(
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'pytest' else find(name, *rest)\n"
        "from lattice.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, hidden, "test", project],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "providers")))},
    )
    assert done.returncode == 1
    assert "pytest, which runs the tests, is not installed" in done.stderr
    assert 'pip install "nanolattice[test]"' in done.stderr


def test_pytest_alone_runs_them_too_beside_other_plugins(project: Path) -> None:
    (project / "conftest.py").write_text('pytest_plugins = ["lattice.testing.pytest_plugin"]\n')
    (project / "tests" / "test_good.py").write_text(GOOD)
    # pytest-asyncio takes every coroutine for its own in this mode.
    (project / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    out, _ = run(project / "tests", "--rootdir", project, "-c", project / "pytest.ini", program=("pytest",))
    assert "5 passed" in out
