"""Every command explains itself, in its help and in docs/cli.md, and help costs little."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from lattice.cli import build

DOCS = (Path(__file__).parent.parent.parent / "docs" / "cli.md").read_text()
HEAVY = {"wasmtime", "ruamel.yaml", "pydantic", "asyncio", "rich", "aiohttp", "msgspec"}


def commands(group: Any, path: str = "lattice") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands(typer.main.get_command(build())))


def test_the_commands_are_these() -> None:
    assert set(COMMANDS) == {
        *(f"lattice {name}" for name in ("up", "host", "call", "spy", "inspect", "doctor", "drill")),
        *(f"lattice {name}" for name in ("new actor", "build", "dev", "test")),
        *(f"lattice {name}" for name in ("push", "pull", "cache list", "cache trim", "cache verify")),
        *(f"lattice keys {name}" for name in ("gen", "list", "get")),
        *(f"lattice claims {name}" for name in ("sign", "inspect")),
        *(f"lattice app {name}" for name in ("validate", "put", "deploy", "undeploy", "delete", "list", "get")),
        *(f"lattice app {name}" for name in ("status", "history", "rollback")),
        *(f"lattice get {name}" for name in ("hosts", "inventory", "links", "claims")),
        *(f"lattice start {name}" for name in ("actor", "provider")),
        *(f"lattice stop {name}" for name in ("actor", "provider", "host")),
        *(f"lattice {name} actor" for name in ("scale", "update")),
        *(f"lattice link {name}" for name in ("put", "del", "list")),
        *(f"lattice config {name}" for name in ("put", "get", "del")),
        *(f"lattice secret {name}" for name in ("put", "list", "del", "rotate")),
        *(f"lattice label {name}" for name in ("put", "del")),
        *(f"lattice context {name}" for name in ("set", "use", "list", "delete")),
    }


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_help_with_an_example_and_is_documented(path: str, lattice: Callable[..., Any]) -> None:
    result = lattice(*path.split()[1:], "--help")
    assert result.code == 0
    assert "Example:" in result.out
    assert f"    {path}" in result.out
    assert path in DOCS
    for parameter in COMMANDS[path].params:
        assert parameter.param_type_name == "argument" or parameter.help or parameter.name == "help", parameter.name
        for option in parameter.opts:
            if option.startswith("--") and option != "--help":
                assert f"`{option}" in DOCS, option


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys\nfrom lattice.cli import build\nbuild()\nprint(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.strip() == "['msgspec']"  # a millisecond, for records


def test_wrong_usage_exits_with_2(lattice: Callable[..., Any]) -> None:
    for arguments in (("nope",), ("inspect",), ("inspect", "a", "--nope"), ("get", "hosts", "-o", "xml")):
        result = lattice(*arguments)
        assert result.code == 2
        assert result.out == ""
        assert "rror" in result.err


def test_version_prints_the_version(lattice: Callable[..., Any]) -> None:
    result = lattice("--version")
    assert result.code == 0
    assert result.out.startswith("lattice ")
