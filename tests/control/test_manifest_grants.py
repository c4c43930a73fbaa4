"""Links of a manifest that are restricted, and that actors pass on: read, written, and refused with their line."""

# ruff: noqa: E501 - one case a line: a table is easier to read and to add to

from __future__ import annotations

import pytest

from lattice.control import records
from lattice.control.manifest.writer import to_text
from tests.control.manifests import app, mistakes, parse

STORE = "{name: kv, type: capability, properties: {image: builtin://keyvalue-sqlite}}"
HTTP = "{name: http, type: capability, properties: {image: builtin://http-server}}"


def actor(name: str, *links: str) -> str:
    traits = ", ".join(f"{{type: link, properties: {link}}}" for link in links)
    return f"{{name: {name}, type: actor, properties: {{image: file://{name}.wasm}}, traits: [{traits}]}}"


def test_what_is_granted_and_what_passes_is_read_and_written() -> None:
    found = parse(
        app(
            actor("one", "{target: kv, operations: [KeyValue.Get, 'KeyValue.List*'], target_config: {bucket: b}}"),
            actor("two", "{target: kv, granted_by: one, operations: [KeyValue.Get]}"),
            actor("three", "{target: kv, granted_by: two}"),
            STORE,
        )
    )
    shown = [(link.source, link.granted_by, link.operations) for link in found.links]
    assert shown == [
        ("one", "", ("KeyValue.Get", "KeyValue.List*")),
        ("two", "one", ("KeyValue.Get",)),
        ("three", "two", ()),
    ]
    again = parse(to_text(found))
    assert [(link.source, link.granted_by, link.operations) for link in again.links] == shown


def test_components_become_keys() -> None:
    found = parse(app(actor("one", "{target: kv}"), actor("two", "{target: kv, granted_by: one}"), STORE))
    _, links = records.meaning(found, "v1", {"one": "MKEY"})
    assert [(link.source, link.granted_by) for link in links] == [("MKEY", ""), ("a-two", "MKEY")]


@pytest.mark.parametrize(
    ("components", "found"),
    [
        ([actor("one", "{target: kv, granted_by: two}"), STORE], ["no actor is called 'two', and so it can grant nothing"]),
        ([actor("one", "{target: kv, granted_by: onw}"), actor("own", "{target: kv}"), STORE], ["did you mean 'own'?"]),
        ([actor("one", "{target: kv, granted_by: kv}"), STORE], ["no actor is called 'kv'"]),
        ([actor("one", "{target: kv, granted_by: one}"), STORE], ["an actor grants nothing to itself"]),
        ([actor("one", "{target: kv, granted_by: two}"), actor("two"), STORE], ["two, who grants it, has no link for wasmcloud:keyvalue to kv"]),
        ([actor("one", "{target: kv, granted_by: two}"), actor("two", "{target: kv, granted_by: one}"), STORE], ["in a circle", "in a circle"]),
        ([actor("one", "{target: kv, granted_by: two, target_config: {bucket: b}}"), actor("two", "{target: kv}"), STORE], ["its configuration is another than that of two"]),
        ([actor("one", "{target: kv, granted_by: two, operations: ['*']}"), actor("two", "{target: kv, operations: [KeyValue.Get]}"), STORE], ["* is not among the operations"]),
        ([actor("one", "{target: two, granted_by: two}"), actor("two"), STORE], ["only a link from an actor to a provider"]),
        ([actor("one", "{target: kv, operations: []}"), STORE], ["lets nothing pass | leave it out"]),
        ([actor("one", "{target: kv, operations: KeyValue.Get}"), STORE], ["operations has to be a list"]),
        ([actor("one", "{target: kv, operations: ['']}"), STORE], ["an operation is empty", "is no operation"]),
        ([actor("one", "{target: kv, operations: [" + "x" * 101 + "]}"), STORE], ["is no operation"]),
        ([actor("one"), HTTP.replace("}}", "}, traits: [{type: link, properties: {target: one, granted_by: one, source_config: {address: '127.0.0.1:1'}}}]}")], ["only a link from an actor to a provider"]),
    ],
)  # fmt: skip
def test_a_grant_of_more_than_is_held_is_a_mistake_with_its_line(components: list[str], found: list[str]) -> None:
    seen = mistakes(app(*components))
    assert all(any(part in one for one in seen) for part in found), seen
    assert all(one[0].isdigit() and not one.startswith("0") for one in seen), seen
