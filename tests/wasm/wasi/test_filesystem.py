"""wasi:filesystem as a guest uses it: folders it was granted, files in them, and what it was not granted."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from lattice import errors
from lattice.wasm.component.host import Err, Ok
from lattice.wasm.wasi import filesystem
from lattice.wasm.wasi.instance import FileGrant, Grants
from lattice.wasm.wasi.open_files import PIECE_BYTES, FileSink, OpenFile
from tests.support.wasi import CLOSED, WasiGuest

TYPES = "wasi:filesystem/types"
STREAMS = "wasi:io/streams"
FOLLOW = frozenset({"symlink-follow"})
NONE: frozenset[str] = frozenset()
READ = frozenset({"read"})
WRITE = frozenset({"read", "write"})


def method(name: str) -> str:
    return f"[method]descriptor.{name}"


async def granted(path: Path, writable: bool = False) -> tuple[WasiGuest, Any]:
    guest = WasiGuest(grants=Grants(files=(FileGrant(path, "/data", writable),)))
    [(root, name)] = await guest.call("wasi:filesystem/preopens", "get-directories")
    assert name == "/data"
    return guest, root


async def opened(guest: WasiGuest, root: Any, path: str, flags: frozenset[str] = READ, *how: str) -> Any:
    return await guest.good(TYPES, method("open-at"), root, FOLLOW, path, frozenset(how), flags)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_without_a_grant_there_is_no_folder() -> None:
    assert await WasiGuest().call("wasi:filesystem/preopens", "get-directories") == []


async def test_a_granted_folder_that_is_not_there_is_said_by_the_guests_name_for_it(tmp_path: Path) -> None:
    guest = WasiGuest(grants=Grants(files=(FileGrant(tmp_path / "nothing", "/data"),)))
    with pytest.raises(errors.GuestError, match="the granted folder /data cannot be opened") as caught:
        await guest.call("wasi:filesystem/preopens", "get-directories")
    assert str(tmp_path) not in str(caught.value)


async def test_a_file_is_read_whole_in_pieces_and_from_the_middle(tmp_path: Path) -> None:
    data = os.urandom(3 * PIECE_BYTES + 5)
    (tmp_path / "file").write_bytes(data)
    guest, root = await granted(tmp_path)
    file = await opened(guest, root, "file")
    assert await guest.good(TYPES, method("read"), file, 10, 7) == (data[7:17], False)
    assert await guest.good(TYPES, method("read"), file, 10, len(data) - 4) == (data[-4:], True)
    assert await guest.good(TYPES, method("read"), file, 10, 2 * len(data)) == (b"", True)
    stream = await guest.good(TYPES, method("read-via-stream"), file, 5)
    assert await guest.read_all(stream) == data[5:]
    assert await guest.good(TYPES, method("get-type"), file) == "regular-file"
    assert await guest.good(TYPES, method("get-flags"), file) == READ
    kind, links, size, *times = await guest.good(TYPES, method("stat"), file)
    assert (kind, links, size) == ("regular-file", 1, len(data))
    assert times[1] == divmod((tmp_path / "file").stat().st_mtime_ns, 1_000_000_000)


async def test_a_file_is_made_written_appended_to_and_cut(tmp_path: Path) -> None:
    guest, root = await granted(tmp_path, writable=True)
    file = await opened(guest, root, "new", WRITE, "create", "exclusive")
    stream = await guest.good(TYPES, method("write-via-stream"), file, 0)
    data = os.urandom(3 * PIECE_BYTES + 1)
    await guest.write_all(stream, data)
    assert (tmp_path / "new").read_bytes() == data
    guest.drop(stream)
    tail = await guest.good(TYPES, method("append-via-stream"), file)
    await guest.write_all(tail, b"end")
    assert (tmp_path / "new").read_bytes() == data + b"end"
    await guest.good(TYPES, method("set-size"), file, 4)
    assert await guest.good(TYPES, method("write"), file, b"XY", 1) == 2
    await guest.good(TYPES, method("sync-data"), file)
    await guest.good(TYPES, method("sync"), file)
    assert (tmp_path / "new").read_bytes() == data[:1] + b"XY" + data[3:4]
    assert await guest.bad(TYPES, method("open-at"), root, NONE, "new", frozenset({"create", "exclusive"}), WRITE) == (
        "exist"
    )
    guest.host.close()


async def test_what_is_written_and_not_flushed_is_still_written_when_the_stream_is_dropped(tmp_path: Path) -> None:
    file = OpenFile(os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT))
    sink = FileSink(file, 0)
    sink.put(b"first")
    sink.put(b"second")
    sink.close()
    file.close()
    while file.number >= 0:
        await asyncio.sleep(0.001)
    assert (tmp_path / "file").read_bytes() == b"firstsecond"


async def test_folders_are_listed_made_and_removed(tmp_path: Path) -> None:
    guest, root = await granted(tmp_path, writable=True)
    await guest.good(TYPES, method("create-directory-at"), root, "sub")
    await guest.good(TYPES, method("symlink-at"), root, "sub", "link")
    (tmp_path / "file").write_bytes(b"")
    listing = await guest.good(TYPES, method("read-directory"), root)
    found = set()
    while (
        entry := await guest.good(TYPES, "[method]directory-entry-stream.read-directory-entry", listing)
    ) is not None:
        found.add(entry)
    assert found == {("directory", "sub"), ("symbolic-link", "link"), ("regular-file", "file")}
    assert await guest.good(TYPES, method("readlink-at"), root, "link") == "sub"
    sub = await opened(guest, root, "link", READ, "directory")
    await guest.good(TYPES, method("rename-at"), root, "file", sub, "moved")
    await guest.good(TYPES, method("link-at"), sub, NONE, "moved", root, "linked")
    linked, moved = await opened(guest, root, "linked"), await opened(guest, sub, "moved")
    assert await guest.call(TYPES, method("is-same-object"), linked, moved) is True
    assert await guest.call(TYPES, method("is-same-object"), linked, sub) is False
    one = await guest.good(TYPES, method("metadata-hash"), linked)
    assert await guest.good(TYPES, method("metadata-hash-at"), root, NONE, "linked") == one
    assert await guest.bad(TYPES, method("remove-directory-at"), root, "sub") == "not-empty"
    await guest.good(TYPES, method("unlink-file-at"), sub, "moved")
    await guest.good(TYPES, method("remove-directory-at"), root, "sub")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "linked"]


async def test_times_are_set_kept_or_now(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    os.utime(tmp_path / "file", ns=(1_000, 2_000))
    guest, root = await granted(tmp_path, writable=True)
    keep = ("no-change", None)
    await guest.good(TYPES, method("set-times-at"), root, FOLLOW, "file", ("timestamp", (5, 6)), keep)
    found = (tmp_path / "file").stat()
    assert (found.st_atime_ns, found.st_mtime_ns) == (5_000_000_006, 2_000)
    file = await opened(guest, root, "file", WRITE)
    await guest.good(TYPES, method("set-times"), file, keep, ("now", None))
    assert (tmp_path / "file").stat().st_mtime_ns > 10**18


async def test_a_folder_granted_for_reading_is_not_changed_and_the_attempts_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    guest, root = await granted(tmp_path)
    for attempt in (
        (method("open-at"), root, FOLLOW, "file", NONE, WRITE),
        (method("open-at"), root, FOLLOW, "file", frozenset({"truncate"}), READ),
        (method("open-at"), root, FOLLOW, "new", frozenset({"create"}), READ),
        (method("create-directory-at"), root, "new"),
        (method("unlink-file-at"), root, "file"),
        (method("rename-at"), root, "file", root, "other"),
        (method("set-times-at"), root, NONE, "file", ("now", None), ("now", None)),
    ):
        assert await guest.bad(TYPES, *attempt) == "read-only"
    assert len(guest.refusals) == 7
    assert guest.refusals[3] == ("wasi:filesystem make_folder new", "read-only")
    file = await opened(guest, root, "file")
    assert await guest.bad(TYPES, method("write"), file, b"x", 0) == "bad-descriptor"
    assert await guest.bad(TYPES, method("write-via-stream"), file, 0) == "bad-descriptor"
    assert (tmp_path / "file").read_bytes() == b"content"


async def test_a_way_out_is_refused_and_told(tmp_path: Path) -> None:
    guest, root = await granted(tmp_path)
    assert await guest.bad(TYPES, method("stat-at"), root, FOLLOW, "../x") == "not-permitted"
    assert await guest.bad(TYPES, method("open-at"), root, FOLLOW, "/etc/passwd", NONE, READ) == "not-permitted"
    assert guest.refusals == [
        ("wasi:filesystem stat_at ../x", "not-permitted"),
        ("wasi:filesystem open_at /etc/passwd", "not-permitted"),
    ]


async def test_a_link_that_leads_out_is_neither_made_nor_told(tmp_path: Path) -> None:
    (tmp_path / "of_host").symlink_to("/etc/passwd")
    guest, root = await granted(tmp_path, writable=True)
    assert await guest.bad(TYPES, method("symlink-at"), root, "../x", "link") == "not-permitted"
    assert await guest.bad(TYPES, method("readlink-at"), root, "of_host") == "not-permitted"
    assert guest.refusals == [
        ("wasi:filesystem symlink_at ../x link", "not-permitted"),
        ("wasi:filesystem readlink_at of_host", "not-permitted"),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["of_host"]


async def test_a_read_that_fails_says_so_with_the_code_of_the_file(tmp_path: Path) -> None:
    guest, root = await granted(tmp_path)
    stream = await guest.good(TYPES, method("read-via-stream"), root, 0)
    case, error = await guest.bad(STREAMS, "[method]input-stream.blocking-read", stream, 10)
    assert case == "last-operation-failed"
    assert guest.now(TYPES, "filesystem-error-code", error) == "is-directory"
    assert await guest.bad(STREAMS, "[method]input-stream.blocking-read", stream, 10) == CLOSED


async def test_absurd_numbers_are_errors_and_not_crashes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    guest, root = await granted(tmp_path, writable=True)
    file = await opened(guest, root, "file", WRITE)
    for attempt in (("read", file, 10, 2**64 - 1), ("set-size", file, 2**64 - 1), ("write", file, b"x", 2**64 - 1)):
        assert isinstance(await guest.call(TYPES, method(attempt[0]), *attempt[1:]), Err)
    times = (("timestamp", (2**64 - 1, 0)), ("timestamp", (0, 0)))
    assert isinstance(await guest.call(TYPES, method("set-times"), file, *times), Err)
    stream = await guest.good(TYPES, method("read-via-stream"), file, 2**64 - 1)
    assert isinstance(await guest.call(STREAMS, "[method]input-stream.blocking-read", stream, 1), Err)


async def test_a_folder_with_too_many_names_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "ENTRIES_MAX", 2)
    for name in "abc":
        (tmp_path / name).write_bytes(b"")
    guest, root = await granted(tmp_path)
    assert await guest.bad(TYPES, method("read-directory"), root) == "overflow"


async def test_closing_an_instance_closes_its_files_also_in_the_middle_of_things(tmp_path: Path) -> None:
    before = open_files()
    (tmp_path / "file").write_bytes(bytes(10))
    guest, root = await granted(tmp_path, writable=True)
    file = await opened(guest, root, "file", WRITE)
    for name in ("read-via-stream", "write-via-stream"):
        assert isinstance(await guest.call(TYPES, method(name), file, 0), Ok)
    calls = [
        asyncio.create_task(guest.call(TYPES, method("open-at"), root, FOLLOW, "file", NONE, READ)),
        asyncio.create_task(guest.call(TYPES, method("read"), file, 10, 0)),
    ]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    guest.host.close()
    for _ in range(200):
        if open_files() == before:
            break
        await asyncio.sleep(0.01)
    assert open_files() == before
