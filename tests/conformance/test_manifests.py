"""The manifests of the counters: one that runs as it is, and one with what has to be built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lattice.control.manifest import load
from lattice.supervisor import Installed
from scripts.build_large_actors import LARGE
from tests.conformance.guests import ACTORS, COUNTERS

FOLDER = ACTORS / "counters"
BUILT = {counter.actor for counter in COUNTERS} & set(LARGE)
"""Those that are not committed."""


def parts(name: str) -> dict[str, dict[str, Any]]:
    manifest = YAML(typ="safe").load((FOLDER / name).read_text())
    return {part["name"]: part for part in manifest["spec"]["components"]}


def routes(http: dict[str, Any]) -> dict[str, str]:
    links = [trait["properties"] for trait in http["traits"]]
    return {link["target"]: link["source_config"]["path"] for link in links}


def test_the_committed_counters_are_served_as_among_all() -> None:
    some, every = parts("app.yaml"), parts("all.yaml")
    http = some.pop("http")
    assert routes(http).items() < routes(every["http"]).items()
    assert some.items() < every.items()
    assert set(every) - set(some) == {*BUILT, "http"}


def test_all_counters_are_served_under_their_paths() -> None:
    assert routes(parts("all.yaml")["http"]) == {counter.actor: f"/{counter.path}" for counter in COUNTERS}


def test_the_committed_counters_can_be_put_up() -> None:
    application = load(FOLDER / "app.yaml", Installed())
    assert len(application.components) == len(COUNTERS) - len(BUILT) + 2
    assert Path(FOLDER / "counts").is_dir(), "what the manifest grants has to be there"
