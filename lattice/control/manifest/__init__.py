"""Desired state: an application as a file, in the Open Application Model form that wadm reads.

`load` reads a file, also the `modules.toml` of WAGI; `parse` reads a text. Both find every mistake before they raise,
and both return frozen records. Which providers and contracts exist is the caller's knowledge. docs/guides/manifest.md
explains the form.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from lattice import errors
from lattice.control.manifest.components import ComponentReader
from lattice.control.manifest.document import MANIFEST_BYTES_MAX, Node, compose, plain
from lattice.control.manifest.limits import parse_duration, parse_size
from lattice.control.manifest.modules_toml import parse_modules
from lattice.control.manifest.reader import Reader
from lattice.control.manifest.records import (
    LABEL,
    Application,
    Component,
    LinkSpec,
    Reference,
    Scaling,
    Spread,
    component_key,
)
from lattice.control.manifest.secrets import SecretReader
from lattice.control.manifest.supported import require_supported

__all__ = [
    "LABEL",
    "Application",
    "Component",
    "LinkSpec",
    "Reference",
    "Scaling",
    "Spread",
    "component_key",
    "load",
    "parse",
    "parse_duration",
    "parse_size",
    "plain",
    "require_supported",
]

API_VERSION = "core.oam.dev/v1beta1"
KIND = "Application"


def load(path: Path | str, providers: Mapping[str, str], contracts: Collection[str] | None = None) -> Application:
    """Reads the manifest at `path`, or the `modules.toml` of WAGI. `providers` maps the names of built-in providers to
    their contract ids; `contracts` are the contract ids that exist, None for any.

    Raises `errors.ManifestError` for the first mistake, with the others in its `others`.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MANIFEST_BYTES_MAX + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise errors.ManifestError(f"cannot be read: {error.strerror or error}", file=str(path)) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise errors.ManifestError("the text is not UTF-8", file=str(path), line=line, column=1) from error
    if len(data) > MANIFEST_BYTES_MAX:
        raise errors.ManifestError(
            f"larger than {MANIFEST_BYTES_MAX // 1024} KiB, the most that is read", file=str(path)
        )
    if path.suffix == ".toml":
        return parse_modules(text, file=str(path), folder=path.absolute().parent, exists=_is_file)
    return parse(
        text, file=str(path), folder=path.absolute().parent, providers=providers, contracts=contracts, exists=_is_file
    )


def parse(
    text: str,
    *,
    file: str,
    folder: Path,
    providers: Mapping[str, str],
    contracts: Collection[str] | None = None,
    exists: Callable[[Path], bool] | None = None,
) -> Application:
    """Reads a manifest's text. `file` is what errors call it, `folder` what its paths are relative to; `exists` says
    whether an image file is there, None does not look. Raises `errors.ManifestError` as `load` does."""
    root, problems = compose(text, file)
    reader = Reader(file, problems)
    fields = reader.fields(root, "the manifest", ("apiVersion", "kind", "metadata", "spec"), required=root)
    _constant(reader, fields.require("apiVersion"), "apiVersion", API_VERSION)
    _constant(reader, fields.require("kind"), "kind", KIND)
    metadata = reader.fields(fields.get("metadata"), "metadata", ("name", "annotations", "labels"), required=root)
    name = reader.name(metadata.require("name"), "the application's name")
    annotations = reader.strings(metadata.get("annotations"), "annotations")
    labels = reader.strings(metadata.get("labels"), "labels")
    spec = reader.fields(fields.get("spec"), "spec", ("components", "policies"), required=root)
    secrets = SecretReader(reader, spec.get("policies"))
    components_node = spec.require("components")
    items = reader.items(components_node, "components")
    if components_node is not None and not items:
        reader.mistake(components_node, "an application has at least one component")
    components = ComponentReader(reader, secrets, folder, providers, exists).read(items, contracts)
    reader.raise_problems()
    return Application(
        name=name,
        version=annotations.get("version", ""),
        description=annotations.get("description", ""),
        components=components,
        labels=labels,
        annotations=annotations,
        file=file,
    )


def _constant(reader: Reader, node: Node | None, what: str, expected: str) -> None:
    text = reader.word(node, what)
    if node is not None and text and text != expected:
        reader.mistake(node, f"{what} {text[:100]!r} is not known here", f"write {expected}")


def _is_file(path: Path) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:  # a zero byte in the name
        return False
