"""Manifests as bytes: what is made is read again, and whatever comes in is read or refused."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.artifacts import oci

DIGEST = oci.digest_of(b"module")


def manifest(**more: Any) -> bytes:
    document = {
        "schemaVersion": 2,
        "config": {"mediaType": oci.CONFIG, "digest": DIGEST, "size": 3},
        "layers": [{"mediaType": oci.WASM_LAYERS[0], "digest": DIGEST, "size": 6}],
    }
    return json.dumps(document | more).encode()


def test_what_is_made_is_read_and_made_the_same_each_time() -> None:
    config, data = oci.make(b"module", DIGEST, "module.wasm")
    assert oci.make(b"module", DIGEST, "module.wasm") == (config, data)
    found = oci.read(data, oci.OCI_MANIFEST, "it")
    assert isinstance(found, oci.Manifest)
    layer = oci.wasm_layer(found, "it")
    assert (layer.digest, layer.size, layer.media_type) == (DIGEST, 6, "application/wasm")
    assert layer.annotations == {oci.TITLE: "module.wasm"}
    assert (found.config.digest, found.config.media_type) == (oci.digest_of(config), oci.CONFIG)
    assert json.loads(config) == {
        "created": oci.EPOCH,
        "architecture": "wasm",
        "os": "wasip1",
        "layerDigests": [DIGEST],
    }


@pytest.mark.parametrize("layer", oci.WASM_LAYERS)
@pytest.mark.parametrize("type_", [*oci.MANIFESTS, "", oci.OCI_MANIFEST.upper() + "; charset=utf-8"])
def test_each_type_of_manifest_and_layer_is_read(layer: str, type_: str) -> None:
    other = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": DIGEST, "size": 2**40}
    data = manifest(layers=[other, {"mediaType": layer, "digest": DIGEST, "size": 6}])
    found = oci.read(data, type_, "it")
    assert isinstance(found, oci.Manifest)
    assert oci.wasm_layer(found, "it").media_type == layer


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)).map(json.dumps))
def test_whatever_comes_in_is_refused_or_read(data: bytes | str) -> None:
    with contextlib.suppress(errors.ArtifactError):
        oci.read(data if isinstance(data, bytes) else data.encode(), "", "it")


@given(
    st.fixed_dictionaries(
        {"schemaVersion": st.integers()},
        optional={
            "mediaType": st.sampled_from([*oci.MANIFESTS, *oci.INDEXES]) | st.text(),
            "config": st.none()
            | st.fixed_dictionaries({"mediaType": st.text(), "digest": st.text(), "size": st.integers()}),
            "layers": st.none()
            | st.lists(
                st.fixed_dictionaries({"mediaType": st.text(), "digest": st.just(DIGEST), "size": st.integers()})
            ),
            "manifests": st.none() | st.lists(st.none()),
        },
    ),
    st.sampled_from([*oci.MANIFESTS, *oci.INDEXES, "", "text/html"]),
)
def test_documents_that_are_almost_right_are_refused_or_read(document: dict[str, Any], type_: str) -> None:
    try:
        found = oci.read(json.dumps(document).encode(), type_, "it")
        if isinstance(found, oci.Manifest):
            oci.wasm_layer(found, "it")
        else:
            oci.wasm_entry(found, "it")
    except errors.ArtifactError:
        pass
