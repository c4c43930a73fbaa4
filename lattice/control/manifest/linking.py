"""Links as they are written, and what they mean once both ends are known.

WIT names (namespace, package, interfaces) and contract ids name the same capabilities; the older `linkdef` always goes
from the actor to the provider, so for a provider that only calls actors it is turned round here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from lattice import errors, grants
from lattice.contracts import blobstore, cron, httpclient, httpserver, keyvalue, messaging, sqldb
from lattice.contracts.interfaces import names_interface, without_version
from lattice.control.manifest.configs import ConfigDraft, ConfigTable
from lattice.control.manifest.document import Mapping, Node
from lattice.control.manifest.reader import Fields, Reader, nearest
from lattice.control.manifest.records import LinkSpec
from lattice.control.manifest.secrets import SecretReader, SecretsDraft
from lattice.links import DEFAULT_LINK, Link

_KNOWN = {
    module.CONTRACT.id: module.CONTRACT
    for module in (blobstore, cron, httpclient, httpserver, keyvalue, messaging, sqldb)
}
_WASI: dict[str, dict[str, str]] = {
    "http": {"incoming-handler": "wasmcloud:httpserver", "outgoing-handler": "wasmcloud:httpclient"},
    "keyvalue": dict.fromkeys(("store", "atomics", "batch", "watcher"), "wasmcloud:keyvalue"),
    "blobstore": dict.fromkeys(("blobstore", "container", "types"), "wasmcloud:blobstore"),
    "logging": {"logging": "wasmcloud:builtin:logging"},
}
"""WASI packages: each interface and the contract that serves it."""


@dataclass(slots=True)
class End:
    """What a link has to know about a component. `contract` is "" for actors and unknown providers; `mistaken`: it
    would be there but for a mistake that is told already."""

    name: str
    kind: Literal["actor", "provider"]
    contract: str
    link_name: str
    mistaken: bool = False


@dataclass(slots=True)
class LinkDraft:
    """One link trait as written. `stated` is the contract it names, "" if it names none; `interfaces` are those of
    its package that it names."""

    source: str
    target: str
    target_node: Node
    node: Node
    name: str
    stated: str
    interfaces: tuple[str, ...]
    older: bool
    source_config: ConfigDraft
    target_config: ConfigDraft
    granted_by: str
    granted_node: Node | None
    operations: tuple[str, ...]
    source_secrets: SecretsDraft
    target_secrets: SecretsDraft


def read_link(
    reader: Reader,
    configs: ConfigTable,
    secrets: SecretReader,
    source: str,
    older: bool,
    properties: Node | None,
    trait: Node,
) -> LinkDraft | None:
    """The properties of a `link` or, with `older`, of a `linkdef` that may carry `values`; None without a target."""
    node = properties or trait
    known = ["target", "name", "namespace", "package", "interfaces", "contract"]
    known += ["source", "source_config", "target_config", "values", "granted_by", "operations"]
    fields = reader.fields(properties, "a link", known, required=trait)
    target_node = fields.get("target")
    source_node = fields.get("source")
    target_config = fields.get("target_config", "values")
    source_config = fields.get("source_config")
    source_secrets = target_secrets = None
    if isinstance(target_node, Mapping):
        end = reader.fields(target_node, "a link's target", ("name", "config", "secrets"))
        target_node = end.require("name")
        target_config, target_secrets = _nested_config(end, target_config), end.get("secrets")
    elif target_node is None and isinstance(fields.node, Mapping):
        reader.mistake(fields.node, "a link has no 'target'")
    if source_node is not None:
        end = reader.fields(source_node, "a link's source", ("config", "secrets"))
        source_config, source_secrets = _nested_config(end, source_config), end.get("secrets")
    target = reader.word(target_node, "a link's target")
    interfaces = _interfaces(reader, fields)
    draft = LinkDraft(
        source=source,
        target=target,
        target_node=target_node or node,
        node=node,
        name=reader.name(fields.get("name"), "the link name"),
        stated=_stated(reader, fields, interfaces),
        interfaces=tuple(interface for interface, _ in interfaces if interface),
        older=older,
        source_config=configs.read(source_config, "source_config"),
        target_config=configs.read(target_config, "target_config"),
        granted_by=reader.word(fields.get("granted_by"), "granted_by"),
        granted_node=fields.get("granted_by"),
        operations=_operations(reader, fields.get("operations")),
        source_secrets=secrets.read(source_secrets, "the source's secrets"),
        target_secrets=secrets.read(target_secrets, "the target's secrets"),
    )
    return draft if target else None


def _operations(reader: Reader, node: Node | None) -> tuple[str, ...]:
    items = reader.items(node, "operations")
    if node is not None and not items:
        reader.mistake(
            node, "a link with an empty list of operations lets nothing pass", "leave it out to let all pass"
        )
    return tuple(reader.word(item, "an operation") for item in items)


def _nested_config(end: Fields, flat: Node | None) -> Node | None:
    """The `config` inside `source` or `target`, else the flat spelling of it."""
    nested = end.get("config")
    if nested is not None and flat is not None:
        end.reader.mistake(flat, f"the configuration of {end.what} is written twice: keep one")
    return flat if nested is None else nested


def _interfaces(reader: Reader, fields: Fields) -> list[tuple[str, Node]]:
    return [(reader.word(item, "an interface"), item) for item in reader.items(fields.get("interfaces"), "interfaces")]


def _stated(reader: Reader, fields: Fields, interfaces: list[tuple[str, Node]]) -> str:
    """The contract that namespace, package and interfaces, or `contract`, name; "" when they leave it open."""
    contract_node = fields.get("contract")
    namespace_node, package_node = fields.get("namespace"), fields.get("package")
    namespace = reader.word(namespace_node, "namespace")
    package = reader.word(package_node, "package")
    if contract_node is not None:
        if namespace or package:
            reader.mistake(contract_node, "a link names its contract or its namespace and package, not both")
        return reader.word(contract_node, "contract")
    if not namespace or not package:
        present, missing = (namespace_node, "package") if namespace else (package_node, "namespace")
        if present is not None:
            reader.mistake(present, f"a link with this has to have a {missing!r} too")
        return ""
    if namespace != "wasi":
        return f"{namespace}:{package}"
    if package not in _WASI:
        if package_node is not None:
            reader.mistake(package_node, f"no contract serves wasi:{package}", nearest(package, _WASI))
        return ""
    contracts: set[str] = set()
    for interface, place in interfaces:
        if interface in _WASI[package]:
            contracts.add(_WASI[package][interface])
        elif interface:
            reader.mistake(place, f"wasi:{package} has no interface {interface!r}", nearest(interface, _WASI[package]))
    if not interfaces:
        contracts = set(_WASI[package].values())
        return contracts.pop() if len(contracts) == 1 else ""
    if len(contracts) > 1:
        reader.mistake(interfaces[0][1], "these interfaces belong to different contracts", "write a link for each")
        return ""
    return min(contracts, default="")


def resolve_links(
    reader: Reader,
    configs: ConfigTable,
    secrets: SecretReader,
    drafts: list[LinkDraft],
    ends: dict[str, End],
    contracts: Collection[str] | None,
) -> list[LinkSpec]:
    """The links of an application whose components are `ends`; `contracts` are those known, None for any."""
    found: list[LinkSpec] = []
    written: list[LinkDraft] = []
    taken: dict[tuple[str, str, str, str], int] = {}
    for draft in drafts:
        target = ends.get(draft.target)
        if target is None:
            others = [name for name in ends if name != draft.source]
            reader.mistake(
                draft.target_node,
                f"no component is called {draft.target!r}, and so this link would lead nowhere",
                nearest(draft.target, others),
            )
            for config in (draft.source_config, draft.target_config):
                configs.resolve(config)
            continue
        for link in _resolve(reader, configs, secrets, draft, ends[draft.source], target):
            provider_end = "provider" in (ends[link.source].kind, ends[link.target].kind)
            if contracts is not None and provider_end and link.contract not in contracts:
                hint = _where_it_may_be(link.contract, contracts)
                reader.mistake(draft.node, f"contract {link.contract!r} is unknown", hint)
            # An actor says (contract, link name) and gets the one target; a provider picks among its targets itself.
            several = ends[link.source].kind == "provider" or not link.contract
            key = (link.source, link.contract, link.name, link.target if several else "")
            if key in taken:
                what = f"{link.contract or 'calls'} under the link name {link.name!r}"
                reader.mistake(
                    draft.node,
                    f"{link.source!r} has a second link for {what}; the first is in line {taken[key]}",
                    "give one of them another name",
                )
                continue
            taken[key] = draft.node.line
            found.append(link)
            written.append(draft)
    _check_grants(reader, found, written, ends)
    return found


def _where_it_may_be(contract: str, contracts: Collection[str]) -> str:
    """What to do about a contract that no provider has."""
    if names_interface(contract):
        return f"no provider answers it; where an actor exports {contract}, that actor is the link's target"
    return nearest(contract, contracts)


def _check_grants(reader: Reader, found: list[LinkSpec], written: list[LinkDraft], ends: dict[str, End]) -> None:
    """Nobody passes on more than it has. What claims hold is seen when the images are there."""
    links = [
        Link(
            source=spec.source,
            target=spec.target,
            contract=spec.contract,
            name=spec.name,
            source_config=spec.source_config,
            target_config=spec.target_config,
            granted_by=spec.granted_by,
            operations=spec.operations,
            source_secrets=spec.source_secrets,
            target_secrets=spec.target_secrets,
        )
        for spec in found
    ]
    between = grants.among(links)
    for link, draft in zip(links, written, strict=True):
        node = draft.granted_node or draft.node
        granter = ends.get(link.granted_by)
        if link.granted_by and (granter is None or granter.kind != "actor"):
            actors = [name for name, end in ends.items() if end.kind == "actor" and name != link.source]
            message = f"no actor is called {link.granted_by!r}, and so it can grant nothing"
            reader.mistake(node, message, nearest(link.granted_by, actors))
            continue
        try:
            grants.require_given(link, between, lambda _key, _host: None)
        except errors.ConfigError as error:
            reader.mistake(node, error.message, error.remedy)


def _resolve(
    reader: Reader, configs: ConfigTable, secrets: SecretReader, draft: LinkDraft, source: End, target: End
) -> list[LinkSpec]:
    """What a link trait comes to; several links where it joins two actors by several interfaces."""
    source_config, target_config = configs.resolve(draft.source_config), configs.resolve(draft.target_config)
    for end, config, hidden in (
        (source, source_config, draft.source_secrets),
        (target, target_config, draft.target_secrets),
    ):
        secrets.refuse_clashes(hidden, config, f"the link's configuration of {end.name!r}")
    if source.kind == target.kind == "provider":
        reader.mistake(
            draft.target_node, f"{source.name!r} and {target.name!r} are both providers; a link needs an actor"
        )
        return []
    name = draft.name or (target if target.kind == "provider" else source).link_name or DEFAULT_LINK
    turned = False
    if source.kind == target.kind:
        contracts = _between_actors(reader, draft, target)
    else:
        contract, turned = _to_provider(reader, draft, source, target)
        contracts = [contract] if contract else []
    ends = [(source, source_config, draft.source_secrets), (target, target_config, draft.target_secrets)]
    if turned:
        ends.reverse()
    (source, source_config, source_secrets), (target, target_config, target_secrets) = ends
    for end, _, hidden in ends if contracts else ():
        if end.kind == "actor":
            why = f"{end.name!r} is an actor, and an actor gets no secrets"
            secrets.refuse(hidden, why, "they belong to the provider's end of the link")
    return [
        LinkSpec(
            source=source.name,
            target=target.name,
            contract=contract,
            name=name,
            source_config=source_config,
            target_config=target_config,
            granted_by=draft.granted_by,
            operations=draft.operations,
            source_secrets=source_secrets.references,
            target_secrets=target_secrets.references,
            line=draft.node.line,
        )
        for contract in contracts
    ]


def _between_actors(reader: Reader, draft: LinkDraft, target: End) -> list[str]:
    """The contracts by which one actor calls another: interfaces of WIT, or what the two have agreed on; "" is for
    calls by key or alias."""
    package = without_version(draft.stated)
    if not draft.stated:
        return [""]
    if package in _KNOWN:
        reader.mistake(
            draft.node,
            f"{package} is between an actor and a provider, and {target.name!r} is an actor",
            "link it with a component of the type capability",
        )
        return []
    if "/" in package or not draft.interfaces:
        return [package]
    return [f"{package}/{without_version(interface)}" for interface in draft.interfaces]


def _to_provider(reader: Reader, draft: LinkDraft, source: End, target: End) -> tuple[str, bool]:
    """The contract of a link with a provider at one end, "" for a mistake that is told; and whether the link is to be
    turned round."""
    provider = target if target.kind == "provider" else source
    contract = draft.stated or provider.contract
    if not contract:
        if not provider.mistaken:
            reader.mistake(draft.node, "a link names no contract", "add namespace and package, or contract")
        return "", False
    if provider.contract and contract != provider.contract:
        reader.mistake(draft.node, f"the link is for {contract} and {provider.name!r} provides {provider.contract}")
        return "", False
    known = _KNOWN.get(contract)
    if known is not None and provider is target and not known.operations:
        if not draft.older:
            reader.mistake(
                draft.node,
                f"{target.name!r} calls actors and is not called by them",
                f"put the link on {target.name!r}, with the target {source.name!r}",
            )
            return "", False
        return contract, True
    if known is not None and provider is source and not known.actor_operations:
        reader.mistake(
            draft.node,
            f"{source.name!r} is called by actors and calls none",
            f"put the link on {target.name!r}, with the target {source.name!r}",
        )
        return "", False
    return contract, False
