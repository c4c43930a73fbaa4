"""The templates of waPC languages do what actors/templates/README.md says; what most are built into is small."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import msgspec
import pytest

from lattice import errors, wasmfile
from lattice.authoring import capabilities, creating
from lattice.authoring.project import Project
from lattice.authoring.toolchains import toolchain
from tests.actors.applications import application, eventually
from tests.support.authoring import require_toolchain

LANGUAGES = ("assemblyscript", "c", "go", "rust", "zig")
BYTES_MAX = {"assemblyscript": 120_000, "c": 25_000, "go": 6_000_000, "rust": 100_000, "zig": 35_000}
SLOW = "assemblyscript"
"""Its compiler takes some seconds to optimise: these builds go without, as those of `lattice dev`."""
WAIT_S = 30.0
"""For what happens by itself. It takes milliseconds, but machines are busy."""
CONTRACTS = {
    "http": {"wasmcloud:httpserver", "wasmcloud:keyvalue"},
    "counter": {"wasmcloud:httpserver", "wasmcloud:keyvalue"},
    "worker": {"wasmcloud:httpserver", "wasmcloud:keyvalue", "wasmcloud:messaging", "wasmcloud:blobstore"},
    "cron": {"wasmcloud:httpserver", "wasmcloud:keyvalue", "lattice:cron"},
}


def built(folder: Path, language: str, template: str) -> Project:
    """A project whose module is where its manifest looks for it."""
    require_toolchain(language)
    project = creating.create("word-count", language, template, folder)
    project.target.parent.mkdir()
    scratch = folder / "scratch"
    scratch.mkdir()
    toolchain(language).build(msgspec.structs.replace(project, debug=language == SLOW), project.target, scratch)
    data = project.target.read_bytes()
    assert len(data) < BYTES_MAX[language]
    assert str(folder).encode() not in data, "nothing of this machine is in the module"
    file = wasmfile.describe(data)
    assert capabilities.contracts(data, file) == CONTRACTS[template]
    assert capabilities.takes_messages(data, file) == (template == "worker")
    return project


async def ask(http: aiohttp.ClientSession, method: str, path: str, body: object = None) -> tuple[int, object]:
    text = isinstance(body, str)
    async with http.request(method, path, data=body if text else None, json=None if text else body) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("language", LANGUAGES)
async def test_http(tmp_path: Path, language: str) -> None:
    project = built(tmp_path, language, "http")
    async with application(project.manifest, tmp_path / "data") as running:
        http = running.http
        assert await ask(http, "GET", "/") == (200, {"actor": "word-count"})
        ada = {"name": "Ada é", "age": 36}
        assert await ask(http, "POST", "/people", ada) == (201, ada)
        assert await ask(http, "GET", "/people/Ada%20%C3%A9") == (200, ada)
        for wrong, field in (
            ({"name": "Ada"}, "age"),
            ({"name": 1, "age": 1}, "name"),
            ({"name": "", "age": "1"}, "age"),
        ):
            status, answer = await ask(http, "POST", "/people", wrong)
            assert (status, isinstance(answer, dict) and field in answer["error"]) == (400, True)
        for path in ("/people/nobody", "/nowhere"):
            assert (await ask(http, "GET", path))[0] == 404


@pytest.mark.parametrize("language", LANGUAGES)
async def test_counter(tmp_path: Path, language: str) -> None:
    project = built(tmp_path, language, "counter")
    async with application(project.manifest, tmp_path / "data") as running:
        http = running.http
        assert [await ask(http, "GET", path) for path in ("/", "/a/b", "/")] == [
            (200, {"count": 1}),
            (200, {"count": 1}),
            (200, {"count": 2}),
        ]
        assert (await ask(http, "POST", "/"))[0] == 405


@pytest.mark.parametrize("language", LANGUAGES)
async def test_worker(tmp_path: Path, language: str) -> None:
    project = built(tmp_path, language, "worker")
    async with application(project.manifest, tmp_path / "data") as running:
        http = running.http
        assert (await ask(http, "GET", "/jobs/one"))[0] == 404
        assert await ask(http, "POST", "/jobs/one", "to be  or not\nto be ") == (202, {"id": "one"})

        async def done() -> bool:
            return await ask(http, "GET", "/jobs/one") == (200, {"id": "one", "words": 6})

        await eventually(done, WAIT_S)
    [result] = [path for path in (tmp_path / "data").rglob("*") if path.is_file() and path.read_bytes() == b"6 words"]
    assert result.is_file()


@pytest.mark.parametrize("language", LANGUAGES)
async def test_cron(tmp_path: Path, language: str) -> None:
    project = built(tmp_path, language, "cron")
    async with application(project.manifest, tmp_path / "data", often="every: 5s -> every: 200ms") as running:
        http = running.http

        async def ticked() -> bool:
            status, answer = await ask(http, "GET", "/")
            assert status == 200
            assert isinstance(answer, dict)
            return bool(answer["ticks"] >= 2 and answer["last"] > 1_700_000_000_000)

        await eventually(ticked, WAIT_S)


@pytest.mark.parametrize(
    ("language", "mistake", "said"),
    [
        ("assemblyscript", "const wrong: i32 = missing;\n", r"^app\.ts:\d+:\d+: TS2304: Cannot find name 'missing'"),
        ("c", "int wrong(void) { return missing; }\n", r"^app\.c:\d+:\d+: error: .*'missing'"),
        ("go", "func wrong() int { return missing }\n", r"^main\.go:\d+:\d+: undefined: missing"),
        ("rust", "fn wrong() -> u8 { missing }\n", r"^src/lib\.rs:\d+:\d+: error"),
        ("zig", "const wrong = missing;\ncomptime { _ = wrong; }\n", r"^app\.zig:\d+:\d+: error: .*'missing'"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, language: str, mistake: str, said: str) -> None:
    require_toolchain(language)
    project = creating.create("word-count", language, "counter", tmp_path)
    source = project.folder / project.source
    source.write_text(source.read_text() + mistake)
    with pytest.raises(errors.BuildFailed, match="(?m)" + said):
        toolchain(language).build(project, tmp_path / "out.wasm", tmp_path)


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_a_compiler_the_way_to_one_is_told(
    tmp_path: Path, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LATTICE_ZIG", str(tmp_path / "no-zig"))
    with pytest.raises(errors.ToolMissing) as missing:
        toolchain(language).find()
    assert "install" in missing.value.remedy
