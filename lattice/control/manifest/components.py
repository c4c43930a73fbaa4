"""The components of a manifest: one actor or provider each, with its traits."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lattice import errors
from lattice.config import Limits, Surroundings
from lattice.control.manifest.configs import ConfigDraft, ConfigTable
from lattice.control.manifest.document import Node
from lattice.control.manifest.limits import read_limits
from lattice.control.manifest.linking import End, LinkDraft, read_link, resolve_links
from lattice.control.manifest.reader import Fields, Reader, nearest
from lattice.control.manifest.records import Component, LinkSpec, Reference, Scaling, Spread
from lattice.control.manifest.secrets import SecretReader, SecretsDraft
from lattice.control.manifest.surroundings import KEYS, read_surroundings

REPLICAS_MAX = 10_000
"""Copies of one component in a lattice; each takes an instance pool on some host."""
_KINDS: dict[str, Literal["actor", "provider"]] = {
    "component": "actor",
    "actor": "actor",
    "capability": "provider",
}
_SCALERS = ("spreadscaler", "daemonscaler")
_LINKS = ("link", "linkdef")
_OCI = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?(/[\w.-]+)+(:[\w.-]+)?(@sha256:[0-9a-f]{64})?", re.ASCII)
_ALIAS = re.compile(r"[!-~]{1,100}")
"""Old actors have aliases such as "wasmcloud/ponger"."""


@dataclass(slots=True)
class _Draft:
    """A component before its links and named configurations are resolved."""

    name: str
    kind: Literal["actor", "provider"]
    node: Node
    image: Reference | None = None
    contract: str = ""
    link_name: str = ""
    id: str = ""
    alias: str = ""
    config: ConfigDraft = field(default_factory=ConfigDraft)
    secrets: SecretsDraft = field(default_factory=SecretsDraft)
    limits: Limits = field(default_factory=Limits)
    surroundings: Surroundings = field(default_factory=Surroundings)
    scaling: Scaling | None = None
    links: list[LinkDraft] = field(default_factory=list)


class ComponentReader:
    """Reads the list `spec.components`. `exists` says whether an image file is there; None does not look."""

    def __init__(
        self,
        reader: Reader,
        secrets: SecretReader,
        folder: Path,
        providers: Mapping[str, str],
        exists: Callable[[Path], bool] | None,
    ) -> None:
        self.reader = reader
        self.secrets = secrets
        self.folder = folder
        self.providers = providers
        self.exists = exists
        self.configs = ConfigTable(reader)

    def read(self, items: tuple[Node, ...], contracts: Collection[str] | None) -> tuple[Component, ...]:
        drafts: list[_Draft] = []
        taken: dict[tuple[str, str], int] = {}
        for item in items:
            draft = self._component(item)
            if draft is None:
                continue
            for what, value in (("name", draft.name), ("id", draft.id), ("alias", draft.alias)):
                if value and (what, value) in taken:
                    first = taken[what, value]
                    self.reader.mistake(item, f"{what} {value!r} is taken; the component in line {first} has it")
                taken[what, value] = item.line
            drafts.append(draft)
        ends = {draft.name: _end(draft) for draft in drafts}
        written = [link for draft in drafts for link in draft.links]
        links = resolve_links(self.reader, self.configs, self.secrets, written, ends, contracts)
        configs = [self.configs.resolve(draft.config) for draft in drafts]
        for draft, config in zip(drafts, configs, strict=True):
            self.secrets.refuse_clashes(draft.secrets, config, draft.name)
        self.reader.raise_problems()
        return tuple(_component(draft, config, links) for draft, config in zip(drafts, configs, strict=True))

    def _component(self, item: Node) -> _Draft | None:
        fields = self.reader.fields(item, "a component", ("name", "type", "properties", "traits"), required=item)
        name = self.reader.name(fields.require("name"), "a component's name")
        type_node = fields.require("type")
        type_ = self.reader.word(type_node, "a component's type")
        if type_node is not None and type_ and type_ not in _KINDS:
            self.reader.mistake(type_node, f"component type {type_!r} is unknown", nearest(type_, _KINDS))
        draft = _Draft(name, _KINDS.get(type_, "actor"), item)
        self._properties(draft, fields)
        for trait in self.reader.items(fields.get("traits"), "traits"):
            self._trait(draft, trait)
        return draft if name else None

    def _properties(self, draft: _Draft, component: Fields) -> None:
        reader = self.reader
        known = ["image", "id", "config", "secrets"]
        known += ["alias", "limits", *KEYS] if draft.kind == "actor" else ["contract", "link_name"]
        fields = reader.fields(component.get("properties"), "properties", known, required=draft.node)
        image = fields.require("image")
        if image is not None and (text := reader.word(image, "image")):
            draft.image = self._image(draft.kind, image, text)
        draft.id = reader.name(fields.get("id"), "id")
        draft.config = self.configs.read(fields.get("config"), "config")
        draft.secrets = self.secrets.read(fields.get("secrets"), "secrets")
        if draft.kind == "actor":
            alias = fields.get("alias")
            draft.alias = reader.word(alias, "alias")
            if alias is not None and draft.alias and not _ALIAS.fullmatch(draft.alias):
                reader.mistake(alias, f"alias {draft.alias[:100]!r} has to be at most 100 letters without blanks")
            draft.limits = read_limits(reader, fields.get("limits"))
            draft.surroundings = read_surroundings(reader, fields, self.folder)
            why = "an actor has no way to ask for a secret, so it gets none"
            self.secrets.refuse(draft.secrets, why, "give it to the provider that the actor uses, or to its link")
            return
        contract = fields.get("contract")
        draft.contract = reader.word(contract, "contract")
        draft.link_name = reader.name(fields.get("link_name"), "link_name")
        if draft.image is not None and draft.image.kind == "builtin":
            own = self._provided(image, draft.image.name)
            if contract is not None and own and draft.contract != own:
                reader.mistake(contract, f"{draft.image.name} provides {own} and not {draft.contract!r}")
            draft.contract = own

    def _provided(self, image: Node | None, name: str) -> str:
        """The contract of a builtin; a provider whose own library is missing cannot say it."""
        if name not in self.providers:
            return ""
        try:
            return self.providers[name]
        except errors.ConfigError as error:
            if image is not None:
                self.reader.mistake(image, error.message, error.remedy)
            return ""

    def _image(self, kind: str, node: Node, text: str) -> Reference | None:
        mistake = self.reader.mistake
        forms = "file://PATH, a registry reference such as registry.example/name:1.0, or builtin://NAME for a provider"
        if text.startswith("builtin://"):
            name = text.removeprefix("builtin://")
            if kind == "actor":
                mistake(node, "builtin:// names a provider and this is an actor", "its type would be capability")
            elif name not in self.providers:
                mistake(node, f"there is no provider {name!r}", nearest(name, self.providers))
            return Reference(text, "builtin", name=name)
        if text.startswith("file://"):
            if text == "file://":
                mistake(node, "the image names no file")
            path = Path(self.folder / text.removeprefix("file://")).absolute()
            if self.exists is not None and not self.exists(path):
                mistake(node, f"there is no file {path}", "paths are relative to the manifest's folder")
            return Reference(text, "file", path=path)
        if text.startswith("stored://"):
            if kind == "provider":
                mistake(node, "a stored image is an actor's and this is a provider", "use builtin://NAME")
            return Reference(text, "stored")
        if text.startswith((".", "/")) or (text.endswith(".wasm") and ":" not in text):
            mistake(node, f"image {text!r} looks like a file", f"write file://{text}")
            return None
        name = text.removeprefix("oci://")
        if not _OCI.fullmatch(name):
            mistake(node, f"image {text[:200]!r} is none that is known here", f"write {forms}")
            return None
        return Reference(text, "oci", name=name)

    def _trait(self, draft: _Draft, item: Node) -> None:
        fields = self.reader.fields(item, "a trait", ("type", "properties"), required=item)
        type_node = fields.require("type")
        type_ = self.reader.word(type_node, "a trait's type")
        properties = fields.get("properties")
        if type_ in _LINKS:
            link = read_link(self.reader, self.configs, self.secrets, draft.name, type_ == "linkdef", properties, item)
            if link is not None and draft.name:
                draft.links.append(link)
        elif type_ in _SCALERS:
            scaling = self._scaling(type_ == "daemonscaler", properties)
            if draft.scaling is not None:
                self.reader.mistake(item, "a second scaler; a component has one")
            draft.scaling = scaling
        elif type_node is not None and type_:
            self.reader.mistake(type_node, f"trait type {type_!r} is unknown", nearest(type_, (*_LINKS, *_SCALERS)))

    def _scaling(self, on_every_host: bool, node: Node | None) -> Scaling:
        reader = self.reader
        fields = reader.fields(node, "a scaler", ("instances", "replicas", "spread"))
        replicas = reader.integer(fields.get("instances", "replicas"), "instances", 0, REPLICAS_MAX)
        spread: list[Spread] = []
        for item in reader.items(fields.get("spread"), "spread"):
            entry = reader.fields(item, "a spread entry", _SPREAD_KEYS, required=item)
            weight = reader.integer(entry.get("weight"), "weight", 0, 1_000_000)
            spread.append(
                Spread(
                    name=reader.text(entry.get("name"), "a spread's name"),
                    requirements=reader.strings(entry.get("requirements"), "requirements"),
                    weight=100 if weight is None else weight,
                    fallback=self._fallback(entry.get("fallback")),
                )
            )
        return Scaling(replicas=1 if replicas is None else replicas, on_every_host=on_every_host, spread=tuple(spread))

    def _fallback(self, node: Node | None) -> Literal["other", "none"]:
        text = self.reader.word(node, "fallback")
        if node is not None and text not in ("other", "none"):
            self.reader.mistake(node, f"fallback {text!r} is unknown", "write other, or none")
        return "none" if text == "none" else "other"


_SPREAD_KEYS = ("name", "requirements", "weight", "fallback")


def _component(draft: _Draft, config: dict[str, str], links: list[LinkSpec]) -> Component:
    assert draft.image is not None  # its absence is a mistake, and mistakes were raised
    return Component(
        name=draft.name,
        kind=draft.kind,
        image=draft.image,
        contract=draft.contract,
        id=draft.id,
        alias=draft.alias,
        config=config,
        secrets=draft.secrets.references,
        limits=draft.limits,
        surroundings=draft.surroundings,
        scaling=draft.scaling or Scaling(),
        links=tuple(link for link in links if link.source == draft.name),
        line=draft.node.line,
    )


def _end(draft: _Draft) -> End:
    builtin = draft.image is not None and draft.image.kind == "builtin"
    return End(draft.name, draft.kind, draft.contract, draft.link_name, mistaken=builtin and not draft.contract)
