"""The SDK for Zig by itself: its own tests, which run without WebAssembly, and what it makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lattice import errors
from lattice.authoring import resources
from lattice.authoring.toolchains.zig import Zig

TESTS_S_MAX = 300
"""Compiling them takes some seconds, running them less."""


def test_its_own_tests_pass(tmp_path: Path) -> None:
    try:
        zig = Zig().find()
    except errors.ToolMissing as missing:
        pytest.skip(f"{missing}; {missing.remedy}")
    command = [*zig.command, "test", "nanolattice.zig", "--cache-dir", str(tmp_path)]
    done = subprocess.run(
        command, cwd=resources.sdk("zig"), capture_output=True, text=True, timeout=TESTS_S_MAX, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "tests passed" in done.stderr
