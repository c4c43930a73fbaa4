"""Manifests: what good ones mean, and that every mistake in a bad one is found and placed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice import errors
from lattice.config import MIB
from lattice.control import manifest
from tests.control.manifests import ACTOR, CONTRACTS, HELLO, PROVIDERS, app, linked, parse


def test_a_manifest_becomes_records() -> None:
    application = parse(HELLO)
    assert (application.name, application.version, application.description) == ("hello", "v1.2.0", "Says hello")
    greeter = application.component("greeter")
    assert greeter.kind == "actor"
    assert greeter.image == manifest.Reference("file://./greeter.wasm", "file", path=Path("/srv/app/greeter.wasm"))
    assert (greeter.id, greeter.alias, greeter.replicas) == ("greeter-1", "demo/greeter", 3)
    assert greeter.scaling.spread == (
        manifest.Spread(name="eu", requirements={"zone": "eu-1"}, weight=80),
        manifest.Spread(name="rest"),
    )
    other = application.component("other")
    assert (other.image.kind, other.image.name) == ("oci", "registry.example:5000/team/other:0.1.0")
    http = application.component("http")
    assert (http.kind, http.contract, http.image.name) == ("provider", "wasmcloud:httpserver", "http-server")
    assert http.scaling.on_every_host


def test_configuration_is_merged_in_order_and_stays_as_written() -> None:
    greeter = parse(HELLO).component("greeter")
    assert greeter.config == {"color": "blue", "port": "8080", "ratio": "1.10", "on": "true"}


def test_limits_are_read_with_their_units() -> None:
    limits = parse(HELLO).component("greeter").limits
    assert (limits.memory_bytes_max, limits.time_s_max, limits.instances_max) == (32 * MIB, 0.5, 5)
    assert (limits.queue_max, limits.depth_max, limits.payload_bytes_max) == (0, 3, 10_000_000)
    assert limits.isolation == "call"


def test_links_know_their_contract_and_both_configurations() -> None:
    application = parse(HELLO)
    store, peer = application.component("greeter").links
    assert (store.target, store.contract, store.name) == ("store", "wasmcloud:keyvalue", "default")
    assert store.target_config == {"path": "data.db"}
    assert (peer.target, peer.contract, peer.name) == ("other", "", "peer")
    (route,) = application.component("http").links
    assert (route.source, route.target, route.contract) == ("http", "greeter", "wasmcloud:httpserver")
    assert route.source_config == {"address": "127.0.0.1:8080", "path": "/hello"}
    assert route.target_config["color"] == "red"
    assert application.links == (store, peer, route)


def test_a_link_between_actors_is_one_for_each_interface() -> None:
    two = "{name: two, type: actor, properties: {image: file://two.wasm}}"
    found = parse(
        linked("{target: two, namespace: demo, package: shop, interfaces: [prices, stock], name: n}", two)
    ).links
    assert [(link.contract, link.name, link.target) for link in found] == [
        ("demo:shop/prices", "n", "two"),
        ("demo:shop/stock", "n", "two"),
    ]


@pytest.mark.parametrize(
    ("link", "contract"),
    [
        ("{target: kv}", "wasmcloud:keyvalue"),
        ("{target: kv, contract: 'wasmcloud:keyvalue'}", "wasmcloud:keyvalue"),
        ("{target: kv, namespace: wasmcloud, package: keyvalue}", "wasmcloud:keyvalue"),
        ("{target: kv, namespace: wasi, package: keyvalue}", "wasmcloud:keyvalue"),
        ("{target: two}", ""),
        ("{target: two, namespace: demo, package: calls}", "demo:calls"),
        ("{target: two, namespace: demo, package: calls, interfaces: [any]}", "demo:calls/any"),
        ("{target: two, namespace: demo, package: calls@1.2.0, interfaces: [any]}", "demo:calls/any"),
        ("{target: two, contract: 'demo:calls/any'}", "demo:calls/any"),
        ("{target: two, contract: 'demo:calls/any@1.2.0'}", "demo:calls/any"),
    ],
)
def test_every_spelling_of_a_contract_means_the_same(link: str, contract: str) -> None:
    two = "{name: two, type: actor, properties: {image: file://two.wasm}}"
    (found,) = parse(linked(link, two)).links
    assert found.contract == contract


def test_config_can_be_a_plain_mapping_and_both_places_are_read() -> None:
    (flat,) = parse(linked("{target: kv, target_config: {a: 1}, source_config: {b: 2}}")).links
    (nested,) = parse(linked("{target: {name: kv, config: {a: 1}}, source: {config: {b: 2}}}")).links
    assert (flat.target_config, flat.source_config) == ({"a": "1"}, {"b": "2"})
    assert (nested.target_config, nested.source_config) == ({"a": "1"}, {"b": "2"})


def test_an_older_linkdef_to_a_provider_keeps_its_direction() -> None:
    (link,) = parse(linked("{target: kv, values: {url: x}}", type_="linkdef")).links
    assert (link.source, link.target, link.target_config) == ("one", "kv", {"url": "x"})


def test_an_older_linkdef_to_the_http_server_is_turned_round() -> None:
    application = parse(linked("{target: http, values: {address: '0.0.0.0:80'}}", type_="linkdef"))
    (link,) = application.component("http").links
    assert (link.source, link.target, link.source_config) == ("http", "one", {"address": "0.0.0.0:80"})
    assert application.component("one").links == ()


def test_anchors_and_merge_keys_work_within_bounds() -> None:
    text = app(
        "{name: one, type: actor, properties: &p {image: file://one.wasm, config: &c [{name: c, properties: {a: 1}}]}}",
        "{name: two, type: actor, properties: {<<: *p, image: file://two.wasm}}",
        "{name: three, type: actor, properties: {image: file://three.wasm, config: *c}}",
    )
    application = parse(text)
    assert [component.config for component in application.components] == [{"a": "1"}] * 3
    assert application.component("two").image.text == "file://two.wasm"


def test_a_provider_may_have_links_to_several_actors_under_one_name() -> None:
    text = app(
        "{name: http, type: capability, properties: {image: builtin://http-server}, traits: ["
        "{type: link, properties: {target: one}}, {type: link, properties: {target: two}}]}",
        ACTOR,
        ACTOR.replace("one", "two"),
    )
    assert [link.target for link in parse(text).links] == ["one", "two"]


def test_load_reads_a_file_and_resolves_images_beside_it(tmp_path: Path) -> None:
    (tmp_path / "greeter.wasm").write_bytes(b"")
    file = tmp_path / "lattice.yaml"
    file.write_text(HELLO)
    application = manifest.load(file, PROVIDERS, CONTRACTS)
    assert application.component("greeter").image.path == tmp_path / "greeter.wasm"
    assert application.file == str(file)


def test_load_names_the_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(errors.ManifestError, match=r"gone\.yaml: cannot be read"):
        manifest.load(tmp_path / "gone.yaml", PROVIDERS)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(errors.ManifestError, match=r"latin\.yaml:2:1: the text is not UTF-8"):
        manifest.load(latin, PROVIDERS)
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"#" * 600_000)
    with pytest.raises(errors.ManifestError, match="larger than 512 KiB"):
        manifest.load(huge, PROVIDERS)
