"""The examples of docs/guides/testing.md are run as they stand there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from lattice.authoring.key_folder import VARIABLE
from tests.kit.guests import ROOT
from tests.kit.test_plugin import run
from tests.support.authoring import project

PAGE = ROOT / "docs" / "guides" / "testing.md"
_BLOCK = re.compile(r"(?:^(?:    .*)?\n)+", re.MULTILINE)


def examples() -> str:
    """The blocks of the page that are Python, one after the other."""
    blocks = [textwrap.dedent(block) for block in _BLOCK.findall(PAGE.read_text())]
    found = [block.replace('"actors/', f'"{ROOT}/actors/') for block in blocks if "async def " in block]
    assert len(found) == 4
    return "\n\n".join(found)


def test_the_examples_of_the_page_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "keys"))
    shop = project(tmp_path)
    (shop.folder / "tests" / "test_page.py").write_text(examples())
    out, _ = run(shop.folder, "--", "-k", "test_page")
    assert "6 passed" in out
