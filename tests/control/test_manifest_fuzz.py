"""Any text is a manifest or a ManifestError, and what can be written is read back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lattice import errors
from lattice.config import Limits
from lattice.control import manifest
from tests.control.manifests import HELLO, parse

FOLDER = Path("/srv/app")
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True)
VALUES = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)


def read(text: str) -> manifest.Application | None:
    try:
        return parse(text)
    except errors.ManifestError as error:
        if not all(isinstance(other, errors.ManifestError) for other in error.others):
            raise
        return None


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    read(text)


@given(st.text(alphabet="ab:-[]{},&*!|>'\"#%@`?<~ \n\t\\\0\x85\ufeff", max_size=80))
def test_any_yaml_punctuation_is_read_or_refused(text: str) -> None:
    read(text)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(HELLO)), st.integers(0, 12), st.text(max_size=6))
def test_a_damaged_manifest_is_read_or_refused(start: int, size: int, replacement: str) -> None:
    read(HELLO[:start] + replacement + HELLO[start + size :])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "type", "properties", "traits", "image", "config", "target", "limits", "spread", "secrets"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["actor", "capability"]), st.sampled_from(["link", "spreadscaler"]))
def test_any_shape_of_data_is_read_or_refused(value: Any, kind: str, trait: str) -> None:
    read(json.dumps({"apiVersion": "core.oam.dev/v1beta1", "kind": "Application", "metadata": value, "spec": value}))
    traits = [{"type": trait, "properties": value}]
    component = {"name": "one", "type": kind, "properties": value, "traits": traits}
    spec = {"components": [component, value]}
    head = {"apiVersion": "core.oam.dev/v1beta1", "kind": "Application", "metadata": {"name": "a"}}
    read(json.dumps({**head, "spec": spec}))


@st.composite
def applications(draw: st.DrawFn) -> manifest.Application:
    actors = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    components = []
    for name in actors:
        targets = draw(st.lists(st.sampled_from(actors), max_size=2, unique=True))
        links = [
            manifest.LinkSpec(source=name, target=target, contract="", name=draw(NAMES), target_config=draw(VALUES))
            for target in targets
        ]
        if draw(st.booleans()):
            links.append(
                manifest.LinkSpec(source=name, target="-store", contract="wasmcloud:keyvalue", name=draw(NAMES))
            )
        limits = Limits(
            memory_bytes_max=draw(st.integers(65536, 1 << 32)),
            time_s_max=draw(st.sampled_from([0.5, 3.0, 60.0])),
            isolation=draw(st.sampled_from(["instance", "call"])),
        )
        components.append(
            manifest.Component(
                name=name,
                kind="actor",
                image=manifest.Reference(f"file://{name}.wasm", "file", path=FOLDER / f"{name}.wasm"),
                config=draw(VALUES),
                limits=limits,
                scaling=manifest.Scaling(replicas=draw(st.integers(0, 100))),
                links=tuple(links),
            )
        )
    return manifest.Application(name=draw(NAMES), components=tuple(components), labels=draw(VALUES))


def written(application: manifest.Application) -> str:
    """The manifest of an application, as JSON, which is YAML too."""
    components: list[Any] = [
        {"name": "store", "type": "capability", "properties": {"image": "builtin://keyvalue-sqlite"}}
    ]
    for component in application.components:
        limits = component.limits
        traits: list[Any] = [{"type": "spreadscaler", "properties": {"instances": component.replicas}}]
        for link in component.links:
            target = {"name": link.target.lstrip("-"), "config": link.target_config}
            traits.append({"type": "link", "properties": {"target": target, "name": link.name}})
        properties = {
            "image": component.image.text,
            "config": component.config,
            "limits": {
                "memory": limits.memory_bytes_max,
                "time": f"{round(limits.time_s_max * 1000)}ms",
                "isolation": limits.isolation,
            },
        }
        components.append({"name": component.name, "type": "component", "properties": properties, "traits": traits})
    head = {"apiVersion": "core.oam.dev/v1beta1", "kind": "Application"}
    metadata = {"name": application.name, "labels": application.labels}
    return json.dumps({**head, "metadata": metadata, "spec": {"components": components}})


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(applications())
def test_what_is_written_is_read_back(application: manifest.Application) -> None:
    if any(component.name == "store" for component in application.components):
        return
    found = parse(written(application))
    actors = []
    for component in found.components[1:]:
        links = tuple(
            msgspec.structs.replace(link, line=0, target="-store" if link.target == "store" else link.target)
            for link in component.links
        )
        actors.append(msgspec.structs.replace(component, line=0, links=links))
    assert tuple(actors) == application.components
    assert (found.name, found.labels) == (application.name, application.labels)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("65536", 65536), ("64MiB", 64 << 20), ("10 MB", 10_000_000), ("1.5g", 1_500_000_000), ("2Ki", 2048)],
)
def test_sizes(text: str, size: int) -> None:
    assert manifest.parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10.0), ("500ms", 0.5), ("1.5", 1.5), ("2m", 120.0), ("1h", 3600.0), ("250 us", 0.00025)],
)
def test_durations(text: str, seconds: float) -> None:
    assert manifest.parse_duration(text) == pytest.approx(seconds)


@given(st.text(max_size=20))
def test_quantities_are_numbers_or_value_errors(text: str) -> None:
    for quantity in (manifest.parse_size, manifest.parse_duration):
        try:
            value = quantity(text)
        except ValueError:
            continue
        assert value >= 0
