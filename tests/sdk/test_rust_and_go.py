"""What the SDKs for Rust and Go promise besides conformance: tests of their own, small modules, mistakes by place."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lattice import errors, wasmfile
from lattice.authoring import resources, sdk_copy
from lattice.authoring.project import OWN_FOLDER, Project, load
from lattice.authoring.toolchains import TOOLCHAINS, toolchain
from lattice.authoring.toolchains.go import find_go
from lattice.authoring.toolchains.rust import COMPONENT_TARGET, Rust
from scripts.build_components import modules_folder
from tests.support.authoring import require_toolchain

CACHE = Path(__file__).parents[2] / ".cache" / "sdk"
TESTS_S_MAX = 300
"""The first run compiles; the ones that follow take a second or two."""
LANGUAGES = ("rust", "go")


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
    require_toolchain("rust")
    said = run(["cargo", "test", "--offline", "--quiet"], resources.sdk("rust"), CARGO_TARGET_DIR=str(CACHE / "cargo"))
    assert said.count("test result: ok") >= 4


def test_the_go_module_passes_its_own_tests_and_is_formatted() -> None:
    require_toolchain("go")
    folder = resources.sdk("go")
    run(["go", "vet", "./..."], folder, GOTOOLCHAIN="local")
    run(["go", "test", "./..."], folder, GOTOOLCHAIN="local")
    sources = [*folder.rglob("*.go"), *(resources.actors() / "templates" / "go").rglob("*.go")]
    assert run([str(Path(find_go().path).with_name("gofmt")), "-l", *map(str, sources)], folder) == ""


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for all tests of a run, emptied but for the SDK's copy: compilers then know it again."""
    place = tmp_path_factory.getbasetemp() / "rust-and-go"
    place.mkdir(exist_ok=True)
    for entry in place.iterdir():
        if entry.name != OWN_FOLDER:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    return place


def project(language: str, template: str, folder: Path) -> Project:
    shutil.copytree(resources.template(language, template), folder, dirs_exist_ok=True)
    for path in folder.rglob("*"):
        if path.is_file() and OWN_FOLDER not in path.parts:
            path.write_text(path.read_text().replace("{{name}}", "word-count").replace("{{module}}", "word_count"))
    return load(folder)


def built(project: Project) -> bytes:
    scratch = CACHE / f"{project.language}-scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    out = project.folder / "out.wasm"
    TOOLCHAINS[project.language].build(project, out, scratch)
    return out.read_bytes()


HELLO = """
use nanolattice::http::{Request, Response};
use nanolattice::{Actor, Result};

fn hello(request: &Request) -> Result<Response> {
    let name: String = request.query("name")?.unwrap_or_else(|| "world".to_string());
    Ok(Response::text(200, format!("hello {name}\\n")))
}

nanolattice::actor!(Actor::new().get("/hello", hello));
"""


def test_a_rust_hello_is_small(folder: Path) -> None:
    require_toolchain("rust")
    hello = project("rust", "http", folder)
    (hello.folder / hello.source).write_text(HELLO)
    assert len(built(hello)) < 50_000


def test_a_crate_that_makes_no_module_is_told_what_it_lacks(folder: Path) -> None:
    require_toolchain("rust")
    actor = project("rust", "counter", folder)
    manifest = actor.folder / "Cargo.toml"
    manifest.write_text(manifest.read_text().replace("cdylib", "rlib"))
    with pytest.raises(errors.BuildFailed, match="makes no module") as failure:
        built(actor)
    assert "cdylib" in failure.value.remedy


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


def test_a_component_without_its_library_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_toolchain("rust")
    actor = project("rust", "counter", folder)
    manifest = actor.folder / "Cargo.toml"
    manifest.write_text(manifest.read_text().replace('sdk/rust"', 'sdk/rust", features = ["component"]'))
    monkeypatch.setattr(Rust, "has_target", lambda _self, target: target != COMPONENT_TARGET)
    with pytest.raises(errors.ToolMissing, match="components") as missing:
        built(actor)
    assert missing.value.remedy == f"rustup target add {COMPONENT_TARGET}"


EMBED = """
import { readFileSync, writeFileSync } from "node:fs";
import { componentEmbed } from "@bytecodealliance/jco";
const binary = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
const witSource = readFileSync("actor.wit", "utf8");
const world = { binary, witSource, worldName: "actor", stringEncoding: "utf8", metadata: [] };
writeFileSync("out.wasm", await componentEmbed(world));
"""


def test_the_world_of_components_is_that_of_its_text(tmp_path: Path) -> None:
    node, modules = shutil.which("node"), modules_folder()
    if node is None or not (modules / "@bytecodealliance" / "jco").is_dir():
        pytest.skip("node and jco are needed; run: npm ci --prefix actors")
    text = (resources.actors() / "sdk" / "wit" / "actor.wit").read_text()
    (tmp_path / "actor.wit").write_text(text.partition("/// For scripts")[0])
    (tmp_path / "embed.mjs").write_text(EMBED)
    (tmp_path / "node_modules").symlink_to(modules.resolve(), target_is_directory=True)
    run([node, "embed.mjs"], tmp_path)
    made = (tmp_path / "out.wasm").read_bytes()
    (section,) = wasmfile.describe(made).custom("component-type")
    assert made[section.content : section.end] == (resources.sdk("rust") / "src" / "actor.world").read_bytes()


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


@pytest.mark.parametrize("place", [".lattice", ".lattice/sdk", ".lattice/sdk/rust", ".lattice/sdk/rust/src"])
def test_a_link_in_a_project_of_others_leads_the_copy_nowhere(tmp_path: Path, place: str) -> None:
    """Version control keeps links, and what is not of the SDK is removed where the copy is made."""
    home, folder = tmp_path / "home", tmp_path / "project"
    for path in (home, home / "rust", home / "sdk" / "rust"):
        path.mkdir(parents=True)
        (path / "letter.txt").write_text("dear")
    (folder / place).parent.mkdir(parents=True)
    (folder / place).symlink_to(home, target_is_directory=True)
    with contextlib.suppress(errors.ConfigError):
        sdk_copy.place(Project(folder=folder, name="a", language="rust", source="src/lib.rs"), "rust")
    assert sorted(path.relative_to(home).as_posix() for path in home.rglob("*")) == [
        *("letter.txt", "rust", "rust/letter.txt", "sdk", "sdk/rust", "sdk/rust/letter.txt"),
    ]


PAGES = Path(__file__).parents[2] / "docs" / "sdk"


def shown(language: str) -> list[str]:
    text = (PAGES / f"{language}.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def is_test(text: str) -> bool:
    return "#[test]" in text or "*testing.T" in text


EXAMPLES = [
    pytest.param(language, text, id=f"{language}-{number}")
    for language in LANGUAGES
    for number, text in enumerate(shown(language))
    if not is_test(text)
]


@pytest.mark.parametrize(("language", "text"), EXAMPLES)
def test_what_a_page_shows_builds(folder: Path, language: str, text: str) -> None:
    require_toolchain(language)
    actor = project(language, "counter", folder)
    (actor.folder / actor.source).write_text(text)
    assert built(actor)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_test_that_a_page_shows_passes_on_its_actor(folder: Path, language: str) -> None:
    require_toolchain(language)
    actor = project(language, "http", folder)
    sdk_copy.place(actor, language)
    (test,) = filter(is_test, shown(language))
    source = actor.folder / actor.source
    if language == "rust":
        source.write_text(source.read_text() + test.replace("#[test]", "#[cfg(test)]\n#[test]"))
        said = run(["cargo", "test", "--offline"], actor.folder, CARGO_TARGET_DIR=str(CACHE / "cargo"))
        assert "people_are_checked_and_kept ... ok" in said
    else:
        source.with_name("main_test.go").write_text(test)
        said = run(["go", "test", "-v", "."], actor.folder, GOTOOLCHAIN="local")
        assert "PASS: TestPeopleAreCheckedAndKept" in said
