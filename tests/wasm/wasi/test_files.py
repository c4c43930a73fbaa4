"""Paths of guests stay below the folder that was granted, whatever they say."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lattice.wasm.wasi import files

SECRET = b"not for guests"


@contextmanager
def folder(path: Path) -> Iterator[int]:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield number
    finally:
        os.close(number)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A granted folder with links of every kind, and a secret beside it."""
    (tmp_path / "secret").write_bytes(SECRET)
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "file").write_bytes(b"file")
    (root / "a" / "inner").write_bytes(b"inner")
    (root / "a" / "up").symlink_to("../file")
    (root / "a" / "out").symlink_to("../../secret")
    (root / "a" / "b" / "far").symlink_to("../../../secret")
    (root / "absolute").symlink_to(tmp_path / "secret")
    (root / "itself").symlink_to("itself")
    (root / "to_folder").symlink_to("a/")
    (root / "outside").symlink_to("..")
    os.mkfifo(root / "fifo")
    return root


def read(root: int, path: str, follow: bool = True) -> bytes:
    number = files.open_below(root, path, os.O_RDONLY, follow=follow)
    try:
        return os.read(number, 100)
    finally:
        os.close(number)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("file", b"file"),
        ("./a/../file", b"file"),
        ("a/inner", b"inner"),
        ("a//b/../inner", b"inner"),
        ("a/up", b"file"),
        ("to_folder/inner", b"inner"),
        ("to_folder/b/../../file", b"file"),
    ],
)
def test_what_lies_below_is_found(tree: Path, path: str, content: bytes) -> None:
    with folder(tree) as root:
        assert read(root, path) == content


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../secret", errno.EPERM),
        ("a/../../secret", errno.EPERM),
        ("a/out", errno.EPERM),
        ("a/b/far", errno.EPERM),
        ("absolute", errno.EPERM),
        ("outside/secret", errno.EPERM),
        ("to_folder/../../secret", errno.EPERM),
        ("/etc/passwd", errno.EPERM),
        ("itself", errno.ELOOP),
        ("", errno.ENOENT),
        ("nothing", errno.ENOENT),
        ("nothing/..", errno.ENOENT),
        ("file/", errno.ENOTDIR),
        ("file/x", errno.ENOTDIR),
        ("fi\0le", errno.EINVAL),
        ("x" * 5000, errno.ENAMETOOLONG),
        ("fifo", errno.EACCES),
    ],
)
def test_what_does_not_is_refused(tree: Path, path: str, code: int) -> None:
    with folder(tree) as root, pytest.raises(OSError) as caught:  # noqa: PT011 - the number tells
        read(root, path)
    assert caught.value.errno == code


def test_a_link_is_not_followed_where_that_was_not_asked_for(tree: Path) -> None:
    with folder(tree) as root:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number tells
            read(root, "a/up", follow=False)
        assert caught.value.errno == errno.ELOOP
        assert files.read_link(root, "a/up") == "../file"
        assert files.stat_below(root, "a/up", follow=False).st_size == len("../file")
        assert files.stat_below(root, "a/up", follow=True).st_size == 4


def test_a_path_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * (files.DEPTH_MAX + 1))
    deep.mkdir(parents=True)
    (deep / "f").write_bytes(b"f")
    with folder(tmp_path) as root, pytest.raises(OSError) as caught:  # noqa: PT011 - the number tells
        read(root, "d/" * (files.DEPTH_MAX + 1) + "f")
    assert caught.value.errno == errno.ENAMETOOLONG


def test_nothing_is_made_outside(tree: Path) -> None:
    before = sorted(tree.parent.iterdir())
    with folder(tree) as root:
        for attempt in (
            lambda: files.make_folder(root, "../made"),
            lambda: files.make_folder(root, "outside/made"),
            lambda: files.open_below(root, "outside/made", os.O_WRONLY | os.O_CREAT, follow=True),
            lambda: files.open_below(root, "a/out", os.O_WRONLY | os.O_TRUNC, follow=True),
            lambda: files.rename(root, "file", root, "../file"),
            lambda: files.link(root, "../secret", root, "mine"),
            lambda: files.remove_file(root, "outside/secret"),
            lambda: files.remove_folder(root, "../root"),
            lambda: files.make_link(root, "/etc", "etc"),
            lambda: files.set_times(root, "../secret", (0, 0), follow=True),
        ):
            with pytest.raises(OSError):  # noqa: PT011 - any refusal will do
                attempt()
    assert sorted(tree.parent.iterdir()) == before
    assert (tree.parent / "secret").read_bytes() == SECRET


def test_changes_below_do_what_they_say(tree: Path) -> None:
    with folder(tree) as root:
        files.make_folder(root, "new/")
        files.rename(root, "file", root, "new/file")
        files.link(root, "new/file", root, "again")
        files.make_link(root, "new/file", "soft")
        assert read(root, "soft") == b"file"
        files.set_times(root, "again", (5, 7), follow=False)
        assert files.stat_below(root, "new/file", follow=True).st_mtime_ns == 7
        files.remove_file(root, "again")
        files.remove_file(root, "new/file")
        files.remove_folder(root, "new")
    assert not (tree / "new").exists()


names = st.sampled_from(["a", "b", "..", ".", "", "file", "up", "out", "far", "absolute", "outside", "to_folder"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(path=st.lists(names, min_size=1, max_size=8).map("/".join), follow=st.booleans())
def test_no_path_at_all_leads_to_the_secret(tree: Path, path: str, follow: bool) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with folder(tree) as root:
        with suppress(OSError):
            assert read(root, path, follow) != SECRET
        try:
            found = files.stat_below(root, path, follow=follow)
        except OSError:
            pass
        else:
            outside = {(one.stat().st_dev, one.stat().st_ino) for one in (tree.parent, tree.parent / "secret")}
            assert (found.st_dev, found.st_ino) not in outside
    assert len(os.listdir("/proc/self/fd")) == before
