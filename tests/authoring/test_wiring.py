"""What `lattice dev` links, with and without a manifest, and that a provider takes every configuration it gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice.authoring import wiring
from lattice.authoring.building import Built
from lattice.authoring.project import Project
from lattice.control.manifest import Application, parse
from lattice.control.settings_check import check_settings
from lattice.supervisor import Installed

INSTALLED = Installed()
PROJECT = Project(folder=Path("/shop"), name="shop", language="c", source="app.c")
ADDRESS = "127.0.0.1:4321"
CONTRACTS = sorted({*wiring.EMBEDDED, *wiring.BUILT_IN, "example:unknown"})

MANIFEST = """\
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: store}
spec:
  components:
    - name: front
      type: component
      properties: {image: file://build/shop.wasm}
      traits:
        - type: link
          properties:
            target: keys
            namespace: wasmcloud
            package: keyvalue
            name: cache
            target_config: {url: "redis://elsewhere", prefix: "shop:", bucket: cached}
    - name: other
      type: component
      properties: {image: file://other.wasm}
    - name: keys
      type: capability
      properties:
        image: builtin://keyvalue-redis
        config: {url: "redis://elsewhere"}
    - name: messages
      type: capability
      properties: {image: builtin://messaging-nats}
      traits:
        - type: link
          properties:
            target: front
            namespace: wasmcloud
            package: messaging
            source_config: {subscriptions: orders.*}
    - name: web
      type: capability
      properties: {image: builtin://http-server}
      traits:
        - type: link
          properties:
            target: front
            namespace: wasmcloud
            package: httpserver
            source_config: {address: "127.0.0.1:8080", path: /shop}
        - type: link
          properties:
            target: other
            namespace: wasmcloud
            package: httpserver
            source_config: {address: "127.0.0.1:8081"}
"""


def built(*contracts: str, takes_messages: bool = False) -> Built:
    return Built(
        path=Path("/shop/.lattice/dev/shop.wasm"),
        size=1,
        kind="wapc",
        imports=(),
        contracts=tuple(sorted(contracts)),
        takes_messages=takes_messages,
        revision=1,
        compiler="",
        seconds=0.0,
    )


def written() -> Application:
    return parse(MANIFEST, file="app.yaml", folder=PROJECT.folder, providers=INSTALLED)


def test_without_a_manifest_everything_is_wired_and_told() -> None:
    used = built("wasmcloud:httpserver", "wasmcloud:keyvalue", "lattice:cron", "wasmcloud:builtin:logging")
    wired = wiring.wire(PROJECT, used, None, ADDRESS, INSTALLED.type)
    links = {(link.source, link.target, link.contract): link for link in wired.application.links}
    assert set(links) == {
        ("http-server", "shop", "wasmcloud:httpserver"),
        ("shop", "keyvalue-sqlite", "wasmcloud:keyvalue"),
        ("cron", "shop", "lattice:cron"),
    }
    assert links["http-server", "shop", "wasmcloud:httpserver"].source_config == {"address": ADDRESS}
    assert len(wired.notes) == 3
    assert any("ticks every 10s" in note for note in wired.notes)


def test_the_manifest_counts_and_its_servers_are_replaced() -> None:
    used = built("wasmcloud:httpserver", "wasmcloud:keyvalue", "wasmcloud:messaging", takes_messages=True)
    wired = wiring.wire(PROJECT, used, written(), ADDRESS, INSTALLED.type)
    application = wired.application
    assert application.name == "store"
    assert application.component("front").image.path == used.path
    assert application.component("other").image.path == Path("/shop/other.wasm")
    assert application.component("keys").image.name == "keyvalue-sqlite"
    assert application.component("keys").config == {}
    assert application.component("messages").image.name == "messaging-memory"
    links = {(link.source, link.target): link for link in application.links}
    assert links["front", "keys"].name == "cache"
    assert links["front", "keys"].target_config == {"bucket": "cached"}
    assert links["messages", "front"].source_config == {"subscriptions": "orders.*"}
    assert links["web", "front"].source_config == {"address": ADDRESS, "path": "/shop"}
    assert links["web", "other"].source_config == {"address": "127.0.0.1:8081"}
    # It also sends messages, and app.yaml has no link for that.
    assert ("front", "messages") in links
    assert wired.notes == ("wired wasmcloud:messaging to messaging-memory; app.yaml has no link for it",)


def test_the_address_of_the_manifest_is_known() -> None:
    assert wiring.own_address(PROJECT, written()) == "127.0.0.1:8080"
    assert wiring.own_address(PROJECT, None) == wiring.DEFAULT_ADDRESS


def test_a_contract_that_nobody_offers_is_told() -> None:
    wired = wiring.wire(PROJECT, built("example:unknown"), None, ADDRESS, INSTALLED.type)
    assert wired.notes == ("it seems to use example:unknown, and lattice has no embedded provider for that",)


@pytest.mark.parametrize("with_manifest", [False, True])
@given(st.sets(st.sampled_from(CONTRACTS)), st.booleans())
def test_whatever_is_used_is_linked_once_with_settings_that_are_taken(
    with_manifest: bool, contracts: set[str], takes_messages: bool
) -> None:
    manifest = written() if with_manifest else None
    wired = wiring.wire(PROJECT, built(*contracts, takes_messages=takes_messages), manifest, ADDRESS, INSTALLED.type)
    check_settings(wired.application, INSTALLED.type)
    names = [component.name for component in wired.application.components]
    assert len(names) == len(set(names))
    own = wiring.own_component(PROJECT, wired.application) or wired.application.component("front")
    for contract in contracts & set(wiring.EMBEDDED):
        assert any(
            link.contract == contract and own.name in (link.source, link.target) for link in wired.application.links
        )
    for component in wired.application.components:
        assert component.kind == "actor" or component.image.name in wiring.EMBEDDED.values()
