"""docs/reference says what the code says, and leaves nothing out that is public."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import nanolattice
import pytest

import lattice.testing
from lattice import errors
from lattice.authoring import project
from scripts import reference


def test_the_pages_are_current() -> None:
    assert reference.stale() == [], "make reference"


def test_a_change_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "PAGES", tmp_path)
    monkeypatch.setattr("sys.argv", ["reference.py"])
    assert reference.main() == 0
    assert reference.stale() == []
    (tmp_path / "testing.md").write_text("something else")
    (tmp_path / "contracts.md").unlink()
    monkeypatch.setattr("sys.argv", ["reference.py", "--check"])
    assert reference.main() == 1
    assert re.findall(r"docs/reference/(\S+) is not", capsys.readouterr().out) == ["contracts.md", "testing.md"]


@pytest.mark.parametrize(
    ("page", "names"),
    [
        (reference.testing_page, lattice.testing.__all__),
        (reference.sdk_page, nanolattice.__all__),
        (reference.contracts_page, [contract.id for _, contract in reference.contracts()]),
    ],
)
def test_every_public_name_is_there(page: Callable[[], str], names: list[str]) -> None:
    text = page()
    missing = [
        name for name in names if not re.search(rf"(?m)^(### |## (nanolattice\.)?|`(async with )?){name}\b", text)
    ]
    assert not missing


def test_every_operation_is_there_once() -> None:
    text = reference.contracts_page()
    for _, contract in reference.contracts():
        for operation in (*contract.operations, *contract.actor_operations):
            assert text.count(f"| `{operation.name}` |") == 1


def test_the_keys_of_a_project_are_those_that_are_read(tmp_path: Path) -> None:
    listed = re.findall(r"^\| `(\w+)` \|", reference.toml_page(), re.MULTILINE)
    with pytest.raises(errors.ConfigError) as refused:
        project.parse({"actor": {"nonsense": 1}}, tmp_path)
    known = str(refused.value).partition("known are ")[2]
    assert known.split(", ") == sorted(listed)
