"""An application on this host: its providers, actors and links, put up in that order and taken down in reverse.

Routes come last: a request arrives only when everything that serves it is there. If any part cannot be put up, what
was is taken down again, and the error says which part and why.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from lattice import errors
from lattice.actors import Actors, ActorSpec
from lattice.control.manifest import LABEL, Application, Component, LinkSpec, component_key, require_supported
from lattice.links import Link
from lattice.router import Router
from lattice.supervisor import Installed, RunningProvider, Supervisor

Report: TypeAlias = Callable[[str], None]
"""Gets a line for each step, for people to read."""


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
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """`labels` are this host's, for configurations that refer to them."""
        self._labels = labels if labels is not None else {}
        self._actors = actors
        self._supervisor = supervisor
        self._router = router
        self._installed = installed

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
            # Links from providers, which are routes, come last.
            for spec in sorted(
                application.links, key=lambda spec: application.component(spec.source).kind == "provider"
            ):
                await self._put_link(deployment, spec)
        except BaseException as error:
            await self.undeploy(deployment, time.monotonic())
            raise _first(error) from None
        return deployment

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
        config = with_labels(component.config, self._labels)
        await self._supervisor.start(key, name, type_, config, deployment.application.name)
        deployment.providers.append(key)

    async def _start_actor(self, deployment: Deployment, component: Component, report: Report) -> None:
        require_supported(component)
        assert component.image.path is not None
        spec = ActorSpec(
            key=component_key(deployment.application.name, component),
            name=component.name,
            image=component.image.path,
            application=deployment.application.name,
            alias=component.alias,
            limits=component.limits,
            surroundings=component.surroundings,
        )
        began = time.monotonic()
        actor = await self._actors.start(spec)
        deployment.keys[component.name] = actor.key
        deployment.actors.append(actor.key)
        how = "from the cache" if actor.revision.from_cache else f"compiled in {time.monotonic() - began:.2f} s"
        report(f"started {component.name} ({component.image.path.name}, {how})")

    async def _put_link(self, deployment: Deployment, spec: LinkSpec) -> None:
        link = Link(
            source=deployment.keys[spec.source],
            target=deployment.keys[spec.target],
            contract=spec.contract,
            name=spec.name,
            source_config=with_labels(spec.source_config, self._labels),
            target_config=with_labels(spec.target_config, self._labels),
        )
        attached, calling = self._supervisor.get(link.target), self._supervisor.get(link.source)
        # A provider knows of an actor before its first call; an actor can be called before its provider begins to.
        if attached is not None:
            await attached.put_link(link)
        self._router.put_link(link)
        deployment.links.append(link)
        if calling is not None:
            await calling.put_link(link)


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


def with_labels(config: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, str]:
    """Configuration with `${label:NAME}` replaced by this host's label, so that one link serves hosts that listen at
    different ports or have different servers near them. Raises `errors.ConfigError` for a label it does not have."""

    def label(found: re.Match[str]) -> str:
        name = found[1]
        if name not in labels:
            raise errors.ConfigError(
                f"this host has no label {name!r}, which a configuration refers to",
                remedy=f"start it with --label {name}=VALUE, or spread the component over hosts that have it",
            )
        return labels[name]

    return {key: LABEL.sub(label, value) for key, value in config.items()}


def _first(error: BaseException) -> BaseException:
    """Of the failures of several actors that were started at once, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
