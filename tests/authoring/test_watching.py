"""Saved files are noticed, and a save in several steps is one change."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from lattice.authoring.project import Project
from lattice.authoring.watching import Watcher
from tests.support import authoring


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    (tmp_path / "app.c").write_text("one")
    (tmp_path / "lattice.toml").write_text("")
    return Project(folder=tmp_path, name="shop", language="c", source="app.c")


async def test_saves_new_files_and_files_that_are_gone_are_noticed(shop: Project) -> None:
    watcher = Watcher()

    async def changed() -> list[str]:
        async with asyncio.timeout(authoring.WAIT_S):
            found = await watcher.changed(shop, (".c", ".h"))
        return [Path(path).name for path in found]

    assert await changed() == ["app.c", "lattice.toml"]
    source = shop.folder / "app.c"
    authoring.change(source, "one", "two")
    assert await changed() == ["app.c"]
    (shop.folder / "more.h").write_text("")
    assert await changed() == ["more.h"]
    (shop.folder / "more.h").unlink()
    (shop.folder / "notes.txt").write_text("")
    assert await changed() == ["more.h"]
    later = source.stat().st_mtime_ns - 5_000_000_000
    os.utime(source, ns=(later, later))  # an older file that was put back is a change too
    assert await changed() == ["app.c"]


async def test_a_save_in_steps_is_one_change(shop: Project) -> None:
    watcher = Watcher()
    await watcher.changed(shop, (".c",))
    waiting = asyncio.create_task(watcher.changed(shop, (".c",)))
    for number in range(10):
        (shop.folder / "app.c").write_text(str(number))
        await asyncio.sleep(0.01)
    async with asyncio.timeout(authoring.WAIT_S):
        assert [Path(path).name for path in await waiting] == ["app.c"]
