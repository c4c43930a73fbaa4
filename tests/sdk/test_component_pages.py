"""The pages on Python and TypeScript: every example is run or compiled."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nanolattice import answering, http, messaging, timers

from lattice.authoring import resources
from lattice.authoring.project import Project
from lattice.authoring.toolchains import toolchain
from lattice.authoring.toolchains.javascript import USES as MODULES_OF_SCRIPTS
from lattice.authoring.toolchains.python_imports import USES as NAMES_OF_PYTHON
from tests.sdk.test_typescript import modules
from tests.support.authoring import require_toolchain

PAGES = Path(__file__).parents[2] / "docs" / "sdk"


def examples(page: str, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", (PAGES / page).read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    yield
    for table in (http.routes, messaging.handlers, timers.handlers, answering.handlers):
        table.clear()


@pytest.mark.parametrize("number", range(len(examples("python.md", "python"))))
def test_an_example_in_python_registers_what_it_shows(number: int) -> None:
    text = examples("python.md", "python")[number]
    exec(compile(text, f"example {number}", "exec", dont_inherit=True), {"__name__": f"example_{number}"})
    assert answering.handlers


def test_examples_in_typescript_have_types_and_make_bundles(tmp_path: Path) -> None:
    require_toolchain("typescript")
    node, packages = modules("typescript")
    folder = tmp_path / "app"
    shutil.copytree(resources.template("typescript", "http"), folder)
    (folder / "app.ts").unlink()
    names = []
    for number, text in enumerate(examples("typescript.md", "ts")):
        names.append(f"example{number}.ts")
        (folder / names[-1]).write_text(text)
    for name in names:
        project = Project(folder=folder, name="app", language="typescript", source=name)
        assert toolchain("typescript").contracts(project)
    tsc = [node, str(packages / "typescript" / "bin" / "tsc"), "-p", "."]
    done = subprocess.run(tsc, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_the_pages_name_every_contract() -> None:
    for page, contracts in (("python.md", NAMES_OF_PYTHON), ("typescript.md", MODULES_OF_SCRIPTS)):
        text = (PAGES / page).read_text()
        for contract in set(contracts.values()):
            assert f"`{contract}`" in text, f"{page} says nothing of {contract}"
