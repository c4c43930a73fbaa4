"""Content on disk: whole or not there, checked when read, shared by processes, and no planted link followed."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lattice import errors
from lattice.artifacts import blobs as blobs_module
from lattice.artifacts import folders
from lattice.artifacts.arriving import in_thread, incoming
from lattice.artifacts.blobs import Blobs
from lattice.artifacts.tags import Meaning, Tags

DATA = b"\0asm\x01\0\0\0 and so on"


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


DIGEST = digest_of(DATA)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "images")


def names(blobs: Blobs) -> list[str]:
    return sorted(path.name for path in (blobs.folder / "blobs" / "sha256").iterdir())


def test_what_is_put_is_got(blobs: Blobs) -> None:
    assert blobs.get(DIGEST) is None
    path = blobs.put(DIGEST, DATA)
    assert blobs.get(DIGEST) == path == blobs.path(DIGEST)
    assert path.read_bytes() == blobs.read(DIGEST, 100) == DATA
    assert stat.S_IMODE(path.stat().st_mode) == 0o400, "nobody changes it by mistake"
    assert stat.S_IMODE(blobs.folder.stat().st_mode) == 0o700
    blobs.put(DIGEST, DATA)
    assert names(blobs) == [DIGEST]
    assert blobs.read(DIGEST, 3) is None
    assert blobs.get(DIGEST) == path, "too large for one caller is not wrong"


def test_what_does_not_have_the_digest_is_not_kept(blobs: Blobs) -> None:
    with pytest.raises(errors.ArtifactMismatch, match="does not have the digest"):
        blobs.put(DIGEST, b"other")
    assert names(blobs) == []


@pytest.mark.parametrize(
    "digest", ["", "x", "../../etc/passwd", DIGEST.upper(), DIGEST + "/x", "sha256:" + DIGEST, DIGEST + "\n"]
)
def test_what_is_no_digest_becomes_no_path(blobs: Blobs, digest: str) -> None:
    for attempt in (blobs.path, blobs.get, blobs.begin, lambda it: blobs.put(it, DATA), lambda it: blobs.read(it, 9)):
        with pytest.raises(errors.ArtifactUnreadable, match="is no digest"):
            attempt(digest)
    assert not blobs.folder.exists()


def test_corrupt_content_is_as_if_not_there(blobs: Blobs, caplog: pytest.LogCaptureFixture) -> None:
    path = blobs.put(DIGEST, DATA)
    for wrong in (b"", DATA[:-1], DATA + b"x", DATA[:-1] + b"!"):
        path.chmod(0o600)
        path.write_bytes(wrong)
        assert blobs.get(DIGEST) is None
        assert not path.exists()
        blobs.put(DIGEST, DATA)
    assert "is corrupt and is fetched again" in caplog.text


# Others in the folder.


def test_planted_links_and_pipes_are_never_followed(blobs: Blobs, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(DATA)
    path = blobs.put(DIGEST, DATA)
    part = path.with_name(DIGEST + ".part")
    for plant in (lambda it: it.symlink_to(outside), os.mkfifo, lambda it: it.mkdir()):
        path.unlink(missing_ok=True)
        plant(path)
        assert blobs.get(DIGEST) is None, "also not when what it leads to is right"
        assert [entry for entry in blobs.entries() if entry.size] == []
        if path.is_dir():
            path.rmdir()
        plant(part)
        with pytest.raises(errors.ArtifactUnreadable, match="cannot be used"):
            blobs.put(DIGEST, DATA)
        part.rmdir() if part.is_dir() else part.unlink()
    assert outside.read_bytes() == DATA


@pytest.mark.parametrize("place", ["", "blobs", "blobs/sha256"])
def test_a_folder_that_is_a_link_or_that_others_may_write_is_not_used(blobs: Blobs, tmp_path: Path, place: str) -> None:
    blobs.put(DIGEST, DATA)
    folder = blobs.folder / place
    for mode in (0o777, 0o770, 0o702):
        folder.chmod(mode)
        with pytest.raises(errors.ConfigError, match="others may write"):
            blobs.get(DIGEST)
        with pytest.raises(errors.ConfigError, match="others may write"):
            blobs.put(DIGEST, DATA)
    folder.chmod(0o700)
    moved = tmp_path / "moved"
    folder.rename(moved)
    folder.symlink_to(moved)
    with pytest.raises(errors.ConfigError, match="is a link or a file"):
        blobs.get(DIGEST)
    folder.unlink()
    folder.write_text("a file")
    with pytest.raises((errors.ConfigError, errors.ArtifactUnreadable)):
        blobs.get(DIGEST)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_belongs_to_somebody_else_is_not_used(blobs: Blobs) -> None:
    path = blobs.put(DIGEST, DATA)
    os.chown(path, 12345, 12345)
    assert blobs.get(DIGEST) is None
    blobs.put(DIGEST, DATA)
    os.chown(blobs.folder, 12345, 12345)
    with pytest.raises(errors.ConfigError, match="others may write"):
        blobs.get(DIGEST)


def test_a_file_that_others_may_write_is_not_used(blobs: Blobs) -> None:
    blobs.put(DIGEST, DATA).chmod(0o666)
    assert blobs.get(DIGEST) is None


def test_a_disk_without_room_is_a_clear_error(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(blobs_module.os, "write", full)
        with pytest.raises(errors.ArtifactUnreadable, match="No space left") as caught:
            blobs.put(DIGEST, DATA)
    assert "lattice cache trim" in caught.value.remedy
    assert names(blobs) == []


# Parts.


def test_a_part_is_gone_on_with(blobs: Blobs) -> None:
    part = blobs.begin(DIGEST)
    assert part is not None
    part.write(DATA[:5])
    part.close()
    part = blobs.begin(DIGEST)
    assert part is not None
    part.resume(len(DATA))
    assert part.size == 5
    part.write(DATA[5:])
    part.commit()
    part.close()
    assert blobs.read(DIGEST, 100) == DATA


def test_a_part_that_is_too_long_begins_anew(blobs: Blobs) -> None:
    part = blobs.begin(DIGEST)
    assert part is not None
    part.write(DATA + DATA)
    part.resume(len(DATA))
    assert part.size == 0
    part.close()
    assert names(blobs) == [], "and an empty one is nothing"


def test_one_at_a_time_has_a_part(blobs: Blobs) -> None:
    first = blobs.begin(DIGEST)
    assert first is not None
    assert blobs.begin(DIGEST) is None
    with pytest.raises(errors.Conflict):
        blobs.put(DIGEST, DATA)
    other = blobs.begin(digest_of(b"other"))
    assert other is not None
    other.close()
    first.close()
    again = blobs.begin(DIGEST)
    assert again is not None
    again.close()


def test_a_part_that_became_content_before_it_was_locked_is_let_go(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening a part and locking it, the one who had it puts the content in its place."""
    first = blobs.begin(DIGEST)
    assert first is not None
    first.write(DATA)
    real, others = blobs_module.fcntl.flock, [first]

    def late(fd: int, how: int) -> None:
        while others:
            other = others.pop()
            other.commit()
            other.close()
        real(fd, how)

    monkeypatch.setattr(blobs_module.fcntl, "flock", late)
    second = blobs.begin(DIGEST)
    assert second is not None
    second.restart()
    second.write(b"half of something else")
    second.close()
    assert blobs.read(DIGEST, 100) == DATA, "nobody writes into content"


async def test_who_waited_finds_what_the_other_put(blobs: Blobs) -> None:
    import asyncio

    async with incoming(blobs, DIGEST, 10) as first:
        assert first is not None

        async def second() -> bool:
            async with incoming(blobs, DIGEST, 10) as part:
                return part is None

        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.05)
        await in_thread(first.write, DATA)
        await in_thread(first.commit)
    assert await waiting
    assert names(blobs) == [DIGEST]


async def test_waiting_for_another_process_ends(blobs: Blobs) -> None:
    async with incoming(blobs, DIGEST, 1):
        with pytest.raises(errors.RegistryUnavailable, match="another process has been fetching"):
            async with incoming(blobs, DIGEST, 0):
                raise AssertionError


CRASHING = """
import os, signal, sys
from pathlib import Path
from lattice.artifacts.blobs import Blobs
part = Blobs(Path(sys.argv[1])).begin(sys.argv[2])
part.write(b"\\0asm")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_crash_leaves_a_part_that_the_next_one_goes_on_with(blobs: Blobs) -> None:
    done = subprocess.run([sys.executable, "-c", CRASHING, str(blobs.folder), DIGEST], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert blobs.get(DIGEST) is None
    part = blobs.begin(DIGEST)
    assert part is not None, "the lock ended with its process"
    part.resume(len(DATA))
    part.write(DATA[4:])
    part.commit()
    part.close()
    assert blobs.get(DIGEST) is not None


# Trimming.


def aged(blobs: Blobs, data: bytes, age_s: float) -> str:
    path = blobs.put(digest_of(data), data)
    at = time.time() - age_s
    os.utime(path, (at, at))
    return path.name


def test_the_longest_unused_goes_first_and_what_was_used_lately_stays(blobs: Blobs) -> None:
    old, middle = aged(blobs, b"1" * 100, 3000), aged(blobs, b"2" * 100, 2000)
    new = aged(blobs, b"3" * 100, 0)
    assert [entry.digest for entry in blobs.entries()] == [new, middle, old]
    assert blobs.trim() == []
    assert [entry.digest for entry in blobs.trim(200)] == [old]
    assert blobs.get(middle) is not None, "which is a use"
    assert blobs.trim(0) == []
    assert [entry.digest for entry in Blobs(blobs.folder, 0).trim(unused_s_max=-1)] == [new, middle]


def test_what_was_not_used_for_long_goes(blobs: Blobs) -> None:
    old, new = aged(blobs, b"1", 3000), aged(blobs, b"2", 1000)
    assert [entry.digest for entry in blobs.trim(unused_s_max=2000)] == [old]
    assert names(blobs) == [new]


def test_parts_that_nobody_goes_on_with_are_removed(blobs: Blobs) -> None:
    part = blobs.begin(DIGEST)
    assert part is not None
    part.write(b"x")
    path = blobs.path(DIGEST).with_name(DIGEST + ".part")
    os.utime(path, (1, 1))
    assert blobs.trim() == [], "somebody is at it"
    part.close()
    assert [entry.kind for entry in blobs.trim()] == ["part"]
    assert names(blobs) == []


def test_other_files_are_left_alone(blobs: Blobs) -> None:
    path = blobs.put(DIGEST, DATA)
    (path.parent / "README").write_text("x")
    assert [entry.kind for entry in blobs.entries()] == ["wasm"]
    blobs.trim(0, -1)
    assert names(blobs) == ["README"]


def test_everything_can_be_checked(blobs: Blobs) -> None:
    right, wrong = aged(blobs, b"{}", 100), aged(blobs, DATA, 100)
    path = blobs.path(wrong)
    path.chmod(0o600)
    path.write_bytes(b"x")
    part = blobs.begin(digest_of(b"later"))
    assert part is not None
    part.write(b"x")
    part.close()
    assert blobs.verify() == (1, [wrong])
    assert names(blobs) == sorted([right, digest_of(b"later") + ".part"])


# Tags.


@pytest.fixture
def tags(tmp_path: Path) -> Tags:
    return Tags(tmp_path / "images")


def meaning(number: int = 1, reference: str = "registry.example/name:1") -> Meaning:
    return Meaning(reference, f"sha256:{number:064}", float(number))


def test_what_a_tag_meant_is_remembered(tags: Tags) -> None:
    assert tags.get("registry.example/name:1") is None
    tags.put(meaning(1))
    tags.put(meaning(2))
    assert tags.get("registry.example/name:1") == meaning(2)
    tags.put(meaning(3, "../../etc/passwd"))
    assert tags.all() == [meaning(3, "../../etc/passwd"), meaning(2)]
    tags.forget(frozenset({meaning(2).digest}))
    assert tags.all() == [meaning(3, "../../etc/passwd")]


def test_the_oldest_tags_are_forgotten(tags: Tags, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lattice.artifacts.tags.TAGS_MAX", 3)
    for number in range(6):
        tags.put(meaning(number, f"registry.example/name:{number}"))
    assert [one.at for one in tags.all()] == [5.0, 4.0, 3.0]


def test_broken_and_planted_records_are_as_if_not_there(tags: Tags, tmp_path: Path) -> None:
    tags.put(meaning())
    (path,) = (tmp_path / "images" / "references").iterdir()
    for text in ("", "{", '{"reference": "registry.example/other:1", "digest": "sha256:0", "at": 1}', "x" * 100_000):
        path.write_text(text)
        assert tags.get("registry.example/name:1") is None
    outside = tmp_path / "outside"
    tags.put(meaning())
    path.rename(outside)
    path.symlink_to(outside)
    assert tags.get("registry.example/name:1") is None
    assert tags.all() == []
    path.unlink()
    os.mkfifo(path)
    assert tags.get("registry.example/name:1") is None
    path.parent.chmod(0o777)
    with pytest.raises(errors.ConfigError, match="others may write"):
        tags.get("registry.example/name:1")


def test_good_content_that_cannot_be_opened_now_stays(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has run out of files must not empty the cache that it will want when it has some again."""
    path = blobs.put(DIGEST, DATA)

    def none_left(name: str, folder_fd: int | None, flags: int = 0) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(folders, "open_file", none_left)
        assert blobs.get(DIGEST) is None
    assert blobs.get(DIGEST) == path


async def test_what_a_thread_uses_is_not_closed_under_it_however_often_it_is_cancelled() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(10)
        ended.set()

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait, 10)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not task.done(), "the next step would close what the thread writes to"
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
