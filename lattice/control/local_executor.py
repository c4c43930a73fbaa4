"""Runs what this host is told to: actors, providers and the lattice's links, each to be told again without harm."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from lattice import errors
from lattice.actors import Actor, Actors, ActorSpec
from lattice.application import LocalValues, drain_in_order
from lattice.control.desired import LinkIdentity, identity
from lattice.control.state import ActorSeen, ProviderSeen, Wanted
from lattice.links import Link
from lattice.router import Router
from lattice.supervisor import Installed, RunningProvider, Supervisor

_log = logging.getLogger("lattice.executor")

BUILTIN = "builtin://"
STOP_S_MAX = 30.0
"""How long what is stopped may finish what it has begun."""


class ImageSource(Protocol):
    async def fetch(self, reference: str) -> Path: ...


class _Told(msgspec.Struct, frozen=True):
    """What a running thing was started as."""

    wanted: Wanted
    count: int
    annotations: dict[str, str]
    by_hand: bool


class LocalExecutor:
    """An `Executor`."""

    def __init__(
        self,
        actors: Actors,
        supervisor: Supervisor,
        router: Router,
        installed: Installed,
        images: ImageSource,
        local: LocalValues,
    ) -> None:
        self._actors = actors
        self._supervisor = supervisor
        self._router = router
        self._installed = installed
        self._images = images
        self._local = local
        self._told: dict[str, _Told] = {}
        self._links: dict[LinkIdentity, Link] = {}
        self._linking = asyncio.Lock()
        self._on_change: list[Callable[[], None]] = []
        self.refused: dict[str, str] = {}
        supervisor.on_change(self._changed)

    def on_change(self, changed: Callable[[], None]) -> None:
        self._on_change.append(changed)

    def _changed(self) -> None:
        for changed in self._on_change:
            changed()

    # Actors.

    async def scale_actor(self, wanted: Wanted, count: int, annotations: dict[str, str]) -> None:
        running = self._actors.get(wanted.key)
        if count <= 0:
            if running is not None:
                await self._stop_actor(wanted.key)
            return
        if running is None:
            await self._start_actor(wanted)
            self._told[wanted.key] = _Told(wanted, count, annotations, not wanted.application)
        else:
            # What runs stays what it is: another version comes by an update.
            told = self._told.get(wanted.key) or _Told(wanted, count, annotations, True)
            self._told[wanted.key] = msgspec.structs.replace(told, count=count)
        self._changed()

    async def _start_actor(self, wanted: Wanted) -> None:
        spec = await self._spec(wanted)
        actor = await self._actors.start(spec)
        if actor.key != wanted.key:
            await self._actors.stop(actor.key)
            raise errors.ConfigError(
                f"the claims of {wanted.image} name the actor {actor.key}, and {wanted.key} was to be started",
                remedy=f"set the component's id to {actor.key}",
            )

    async def _spec(self, wanted: Wanted) -> ActorSpec:
        # Whoever may deploy to a lattice does not get at the folders of its hosts by that.
        self._local.require_folders(wanted.name, wanted.surroundings.volumes, self._actors.trust.folders)
        self._local.require_sockets(wanted.name, wanted.surroundings.sockets, self._actors.trust.sockets)
        return ActorSpec(
            key=wanted.key,
            name=wanted.name,
            image=await self._images.fetch(wanted.image),
            application=wanted.application,
            alias=wanted.alias,
            limits=wanted.limits,
            surroundings=msgspec.structs.replace(wanted.surroundings, config=self._local.labelled(wanted.config)),
            reference=wanted.image,
        )

    async def update_actor(self, wanted: Wanted, annotations: dict[str, str]) -> None:
        running = self._actors.get(wanted.key)
        if running is None:
            return
        told = self._told.get(wanted.key)
        spec = await self._spec(wanted)
        # An alias belongs to a registration.
        renamed = (spec.alias or running.alias) != running.alias
        before = running.spec
        changed = any(getattr(spec, name) != getattr(before, name) for name in ("image", "limits", "surroundings"))
        if renamed or changed or before.image.is_symlink():
            how = await self._actors.succession(wanted.key, spec.image, back=wanted.goes_back)
            if renamed or how == "restart":
                # Other hosts' copies serve meanwhile.
                await self._stop_actor(wanted.key)
                await self._start_actor(wanted)
            else:
                await self._actors.replace(wanted.key, spec.image, spec.limits, spec.reference, spec.surroundings)
        count = told.count if told is not None else 1
        self._told[wanted.key] = _Told(wanted, count, annotations, not wanted.application)
        self._changed()

    async def _stop_actor(self, key: str) -> None:
        deadline = asyncio.get_running_loop().time() + STOP_S_MAX
        if not await self._actors.drain(key, deadline):
            _log.warning("%s: calls were cut off after %g s", key, STOP_S_MAX)
        await self._actors.stop(key)
        self._told.pop(key, None)
        self._changed()

    # Providers.

    async def start_provider(self, wanted: Wanted, annotations: dict[str, str]) -> None:
        told, running = self._told.get(wanted.key), self._supervisor.get(wanted.key)
        if running is not None and told is not None and told.wanted.fingerprint == wanted.fingerprint:
            return
        name = wanted.image.removeprefix(BUILTIN)
        if not wanted.image.startswith(BUILTIN) or name not in self._installed:
            raise errors.ConfigError(
                f"this host has no provider {wanted.image}",
                remedy="install its package here, or keep it to other hosts",
            )
        type_ = self._installed.type(name)
        # Before anything is stopped: where a secret is missing, what runs goes on.
        config = await self._local.config(wanted.config, wanted.secrets, wanted.application)
        if running is not None:
            await self.stop_provider(wanted.key)
        await self._supervisor.start(wanted.key, name, type_, config, wanted.application)
        self._told[wanted.key] = _Told(wanted, 1, annotations, not wanted.application)
        async with self._linking:
            for link in self._in_order(
                link for link in self._links.values() if wanted.key in (link.source, link.target)
            ):
                await self._attach(link, only=wanted.key)
        self._changed()

    async def stop_provider(self, key: str) -> None:
        running = self._supervisor.get(key)
        if running is None:
            return
        deadline = asyncio.get_running_loop().time() + STOP_S_MAX
        self._router.drain(key)
        if not await running.drain(deadline):
            _log.warning("%s: what it had begun was cut off after %g s", key, STOP_S_MAX)
        await self._supervisor.stop(key)
        self._told.pop(key, None)
        self._changed()

    # Links.

    async def apply_links(self, links: Sequence[Link]) -> None:
        async with self._linking:
            wanted = {identity(link): link for link in links}
            for known, link in list(self._links.items()):
                if known not in wanted:
                    await self._delete(link)
                    del self._links[known]
            new = [link for known, link in wanted.items() if self._links.get(known) != link]
            for link in self._in_order(new):
                self._links[identity(link)] = link
                await self._attach(link)

    async def retry_refused(self) -> None:
        """An address that was in use may be free now."""
        async with self._linking:
            for link in [link for link in self._links.values() if str(link) in self.refused]:
                await self._attach(link)

    @staticmethod
    def _in_order(links: Iterable[Link]) -> list[Link]:
        """Those of actors first: a request arrives only when what serves it is linked."""
        return sorted(links, key=lambda link: link.configures_source)

    async def _attach(self, link: Link, only: str = "") -> None:
        """Makes a link known to the router and to the providers here that it joins. `only`: to this provider."""
        attached, calling = self._supervisor.get(link.target), self._supervisor.get(link.source)
        try:
            self._router.put_link(link)
            if attached is not None and only in ("", link.target):
                await attached.put_link(await self._here(link, link.target))
            if calling is not None and only in ("", link.source):
                await calling.put_link(await self._here(link, link.source))
        except errors.ConfigError as error:
            _log.error("%s is refused: %s", link, error)
            self.refused[str(link)] = str(error)
        else:
            self.refused.pop(str(link), None)
        if attached is not None or calling is not None:
            self._changed()

    async def _here(self, link: Link, end: str) -> Link:
        """As the provider `end` gets it."""
        told = self._told.get(end)
        return await self._local.link(link, end, told.wanted.application if told is not None else "")

    async def _delete(self, link: Link) -> None:
        attached, calling = self._supervisor.get(link.target), self._supervisor.get(link.source)
        if calling is not None:
            await calling.delete_link(link)
        self._router.delete_link(link)
        if attached is not None:
            await attached.delete_link(link)
        self.refused.pop(str(link), None)

    # What there is.

    def actors(self) -> list[ActorSeen]:
        return [_actor_seen(actor, self._told.get(actor.key)) for actor in self._actors]

    def providers(self) -> list[ProviderSeen]:
        refused: dict[str, str] = {}
        for link in self._links.values():
            why = self.refused.get(str(link))
            if why is not None:
                refused.setdefault(link.source, why)
                refused.setdefault(link.target, why)
        told = self._told
        return [_provider_seen(one, told.get(one.key), refused.get(one.key, "")) for one in self._supervisor]

    def wanted_of(self, key: str) -> Wanted | None:
        """What a running thing was started as."""
        told = self._told.get(key)
        return told.wanted if told is not None else None

    async def drain(self, deadline: float) -> bool:
        """Ends the sources of calls, then the actors, then the rest; False when `deadline` cut something off."""
        sources = {link.source for link in self._links.values()}
        actors = [actor.key for actor in self._actors]
        providers = [provider for provider in self._supervisor if not provider.type.contract.built_in]
        drained = await drain_in_order(self._actors, providers, actors, sources, deadline)
        for provider in providers:
            await self._supervisor.stop(provider.key)
        return drained


def _actor_seen(actor: Actor, told: _Told | None) -> ActorSeen:
    claims = actor.revision.claims
    return ActorSeen(
        key=actor.key,
        name=actor.spec.name,
        image=told.wanted.image if told is not None else f"file://{actor.revision.image}",
        count=told.count if told is not None else 1,
        application=actor.spec.application,
        alias=actor.alias,
        fingerprint=told.wanted.fingerprint if told is not None and not told.by_hand else "",
        digest=f"sha256:{actor.revision.digest}",
        revision=(claims.rev if claims else None) or 0,
        status=actor.status,
        annotations=told.annotations if told is not None else {},
        limits=actor.spec.limits,
    )


def _provider_seen(provider: RunningProvider, told: _Told | None, refused: str) -> ProviderSeen:
    """`refused`: why it did not take a link."""
    return ProviderSeen(
        key=provider.key,
        name=told.wanted.name if told is not None else provider.name,
        image=f"{BUILTIN}{provider.name}",
        contract=provider.type.contract.id,
        application=told.wanted.application if told is not None else "",
        fingerprint=told.wanted.fingerprint if told is not None and not told.by_hand else "",
        status=provider.status,
        message=str(provider.cause) if provider.cause else refused,
        restarts=provider.restarts,
        urls=tuple(provider.urls()),
        links=len(provider.links),
        annotations=told.annotations if told is not None else {},
    )
