"""An application on this host: its providers, actors and links, put up in that order and taken down in reverse.

Routes come last: a request arrives only when everything that serves it is there. If any part cannot be put up, what
was is taken down again, and the error says which part and why.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from lattice import endpoints, errors, grants
from lattice.actors import Actors, ActorSpec
from lattice.artifacts.actor_image import require_exported
from lattice.artifacts.images import Images, Report
from lattice.config import Volume
from lattice.control.manifest import LABEL, Application, Component, component_key, require_supported
from lattice.endpoints import Endpoint
from lattice.links import Link
from lattice.router import Router
from lattice.secretref import SecretRef
from lattice.supervisor import Installed, RunningProvider, Supervisor


class SecretSource(Protocol):
    async def values(self, references: Sequence[SecretRef], application: str) -> dict[str, str]:
        """By their names, for a part of `application`. Raises `errors.SecretUnavailable`."""


@dataclass(slots=True)
class Deployment:
    """What is up: `keys` by component name."""

    application: Application
    keys: dict[str, str] = field(default_factory=dict)
    actors: list[str] = field(default_factory=list)
    providers: list[str] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)


class Deployer:
    """Puts applications up and takes them down."""

    def __init__(
        self,
        actors: Actors,
        supervisor: Supervisor,
        router: Router,
        installed: Installed,
        images: Images,
        local: LocalValues,
    ) -> None:
        """`images` fetches what registries have."""
        self._local = local
        self._actors = actors
        self._supervisor = supervisor
        self._router = router
        self._installed = installed
        self._images = images

    async def deploy(self, application: Application, report: Report) -> Deployment:
        """Raises `errors.LatticeError` of the part that failed; then nothing of the application is left."""
        deployment = Deployment(application)
        try:
            for component in application.components:
                if component.kind == "provider":
                    await self._start_provider(deployment, component, report)
            actors = [component for component in application.components if component.kind == "actor"]
            async with asyncio.TaskGroup() as group:
                for component in actors:
                    group.create_task(self._start_actor(deployment, component, report))
            links = self._links_of(deployment)
            # Links from providers, which are routes, come last.
            for link in sorted(links, key=lambda link: self._supervisor.get(link.source) is not None):
                await self._put_link(deployment, link)
        except BaseException as error:
            await self.undeploy(deployment, time.monotonic())
            raise _first(error) from None
        return deployment

    async def amend(self, deployment: Deployment, application: Application, report: Report) -> None:
        """Makes what is up that of `application`, another version of it, while it serves: components that are new are
        started, links are added, changed and taken away. Components that are there stay what they are.

        Raises `errors.LatticeError` of the part that failed; what was done until then stays.
        """
        deployment.application = application
        for component in application.components:
            if component.name not in deployment.keys:
                start = self._start_provider if component.kind == "provider" else self._start_actor
                await start(deployment, component, report)
        wanted = {_ends(link): link for link in self._links_of(deployment)}
        for link in list(deployment.links):
            if _ends(link) not in wanted:
                await self._delete_link(deployment, link)
        for ends, link in wanted.items():
            before = next((one for one in deployment.links if _ends(one) == ends), None)
            if before != link:
                if before is not None:
                    deployment.links.remove(before)
                await self._put_link(deployment, link)

    async def undeploy(self, deployment: Deployment, deadline: float) -> bool:
        """Drains and stops everything; False when `deadline` came before the last call had ended."""
        sources = {link.source for link in deployment.links}
        providers = [found for key in deployment.providers if (found := self._supervisor.get(key)) is not None]
        drained = await drain_in_order(self._actors, providers, deployment.actors, sources, deadline)
        for link in reversed(deployment.links):
            self._router.delete_link(link)
        for key in deployment.actors:
            if self._actors.get(key) is not None:
                await self._actors.stop(key)
        for key in reversed(deployment.providers):
            if self._supervisor.get(key) is not None:
                await self._supervisor.stop(key)
        return drained

    async def _start_provider(self, deployment: Deployment, component: Component, report: Report) -> None:
        require_supported(component)
        name = component.image.name
        key = component_key(deployment.application.name, component)
        type_ = self._installed.type(name)
        report(f"starting {component.name} ({name})")
        deployment.keys[component.name] = key
        config = await self._local.config(component.config, component.secrets, deployment.application.name)
        await self._supervisor.start(key, name, type_, config, deployment.application.name)
        deployment.providers.append(key)

    def _folders(self, application: Application) -> tuple[Path, ...]:
        """Where volumes may be: what the owner names, and the manifest's own folder, since the owner chose that too."""
        beside = (Path(application.file).absolute().parent,) if application.file else ()
        return (*self._actors.trust.folders, *beside)

    async def _start_actor(self, deployment: Deployment, component: Component, report: Report) -> None:
        require_supported(component)
        folders = self._folders(deployment.application)
        self._local.require_folders(component.name, component.surroundings.volumes, folders)
        self._local.require_sockets(component.name, component.surroundings.sockets, self._actors.trust.sockets)
        path = component.image.path or await self._images.fetch(component.image.text, report)
        spec = ActorSpec(
            key=component_key(deployment.application.name, component),
            name=component.name,
            image=path,
            application=deployment.application.name,
            alias=component.alias,
            limits=component.limits,
            surroundings=msgspec.structs.replace(component.surroundings, config=self._local.labelled(component.config)),
            reference=component.image.text,
        )
        began = time.monotonic()
        actor = await self._actors.start(spec)
        deployment.keys[component.name] = actor.key
        deployment.actors.append(actor.key)
        how = "from the cache" if actor.revision.from_cache else f"compiled in {time.monotonic() - began:.2f} s"
        report(f"started {component.name} ({component.image.shown}, {how})")

    def _links_of(self, deployment: Deployment) -> list[Link]:
        """Those of the application. Raises `errors.ConfigError` for one that passes on more than is held, or that leads
        to a component for what it does not export."""
        keys = deployment.keys
        given = [
            Link(
                source=keys[spec.source],
                target=keys[spec.target],
                contract=spec.contract,
                name=spec.name,
                source_config=self._local.labelled(spec.source_config),
                target_config=self._local.labelled(spec.target_config),
                granted_by=keys[spec.granted_by] if spec.granted_by else "",
                operations=spec.operations,
                source_secrets=spec.source_secrets,
                target_secrets=spec.target_secrets,
            )
            for spec in deployment.application.links
        ]
        among = grants.among(given)
        for link in given:
            grants.require_given(link, among, self._claims)
            source, target = self._actors.get(link.source), self._actors.get(link.target)
            if source is not None and target is not None:
                require_exported(link.contract, target.spec.name, target.revision.interfaces)
        return grants.inherited(given)

    def _claims(self, key: str, _host: str) -> grants.Held:
        actor = self._actors.get(key)
        return actor.revision.claims if actor is not None else None

    async def _put_link(self, deployment: Deployment, link: Link) -> None:
        application = deployment.application.name
        attached, calling = self._supervisor.get(link.target), self._supervisor.get(link.source)
        # A provider knows of an actor before its first call; an actor can be called before its provider begins to.
        if attached is not None:
            await attached.put_link(await self._local.link(link, link.target, application))
        self._router.put_link(link)
        deployment.links.append(link)
        if calling is not None:
            await calling.put_link(await self._local.link(link, link.source, application))

    async def _delete_link(self, deployment: Deployment, link: Link) -> None:
        attached, calling = self._supervisor.get(link.target), self._supervisor.get(link.source)
        if calling is not None:
            await calling.delete_link(link)
        self._router.delete_link(link)
        if attached is not None:
            await attached.delete_link(link)
        deployment.links.remove(link)


async def drain_in_order(
    actors: Actors, providers: Sequence[RunningProvider], keys: Sequence[str], sources: Collection[str], deadline: float
) -> bool:
    """Drains actors by their `keys`, and providers: those in `sources`, which make the requests, while what serves them
    is still there. False when `deadline`, a time of the loop, came before the last call had ended."""
    drained = True
    for provider in providers:
        if provider.key in sources:
            drained &= await provider.drain(deadline)
    for key in keys:
        if actors.get(key) is not None:
            drained &= await actors.drain(key, deadline)
    for provider in providers:
        if provider.key not in sources:
            drained &= await provider.drain(deadline)
    return drained


class LocalValues:
    """Configuration as the providers of this host get it: with its labels, so that one link serves hosts that listen at
    different ports or have different servers near them, and with secrets, which are looked up for the moment of a start
    or a link. What is made here goes to a provider and is kept by nobody else."""

    def __init__(
        self, labels: Mapping[str, str], secrets: SecretSource | None = None, private: Path | None = None
    ) -> None:
        """`private` is the folder with this host's own data and key, which no actor gets."""
        self._labels = labels
        self._secrets = secrets
        self._private = private

    def require_folders(self, name: str, volumes: Iterable[Volume], folders: Iterable[Path]) -> None:
        """A manifest may be a stranger's: it names folders, and the host's owner says which of them it gets.

        Raises `errors.ConfigError` for a volume of the component `name` that lies in none of `folders`, or that has
        the host's own data in it.
        """
        allowed = [folder.resolve() for folder in folders]
        private = self._private.resolve() if self._private is not None else None
        for volume in volumes:
            wanted = Path(volume.host).resolve()
            if not any(wanted.is_relative_to(folder) for folder in allowed):
                raise errors.ConfigError(
                    f"{name}: this host does not grant the folder {volume.host}",
                    remedy="name it, or one above it, under folders of [actors] in the host's security file",
                )
            if private is not None and (wanted.is_relative_to(private) or private.is_relative_to(wanted)):
                raise errors.ConfigError(
                    f"{name}: the host's own data and key are in the folder {volume.host}",
                    remedy="grant a folder below it, or keep the host's data elsewhere with --data",
                )

    @staticmethod
    def require_sockets(name: str, sockets: Iterable[str], granted: Iterable[Endpoint]) -> None:
        """As for folders: raises `errors.ConfigError` for a place of the component `name` that none of `granted`
        covers."""
        for place in sockets:
            wanted = endpoints.parse(place)
            if not any(endpoint.covers(wanted) for endpoint in granted):
                raise errors.ConfigError(
                    f"{name}: this host does not grant the socket {place}",
                    remedy="name it under sockets of [actors] in the host's security file",
                )

    def labelled(self, config: Mapping[str, str]) -> dict[str, str]:
        """With `${label:NAME}` replaced. Raises `errors.ConfigError` for a label that this host does not have."""
        return {key: LABEL.sub(self._label, value) for key, value in config.items()}

    def _label(self, found: re.Match[str]) -> str:
        name = found[1]
        if name not in self._labels:
            raise errors.ConfigError(
                f"this host has no label {name!r}, which a configuration refers to",
                remedy=f"start it with --label {name}=VALUE, or spread the component over hosts that have it",
            )
        return self._labels[name]

    async def config(
        self, config: Mapping[str, str], references: Sequence[SecretRef], application: str
    ) -> dict[str, str]:
        """Raises as `labelled`, and `errors.SecretUnavailable`."""
        values = self.labelled(config)
        if not references:
            return values
        if self._secrets is None:
            raise errors.SecretUnavailable(f"this host has no secrets, and {references[0]} is wanted")
        # A secret is taken as it is: what looks like a label in it is none.
        return values | await self._secrets.values(references, application)

    async def link(self, link: Link, end: str, application: str) -> Link:
        """For the provider whose key is `end`. The other end's secrets are not looked up: they are another host's."""
        at_target = link.target == end
        return msgspec.structs.replace(
            link,
            source_config=await self.config(link.source_config, () if at_target else link.source_secrets, application),
            target_config=await self.config(link.target_config, link.target_secrets if at_target else (), application),
        )


def _first(error: BaseException) -> BaseException:
    """Of the failures of several actors that were started at once, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _ends(link: Link) -> tuple[str, str, str, str]:
    return (link.source, link.target, link.contract, link.name)
