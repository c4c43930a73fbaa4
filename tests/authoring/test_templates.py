"""Every template in every language: built by its compiler, and what its own tests say holds.

The tests are those that `lattice new` puts into a project, and their host is that of `lattice test`; they are run here
without a process for each.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from lattice.authoring import building, creating, resources
from lattice.authoring.project import Project
from lattice.authoring.toolchains import toolchain
from lattice.testing import host
from tests.support import authoring

CACHE = Path(__file__).parents[2] / ".cache" / "templates"
"""Built modules by the digest of what they are made of: some take a minute."""
ALL = [(language, template) for language, templates in creating.offered().items() for template in templates]
NAME = "word-count"
CONTRACTS = {
    "http": {"wasmcloud:httpserver", "wasmcloud:keyvalue"},
    "counter": {"wasmcloud:httpserver", "wasmcloud:keyvalue"},
    "worker": {"wasmcloud:httpserver", "wasmcloud:keyvalue", "wasmcloud:messaging", "wasmcloud:blobstore"},
    "cron": {"wasmcloud:httpserver", "wasmcloud:keyvalue", "lattice:cron"},
}
SMALL = {"c": 50, "zig": 50, "assemblyscript": 50, "rust": 64}
"""KiB that no template may have more of."""


def built(project: Project, template: str) -> Path:
    """The module of a fresh project, in its place."""
    kept = CACHE / f"{project.language}-{template}-{digest(project)}.wasm"
    if not kept.exists():
        building.build(project)
        CACHE.mkdir(parents=True, exist_ok=True)
        building.write(kept, project.target.read_bytes())
    project.target.parent.mkdir(exist_ok=True)
    shutil.copyfile(kept, project.target)
    return project.target


def digest(project: Project) -> str:
    made_of = hashlib.sha256(toolchain(project.language).find().version.encode())
    for root in (project.folder, resources.actors() / "sdk"):
        for path in sorted(root.rglob("*")):
            if path.is_file() and not {"tests", "target", "node_modules", "__pycache__"} & set(path.parts):
                made_of.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return made_of.hexdigest()[:24]


@pytest.fixture
def project(tmp_path: Path, language: str, template: str) -> Project:
    authoring.require_toolchain(language)
    return creating.create(NAME, language, template, tmp_path)


def own_tests(project: Project) -> ModuleType:
    (file,) = (project.folder / "tests").glob("test_*.py")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("language", "template"), ALL, ids=["-".join(one) for one in ALL])
async def test_a_template_does_what_its_tests_say(project: Project, template: str) -> None:
    module = built(project, template)
    data = module.read_bytes()
    claims = authoring.claims_of(data)
    assert set(claims.caps) == CONTRACTS[template]
    assert len(data) < SMALL.get(project.language, 64 * 1024) * 1024
    tests = {name: test for name, test in vars(own_tests(project)).items() if name.startswith("test_")}
    assert len(tests) == 4
    for test in tests.values():
        assert inspect.iscoroutinefunction(test)
        async with host(project.folder) as actor:
            await test(actor)
