"""`lattice build`: real compilers, what comes out, and every way it can go wrong."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lattice import errors, wasmfile
from lattice.authoring import building, compiling, sources, toolchains
from lattice.authoring.project import Project, load
from lattice.authoring.toolchain import Tool
from tests.support import authoring


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return authoring.project(tmp_path)


def claims_of(path: Path) -> Any:
    return authoring.claims_of(path.read_bytes())


def test_what_is_built_is_signed_for_what_it_uses(shop: Project) -> None:
    built = building.build(shop)
    claims = claims_of(shop.target)
    assert built.path == shop.target
    assert built.size == shop.target.stat().st_size < 50 * 1024
    assert built.contracts == ("wasmcloud:httpserver", "wasmcloud:keyvalue")
    assert set(claims.caps) == set(built.contracts)
    assert (claims.name, claims.rev, claims.verified) == ("shop", 1, True)
    assert "wapc.__host_call" in built.imports
    assert built.compiler.startswith("zig ")
    assert not built.takes_messages


def test_the_same_source_makes_the_same_bytes_and_the_same_actor(shop: Project, tmp_path: Path) -> None:
    first, key = shop.target, claims_of(building.build(shop).path).subject
    before = first.read_bytes()
    building.build(shop)
    assert first.read_bytes() == before
    again = building.build(shop, tmp_path / "elsewhere.wasm", revision=5)
    claims = claims_of(again.path)
    assert (claims.subject, claims.rev) == (key, 5)


def test_lattice_toml_stands_above_what_is_found(shop: Project) -> None:
    named = msgspec.structs.replace(shop, capabilities=("wasmcloud:httpserver",), alias="the/shop")
    built = building.build(named)
    assert built.contracts == ("wasmcloud:httpserver",)
    assert any("wasmcloud:keyvalue" in note and "refused" in note for note in built.notes)
    assert claims_of(built.path).alias == "the/shop"


def test_a_syntax_error_is_told_by_line_and_what_was_built_stays(shop: Project) -> None:
    building.build(shop)
    before = shop.target.read_bytes()
    authoring.change(shop.folder / "app.c", "Person person;", "Person person")
    with pytest.raises(errors.BuildFailed, match=r"(?m)^app\.c:\d+:\d+: error: expected ';'") as raised:
        building.build(shop)
    assert str(shop.folder) not in str(raised.value)
    assert raised.value.remedy
    assert shop.target.read_bytes() == before
    assert os.listdir(shop.own_folder / "build") == []


def test_a_source_that_is_not_there_is_told(shop: Project) -> None:
    (shop.folder / "app.c").rename(shop.folder / "other.c")
    with pytest.raises(errors.ConfigError, match=r"has no file app\.c") as raised:
        building.build(shop)
    assert "source in lattice.toml" in raised.value.remedy


def test_an_actor_without_handlers_is_told(shop: Project) -> None:
    (shop.folder / "app.c").write_text("int answer(void) { return 42; }\n")
    with pytest.raises(errors.BuildFailed, match="actor_handlers"):
        building.build(shop)


def test_an_actor_that_begins_too_large_is_told_unless_its_limit_is_raised(shop: Project) -> None:
    source = shop.folder / "app.c"
    table = "char table[80 << 20];\n"
    source.write_text(source.read_text().replace("static void hello", f"{table}static void hello", 1))
    authoring.change(source, "Hello hello = {TEXT(", "table[request->body.size] = 1;\n    Hello hello = {TEXT(")
    with pytest.raises(errors.BuildFailed, match="shop is too large: it begins with 80 MiB") as raised:
        building.build(shop)
    assert "limits.memory" in raised.value.remedy
    authoring.change(
        shop.manifest,
        "image: file://build/shop.wasm",
        "image: file://build/shop.wasm\n        limits: {memory: 100MiB}",
    )
    assert building.build(shop).size


class Toolchain:
    """One that writes what a test wants written."""

    language = "c"
    suffixes = (".c",)

    def __init__(self, data: bytes | None) -> None:
        self.data = data

    def find(self) -> Tool:
        return Tool("fake", "1", Path("/fake"))

    def build(self, project: Project, out: Path, scratch: Path) -> None:
        if self.data is not None:
            out.write_bytes(self.data)

    def contracts(self, project: Project) -> frozenset[str] | None:
        return frozenset({"example:own"})


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes | None], None]:
    """Makes the toolchain of C write these bytes: what no real one can be made to write."""
    return lambda data: monkeypatch.setitem(toolchains.TOOLCHAINS, "c", Toolchain(data))


def test_a_compiler_that_writes_nothing_or_nonsense_is_told(
    shop: Project, writes: Callable[[bytes | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    writes(None)
    with pytest.raises(errors.BuildFailed, match="wrote no module"):
        building.build(shop)
    writes(b"MZ\0\0")
    with pytest.raises(errors.NotWasm):
        building.build(shop)
    writes(b"\0asm\1\0\0\0")
    with pytest.raises(errors.BuildFailed, match="exports neither __guest_call nor _start") as raised:
        building.build(shop)
    assert "handlers" in raised.value.remedy
    monkeypatch.setattr(wasmfile, "WASM_BYTES_MAX", 5)
    with pytest.raises(errors.BuildFailed, match="shop is too large: 0 MiB, and hosts read 0 MiB"):
        building.build(shop)


def test_a_compiler_that_is_missing_comes_with_its_command(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATTICE_ZIG", "no-such-zig")
    with pytest.raises(errors.ToolMissing, match=r"zig .* was not found") as raised:
        building.build(shop)
    assert "-m pip install ziglang==" in raised.value.remedy
    monkeypatch.setenv("LATTICE_ZIG", "echo 0.1.0 #")
    with pytest.raises(errors.ToolMissing, match=r"; echo 0\.1\.0 .* is 0\.1\.0"):
        building.build(shop)


def test_a_language_without_a_toolchain_is_told(shop: Project) -> None:
    (shop.folder / "lattice.toml").write_text('[actor]\nname = "shop"\nlanguage = "cobol"\nsource = "a.cob"\n')
    with pytest.raises(errors.ConfigError, match="no toolchain for the language 'cobol'"):
        building.build(load(shop.folder))


def test_a_build_is_stale_when_a_source_is_newer(shop: Project) -> None:
    assert sources.is_stale(shop)
    building.build(shop)
    assert not sources.is_stale(shop)
    source = shop.folder / "app.c"
    later = time.time_ns() + 1_000_000_000
    os.utime(source, ns=(later, later))
    assert sources.is_stale(shop)


def test_what_is_not_a_source_is_not_looked_at(shop: Project) -> None:
    for place in (".lattice/x.c", "build/x.c", "node_modules/a/x.c", "tests/x.c", "deep/x.txt"):
        (shop.folder / place).parent.mkdir(parents=True, exist_ok=True)
        (shop.folder / place).write_text("")
    (shop.folder / "deep" / "more.h").write_text("")
    found = {Path(path).relative_to(shop.folder).as_posix() for path, _ in sources.sources(shop, (".c", ".h"))}
    assert found == {"app.c", "app.yaml", "lattice.toml", "deep/more.h"}


def test_more_sources_than_an_actor_has_are_refused(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "FILES_MAX", 2)
    with pytest.raises(errors.ConfigError, match="more than 2 source files"):
        sources.sources(shop, (".c",))


# Running compilers.


def test_what_a_compiler_says_is_cut_and_without_colours(tmp_path: Path) -> None:
    with pytest.raises(errors.BuildFailed) as raised:
        compiling.run(["sh", "-c", r"printf '\033[31mred\033[0m' >&2; yes | head -c 100000; exit 3"], tmp_path)
    assert raised.value.message.startswith("red")
    assert "more letters" in raised.value.message
    assert len(raised.value.message) < compiling.OUTPUT_LETTERS_MAX + 100


def test_a_compiler_that_says_nothing_is_told_by_its_end(tmp_path: Path) -> None:
    with pytest.raises(errors.BuildFailed, match="it said nothing, and ended with 4"):
        compiling.run(["sh", "-c", "exit 4"], tmp_path)


def test_a_compiler_that_does_not_end_is_ended_with_what_it_started(tmp_path: Path) -> None:
    with pytest.raises(errors.BuildFailed, match=r"had not ended after 0\.5 s"):
        compiling.run(["sh", "-c", "sleep 1000 & echo $! > child; wait"], tmp_path, timeout_s=0.5)
    require_gone(int((tmp_path / "child").read_text()))


def test_compilers_end_with_their_build(tmp_path: Path) -> None:
    compilers, raised = compiling.Compilers(), []

    def build() -> None:
        with compiling.ended_by(compilers):
            try:
                compiling.run(["sh", "-c", "sleep 1000 & echo $! > child.new; mv child.new child; wait"], tmp_path)
            except errors.BuildFailed as error:
                raised.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    deadline = time.monotonic() + authoring.WAIT_S
    while not (tmp_path / "child").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    compilers.end()
    thread.join(authoring.WAIT_S)
    assert not thread.is_alive()
    assert len(raised) == 1
    require_gone(int((tmp_path / "child").read_text()))


def require_gone(pid: int) -> None:
    """A child of a child: whoever adopted it may need a moment to take its end in."""
    deadline = time.monotonic() + authoring.WAIT_S
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.01)
    raise AssertionError(f"{pid} still runs")
