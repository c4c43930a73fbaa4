"""What a module uses, linked to providers that need nothing else running: for `lattice dev`. Pure.

The manifest of the project counts first: its components, links and their configuration. What it has in other servers is
replaced by the embedded provider of the same contract, and what the module uses and it does not link is added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from lattice.authoring.building import Built
from lattice.authoring.project import Project
from lattice.contracts import blobstore, builtin, cron, httpclient, httpserver, keyvalue, messaging, sqldb
from lattice.control.manifest import Application, Component, LinkSpec, Reference
from lattice.provider import Provider

TypeOf = Callable[[str], type[Provider[Any, Any]]]

EMBEDDED = {
    httpserver.CONTRACT.id: "http-server",
    httpclient.CONTRACT.id: "http-client",
    keyvalue.CONTRACT.id: "keyvalue-sqlite",
    messaging.CONTRACT.id: "messaging-memory",
    blobstore.CONTRACT.id: "blobstore-fs",
    sqldb.CONTRACT.id: "sql-sqlite",
    cron.CONTRACT.id: "cron",
}
"""The provider in this process for each contract."""
BUILT_IN = frozenset({builtin.LOGGING.id, builtin.NUMBERGEN.id})
DEFAULT_ADDRESS = "127.0.0.1:8080"
DEFAULT_EVERY = "10s"


class Wired(msgspec.Struct, frozen=True):
    """`notes` say what was decided without the manifest."""

    application: Application
    notes: tuple[str, ...]


def wire(project: Project, built: Built, manifest: Application | None, address: str, type_of: TypeOf) -> Wired:
    """The application that runs the built module. `address` is where it serves HTTP, whatever the manifest says;
    `type_of` gives a provider's class by its name."""
    components = [_embedded(component) for component in (manifest.components if manifest else ())]
    mine = own_component(project, manifest)
    image = Reference(f"file://{built.path}", "file", path=built.path)
    if mine is None:
        own = Component(name=project.name, kind="actor", image=image)
        components.append(own)
    else:
        own = msgspec.structs.replace(mine, image=image)
        components = [own if component.name == own.name else component for component in components]
    wiring = _Wiring(own.name, components)
    for contract in built.contracts:
        wiring.use(contract, built.takes_messages, address)
    wiring.notes += [
        f"it seems to use {contract}, and lattice has no embedded provider for that"
        for contract in built.contracts
        if contract not in EMBEDDED and contract not in BUILT_IN and not wiring.has(contract)
    ]
    fitted = tuple(_fitted(component, wiring.components, address, own.name, type_of) for component in wiring.components)
    application = Application(
        name=manifest.name if manifest else project.name, components=fitted, file=str(project.manifest)
    )
    return Wired(application, tuple(wiring.notes))


def unlinked(project: Project, built: Built, manifest: Application | None) -> tuple[str, ...]:
    """Contracts that the module uses and its manifest has no link for: `wire` adds one, and no other host does."""
    own = own_component(project, manifest)
    if manifest is None or own is None:
        return ()
    wiring = _Wiring(own.name, list(manifest.components))
    for contract in built.contracts:
        wiring.use(contract, built.takes_messages, DEFAULT_ADDRESS)
    return tuple(dict.fromkeys(wiring.added))


def own_component(project: Project, manifest: Application | None) -> Component | None:
    """The project's actor in its manifest: the one with the built module, else the one with its name."""
    actors = [component for component in (manifest.components if manifest else ()) if component.kind == "actor"]
    for component in actors:
        if component.image.path is not None and component.image.path.resolve() == project.target.resolve():
            return component
    return next((component for component in actors if component.name == project.name), None)


def own_address(project: Project, manifest: Application | None) -> str:
    """Where the manifest has the actor serve HTTP."""
    own = own_component(project, manifest)
    if manifest is not None and own is not None:
        for link in manifest.links:
            if link.contract == httpserver.CONTRACT.id and link.target == own.name and "address" in link.source_config:
                return link.source_config["address"]
    return DEFAULT_ADDRESS


class _Wiring:
    """Components, while links are added to them."""

    def __init__(self, own: str, components: list[Component]) -> None:
        self.own = own
        self.components = components
        self.notes: list[str] = []
        self.added: list[str] = []

    def has(self, contract: str) -> bool:
        return any(link.contract == contract for link in self._links())

    def use(self, contract: str, takes_messages: bool, address: str) -> None:
        """Adds what is missing for the actor to use a contract."""
        if contract not in EMBEDDED:
            return
        calls = contract not in (httpserver.CONTRACT.id, cron.CONTRACT.id)
        answers = not calls or (contract == messaging.CONTRACT.id and takes_messages)
        links = self._links()
        if calls and not any(link.source == self.own and link.contract == contract for link in links):
            config = {"allowed_hosts": "*", "allow_private": "true"} if contract == httpclient.CONTRACT.id else {}
            provider = self._provider(contract)
            self._add(self.own, LinkSpec(source=self.own, target=provider, contract=contract, target_config=config))
            self.notes.append(f"wired {contract} to {EMBEDDED[contract]}; app.yaml has no link for it")
        if answers and not any(link.target == self.own and link.contract == contract for link in links):
            config, note = _route(contract, self.own, address)
            provider = self._provider(contract)
            self._add(provider, LinkSpec(source=provider, target=self.own, contract=contract, source_config=config))
            self.notes.append(note)

    def _links(self) -> list[LinkSpec]:
        return [link for component in self.components for link in component.links]

    def _provider(self, contract: str) -> str:
        """The component that offers the contract, added where there is none."""
        for component in self.components:
            if component.kind == "provider" and component.contract == contract:
                return component.name
        taken = {component.name for component in self.components}
        name = EMBEDDED[contract]
        while name in taken:
            name = f"{name}-"
        image = Reference(f"builtin://{EMBEDDED[contract]}", "builtin", name=EMBEDDED[contract])
        self.components.append(Component(name=name, kind="provider", image=image, contract=contract))
        return name

    def _add(self, source: str, link: LinkSpec) -> None:
        self.added.append(link.contract)
        self.components = [
            msgspec.structs.replace(component, links=(*component.links, link))
            if component.name == source
            else component
            for component in self.components
        ]


def _route(contract: str, own: str, address: str) -> tuple[dict[str, str], str]:
    """The configuration of a route that the manifest does not have, and what to tell of it."""
    if contract == messaging.CONTRACT.id:
        return {"subscriptions": f"{own}.>"}, f"it gets messages on {own}.>; app.yaml names no subjects for it"
    if contract == cron.CONTRACT.id:
        return {"every": DEFAULT_EVERY}, f"its timer ticks every {DEFAULT_EVERY}; app.yaml has no times for it"
    return {"address": address}, f"wired {contract} to http-server; app.yaml has no link for it"


def _embedded(component: Component) -> Component:
    """A provider that is not in this process, as the one of its contract that is."""
    name = EMBEDDED.get(component.contract)
    if component.kind == "actor" or name is None or component.image.name == name:
        return component
    image = Reference(f"builtin://{name}", "builtin", name=name)
    return msgspec.structs.replace(component, image=image, config={}, secrets=())


def _fitted(
    component: Component, components: Iterable[Component], address: str, own: str, type_of: TypeOf
) -> Component:
    """A component whose links have what their providers take, and the address that was chosen."""
    providers = {one.name: one.image.name for one in components if one.kind == "provider"}
    links = []
    for link in component.links:
        changes: dict[str, Any] = {}
        if link.target in providers:
            known = type_of(providers[link.target]).attach_settings_type.model_fields
            changes["target_config"] = {key: value for key, value in link.target_config.items() if key in known}
            changes["target_secrets"] = tuple(secret for secret in link.target_secrets if secret.name in known)
        if link.source in providers:
            known = type_of(providers[link.source]).route_settings_type.model_fields
            config = {key: value for key, value in link.source_config.items() if key in known}
            if link.target == own and link.contract == httpserver.CONTRACT.id:
                config["address"] = address
            changes["source_config"] = config
            changes["source_secrets"] = tuple(secret for secret in link.source_secrets if secret.name in known)
        links.append(msgspec.structs.replace(link, **changes))
    return msgspec.structs.replace(component, links=tuple(links))
