"""`lattice app validate` finds mistakes without starting anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_a_good_manifest_is_valid(application: Path, lattice: Callable[..., Any]) -> None:
    result = lattice("app", "validate", application)
    assert result.code == 0
    assert "demo is valid (3 components, 1 links)" in result.out
    document = json.loads(lattice("app", "validate", application, "-o", "json").out)
    assert (document["valid"], document["name"], document["mistakes"]) == (True, "demo", [])
    assert document["links"] == [
        {
            "source": "http",
            "target": "echo",
            "contract": "wasmcloud:httpserver",
            "name": "default",
            "granted_by": "",
            "operations": [],
        }
    ]


def test_every_mistake_is_listed_with_its_place(application: Path, lattice: Callable[..., Any]) -> None:
    text = application.read_text().replace("time: 30s", "tim: 30s").replace("echo.wasm", "gone.wasm")
    application.write_text(text)
    result = lattice("app", "validate", application)
    assert (result.code, result.out) == (1, "")
    assert f"{application}:8:27: there is no file" in result.err
    assert f"{application}:11:54: limits has no key 'tim'" in result.err
    assert "did you mean 'time'?" in result.err
    document = json.loads(lattice("app", "validate", application, "-o", "json").out)
    assert [mistake["line"] for mistake in document["mistakes"]] == [8, 11]


def test_settings_that_a_provider_does_not_take_are_found(application: Path, lattice: Callable[..., Any]) -> None:
    application.write_text(application.read_text().replace("address:", "adress:"))
    result = lattice("app", "validate", application)
    assert result.code == 1
    assert "link from http to echo: source_config: adress: no such key" in result.err
