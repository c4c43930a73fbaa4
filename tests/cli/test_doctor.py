"""`lattice doctor` finds what is there and says how to get the rest."""

from __future__ import annotations

import importlib.metadata
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from lattice.authoring.toolchains import TOOLCHAINS
from lattice.cli import doctor


def test_this_machine_has_what_is_required(lattice: Callable[..., Any]) -> None:
    result = lattice("doctor", "-o", "json")
    document = json.loads(result.out)
    checks = {check["name"]: check for check in document["checks"]}
    assert (result.code, document["healthy"]) == (0, True)
    assert checks["python"]["required"]
    assert checks["wasmtime"]["required"]
    assert {
        "compile cache",
        "port 8080",
        "nats-server",
        "redis-server",
        "postgres",
        "docker",
        *(f"actors in {language}" for language in TOOLCHAINS),
    } <= set(checks)
    for check in checks.values():
        assert check["ok"] or check["remedy"], check


def test_a_wrong_engine_is_found_and_fails(monkeypatch: pytest.MonkeyPatch, lattice: Callable[..., Any]) -> None:
    real = importlib.metadata.version
    # Another version cannot be installed for one test.
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.2.3" if name == "wasmtime" else real(name))
    result = lattice("doctor")
    assert result.code == 1
    assert "1.2.3, and " in result.out
    assert 'pip install "wasmtime==' in result.out


def test_a_port_in_use_is_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        check = doctor.check_port(taken.getsockname()[1])
    assert not check.ok
    assert "cannot be used" in check.detail


def test_a_program_that_is_missing_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert doctor.find_program("no-such-program") is None
