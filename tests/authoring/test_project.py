"""lattice.toml: what it may say, and that every mistake in it is told."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.authoring import project

WHOLE = """\
[actor]
name = "shop"
language = "c"
source = "src/app.c"
revision = 7
capabilities = ["wasmcloud:keyvalue"]
alias = "the/shop"
"""


def written(folder: Path, text: str) -> Path:
    (folder / "lattice.toml").write_text(text)
    return folder


def test_all_that_it_may_say_is_read(tmp_path: Path) -> None:
    found = project.load(written(tmp_path, WHOLE))
    assert found == project.Project(
        folder=tmp_path,
        name="shop",
        language="c",
        source="src/app.c",
        revision=7,
        capabilities=("wasmcloud:keyvalue",),
        alias="the/shop",
    )
    assert found.target == tmp_path / "build" / "shop.wasm"


def test_a_project_is_found_from_inside(tmp_path: Path) -> None:
    inside = tmp_path / "src" / "deep"
    inside.mkdir(parents=True)
    assert project.load(written(tmp_path, WHOLE)) == project.load(inside)


def test_a_folder_that_is_no_project_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match=r"is not an actor's project") as raised:
        project.load(tmp_path)
    assert "lattice new actor" in raised.value.remedy


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('name = "shop"', ""), r"\[actor\] needs name"),
        (('name = "shop"', "name = 3"), r"\[actor\] needs name"),
        (('"shop"', '"Shop"'), "cannot be an actor's name"),
        (('"src/app.c"', '"../app.c"'), "source is a path inside the project"),
        (('"src/app.c"', '"/app.c"'), "source is a path inside the project"),
        (("revision = 7", "revision = -1"), "revision is a number from 0"),
        (("revision = 7", "revision = true"), "revision is a number from 0"),
        (("revision = 7", "revison = 7"), "'revison' in .* is not known; known are"),
        (("[actor]", "[guest]"), "'guest' at the top is not known"),
        (("[actor]\n", "[actor]\n[actor]\n"), "Cannot declare"),
        (('["wasmcloud:keyvalue"]', '["keyvalue"]'), "capabilities is a list of contracts"),
        (('["wasmcloud:keyvalue"]', '"wasmcloud:keyvalue"'), "capabilities is a list of contracts"),
        (("alias = ", "alias = 1 # "), r"needs alias as text"),
        (("[actor]", "actor = ["), "line 2"),
    ],
)
def test_a_mistake_names_the_file_and_what_is_wrong(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    written(tmp_path, WHOLE.replace(*change))
    with pytest.raises(errors.ConfigError, match=said) as raised:
        project.load(tmp_path)
    assert raised.value.remedy


def test_a_file_that_is_no_text_or_too_large_is_told(tmp_path: Path) -> None:
    (tmp_path / "lattice.toml").write_bytes(b"name = \xff")
    with pytest.raises(errors.ConfigError, match="not UTF-8"):
        project.load(tmp_path)
    written(tmp_path, "# " + "x" * project.FILE_BYTES_MAX)
    with pytest.raises(errors.ConfigError, match="at most"):
        project.load(tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["name", "language", "source", "revision", "capabilities", "alias", "more"])


@given(st.dictionaries(st.sampled_from(["actor", "x"]), st.dictionaries(KEYS, VALUES) | VALUES))
def test_whatever_it_says_is_a_project_or_an_error_for_people(document: dict[str, Any]) -> None:
    try:
        found = project.parse(document, Path("/shop"))
    except errors.ConfigError:
        return
    assert project.NAME.fullmatch(found.name)
    assert (found.folder / found.source).is_relative_to(found.folder)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    with pytest.raises(errors.ConfigError):  # a text that hypothesis finds has no [actor] with all it needs
        project.parse(document, Path("/shop"))
