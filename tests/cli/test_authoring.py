"""`lattice new` and `lattice build` as commands; `lattice dev` is in tests/e2e."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lattice.authoring.key_folder import VARIABLE
from tests.support import authoring


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and keys of one's own."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "keys"))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_a_new_actor_is_made_and_built_by_the_commands_that_are_printed(
    here: Path, lattice: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    authoring.require_toolchain("c")
    made = lattice("new", "actor", "shop", "--lang", "c", "--template", "counter")
    assert made.code == 0
    assert "  cd shop\n  lattice dev" in made.out
    assert "shop/app.c" in made.out
    monkeypatch.chdir(here / "shop")
    built = lattice("build", "-o", "json")
    document = json.loads(built.out)
    assert document["path"] == str(here / "shop" / "build" / "shop.wasm")
    assert document["contracts"] == ["wasmcloud:httpserver", "wasmcloud:keyvalue"]
    assert document["kind"] == "wapc"
    shown = lattice("build")
    assert "contracts  wasmcloud:httpserver, wasmcloud:keyvalue" in shown.out
    assert f"size       {document['size']} bytes" in shown.out
    assert f"imports    {len(document['imports'])} of wapc" in shown.out
    assert lattice("claims", "inspect", document["path"]).code == 0


def test_the_document_of_a_new_actor_has_its_files(here: Path, lattice: Callable[..., Any]) -> None:
    result = lattice("new", "actor", "shop", "-l", "c", "-o", "json")
    document = json.loads(result.out)
    assert document["folder"] == str(here / "shop")
    assert {"app.c", "app.yaml", "lattice.toml", "README.md", ".gitignore"} <= set(document["files"])


def test_a_missing_compiler_is_told_and_the_project_made_all_the_same(
    here: Path, lattice: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTICE_ZIG", "no-such-zig")
    made = lattice("new", "actor", "shop", "--lang", "c")
    assert made.code == 0
    assert "before that: zig " in made.out
    assert "pip install ziglang==" in made.out
    built = lattice("build", "shop")
    assert built.code == 1
    assert "was not found" in built.err
    assert "pip install ziglang==" in built.err
    checks = {check["name"]: check for check in json.loads(lattice("doctor", "-o", "json").out)["checks"]}
    assert not checks["actors in c"]["ok"]
    assert "pip install ziglang==" in checks["actors in c"]["remedy"]


def test_a_language_is_asked_for_or_the_languages_are_listed(here: Path, lattice: Callable[..., Any]) -> None:
    result = lattice("new", "actor", "shop")
    assert result.code == 1
    assert "--lang is missing" in result.err
    assert "there are " in result.err
    assert os.listdir(here) == []


def test_who_leaves_out_what_is_to_be_made_is_told_the_command(here: Path, lattice: Callable[..., Any]) -> None:
    result = lattice("new", "shop", "--lang", "c")
    assert result.code == 2
    assert "what is to be made is missing: lattice new actor shop --lang c" in result.err
    assert "Did you mean 'actor'?" in lattice("new", "actr", "shop").err
    assert os.listdir(here) == []


def test_a_folder_that_is_no_project_cannot_be_built(here: Path, lattice: Callable[..., Any]) -> None:
    for command in ("build", "dev"):
        result = lattice(command)
        assert result.code == 1
        assert f"{here} is not an actor's project" in result.err
        assert "lattice new actor" in result.err


def test_a_folder_that_is_not_there_is_not_the_project_around_it(here: Path, lattice: Callable[..., Any]) -> None:
    (here / "lattice.toml").write_text('[actor]\nname = "shop"\nlanguage = "c"\nsource = "app.c"\n')
    for command in ("build", "dev", "test"):
        result = lattice(command, "shpo")
        assert result.code == 1
        assert f"there is no folder {here / 'shpo'}" in result.err


def test_what_other_hosts_would_miss_is_noted_by_the_build(here: Path, lattice: Callable[..., Any]) -> None:
    project = authoring.project(here, template="counter")
    assert json.loads(lattice("build", "shop", "-o", "json").out)["notes"] == []
    text = project.manifest.read_text()
    before, _, rest = text.partition("      traits:\n")
    project.manifest.write_text(f"{before}    - name: http\n{rest.partition('    - name: http' + chr(10))[2]}")
    result = lattice("build", "shop")
    assert result.code == 0
    assert "note: app.yaml has no link for wasmcloud:keyvalue: lattice dev makes one" in result.out
    assert "httpserver:" not in result.out
    project.manifest.write_text(text.replace("builtin://http-server", "builtin://htp-server"))
    result = lattice("build", "shop")
    assert result.code == 0
    assert "note: app.yaml:" in result.out
    assert "lattice app validate app.yaml has every mistake" in result.out


def test_a_syntax_error_is_the_compilers_own_words(here: Path, lattice: Callable[..., Any]) -> None:
    project = authoring.project(here)
    (project.folder / "app.c").write_text("int x = ;\n")
    result = lattice("build", "shop")
    assert result.code == 1
    assert "error: shop does not compile:\napp.c:1:9: error: expected expression\n" in result.err


def test_on_a_terminal_the_language_is_asked_for(here: Path) -> None:
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "lattice", "new", "actor", "shop", "-t", "counter"]
    process = subprocess.Popen(command, cwd=here, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    try:
        while b"language:" not in shown:
            assert select.select([master], [], [], authoring.WAIT_S)[0], shown
            shown += os.read(master, 4096)
        os.write(master, b"c\n")
        assert process.wait(authoring.WAIT_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert b"http, counter, worker, cron" in shown
    assert (here / "shop" / "app.c").is_file()
