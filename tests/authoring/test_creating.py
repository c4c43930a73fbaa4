"""`lattice new`: templates are whole, and nothing is made halfway."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lattice import errors
from lattice.authoring import creating, resources
from lattice.authoring.project import load
from lattice.authoring.toolchains import TOOLCHAINS
from lattice.control import manifest
from lattice.supervisor import Installed

OFFERED = creating.offered()
ALL = [(language, template) for language, templates in OFFERED.items() for template in templates]


def test_a_language_that_is_offered_has_a_toolchain_and_every_template() -> None:
    for language, templates in OFFERED.items():
        assert language in TOOLCHAINS
        assert set(templates) == set(resources.TEMPLATES), language


@pytest.mark.parametrize(("language", "template"), ALL, ids="-".join)
def test_a_template_becomes_a_project(tmp_path: Path, language: str, template: str) -> None:
    made = creating.create("word-count", language, template, tmp_path)
    assert made == load(tmp_path / "word-count")
    assert (made.name, made.language) == ("word-count", language)
    assert f"An actor in {creating.spelled(language)}." in (made.folder / "README.md").read_text()
    assert (made.folder / made.source).is_file()
    for path in made.folder.rglob("*"):
        assert "{{" not in path.name
        if path.is_file():
            assert "{{" not in path.read_text().replace("${{", ""), path
    assert {"README.md", ".gitignore", "app.yaml"} <= set(os.listdir(made.folder))
    text = made.manifest.read_text()
    read = manifest.parse(text, file="app.yaml", folder=made.folder, providers=Installed())
    assert read.component("word-count").image.path == made.target


def test_what_an_installer_compiled_is_no_part_of_a_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "actors"
    for folder in ("shared", "c"):
        shutil.copytree(resources.actors() / "templates" / folder, installed / "templates" / folder)
        compiled = installed / "templates" / folder / "http" / "__pycache__"
        compiled.mkdir()
        (compiled / "app.cpython-311.pyc").write_bytes(b"\xa7\r\r\n")
    monkeypatch.setattr(resources, "actors", lambda: installed)
    made = creating.create("shop", "c", "http", tmp_path)
    assert not list(made.folder.rglob("__pycache__"))


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    there = tmp_path / "shop"
    there.write_text("mine")
    with pytest.raises(errors.ConfigError, match="is there already, and nothing in it was changed"):
        creating.create("shop", "c", "http", tmp_path)
    assert there.read_text() == "mine"
    there.unlink()
    there.symlink_to(tmp_path / "nowhere")
    with pytest.raises(errors.ConfigError, match="is there already"):
        creating.create("shop", "c", "http", tmp_path)


@pytest.mark.parametrize("name", ["", "Shop", "1shop", "a b", "../up", "a" * 51, "shöp", "-x"])
def test_a_bad_name_is_refused_with_a_good_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.ConfigError, match="cannot be an actor's name") as raised:
        creating.create(name, "c", "http", tmp_path)
    assert "for example" in raised.value.remedy
    assert os.listdir(tmp_path) == []


def test_names_that_mean_something_else_in_a_project_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="cannot be called http") as raised:
        creating.create("http", "c", "http", tmp_path)
    assert "http-actor" in raised.value.remedy


def test_a_language_or_template_that_there_is_not_is_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="no toolchain for the language 'cobol'") as raised:
        creating.create("shop", "cobol", "http", tmp_path)
    assert "c" in raised.value.remedy
    with pytest.raises(errors.ConfigError, match="no template 'game'") as raised:
        creating.create("shop", "c", "game", tmp_path)
    assert "http, counter, worker, cron" in raised.value.remedy
    assert os.listdir(tmp_path) == []


def test_a_word_that_is_nearly_right_is_told_the_right_one(tmp_path: Path) -> None:
    for written, right in [("pyton", "python"), ("py", "python"), ("TS", "typescript"), ("RUST", "rust")]:
        with pytest.raises(errors.ConfigError) as raised:
            creating.create("shop", written, "http", tmp_path)
        assert raised.value.remedy.startswith(f"did you mean {right}? there are assemblyscript, ")
    with pytest.raises(errors.ConfigError) as raised:
        creating.create("shop", "c", "htp", tmp_path)
    assert raised.value.remedy == "did you mean http? there are http, counter, worker, cron"
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.ConfigError, match="nothing can be made in"):
        creating.create("shop", "c", "http", tmp_path / "file")
