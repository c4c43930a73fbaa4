"""The guests of this suite: the counter in every kind, and guests of each kind that break."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from scripts import build_large_actors
from tests.support.components import wasm

ACTORS = Path(__file__).parents[2] / "actors"


class Counter(NamedTuple):
    """A counter of actors/counters/all.yaml, which is served under `/path`."""

    path: str
    actor: str
    stores: bool = True
    """Counts in the key-value store. Commands cannot: they count in files."""


COUNTERS = (
    Counter("c", "counter"),
    Counter("as", "counter-as"),
    Counter("component", "counter-component"),
    Counter("py", "counter-py"),
    Counter("js", "counter-js"),
    Counter("wagi", "counter-wagi", stores=False),
    Counter("go", "counter-go", stores=False),
)


def image(counter: Counter) -> Path:
    """The module. Raises `build_large_actors.ToolMissing` if it would have to be built and cannot be."""
    if counter.actor in build_large_actors.LARGE:
        return build_large_actors.build(counter.actor)
    return ACTORS / counter.actor / f"{counter.actor}.wasm"


def images() -> tuple[dict[Counter, Path], dict[Counter, str]]:
    """Those that are there or can be built, and why others are not."""
    found, missing = {}, {}
    for counter in COUNTERS:
        try:
            found[counter] = image(counter)
        except build_large_actors.ToolMissing as why:
            missing[counter] = str(why)
    return found, missing


def require(counter: Counter, missing: dict[Counter, str]) -> None:
    if counter in missing:
        pytest.skip(missing[counter])


_WAPC = '(module (memory (export "memory") 1) (func (export "__guest_call") (param i32 i32) (result i32) {body}))'
_COMMAND = '(module (memory (export "memory") 1) (func (export "_start") {body}))'
_COMPONENT = """(component
  (import "wasi:http/types@0.2.12" (instance $http
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $http "incoming-request" (type $request))
  (alias export $http "response-outparam" (type $outparam))
  (core module $main (func (export "handle") (param i32 i32) {body}))
  (core instance $main (instantiate $main))
  (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))
    (canon lift (core func $main "handle")))
  (component $exported
    (import "request" (type $request (sub resource)))
    (import "outparam" (type $outparam (sub resource)))
    (import "handle" (func $handle (param "request" (own $request)) (param "response-out" (own $outparam))))
    (export "handle" (func $handle)))
  (instance $exported (instantiate $exported
    (with "request" (type $request))
    (with "outparam" (type $outparam))
    (with "handle" (func $handle))))
  (export "wasi:http/incoming-handler@0.2.12" (instance $exported)))"""

KINDS = {"wapc": _WAPC, "component": _COMPONENT, "command": _COMMAND}
FAULTS = {"trap": "unreachable", "spin": "(loop (br 0)) unreachable"}


def faulty(kind: str, fault: str) -> bytes:
    """A guest that does nothing else."""
    return wasm(KINDS[kind].format(body=FAULTS[fault]))
