"""References to secrets as wadm writes them: `secrets: [{name, properties: {policy, key, field?, version?}}]`, and the
policies that say where a secret is. What they lead to is looked up by hosts, and never here."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from lattice.control.manifest.document import Mapping, Node
from lattice.control.manifest.reader import Fields, Reader, nearest
from lattice.secretref import SecretRef, Source

POLICY_TYPE = "policy.secret.wasmcloud.dev/v1alpha1"
_BACKENDS: dict[str, Source] = {"env": "env", "file": "file", "nats-kv": "bucket", "bucket": "bucket"}
"""What a policy's `backend` may be; the last is what it is called here."""
_OWN: tuple[Source, ...] = ("env", "file", "bucket")
"""Policies that need no declaration."""
VERSION_MAX = 10**9
KEY_CHARS_MAX = 1024
"""Paths of files are the longest keys."""
_KEY = re.compile(r"[^\x00-\x1f\x7f]+")


@dataclass(slots=True)
class SecretsDraft:
    """A list of references as written, each with its place."""

    found: list[tuple[SecretRef, Node]] = field(default_factory=list)

    @property
    def references(self) -> tuple[SecretRef, ...]:
        return tuple(reference for reference, _ in self.found)


class SecretReader:
    """Reads `spec.policies`, then the references of one application."""

    def __init__(self, reader: Reader, policies: Node | None) -> None:
        self._reader = reader
        self._policies: dict[str, Source | None] = {name: name for name in _OWN}
        declared: dict[str, int] = {}
        for item in reader.items(policies, "policies"):
            fields = reader.fields(item, "a policy", ("name", "type", "properties"), required=item)
            name_node = fields.require("name")
            name_text = reader.word(name_node, "a policy's name")
            source = self._policy(fields, item)
            if name_node is None or not name_text:
                continue
            if name_text in declared:
                message = f"policy {name_text!r} is declared a second time; the first is in line {declared[name_text]}"
                reader.mistake(name_node, message)
            declared[name_text] = item.line
            self._policies[name_text] = source

    def _policy(self, fields: Fields, item: Node) -> Source | None:
        """Where its secrets are; None after a mistake, so that references to it are not mistakes too."""
        reader = self._reader
        type_node = fields.require("type")
        type_ = reader.word(type_node, "a policy's type")
        if type_node is not None and type_ and type_ != POLICY_TYPE:
            reader.mistake(
                type_node, f"policies of the type {type_[:100]!r} are not known here", f"write {POLICY_TYPE}"
            )
            return None
        properties = reader.fields(fields.get("properties"), "a policy's properties", ("backend",), required=item)
        backend_node = properties.require("backend")
        backend = reader.word(backend_node, "backend")
        if backend_node is not None and backend and backend not in _BACKENDS:
            reader.mistake(backend_node, f"no secrets come from {backend[:100]!r}", nearest(backend, _BACKENDS))
        return _BACKENDS.get(backend)

    def read(self, node: Node | None, what: str) -> SecretsDraft:
        draft = SecretsDraft()
        for item in self._reader.items(node, what):
            reference = self._reference(item, what)
            if reference is None:
                continue
            if any(known.name == reference.name for known, _ in draft.found):
                self._reader.mistake(item, f"{what}: {reference.name!r} is there twice")
            draft.found.append((reference, item))
        return draft

    def _reference(self, item: Node, what: str) -> SecretRef | None:
        reader = self._reader
        fields = reader.fields(item, f"an entry of {what}", ("name", "properties", "source"), required=item)
        name = reader.word(fields.require("name"), f"the name of an entry of {what}")
        where = f"the properties of the secret {name!r}"
        # Manifests of the time before policies call them `source`.
        properties = fields.get("properties", "source")
        known = ("policy", "key", "field", "version")
        said = reader.fields(properties, where, known, required=None if isinstance(properties, Mapping) else item)
        policy_node = said.require("policy")
        policy = reader.word(policy_node, "policy")
        if policy_node is not None and policy and policy not in self._policies:
            reader.mistake(policy_node, f"policy {policy!r} is not declared", nearest(policy, self._policies))
        key_node = said.require("key")
        key = reader.word(key_node, "key")
        if key_node is not None and key and (len(key) > KEY_CHARS_MAX or not _KEY.fullmatch(key)):
            reader.mistake(key_node, f"a key has at most {KEY_CHARS_MAX} characters, and none that cannot be seen")
        version_node = said.get("version")
        version = reader.integer(version_node, "version", 1, VERSION_MAX)
        source = self._policies.get(policy)
        if version_node is not None and source in ("env", "file"):
            reader.mistake(version_node, f"a secret of {policy!r} has no versions", "leave version out")
        if not name or not key or source is None:
            return None
        picked = reader.word(said.get("field"), "field")
        return SecretRef(name=name, source=source, key=key, field=picked, version=version or 0)

    def refuse_clashes(self, draft: SecretsDraft, config: Collection[str], what: str) -> None:
        """A value that is both given and a secret would be one of the two, and nobody could say which."""
        for reference, node in draft.found:
            if reference.name in config:
                self._reader.mistake(node, f"{what}: {reference.name!r} is in config and a secret: keep one")

    def refuse(self, draft: SecretsDraft, why: str, remedy: str) -> None:
        for _, node in draft.found[:1]:
            self._reader.mistake(node, why, remedy)
