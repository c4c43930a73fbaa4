"""`lattice update actor` puts a new image in place, and leaves the old one when the new one is broken."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from tests.cli.conftest import GUESTS, running_up


def guest(name: str, folder: Path) -> Path:
    path = folder / f"{name}.wasm"
    path.write_bytes(wasmtime.wat2wasm((GUESTS / f"{name}.wat").read_text()))
    return path


def digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_an_update_takes_effect_and_a_broken_one_changes_nothing(
    application: Path, tmp_path: Path, lattice: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ("--manifest", application)
    old, new = tmp_path / "echo.wasm", guest("echo_operation", tmp_path)
    not_wasm = tmp_path / "broken.wasm"
    not_wasm.write_bytes(b"not a module")
    with running_up(application) as up:
        up.wait_for("demo is up")
        assert lattice("call", "echo", "Some.Thing", "payload", "--raw", *data).out == "payload"

        for broken, reason in (
            (not_wasm, "does not begin with the WebAssembly magic number"),
            (guest("start_fails", tmp_path), "start_fails.wasm"),
            (guest("unknown_import", tmp_path), "unknown_import.wasm"),
            (tmp_path / "nowhere.wasm", "cannot be read"),
        ):
            result = lattice("update", "actor", "echo", broken, *data)
            assert (result.code, result.out) == (1, "")
            assert reason in result.err
            assert f"echo keeps serving {digest(old)}" in result.err
            assert lattice("call", "echo", "Some.Thing", "payload", "--raw", *data).out == "payload"

        monkeypatch.chdir(tmp_path)  # the host's working folder is another
        result = lattice("update", "actor", "demo/echo", new.name, *data, "-o", "json")
        assert result.code == 0, result.err
        assert json.loads(result.out) == {
            "id": "demo-echo",
            "name": "echo",
            "image_ref": f"file://{new}",
            "old_digest": digest(old),
            "digest": digest(new),
            "from_cache": False,
        }
        assert lattice("call", "echo", "Some.Thing", "payload", "--raw", *data).out == "Some.Thing"
        inventory = json.loads(lattice("get", "inventory", *data, "-o", "json").out)
        assert {item["name"]: item["digest"] for item in inventory["components"]}["echo"] == digest(new)

        result = lattice("update", "actor", "demo-echo", old, *data)
        assert result.code == 0, result.err
        assert result.out == f"echo (demo-echo)\n  was    {digest(new)}\n  is now {digest(old)}\n"

        unknown = lattice("update", "actor", "nobody", new, *data)
        assert unknown.code == 1
        assert "actors here: echo, spin" in unknown.err
        assert "keeps serving" not in unknown.err
        assert up.end() == 0


def test_an_update_without_a_host_says_so(application: Path, lattice: Callable[..., Any]) -> None:
    result = lattice("update", "actor", "echo", "echo.wasm", "--manifest", application)
    assert result.code == 1
    assert "no host runs with the data folder" in result.err
