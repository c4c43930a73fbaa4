"""What the SDKs for Rust and Go promise besides conformance: tests of their own, small modules, mistakes by place."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lattice import errors, wasmfile
from lattice.authoring import capabilities, resources, sdk_copy
from lattice.authoring.project import Project, load
from lattice.authoring.toolchains import TOOLCHAINS, toolchain
from lattice.authoring.toolchains.go import find_go

CACHE = Path(__file__).parents[2] / ".cache" / "sdk"
TESTS_S_MAX = 300
"""The first run compiles; the ones that follow take a second or two."""
LANGUAGES = ("rust", "go")


def require(language: str) -> None:
    try:
        toolchain(language).find()
    except errors.ToolMissing as missing:
        pytest.skip(f"{missing}; {missing.remedy}")


def run(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TESTS_S_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rust_crate_passes_its_own_tests() -> None:
    require("rust")
    said = run(["cargo", "test", "--offline", "--quiet"], resources.sdk("rust"), CARGO_TARGET_DIR=str(CACHE / "cargo"))
    assert said.count("test result: ok") >= 4


def test_the_go_module_passes_its_own_tests_and_is_formatted() -> None:
    require("go")
    folder = resources.sdk("go")
    run(["go", "vet", "./..."], folder, GOTOOLCHAIN="local")
    run(["go", "test", "./..."], folder, GOTOOLCHAIN="local")
    sources = [*folder.rglob("*.go"), *(resources.actors() / "templates" / "go").rglob("*.go")]
    assert run([str(Path(find_go().path).with_name("gofmt")), "-l", *map(str, sources)], folder) == ""


def project(language: str, template: str, folder: Path) -> Project:
    shutil.copytree(resources.template(language, template), folder)
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_text(path.read_text().replace("{{name}}", "word-count").replace("{{module}}", "word_count"))
    return load(folder)


def built(project: Project) -> bytes:
    scratch = CACHE / f"{project.language}-scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    out = project.folder / "out.wasm"
    TOOLCHAINS[project.language].build(project, out, scratch)
    return out.read_bytes()


@pytest.mark.parametrize(
    ("template", "contracts"),
    [
        ("http", {"wasmcloud:httpserver", "wasmcloud:keyvalue"}),
        ("counter", {"wasmcloud:httpserver", "wasmcloud:keyvalue"}),
        ("worker", {"wasmcloud:httpserver", "wasmcloud:keyvalue", "wasmcloud:messaging", "wasmcloud:blobstore"}),
        ("cron", {"wasmcloud:httpserver", "wasmcloud:keyvalue", "lattice:cron"}),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_template_builds_and_shows_what_it_uses(
    tmp_path: Path, language: str, template: str, contracts: set[str]
) -> None:
    require(language)
    data = built(project(language, template, tmp_path / "p"))
    file = wasmfile.describe(data)
    assert file.guest == "wapc"
    assert capabilities.contracts(data, file) == contracts
    assert capabilities.takes_messages(data, file) == (template == "worker")
    assert str(tmp_path).encode() not in data, "nothing of this machine is in the module"
    assert len(data) < {"rust": 100_000, "go": 6_000_000}[language]


HELLO = """
use nanolattice::http::{Request, Response};
use nanolattice::{Actor, Result};

fn hello(request: &Request) -> Result<Response> {
    let name: String = request.query("name")?.unwrap_or_else(|| "world".to_string());
    Ok(Response::text(200, format!("hello {name}\\n")))
}

nanolattice::actor!(Actor::new().get("/hello", hello));
"""


def test_a_rust_hello_is_small(tmp_path: Path) -> None:
    require("rust")
    hello = project("rust", "http", tmp_path / "p")
    (hello.folder / hello.source).write_text(HELLO)
    assert len(built(hello)) < 50_000


@pytest.mark.parametrize(
    ("language", "mistake", "said"),
    [
        ("rust", "fn wrong() -> u8 { missing }\n", r"^src/lib\.rs:\d+:\d+: error"),
        ("go", "func wrong() int { return missing }\n", r"^main\.go:\d+:\d+: undefined: missing"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, language: str, mistake: str, said: str) -> None:
    require(language)
    actor = project(language, "counter", tmp_path / "p")
    source = actor.folder / actor.source
    source.write_text(source.read_text() + mistake)
    with pytest.raises(errors.BuildFailed, match="(?m)" + said):
        built(actor)


def test_a_crate_that_makes_no_module_is_told_what_it_lacks(tmp_path: Path) -> None:
    require("rust")
    actor = project("rust", "counter", tmp_path / "p")
    manifest = actor.folder / "Cargo.toml"
    manifest.write_text(manifest.read_text().replace("cdylib", "rlib"))
    with pytest.raises(errors.BuildFailed, match="makes no module") as failure:
        built(actor)
    assert "cdylib" in failure.value.remedy


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_a_compiler_the_way_to_one_is_told(
    tmp_path: Path, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.ToolMissing) as missing:
        toolchain(language).find()
    assert "apt-get install" in missing.value.remedy


@pytest.mark.parametrize(
    ("language", "programs", "remedy"),
    [
        ("rust", {"cargo": "cargo 1.40.0", "rustc": "rustc 1.40.0"}, "rustup update"),
        ("rust", {"cargo": "cargo 1.80.0", "rustc": "rustc 1.80.0", "rustup": ""}, "rustup target add wasm32"),
        ("rust", {"cargo": "cargo 1.80.0", "rustc": "rustc 1.80.0"}, "apt-get install libstd-rust-dev-wasm32"),
        ("go", {"go": "go1.19"}, "/usr/local"),
    ],
)
def test_a_compiler_that_will_not_do_is_told(
    tmp_path: Path, language: str, programs: dict[str, str], remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, says in programs.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {says}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.ToolMissing) as missing:
        toolchain(language).find()
    assert remedy in missing.value.remedy


def test_the_copy_of_the_sdk_follows_it_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    actor = Project(folder=tmp_path, name="a", language="rust", source="src/lib.rs")
    copy = sdk_copy.place(actor, "rust")
    before = (copy / "src" / "lib.rs").stat().st_mtime_ns
    (copy / "src" / "http.rs").write_text("changed")
    (copy / "src" / "stranger.rs").write_text("")
    (copy / "old").mkdir()
    assert sdk_copy.place(actor, "rust") == copy
    source = resources.sdk("rust")
    assert (copy / "src" / "http.rs").read_bytes() == (source / "src" / "http.rs").read_bytes()
    assert (copy / "src" / "lib.rs").stat().st_mtime_ns == before, "or cargo would build it again"
    assert not (copy / "src" / "stranger.rs").exists()
    assert not (copy / "old").exists()
    assert not (copy / "tests").exists()
    (tmp_path / "file").write_text("")
    blocked = Project(folder=tmp_path / "file", name="a", language="rust", source="src/lib.rs")
    with pytest.raises(errors.ConfigError, match="cannot be copied"):
        sdk_copy.place(blocked, "rust")
