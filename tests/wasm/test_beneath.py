"""No path leads out of its folder: not by `..`, not from the root, not by links, not while things move."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice.wasm import beneath
from lattice.wasm.beneath import Escape, How

READ = How(True, False, False, False, False, False, False, True)
CREATE = READ._replace(write=True, create=True)

NAMES = st.sampled_from([b"a", b"b", b"file", b"..", b".", b"up", b"out", b"round", b"chain", b"abs", b"into", b"new"])


def build(base: Path) -> Path:
    """A folder with files and links in it, and a secret beside it."""
    root = base / "root"
    (root / "a" / "b").mkdir(parents=True)
    (base / "secret").write_text("secret")
    (root / "file").write_text("top")
    (root / "a" / "file").write_text("in a")
    (root / "a" / "b" / "file").write_text("in b")
    for name, target in {
        "a/up": "..",
        "a/b/up": "../..",
        "out": "../secret",
        "a/out": "../../secret",
        "round": "round",
        "chain": "a/up/a/b",
        "abs": str(base / "secret"),
        "into": "a/b",
    }.items():
        (root / name).symlink_to(target)
    return root


@contextlib.contextmanager
def folder(path: Path) -> Iterator[int]:
    opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield opened
    finally:
        os.close(opened)


def content(root: int, path: bytes, how: How = READ) -> str:
    file, is_folder = beneath.open_file(root, path, how)
    try:
        return "folder" if is_folder else os.read(file, 100).decode()
    finally:
        os.close(file)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (b"file", "top"),
        (b"./file", "top"),
        (b"a//file", "in a"),
        (b"a/../file", "top"),
        (b"a/b/../../a/b/file", "in b"),
        (b"a/up/file", "top"),
        (b"a/b/up/file", "top"),
        (b"into/file", "in b"),
        (b"into/../file", "in a"),
        (b"chain/file", "in b"),
        (b"a", "folder"),
        (b"a/", "folder"),
        (b"into", "folder"),
        (b".", "folder"),
        (b"a/..", "folder"),
    ],
)
def test_paths_that_stay_inside_are_followed(tmp_path: Path, path: bytes, found: str) -> None:
    with folder(build(tmp_path)) as root:
        assert content(root, path) == found


@pytest.mark.parametrize(
    "path",
    [
        b"..",
        b"../secret",
        b"a/../../secret",
        b"/etc/passwd",
        b"/",
        b"out",
        b"a/out",
        b"abs",
        b"a/up/../secret",
        b"into/../../..",
    ],
)
def test_paths_that_lead_out_are_refused(tmp_path: Path, path: bytes) -> None:
    with folder(build(tmp_path)) as root, pytest.raises(Escape):
        content(root, path)


def test_a_link_is_followed_only_as_asked(tmp_path: Path) -> None:
    with folder(build(tmp_path)) as root:
        with pytest.raises(OSError, match="symbolic"):
            content(root, b"into", READ._replace(follow=False))
        with pytest.raises(OSError, match="too many"):
            content(root, b"round")
        with beneath.place(root, b"out", follow=False) as (parent, name):
            assert os.readlink(name, dir_fd=parent) == b"../secret"


def test_files_are_made_inside_only(tmp_path: Path) -> None:
    base = build(tmp_path)
    (base / "dangling").symlink_to("../made")
    (base / "inside").symlink_to("a/made")
    with folder(base) as root:
        with pytest.raises(Escape):
            content(root, b"dangling", CREATE)
        assert content(root, b"inside", CREATE) == ""
    assert (base / "a" / "made").exists()
    assert not (tmp_path / "made").exists()


def test_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with folder(tmp_path) as root, pytest.raises(PermissionError):
        content(root, b"pipe")
    with folder(Path("/dev")) as root, pytest.raises(PermissionError):
        content(root, b"null")


def test_a_path_has_an_end(tmp_path: Path) -> None:
    here = tmp_path
    for _ in range(beneath.DEPTH_MAX + 2):
        here /= "d"
        here.mkdir()
    with folder(tmp_path) as root, pytest.raises(OSError, match="too many folders"):
        content(root, b"d/" * (beneath.DEPTH_MAX + 2))


@settings(max_examples=300)
@given(st.lists(NAMES, min_size=1, max_size=8), st.booleans(), st.booleans())
def test_whatever_is_opened_lies_inside(
    tmp_path_factory: pytest.TempPathFactory, names: list[bytes], follow: bool, create: bool
) -> None:
    base = tmp_path_factory.getbasetemp() / "beneath"
    if not base.exists():
        base.mkdir()
        build(base)
    before = len(os.listdir("/proc/self/fd"))
    with folder(base / "root") as root:
        how = (CREATE if create else READ)._replace(follow=follow)
        with contextlib.suppress(Escape, OSError):
            file, _ = beneath.open_file(root, b"/".join(names), how)
            try:
                assert Path(os.readlink(f"/proc/self/fd/{file}")).is_relative_to((base / "root").resolve())
            finally:
                os.close(file)
    assert len(os.listdir("/proc/self/fd")) == before
    assert (base / "secret").read_text() == "secret"
    assert {path.name for path in base.iterdir()} == {"root", "secret"}


def test_a_folder_that_turns_into_a_link_meanwhile_leads_nowhere(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "real" / "file").write_text("inside")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("secret")
    (root / "link").symlink_to(outside)
    (root / "door").mkdir()
    (root / "door" / "file").write_text("inside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(root / "door", root / "kept")
            os.rename(root / "link", root / "door")
            os.rename(root / "door", root / "link")
            os.rename(root / "kept", root / "door")

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen = set()
    try:
        with folder(root) as opened:
            for _ in range(3000):
                with contextlib.suppress(Escape, OSError):
                    seen.add(content(opened, b"door/file"))
    finally:
        stop.set()
        swapping.join()
    assert seen <= {"inside"}
