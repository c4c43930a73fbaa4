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

from lattice.wasm import beneath
from lattice.wasm.beneath import Escape, How

SECRET = b"not for guests"
READ = How(True, False, False, False, False, False, False, True)
WRITE = READ._replace(read=False, write=True)


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


def read(root: int, path: bytes, follow: bool = True) -> bytes:
    number, _ = beneath.open_file(root, path, READ._replace(follow=follow))
    try:
        return os.read(number, 100)
    finally:
        os.close(number)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (b"file", b"file"),
        (b"./a/../file", b"file"),
        (b"a/inner", b"inner"),
        (b"a//b/../inner", b"inner"),
        (b"a/up", b"file"),
        (b"to_folder/inner", b"inner"),
        (b"to_folder/b/../../file", b"file"),
    ],
)
def test_what_lies_below_is_found(tree: Path, path: bytes, content: bytes) -> None:
    with folder(tree) as root:
        assert read(root, path) == content


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (b"../secret", errno.EPERM),
        (b"a/../../secret", errno.EPERM),
        (b"a/out", errno.EPERM),
        (b"a/b/far", errno.EPERM),
        (b"absolute", errno.EPERM),
        (b"outside/secret", errno.EPERM),
        (b"to_folder/../../secret", errno.EPERM),
        (b"/etc/passwd", errno.EPERM),
        (b"itself", errno.ELOOP),
        (b"", errno.ENOENT),
        (b"nothing", errno.ENOENT),
        (b"nothing/..", errno.ENOENT),
        (b"file/", errno.ENOTDIR),
        (b"file/x", errno.ENOTDIR),
        (b"fi\0le", errno.EINVAL),
        (b"x" * 5000, errno.ENAMETOOLONG),
        (b"fifo", errno.EACCES),
    ],
)
def test_what_does_not_is_refused(tree: Path, path: bytes, code: int) -> None:
    with folder(tree) as root, pytest.raises(OSError) as caught:  # noqa: PT011 - the number tells
        read(root, path)
    assert caught.value.errno == code


def test_a_link_is_not_followed_where_that_was_not_asked_for(tree: Path) -> None:
    with folder(tree) as root:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number tells
            read(root, b"a/up", follow=False)
        assert caught.value.errno == errno.ELOOP
        assert beneath.read_link(root, b"a/up") == b"../file"
        assert beneath.stat_below(root, b"a/up", follow=False).st_size == len(b"../file")
        assert beneath.stat_below(root, b"a/up", follow=True).st_size == 4


def test_a_path_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * (beneath.DEPTH_MAX + 1))
    deep.mkdir(parents=True)
    (deep / "f").write_bytes(b"f")
    with folder(tmp_path) as root, pytest.raises(OSError) as caught:  # noqa: PT011 - the number tells
        read(root, b"d/" * (beneath.DEPTH_MAX + 1) + b"f")
    assert caught.value.errno == errno.ENAMETOOLONG


def test_nothing_is_made_outside(tree: Path) -> None:
    before = sorted(tree.parent.iterdir())
    with folder(tree) as root:
        for attempt in (
            lambda: beneath.make_folder(root, b"../made"),
            lambda: beneath.make_folder(root, b"outside/made"),
            lambda: beneath.open_file(root, b"outside/made", WRITE._replace(create=True)),
            lambda: beneath.open_file(root, b"a/out", WRITE._replace(truncate=True)),
            lambda: beneath.rename(root, b"file", root, b"../file"),
            lambda: beneath.link(root, b"../secret", root, b"mine"),
            lambda: beneath.remove_file(root, b"outside/secret"),
            lambda: beneath.remove_folder(root, b"../root"),
            lambda: beneath.make_link(root, b"/etc", b"etc"),
            lambda: beneath.set_times(root, b"../secret", lambda _: (0, 0), follow=True),
        ):
            with pytest.raises(OSError):  # noqa: PT011 - any refusal will do
                attempt()
    assert sorted(tree.parent.iterdir()) == before
    assert (tree.parent / "secret").read_bytes() == SECRET


def test_changes_below_do_what_they_say(tree: Path) -> None:
    with folder(tree) as root:
        beneath.make_folder(root, b"new/")
        beneath.rename(root, b"file", root, b"new/file")
        beneath.link(root, b"new/file", root, b"again")
        beneath.make_link(root, b"new/file", b"soft")
        assert read(root, b"soft") == b"file"
        beneath.set_times(root, b"again", lambda _: (5, 7), follow=False)
        assert beneath.stat_below(root, b"new/file", follow=True).st_mtime_ns == 7
        beneath.remove_file(root, b"again")
        beneath.remove_file(root, b"new/file")
        beneath.remove_folder(root, b"new")
    assert not (tree / "new").exists()


names = st.sampled_from(
    [b"a", b"b", b"..", b".", b"", b"file", b"up", b"out", b"far", b"absolute", b"outside", b"to_folder"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(path=st.lists(names, min_size=1, max_size=8).map(b"/".join), follow=st.booleans())
def test_no_path_at_all_leads_to_the_secret(tree: Path, path: bytes, follow: bool) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with folder(tree) as root:
        with suppress(OSError):
            assert read(root, path, follow) != SECRET
        try:
            found = beneath.stat_below(root, path, follow=follow)
        except OSError:
            pass
        else:
            outside = {(one.stat().st_dev, one.stat().st_ino) for one in (tree.parent, tree.parent / "secret")}
            assert (found.st_dev, found.st_ino) not in outside
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("target", [b"/etc", b"..", b"../secret", b"a/../../secret", b"new/.."])
def test_a_link_that_could_lead_out_sooner_or_later_is_not_made(tree: Path, target: bytes) -> None:
    with folder(tree) as root, pytest.raises(Escape):
        beneath.make_link(root, target, b"a/b/made")
    assert not (tree / "a" / "b" / "made").is_symlink()


def test_a_link_does_not_tell_where_things_of_the_host_are(tree: Path) -> None:
    with folder(tree) as root, pytest.raises(Escape):
        beneath.read_link(root, b"absolute")


def test_a_new_file_is_not_made_through_a_link_and_none_where_something_is(tree: Path) -> None:
    (tree / "dangling").symlink_to("a/made")
    new = WRITE._replace(create=True, exclusive=True)
    with folder(tree) as root:
        for path in (b"dangling", b"a", b"file", b"fifo"):
            with pytest.raises(FileExistsError):
                beneath.open_file(root, path, new)
        with pytest.raises(FileNotFoundError):
            beneath.open_file(root, b"made", READ._replace(create=True, directory=True))
        for path in (b"made/", b"a/", b"a"):
            with pytest.raises(IsADirectoryError):
                beneath.open_file(root, path, READ._replace(create=True))
    assert not (tree / "a" / "made").exists()
    assert not (tree / "made").exists()


def test_a_slash_at_the_end_means_a_folder(tree: Path) -> None:
    with folder(tree) as root:
        for attempt in (
            lambda: beneath.rename(root, b"file/", root, b"moved"),
            lambda: beneath.rename(root, b"file", root, b"moved/"),
            lambda: beneath.remove_file(root, b"file/"),
            lambda: beneath.remove_folder(root, b"to_folder/"),
            lambda: beneath.stat_below(root, b"file/", follow=True),
        ):
            with pytest.raises(NotADirectoryError):
                attempt()
        beneath.rename(root, b"a/b/", root, b"moved/")
        beneath.make_folder(root, b"moved/new/")
        beneath.remove_folder(root, b"moved/new/")
    assert (tree / "moved" / "far").is_symlink()
