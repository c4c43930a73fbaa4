"""From a module, a project or a manifest to the application that a test runs: every capability is in this process."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import msgspec

from lattice import errors
from lattice.authoring import building, project, sources
from lattice.contracts import blobstore, builtin, cron, httpclient, httpserver, keyvalue, messaging, sqldb
from lattice.contracts.known import CONTRACTS
from lattice.control import manifest
from lattice.control.manifest import LABEL, Application, Component, LinkSpec, Reference
from lattice.provider import Provider, validated
from lattice.supervisor import ENTRY_POINTS, Installed, ProviderType
from lattice.testing.kit.clock import Clock
from lattice.testing.kit.web import Web

IN_PROCESS = {
    httpserver.CONTRACT.id: "lattice_http_server.in_process:HttpInProcess",
    httpclient.CONTRACT.id: "lattice_http_client.in_process:HttpClientInProcess",
    keyvalue.CONTRACT.id: "lattice_keyvalue_memory:KeyValueMemory",
    messaging.CONTRACT.id: "lattice_messaging_memory:MessagingMemory",
    blobstore.CONTRACT.id: "lattice_blobstore_memory:BlobstoreMemory",
    sqldb.CONTRACT.id: "lattice_sql_sqlite:SqlSqlite",
    cron.CONTRACT.id: "lattice_cron:Cron",
    builtin.LOGGING.id: "lattice_builtin:Logging",
    builtin.NUMBERGEN.id: "lattice_builtin:NumberGen",
}
"""What stands in for the providers of each contract, found by its name as every provider is."""
_OWN_SETTINGS = (httpserver.CONTRACT.id, messaging.CONTRACT.id, cron.CONTRACT.id)
"""Contracts whose stand-ins are what they stand in for, and so take its settings."""
_NEVER = {"every": "366d"}
"""The schedule of an actor that has none, so that a test can tick it."""


class Providers(Installed):
    """The providers of a test. Those that run are in `running`, by their contract."""

    def __init__(self, clock: Clock, seed: str, web: Web) -> None:
        super().__init__()
        self.running: dict[str, list[Provider[Any, Any]]] = {}
        arguments: dict[str, dict[str, Any]] = {
            httpclient.CONTRACT.id: {"answer": web.answer},
            keyvalue.CONTRACT.id: {"now": lambda: clock.elapsed_s},
            blobstore.CONTRACT.id: {"now_ns": lambda: round(clock.now * 1e9)},
            cron.CONTRACT.id: {"clock": clock},
            builtin.NUMBERGEN.id: {"source": random.Random(seed)},  # noqa: S311  # the same on every run
        }
        self._stand_ins: dict[str, ProviderType] = {
            contract: _made(
                EntryPoint(contract, place, ENTRY_POINTS).load(), arguments.get(contract, {}), self._started
            )
            for contract, place in IN_PROCESS.items()
        }

    def _started(self, provider: Provider[Any, Any]) -> None:
        self.running.setdefault(provider.contract.id, []).append(provider)

    def real(self, name: str) -> ProviderType:
        """The provider as it would run. Raises `errors.ConfigError`."""
        return super().type(name)

    def type(self, name: str) -> ProviderType:
        """What stands in for the provider of that name, or for that of a contract; another runs as it is."""
        if name in self._stand_ins:
            return self._stand_ins[name]
        if name not in self:
            raise errors.ConfigError(f"no provider of the name {name!r} is installed")
        real = super().type(name)
        return self._stand_ins.get(real.contract.id, real)


def _made(
    type_: ProviderType, arguments: Mapping[str, Any], started: Callable[[Provider[Any, Any]], None]
) -> ProviderType:
    """The same provider, made with these arguments and told of."""

    def make(self: Provider[Any, Any], settings: Any) -> None:
        type_.__init__(self, settings, **arguments)
        started(self)

    return type(type_.__name__, (type_,), {"__init__": make})


class Opened(msgspec.Struct, frozen=True):
    """`own` is the component that is tested, if it is one."""

    application: Application
    own: str
    place: str


def open_place(place: Path, providers: Providers, subscriptions: str = "") -> Opened:
    """What a module, a manifest or a project's folder is. A project is built first when it has changed.
    Blocks: callers on a loop use a thread.

    Raises `errors.ArtifactUnreadable`, `errors.ConfigError`, `errors.ManifestError`, and as `building.build`.
    """
    if place.is_dir() or place.name == project.FILE:
        found = project.load(place)
        if sources.is_stale(found):
            building.build(found)
        if not found.manifest.is_file():
            return Opened(of_module(found.target, found.name, found.alias, subscriptions), found.name, found.name)
        application = manifest.load(found.manifest, providers)
        own = next((one.name for one in application.components if _is_image(one, found.target)), "")
        return Opened(fitted(application, providers), own, found.name)
    if not place.exists():
        raise errors.ArtifactUnreadable(
            f"there is no file {place}", remedy="build it first (lattice build), or name the project's folder"
        )
    if place.suffix in (".yaml", ".yml", ".toml"):
        application = manifest.load(place, providers)
        actors = [component.name for component in application.components if component.kind == "actor"]
        return Opened(fitted(application, providers), actors[0] if len(actors) == 1 else "", application.name)
    return Opened(of_module(place, place.stem, "", subscriptions), place.stem, place.stem)


def _is_image(component: Component, target: Path) -> bool:
    path = component.image.path
    return component.kind == "actor" and path is not None and path.resolve() == target.resolve()


def of_module(path: Path, name: str, alias: str = "", subscriptions: str = "") -> Application:
    """A module linked to everything there is: what its token does not hold is refused all the same. It gets the
    messages on `subscriptions`."""
    image = Reference(f"file://{path}", "file", path=path.absolute())
    components, links = [], []
    for contract in CONTRACTS.values():
        if contract.built_in:
            continue
        provider = contract.id.rpartition(":")[2]
        if provider == name:
            provider += "-provider"
        routes: tuple[LinkSpec, ...] = ()
        if contract.operations:
            config = {"allowed_hosts": "*"} if contract is httpclient.CONTRACT else {}
            links.append(LinkSpec(source=name, target=provider, contract=contract.id, target_config=config))
        configured = {httpserver.CONTRACT.id: {}, cron.CONTRACT.id: _NEVER}
        if subscriptions:
            configured[messaging.CONTRACT.id] = {"subscriptions": subscriptions}
        if contract.id in configured:
            given = configured[contract.id]
            routes = (LinkSpec(source=provider, target=name, contract=contract.id, source_config=given),)
        builtin_image = Reference(f"builtin://{contract.id}", "builtin", name=contract.id)
        components.append(
            Component(name=provider, kind="provider", image=builtin_image, contract=contract.id, links=routes)
        )
    actor = Component(name=name, kind="actor", image=image, alias=alias, links=tuple(links))
    return Application(name=name, components=(actor, *components), file=str(path))


def fitted(application: Application, providers: Providers) -> Application:
    """The same application with what its stand-ins take. What is a mistake for the real providers is one here.

    Raises `errors.ConfigError`.
    """
    real = {one.name: providers.real(one.image.name) for one in application.components if one.kind == "provider"}
    components = []
    for component in application.components:
        links = tuple(_fitted_link(link, real, providers) for link in component.links)
        component = msgspec.structs.replace(component, links=links)
        if component.kind == "provider":
            type_ = real[component.name]
            if _is_plain(component.config) and not component.secrets:
                validated(type_.settings_type, component.config, f"{component.name}: config")
            stand_in = providers.type(component.image.name)
            if type_.contract.id in IN_PROCESS:
                kept = component.config if type_.contract.id in _OWN_SETTINGS else {}
                config = _known(kept, stand_in.settings_type)
                component = msgspec.structs.replace(component, config=config, secrets=())
        components.append(component)
    return msgspec.structs.replace(application, components=tuple(components))


def _fitted_link(link: LinkSpec, real: Mapping[str, ProviderType], providers: Providers) -> LinkSpec:
    changes: dict[str, Any] = {}
    if (target := real.get(link.target)) is not None and target.contract.id in IN_PROCESS:
        if _is_plain(link.target_config) and not link.target_secrets:
            validated(target.attach_settings_type, link.target_config, f"link of {link.source} to {link.target}")
        stand_in = providers.type(target.contract.id).attach_settings_type
        changes |= {"target_config": _known(link.target_config, stand_in), "target_secrets": ()}
    if (source := real.get(link.source)) is not None and source.contract.id in IN_PROCESS:
        if _is_plain(link.source_config) and not link.source_secrets:
            validated(source.route_settings_type, link.source_config, f"link of {link.source} to {link.target}")
        stand_in = providers.type(source.contract.id).route_settings_type
        changes |= {"source_config": _known(link.source_config, stand_in), "source_secrets": ()}
    return msgspec.structs.replace(link, **changes) if changes else link


def _known(config: Mapping[str, str], type_: Any) -> dict[str, str]:
    return {key: value for key, value in config.items() if key in type_.model_fields}


def _is_plain(config: Mapping[str, str]) -> bool:
    """Whether it can be checked before it is known which host it is on."""
    return not any(LABEL.search(value) for value in config.values())
