"""The actors that docs/guides/writing-an-actor.md shows compile as they stand there, and do what they seem to."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from scripts import build_actors
from tests.actors.applications import ACTORS, application

GUIDE = ACTORS.parent / "docs" / "guides" / "writing-an-actor.md"


def shown(language: str) -> str:
    [code] = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return str(code)


@pytest.mark.parametrize("language", ["c", "ts"])
async def test_the_actor_of_the_guide_compiles_and_answers(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        _ = build_actors.zig_command() if language == "c" else build_actors.asc()
    except build_actors.BuildFailed as missing:
        pytest.skip(str(missing))
    folder = tmp_path / "actors" / "hello"
    folder.mkdir(parents=True)
    shutil.copytree(ACTORS / "sdk", tmp_path / "actors" / "sdk")
    monkeypatch.setattr(build_actors, "ACTORS", tmp_path / "actors")
    (folder / f"hello.{language}").write_text(shown(language))
    build_actors.build(folder / f"hello.{language}")
    shutil.copy(ACTORS / "counter" / "app.yaml", folder)
    image = "file://counter.wasm -> file://hello.wasm"
    async with application(folder / "app.yaml", tmp_path / "data", image=image) as hello:
        async with hello.http.get("/", params={"name": 'a "b"'}) as response:
            assert await response.json() == {"hello": 'a "b"', "visit": 1}
        async with hello.http.get("/") as response:
            assert await response.json() == {"hello": "world", "visit": 1}
