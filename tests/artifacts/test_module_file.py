"""What is named as a module and is no file: a device without end, a pipe that says nothing, a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lattice import errors, wasmfile
from lattice.actors import ActorSpec
from lattice.artifacts import module_file
from lattice.artifacts.images import Images
from lattice.artifacts.push import read_module
from tests.support.hosts import guest_host


def read(path: str, *, limit: int = wasmfile.WASM_BYTES_MAX) -> str:
    """What the error is, in a process of its own: what never ends can be ended, and what takes all memory takes its."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_DATA, (2**30, 2**30))\n"
        "from pathlib import Path\n"
        "from lattice import errors, wasmfile\n"
        "from lattice.artifacts import actor_image\n"
        "from lattice.security.settings import ActorTrust\n"
        f"wasmfile.WASM_BYTES_MAX = {limit}\n"
        "try: actor_image.read_image(Path(sys.argv[1]), ActorTrust(), 0)\n"
        "except errors.ArtifactUnreadable as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=30)
    assert not done.stderr, done.stderr[-500:]
    return done.stdout


def test_a_device_without_end_is_not_read() -> None:
    assert "is no regular file" in read("/dev/zero")


def test_a_pipe_that_nobody_writes_into_stops_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wasm")
    assert "is no regular file" in read(str(tmp_path / "pipe.wasm"))


def test_a_file_that_says_nothing_of_its_size_is_read_to_the_limit_only() -> None:
    assert "is larger than" in read("/proc/self/maps", limit=100)


async def test_a_host_goes_on_after_it_was_told_to_run_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wasm")
    async with guest_host(tmp_path) as guests:
        for path in (Path("/dev/null"), tmp_path / "pipe.wasm"):
            with pytest.raises(errors.ArtifactUnreadable, match="no regular file"):
                await guests.host.actors.start(ActorSpec(key="a", name="a", image=path, application="test"))


async def test_nothing_of_the_kind_is_pushed_or_stored(tmp_path: Path) -> None:
    with pytest.raises(errors.ArtifactUnreadable, match="no regular file"):
        read_module(Path("/dev/null"))
    with pytest.raises(errors.ArtifactUnreadable, match="no regular file"):
        await Images(tmp_path).put(Path("/dev/null"))


def test_what_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.ArtifactUnreadable, match="No such file") as caught:
        module_file.read(tmp_path / "none.wasm", "look again")
    assert caught.value.remedy == "look again"
    with pytest.raises(errors.ArtifactUnreadable, match="is no path"):
        module_file.read(Path("a\0b"))
    with pytest.raises(errors.ArtifactUnreadable, match=r"regular|directory"):
        module_file.read(tmp_path)
    monkeypatch.setattr(wasmfile, "WASM_BYTES_MAX", 3)
    (tmp_path / "large.wasm").write_bytes(b"four")
    with pytest.raises(errors.ArtifactUnreadable, match="larger than"):
        module_file.read(tmp_path / "large.wasm")
