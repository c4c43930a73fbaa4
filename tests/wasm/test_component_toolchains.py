"""Components as the toolchains of Python and JavaScript make them: fourteen core modules and one of eleven megabytes.

They are built here, where the tools are, and kept in .cache/.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lattice import errors
from lattice.artifacts.cache import CompiledCache
from lattice.config import EngineSettings, Limits
from lattice.wasm.component.host import Ok
from lattice.wasm.component.instantiate import Component, ComponentType
from lattice.wasm.engine import Engine

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".cache" / "components"
BUILD_S_MAX = 300
LIMITS = Limits(memory_bytes_max=128 * 1024 * 1024, time_s_max=20.0)
"""Python's snapshot alone has 40 MB."""

WIT = """package test:tools;
interface shapes {
  enum colour { red, green }
  record point { x: s32, y: f64, colour: colour }
  flip: func(points: list<point>, offset: option<s32>) -> result<list<point>, string>;
}
world tools {
  export greet: func(name: string) -> string;
  export shapes;
}
"""
PYTHON = """import wit_world
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import shapes

class WitWorld(wit_world.WitWorld):
    def greet(self, name):
        return f"Hello, {name}!"

class Shapes(exports.Shapes):
    def flip(self, points, offset):
        if offset is None:
            raise Err("no offset")
        return [shapes.Point(-p.x + offset, -p.y, shapes.Colour(1 - p.colour.value)) for p in points]
"""
JAVASCRIPT = """
export function greet(name) { return `Hello, ${name}!`; }
export const shapes = {
  flip(points, offset) {
    if (offset === undefined) throw "no offset";
    return points.map(p => ({ x: -p.x + offset, y: -p.y, colour: p.colour == "red" ? "green" : "red" }));
  },
};
"""
BUILD_JAVASCRIPT = """
import { componentize } from "@bytecodealliance/componentize-js";
import { writeFile } from "node:fs/promises";
const { component } = await componentize({ sourcePath: "app.js", witPath: "world.wit", worldName: "tools" });
await writeFile("out.wasm", component);
"""


def built(kind: str, source: str, tool: str, make: Callable[[Path], None], scratch: Path) -> bytes:
    """The component, from .cache/ if this very source was built with this tool before."""
    name = hashlib.sha256("\0".join((kind, WIT, source, tool)).encode()).hexdigest()[:16]
    kept = KEPT / f"{kind}-{name}.wasm"
    if not kept.exists():
        (scratch / "world.wit").write_text(WIT)
        make(scratch)
        KEPT.mkdir(parents=True, exist_ok=True)
        whole = kept.with_suffix(f".{os.getpid()}")
        whole.write_bytes((scratch / "out.wasm").read_bytes())
        whole.rename(kept)
    return kept.read_bytes()


def python_component(scratch: Path) -> bytes:
    tool = os.environ.get("LATTICE_COMPONENTIZE_PY") or shutil.which("componentize-py")
    if tool is None:
        pytest.skip("componentize-py is not here: pip install componentize-py, or set LATTICE_COMPONENTIZE_PY")

    def make(folder: Path) -> None:
        (folder / "app.py").write_text(PYTHON)
        command = [str(tool), "-d", "world.wit", "-w", "tools", "componentize", "app", "-o", "out.wasm"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=BUILD_S_MAX)

    version = subprocess.run([tool, "--version"], check=True, capture_output=True, text=True, timeout=60).stdout
    return built("python", PYTHON, version, make, scratch)


def javascript_component(scratch: Path) -> bytes:
    modules = os.environ.get("LATTICE_COMPONENT_MODULES")
    node = shutil.which("node")
    if modules is None or node is None:
        pytest.skip("componentize-js is not here: LATTICE_COMPONENT_MODULES names the node_modules that has it")
    version = (Path(modules) / "@bytecodealliance" / "componentize-js" / "package.json").read_text()

    def make(folder: Path) -> None:
        (folder / "app.js").write_text(JAVASCRIPT)
        (folder / "build.mjs").write_text(BUILD_JAVASCRIPT)
        (folder / "node_modules").symlink_to(modules, target_is_directory=True)
        subprocess.run([str(node), "build.mjs"], cwd=folder, check=True, capture_output=True, timeout=BUILD_S_MAX)

    return built("javascript", JAVASCRIPT, version, make, scratch)


class Quiet:
    """As much of WASI as a language needs to start: no environment, no files, output to nowhere."""

    def function(self, interface: str, name: str) -> Callable[..., Any] | None:
        nothing: dict[str, Callable[..., Any]] = {
            "get-environment": list,
            "get-arguments": list,
            "get-directories": list,
            "initial-cwd": lambda: None,
            "get-random-bytes": os.urandom,
            "get-random-u64": lambda: 4,
            "get-stdin": object,
            "get-stdout": object,
            "get-stderr": object,
            "now": time.monotonic_ns if "monotonic" in interface else (lambda: (1, 2)),
            "[method]output-stream.check-write": lambda _stream: Ok(4096),
            "[method]output-stream.write": lambda _stream, _data: Ok(),
            "[method]output-stream.blocking-flush": lambda _stream: Ok(),
            "[method]output-stream.blocking-write-and-flush": lambda _stream, _data: Ok(),
        }
        return (lambda: None) if name.startswith("get-terminal") else nothing.get(name)

    def resource(self, interface: str, name: str) -> bool:
        return True

    def drop(self, interface: str, name: str, resource: object) -> None:
        pass


@pytest.fixture(params=[python_component, javascript_component], ids=["python", "javascript"])
def component(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Component]:
    data = request.param(tmp_path)
    engine = Engine(EngineSettings(instances_max=300))
    try:
        loaded = ComponentType.load(engine, data, CompiledCache(KEPT / "compiled", engine.fingerprint))
        yield loaded
        loaded.close()
        assert engine.live_instances == 0
    finally:
        engine.close()


async def test_functions_of_the_world_and_of_its_interfaces_are_called(component: Component) -> None:
    instance = await component.instantiate(Quiet(), LIMITS)
    assert await instance.call("", "greet", "Wörld 🌍") == "Hello, Wörld 🌍!"
    instance.close()
    instance = await component.instantiate(Quiet(), LIMITS)
    flipped = await instance.call("test:tools/shapes", "flip", [(1, 0.5, "red"), (-2, 4.0, "green")], 10)
    assert flipped == Ok([(9, -0.5, "green"), (12, -4.0, "red")])
    instance.close()


async def test_a_large_string_comes_back(component: Component) -> None:
    instance = await component.instantiate(Quiet(), LIMITS)
    assert await instance.call("", "greet", "ü" * 500_000) == f"Hello, {'ü' * 500_000}!"
    instance.close()


async def test_fresh_instances_know_nothing_of_each_other_and_go_away(component: Component) -> None:
    for turn in range(30):
        instances = await asyncio.gather(*(component.instantiate(Quiet(), LIMITS) for _ in range(3)))
        found = await asyncio.gather(*(one.call("", "greet", str(turn)) for one in instances))
        assert found == [f"Hello, {turn}!"] * 3
        for one in instances:
            one.close()


async def test_too_little_memory_is_refused_with_the_reason(component: Component) -> None:
    with pytest.raises(errors.LatticeError, match="memory"):
        await component.instantiate(Quiet(), Limits(memory_bytes_max=1024 * 1024))
