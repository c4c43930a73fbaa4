"""Blobs on the file system: no id and nothing planted leads out of the root, and no fault leaves half an object."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lattice_blobstore_fs import BlobstoreFs, disk
from lattice_blobstore_fs.names import NAME_CHARS_MAX, id_of, is_hashed, is_name, name_of

from lattice import errors
from lattice.contracts.blobstore import Chunk, ContainerObject, GetObjectRequest, ListObjectsRequest, PutObjectRequest
from lattice.testing import ProviderRig, provider_rig

IDS = st.text(min_size=1, max_size=300) | st.lists(
    st.sampled_from(
        ["..", ".", "/", "\\", "\0", "a", "A", "con", "ä", "%2e", "=", "#", "~", "\n", " ", "objects", "data"]
    ),
    min_size=1,
    max_size=40,
).map("".join)


@given(IDS)
@example("..")
@example("/etc/passwd")
@example("x" * 1024)
@example("con")
@example("trailing.")
def test_a_name_is_one_safe_component_that_gives_the_id_back(id_):
    name = name_of(id_)
    assert len(name) <= NAME_CHARS_MAX
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set('/\\:*?"<>| ')
    assert name[0] in "=#"
    assert not name.endswith(".")
    assert is_name(name)
    assert id_of(name) == (None if is_hashed(name) else id_)


@given(IDS, IDS)
@example("A", "a")
@example("\u00e4", "a\u0308")
@example("%41", "A")
def test_different_ids_differ_on_every_file_system(one, other):
    if one != other:
        names = [unicodedata.normalize("NFC", name_of(id_)).casefold() for id_ in (one, other)]
        assert names[0] != names[1]


@given(st.text(max_size=50))
def test_names_that_the_store_does_not_give_are_not_taken_for_ids(name):
    id_ = id_of(name)
    assert id_ is None or name_of(id_) == name


async def put(rig: ProviderRig, object_: str, data: bytes, container: str = "box", last: bool = True) -> Any:
    chunk = Chunk(object_id=object_, container_id=container, bytes=data, offset=0, is_last=last)
    return await rig.call("Blobstore.PutObject", PutObjectRequest(chunk=chunk))


async def get(rig: ProviderRig, object_: str, container: str = "box") -> bytes:
    reply = await rig.call("Blobstore.GetObject", GetObjectRequest(object_id=object_, container_id=container))
    assert reply.success, reply.error
    return reply.initial_chunk.bytes


async def ids(rig: ProviderRig, container: str = "box") -> list[str]:
    reply = await rig.call("Blobstore.ListObjects", ListObjectsRequest(container_id=container))
    return [found.object_id for found in reply.objects]


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@settings(max_examples=25, deadline=None)
@given(st.lists(IDS, min_size=1, max_size=4, unique=True), IDS)
@example(["../../escaped", "/etc/escaped", "..", "a\0b", "x" * 300], "../..")
async def test_whatever_the_ids_hold_everything_stays_in_the_root_and_apart(objects, container):
    with tempfile.TemporaryDirectory() as name:
        outer = Path(name)
        async with provider_rig(BlobstoreFs, outer / "data") as rig:
            await rig.attach(sync="false")
            await rig.call("Blobstore.CreateContainer", container)
            for object_ in objects:
                await put(rig, object_, object_.encode(), container)
            assert await ids(rig, container) == sorted(objects)
            for object_ in objects:
                assert await get(rig, object_, container) == object_.encode()
            listed = await rig.call("Blobstore.ListContainers")
            assert [found.container_id for found in listed] == [container]
        assert everything(outer)[:2] == ["data", "data/blobs"]
        assert all(path.startswith("data/blobs") for path in everything(outer)[2:])


async def test_objects_survive_a_restart(tmp_path):
    for start in range(2):
        async with provider_rig(BlobstoreFs, tmp_path) as rig:
            await rig.attach()
            if start == 0:
                await rig.call("Blobstore.CreateContainer", "box")
                await put(rig, "kept", b"bytes")
            assert await get(rig, "kept") == b"bytes"


async def test_links_with_one_root_share_it_and_others_do_not(tmp_path):
    async with provider_rig(BlobstoreFs, tmp_path) as rig:
        await rig.attach("one")
        await rig.attach("two")
        await rig.attach("three", root="elsewhere")
        await rig.call("Blobstore.CreateContainer", "box", actor="one")
        found = [await rig.call("Blobstore.ContainerExists", "box", actor=actor) for actor in ("one", "two", "three")]
    assert found == [True, True, False]


@pytest.mark.parametrize("root", ["../outside", "a/../../b", ".", "file", "file/below"])
async def test_a_root_that_cannot_be_is_refused_with_the_link(tmp_path, root):
    (tmp_path / "file").write_text("not a folder")
    async with provider_rig(BlobstoreFs, tmp_path) as rig:
        with pytest.raises(errors.ConfigError, match="root"):
            await rig.attach(root=root)


async def test_planted_links_and_pipes_are_never_followed(tmp_path):
    root, outside = tmp_path / "blobs", tmp_path / "outside"
    (outside / "objects").mkdir(parents=True)
    (outside / "data").mkdir()
    (outside / "secret").write_text("secret")
    async with provider_rig(BlobstoreFs, tmp_path) as rig:
        await rig.attach()
        await rig.call("Blobstore.CreateContainer", "box")
        await put(rig, "good", b"good")
        await put(rig, "redirected", b"mine")
        (root / "=linked").symlink_to(outside)
        (root / "=box" / "objects" / "=link").symlink_to(outside / "secret")
        os.mkfifo(root / "=box" / "objects" / "=pipe")
        data = next((root / "=box" / "data").glob("=redirected.*"))
        data.unlink()
        data.symlink_to(outside / "secret")
        for attempt in (
            put(rig, "x", b"x", "linked"),
            rig.call("Blobstore.GetContainerInfo", "linked"),
            get(rig, "link"),
            get(rig, "pipe"),
            get(rig, "redirected"),
            rig.call("Blobstore.GetObjectInfo", ContainerObject(container_id="box", object_id="pipe")),
        ):
            with pytest.raises(errors.ProviderError, match=r"damaged|stands where"):
                await attempt
        failed = await rig.call("Blobstore.RemoveContainers", ["linked"])
        assert [item.key for item in failed] == ["linked"]
        assert await ids(rig) == ["good", "redirected"]
        assert [found.container_id for found in await rig.call("Blobstore.ListContainers")] == ["box"]
        await put(rig, "link", b"replaced")
        assert await get(rig, "link") == b"replaced"
    assert everything(outside) == ["data", "objects", "secret"]
    assert (outside / "secret").read_text() == "secret"


@pytest.mark.parametrize("inner", ["objects", "data", "container.json"])
async def test_a_link_inside_a_container_leads_nowhere(tmp_path, inner):
    """Also not when a container is emptied or removed: what the link leads to stays as it is."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "=kept").write_text("mine")
    async with provider_rig(BlobstoreFs, tmp_path) as rig:
        await rig.attach()
        await rig.call("Blobstore.CreateContainer", "box")
        await put(rig, "kept", b"theirs")
        planted = tmp_path / "blobs" / "=box" / inner
        planted.rename(tmp_path / "moved")
        planted.symlink_to(outside / "=kept" if inner == "container.json" else outside)
        if inner == "container.json":
            with pytest.raises(errors.ProviderError):
                await rig.call("Blobstore.GetContainerInfo", "box")
        else:
            for attempt in (put(rig, "kept", b"x"), put(rig, "new", b"x"), get(rig, "kept")):
                with pytest.raises(errors.ProviderError):
                    await attempt
        await rig.call("Blobstore.RemoveContainers", ["box"])
    async with provider_rig(BlobstoreFs, tmp_path) as rig:  # which cleans the root
        await rig.attach()
    assert everything(outside) == ["=kept"]
    assert (outside / "=kept").read_text() == "mine"


@pytest.mark.parametrize("planted", ["uploads", "lock"])
async def test_a_link_in_place_of_the_store_s_own_parts_is_refused(tmp_path, planted):
    outside = tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "folder" / "upload").write_text("mine")
    root = tmp_path / "blobs"
    root.mkdir()
    (root / planted).symlink_to(outside / ("folder" if planted == "uploads" else "file"))
    async with provider_rig(BlobstoreFs, tmp_path) as rig:
        with pytest.raises(errors.ConfigError, match="cannot be used"):
            await rig.attach()
    assert everything(outside) == ["folder", "folder/upload"]


@pytest.mark.parametrize("data", ["../../../secret", "=other.0011223344556677", "/secret"])
async def test_a_forged_record_names_no_other_file(tmp_path, data):
    async with provider_rig(BlobstoreFs, tmp_path) as rig:
        await rig.attach()
        await rig.call("Blobstore.CreateContainer", "box")
        await put(rig, "other", b"secret")
        record = f'{{"id":"x","data":"{data}","length":6,"modified_ns":1}}'
        (tmp_path / "blobs" / "=box" / "objects" / "=x").write_text(record)
        with pytest.raises(errors.ProviderError, match="damaged"):
            await get(rig, "x")


CRASHING_WRITER = """
import asyncio, os, signal, sys
from pathlib import Path
from lattice_blobstore_fs import BlobstoreFs, layout
from lattice.contracts.blobstore import Chunk, PutObjectRequest
from lattice.testing import provider_rig

async def main():
    async with provider_rig(BlobstoreFs, Path(sys.argv[1])) as rig:
        await rig.attach()
        await rig.call("Blobstore.CreateContainer", "box")
        async def put(data, last):
            chunk = Chunk(object_id="kept", container_id="box", bytes=data, offset=0, is_last=last)
            await rig.call("Blobstore.PutObject", PutObjectRequest(chunk=chunk))
        await put(b"before", True)
        if sys.argv[2] == "0":
            await put(b"half", False)
            os.kill(os.getpid(), signal.SIGKILL)
        left, rename = int(sys.argv[2]), os.rename
        def counted(*args, **kwargs):
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return rename(*args, **kwargs)
        os.rename = counted
        await put(b"after", True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.parametrize(("rename", "expected"), [(0, b"before"), (1, b"before"), (2, b"before"), (3, b"after")])
async def test_a_crash_leaves_the_old_object_or_the_new_and_no_rubbish(tmp_path, rename, expected):
    """The writer is killed before its first chunk is committed, and before each of the renames of a commit."""
    command = [sys.executable, "-c", CRASHING_WRITER, str(tmp_path), str(rename)]
    writer = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert writer.returncode == -signal.SIGKILL, writer.stderr.decode()
    async with provider_rig(BlobstoreFs, tmp_path) as rig:
        await rig.attach()
        assert await get(rig, "kept") == expected
        assert os.listdir(tmp_path / "blobs" / "uploads") == []
        assert len(os.listdir(tmp_path / "blobs" / "=box" / "data")) == 1


async def test_a_second_provider_leaves_the_uploads_of_the_first_alone(tmp_path):
    async with provider_rig(BlobstoreFs, tmp_path) as first:
        await first.attach()
        await first.call("Blobstore.CreateContainer", "box")
        await put(first, "half", b"half", last=False)
        async with provider_rig(BlobstoreFs, tmp_path) as second:
            await second.attach()
            assert len(os.listdir(tmp_path / "blobs" / "uploads")) == 1
    assert os.listdir(tmp_path / "blobs" / "uploads") == []


async def test_a_container_whose_removal_was_cut_short_is_gone_and_can_be_made_again(tmp_path):
    async with provider_rig(BlobstoreFs, tmp_path) as rig:
        await rig.attach()
        await rig.call("Blobstore.CreateContainer", "box")
        (tmp_path / "blobs" / "=box" / "objects").rmdir()
        assert not await rig.call("Blobstore.ContainerExists", "box")
        await rig.call("Blobstore.CreateContainer", "box")
        await put(rig, "x", b"x")
        await rig.call("Blobstore.CreateContainer", "cut")
        (tmp_path / "blobs" / "=cut" / "objects").rmdir()
    async with provider_rig(BlobstoreFs, tmp_path) as rig:
        await rig.attach()
        assert not (tmp_path / "blobs" / "=cut").exists()
        assert await get(rig, "x") == b"x"


async def assert_no_room(rig: ProviderRig, root: Path) -> None:
    await rig.call("Blobstore.CreateContainer", "box")
    await put(rig, "kept", b"before")
    with pytest.raises(errors.ProviderError, match="no room left"):
        await put(rig, "kept", b"x" * 2_000_000)
    assert await get(rig, "kept") == b"before"
    assert os.listdir(root / "uploads") == []
    await put(rig, "small", b"fits")
    assert await ids(rig) == ["kept", "small"]


async def test_a_file_size_limit_is_a_clear_error_and_leaves_nothing(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with provider_rig(BlobstoreFs, tmp_path) as rig:
        await rig.attach()
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
        try:
            await assert_no_room(rig, tmp_path / "blobs")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        async with provider_rig(BlobstoreFs, tmp_path) as rig:
            await rig.attach()
            await assert_no_room(rig, tmp_path / "blobs")
    finally:
        subprocess.run(["umount", tmp_path], check=True)


async def test_cancelled_calls_leave_no_files_and_no_descriptors(tmp_path):
    async with provider_rig(BlobstoreFs, tmp_path) as rig:
        await rig.attach()
        await rig.call("Blobstore.CreateContainer", "box")
        await put(rig, "kept", b"before")
        descriptors = len(os.listdir("/proc/self/fd"))
        for turn in range(60):
            calls = [asyncio.create_task(put(rig, "kept", b"x" * 100_000)), asyncio.create_task(get(rig, "kept"))]
            for _ in range(turn % 30):
                await asyncio.sleep(0)
            await asyncio.sleep(0.0002 * (turn % 7))
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        assert set(await get(rig, "kept")) in ({*b"before"}, {*b"x"})
        async with asyncio.timeout(5):
            while os.listdir(tmp_path / "blobs" / "uploads") or len(os.listdir("/proc/self/fd")) > descriptors:
                await asyncio.sleep(0.01)
        assert len(os.listdir(tmp_path / "blobs" / "=box" / "data")) == 1


async def test_a_root_that_was_replaced_is_unhealthy(tmp_path):
    async with provider_rig(BlobstoreFs, tmp_path) as rig:
        await rig.attach()
        await rig.provider.health()
        (tmp_path / "blobs").rename(tmp_path / "moved")
        with pytest.raises((errors.ProviderError, OSError)):
            await rig.provider.health()
        (tmp_path / "blobs").mkdir()
        with pytest.raises(errors.ProviderUnavailable, match="replaced"):
            await rig.provider.health()


async def test_more_file_operations_than_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "PENDING_MAX", 3)
    async with provider_rig(BlobstoreFs, tmp_path) as rig:
        await rig.attach()
        calls = [rig.call("Blobstore.ContainerExists", "box") for _ in range(10)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(result is False for result in results) == 3
        assert sum(isinstance(result, errors.Overloaded) for result in results) == 7
