"""A command that was built by Go runs unmodified."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import ask, granted, start
from tests.support.hosts import GUESTS, guest_host

SOURCE = GUESTS / "command.go"
CACHE = GUESTS.parent.parent / ".cache" / "commands"
BUILD_S_MAX = 300
"""The first build of a toolchain compiles its standard library."""


@pytest.fixture
def image() -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no go on the path to build tests/guests/command.go with")
    version = subprocess.run([go, "version"], capture_output=True, text=True, timeout=30, check=True).stdout
    digest = hashlib.sha256(SOURCE.read_bytes() + version.encode()).hexdigest()[:16]
    built = CACHE / f"command-go-{digest}.wasm"
    if not built.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = CACHE / f"{built.stem}-{os.getpid()}.partial"
        environment = {**os.environ, "GOOS": "wasip1", "GOARCH": "wasm", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
        command = [go, "build", "-trimpath", "-o", str(partial), SOURCE.name]
        subprocess.run(command, cwd=SOURCE.parent, env=environment, timeout=BUILD_S_MAX, check=True)
        partial.rename(built)
    return built


async def test_a_command_by_go_answers_and_has_its_files(tmp_path: Path, image: Path) -> None:
    data = tmp_path / "granted"
    data.mkdir()
    (data / "file").write_text("content")
    (tmp_path / "secret").write_text("secret")
    async with guest_host(tmp_path) as guests:
        await start(guests, image, around=granted(data, writable=True), memory_bytes_max=256 * 1024 * 1024)
        response = await ask(guests, "a&b", b"body", path="/x")
    assert response.status_code == 200
    assert (response.body or b"").decode().splitlines() == [
        "GET /x a b body <nil>",
        "slept true",
        "1 <nil>",
        "file content <nil>",
        "<nil>",
        "true",
    ]
    assert (data / "made").read_text() == "by Go"
