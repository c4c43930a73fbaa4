"""Every actor that docs/sdk shows in the small languages compiles as it stands there.

The first of each page as it is shipped, the others as `lattice dev` builds them, which is faster.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lattice import wasmfile
from lattice.authoring import capabilities
from lattice.authoring.project import Project
from lattice.authoring.toolchains import toolchain
from tests.support.authoring import require_toolchain

PAGES = Path(__file__).parents[2] / "docs" / "sdk"
SOURCES = {"c": "c", "zig": "zig", "assemblyscript": "ts"}
"""Languages, and what their code is marked with and its files end in."""


def shown() -> list[tuple[str, int, str]]:
    """Language, place on its page and text of every actor."""
    return [
        (language, number, code)
        for language, suffix in SOURCES.items()
        for number, code in enumerate(
            re.findall(rf"```{suffix}\n(.*?)```", (PAGES / f"{language}.md").read_text(), re.DOTALL)
        )
    ]


@pytest.mark.parametrize(("language", "number", "code"), shown(), ids=lambda value: str(value)[:20].split("\n")[0])
def test_an_actor_of_the_page_compiles(tmp_path: Path, language: str, number: int, code: str) -> None:
    require_toolchain(language)
    source = tmp_path / f"app.{SOURCES[language]}"
    source.write_text(code)
    project = Project(folder=tmp_path, name="app", language=language, source=source.name, debug=number > 0)
    out = tmp_path / "out.wasm"
    toolchain(language).build(project, out, tmp_path)
    data = out.read_bytes()
    file = wasmfile.describe(data)
    assert file.guest == "wapc"
    assert "wasmcloud:httpserver" in capabilities.contracts(data, file)
    if number == 0:
        assert len(data) < 20_000, "hello is small"


def test_each_page_shows_a_whole_actor_for_each_of_its_parts() -> None:
    for language in SOURCES:
        assert len([code for found, _, code in shown() if found == language]) == 4
