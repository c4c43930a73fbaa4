"""The committed modules: what their digests say, what their sources make, and no import that the host does not have."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from lattice import wasmfile
from scripts import build_actors
from tests.actors.applications import ACTORS

SOURCES = build_actors.actor_sources()
REBUILT = [name for name, source in SOURCES.items() if source.suffix == ".c" or name == "pinger"]
"""Those that compile fast, and one of the others; `build_actors.py --check --rebuild` compares all."""

WAPC = {
    "__guest_request",
    "__guest_response",
    "__guest_error",
    "__host_call",
    "__host_response_len",
    "__host_response",
    "__host_error_len",
    "__host_error",
    "__console_log",
}
OFFERED = {("wapc", name) for name in WAPC} | {("wasi_snapshot_preview1", "clock_time_get")}
BYTES_MAX = 40_000
"""Of one module. An actor holds no HTTP, no database client and no serialisation of its own to grow by."""
COMMAND_BYTES_MAX = 60_000
"""A command brings the C library's buffers and formats."""


def test_there_are_actors_in_both_languages() -> None:
    assert {source.suffix for source in SOURCES.values()} == {".c", ".ts"}
    assert {"echo", "counter", "pinger", "ponger", "shortener", "clicks", "report"} <= set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_the_committed_module_has_its_digest(name: str) -> None:
    build_actors.check(SOURCES[name], rebuild=False)


@pytest.mark.parametrize("name", build_actors.COMMANDS)
def test_a_command_imports_wasi_alone_and_is_small(name: str) -> None:
    data = SOURCES[name].with_suffix(".wasm").read_bytes()
    module = wasmfile.describe(data)
    assert module.guest == "command"
    assert {entry.module for entry in module.imports} == {"wasi_snapshot_preview1"}
    assert len(data) < COMMAND_BYTES_MAX


@pytest.mark.parametrize("name", sorted(set(SOURCES) - set(build_actors.COMMANDS)))
def test_it_imports_only_what_the_host_has_and_is_small(name: str) -> None:
    source = SOURCES[name]
    data = source.with_suffix(".wasm").read_bytes()
    module = wasmfile.describe(data)
    offered = OFFERED | ({("env", "abort")} if source.suffix == ".ts" else set())
    assert {(entry.module, entry.name) for entry in module.imports} <= offered
    assert {"memory", "__guest_call"} == {entry.name for entry in module.exports}
    assert len(data) < BYTES_MAX


@pytest.mark.parametrize("name", REBUILT)
def test_building_it_again_gives_the_same_bytes(name: str) -> None:
    try:
        if SOURCES[name].suffix == ".c":
            build_actors.zig_command()
        else:
            build_actors.asc()
    except build_actors.BuildFailed as missing:
        pytest.skip(str(missing))
    build_actors.check(SOURCES[name], rebuild=True)


def test_a_module_that_was_changed_by_hand_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_actors, "ROOT", tmp_path)
    source = tmp_path / "echo.c"
    wasm = source.with_suffix(".wasm")
    with pytest.raises(build_actors.BuildFailed, match="missing"):
        build_actors.check(source, rebuild=False)
    wasm.write_bytes(b"\0asm\1\0\0\0")
    build_actors.digest_file(wasm).write_text(build_actors.digest_line(wasm))
    build_actors.check(source, rebuild=False)
    wasm.write_bytes(b"\0asm\1\0\0\0changed")
    with pytest.raises(build_actors.BuildFailed, match="does not match its digest; run: make actors"):
        build_actors.check(source, rebuild=False)


def test_without_a_compiler_the_build_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LATTICE_ZIG", shlex.quote(str(tmp_path / "no-zig")))
    before = SOURCES["echo"].with_suffix(".wasm").read_bytes()
    assert build_actors.main(["echo"]) == 1
    assert f"pip install ziglang=={build_actors.ZIG_VERSION}" in capsys.readouterr().err
    assert SOURCES["echo"].with_suffix(".wasm").read_bytes() == before


def test_the_lock_file_pins_the_compiler_and_names_no_server() -> None:
    lock = json.loads((ACTORS / "package-lock.json").read_text())
    compiler = lock["packages"]["node_modules/assemblyscript"]
    assert compiler["version"] == build_actors.ASSEMBLYSCRIPT_VERSION
    for name, package in lock["packages"].items():
        assert "resolved" not in package
        assert not name or package["integrity"].startswith("sha512-")


def test_each_actor_has_a_page() -> None:
    for name, source in SOURCES.items():
        assert len((source.parent / "README.md").read_text()) > 200, f"actors/{name}/README.md"
