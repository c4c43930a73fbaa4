"""The SDK for C by itself, on this machine: no bytes make it read what is not its own; its numbers are libc's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lattice import errors
from lattice.authoring import resources
from lattice.authoring.toolchains.c import C

NATIVE = Path(__file__).with_name("native.c")
FLAGS = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-attributes")
SANITIZED = ("-fsanitize=undefined", "-fno-sanitize-trap=undefined")
STEP_S_MAX = 300
"""A compiler that is used for the first time compiles its own runtime."""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=STEP_S_MAX, check=False)


def test_no_input_breaks_the_readers_and_numbers_are_right(tmp_path: Path) -> None:
    try:
        zig = C().find()
    except errors.ToolMissing as missing:
        pytest.skip(f"{missing}; {missing.remedy}")
    sdk = resources.sdk("c")
    sources = [path for path in sorted(sdk.glob("*.c")) if path.name not in ("call.c", "conformance.c")]
    program = tmp_path / "native"
    built = run(*zig.command, "cc", *FLAGS, *SANITIZED, "-I", sdk, NATIVE, *sources, "-o", program)
    assert built.returncode == 0, built.stderr
    done = run(program)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["json", "messages", "numbers"]
