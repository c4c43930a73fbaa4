"""The blocks of docs/cookbook.md, and the project that they make together."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lattice.authoring import building, project, resources
from lattice.authoring.project import Project
from lattice.authoring.toolchains import toolchain

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "cookbook.md"
CACHE = ROOT / ".cache" / "cookbook"


def blocks(language: str, page: Path = PAGE) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no {language}"
    return found


def manifest() -> dict[str, Any]:
    """One application of all the parts of manifests: components of the same name are the same."""
    together: dict[str, Any] = {}
    for block in blocks("yaml"):
        if not block.startswith("components:"):
            continue  # a whole application that shows something of its own; tests/test_docs.py reads it
        for component in YAML(typ="safe").load(block)["components"]:
            known = together.setdefault(component["name"], {**component, "traits": []})
            assert known["type"] == component["type"]
            known["properties"] = {**known["properties"], **component["properties"]}
            known["traits"] += [trait for trait in component.get("traits", []) if trait not in known["traits"]]
    return {
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "metadata": {"name": "cookbook"},
        "spec": {"components": list(together.values())},
    }


def make(folder: Path, source: str, text: str, language: str) -> Project:
    """A built project of one source. The module is kept by what it is made of: Python takes a while."""
    folder.mkdir(parents=True)
    (folder / source).write_text(text)
    (folder / "app.yaml").write_text(json.dumps(manifest()))
    (folder / "lattice.toml").write_text(f'[actor]\nname = "shop"\nlanguage = "{language}"\nsource = "{source}"\n')
    made = project.load(folder)
    digest = hashlib.sha256(f"{toolchain(language).find().version}\0{text}".encode())
    sdk = resources.sdk(language)
    for path in sorted(path for path in sdk.rglob("*") if path.suffix in toolchain(language).suffixes):
        digest.update(path.read_bytes())
    kept = CACHE / f"{language}-{digest.hexdigest()[:24]}.wasm"
    if not kept.exists():
        building.build(made)
        CACHE.mkdir(parents=True, exist_ok=True)
        arriving = kept.with_suffix(f".{os.getpid()}")
        shutil.copy(made.target, arriving)
        arriving.replace(kept)
    made.target.parent.mkdir(exist_ok=True)
    shutil.copy(kept, made.target)
    return made
