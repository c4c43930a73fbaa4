"""The composition root: builds the parts of one host, starts them in order and stops them in reverse. No logic here."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path

import msgspec

from lattice import subjects
from lattice.actors import Actors
from lattice.application import Deployer, Deployment, LocalValues
from lattice.artifacts.actor_image import read_image
from lattice.artifacts.cache import CompiledCache
from lattice.artifacts.images import Images, Report
from lattice.artifacts.settings import RegistrySettings
from lattice.config import EngineSettings
from lattice.control import messages
from lattice.control.agent import Agent
from lattice.control.local_executor import LocalExecutor
from lattice.control.manifest import Application
from lattice.control.messages import Inventory
from lattice.control.secrets import Secrets
from lattice.control.state import HostSeen
from lattice.guard import Guard
from lattice.joined import Identity, Joined, Parts, default_labels
from lattice.links import LinkTable
from lattice.router import Router
from lattice.security.admission import ANYONE, verify_token
from lattice.security.claims import Claims
from lattice.security.keys import host_key
from lattice.security.policy import Party
from lattice.security.redaction import Redactor
from lattice.security.settings import LOCAL, SecuritySettings
from lattice.supervisor import Installed, Supervisor
from lattice.telemetry.metrics import Metrics
from lattice.transport.transport import Bucket, Objects, Transport
from lattice.wasm.engine import Engine

_log = logging.getLogger("lattice.host")

BUILT_INS = ("builtin-logging", "builtin-numbergen")
"""Providers every host has; their contracts need no link."""


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`data` is where providers keep what must survive, and the host its key; `cache` the folder of compiled code and
    fetched images, None for none. `lattice`, `name` and `labels` are what others know the host by."""

    data: Path
    cache: Path | None = None
    engine: EngineSettings = EngineSettings()
    drain_s_max: float = 30.0
    """How long `stop` waits for what was begun."""
    lattice: str = "default"
    name: str = ""
    labels: dict[str, str] = {}
    security: SecuritySettings = LOCAL
    """Whose actors run, and who may call and command this host."""
    registries: RegistrySettings = RegistrySettings()


class Host:
    """One host in this process. `async with Host(settings) as host: await host.deploy(application)`.

    With a `transport` it joins the lattice that this leads to, and leaves it when it stops; the transport is closed by
    whoever made it.
    """

    def __init__(self, settings: HostSettings, transport: Transport | None = None) -> None:
        """Raises `errors.ConfigError` when the data folder cannot be used."""
        self.settings = settings
        pair = host_key(settings.data)
        self.key = pair.public
        self.started_at = time.monotonic()
        self.metrics = Metrics()
        self.links = LinkTable()
        self.router = Router(self.links, operator=self.key)
        self.identity = Identity(
            key=self.key,
            name=settings.name or self.key[:8].lower(),
            lattice=settings.lattice,
            version=version("nanolattice"),
            labels={**default_labels(), **settings.labels},
        )
        me = Party(key=self.key, kind="host", name=self.identity.name, labels=self.identity.labels)
        self.guard = Guard(self.router, self.links, self.metrics, me, settings.lattice, settings.security, transport)
        self.pipeline = self.guard.outgoing
        self.installed = Installed()
        self.engine = Engine(settings.engine)
        cache = CompiledCache(settings.cache, self.engine.fingerprint) if settings.cache else None
        self.actors = Actors(
            self.engine, self.router, self.pipeline, cache, settings.security.actors, self.guard.permit_actor
        )
        self.redactor = Redactor()
        """Takes the secrets of this host out of texts; whoever writes its log should ask it."""
        self.supervisor = Supervisor(
            self.router, self.pipeline, settings.data / "providers", self.guard.permit_provider, self.redactor
        )
        self.guard.meet(self.actors, self.supervisor)
        self.deployments: dict[str, Deployment] = {}
        secrets = Secrets(
            lambda: self.settings.security.secrets, settings.lattice, self.redactor, self._stored_secrets(transport)
        )
        local = LocalValues(self.identity.labels, secrets, private=settings.data)
        folder = (settings.cache or settings.data) / "images"
        self.images = Images(folder, self._stored_images(transport), settings.registries)
        self.deployer = Deployer(self.actors, self.supervisor, self.router, self.installed, self.images, local)
        self.joined: Joined | None = None
        self.executor = LocalExecutor(self.actors, self.supervisor, self.router, self.installed, self.images, local)
        if transport is not None:
            parts = Parts(
                executor=self.executor,
                router=self.router,
                inbound=self.guard.incoming,
                providers=self.installed,
                own_claims=self.actors.claims,
                claimed_key=self._claimed_key,
                token_of=self._token_of,
                verify_token=self._verify_token,
                held=self.guard.parties.claims,
                forget=self.guard.authority.clear,
                refused=self.guard.refused,
            )
            self.joined = Joined(transport, self.identity, parts, pair, settings.security)
            self.guard.parties.join(self.joined.known, self.joined.authentic.claims_of)
        self.agent = Agent(self.inventory, self.actors, self.links, self.pipeline, settings.lattice)

    def _stored_images(self, transport: Transport | None) -> Callable[[], Awaitable[Objects]] | None:
        if transport is None:
            return None
        return lambda: transport.objects(subjects.image_objects(self.settings.lattice))

    def _stored_secrets(self, transport: Transport | None) -> Callable[[], Awaitable[Bucket]] | None:
        if transport is None:
            return None
        return lambda: transport.bucket(subjects.secret_bucket(self.settings.lattice))

    async def _claimed_key(self, reference: str) -> str:
        # Whether the hosts that shall run it trust its issuer is theirs to say; a wrong token is wrong everywhere.
        path = await self.images.fetch(reference)
        return (await asyncio.to_thread(read_image, path, ANYONE, time.time())).claimed_key

    def _token_of(self, key: str) -> str:
        actor = self.actors.get(key)
        return "" if actor is None else actor.revision.token.decode("ascii", "replace")

    def _verify_token(self, token: str) -> Claims:
        """The claims of an actor of another host. Raises `errors.NotAdmitted`."""
        return verify_token(token.encode(), self.settings.security.actors, time.time())

    async def start(self) -> None:
        """Raises what joining a lattice raises; see `Joined.start`."""
        for name in BUILT_INS:
            await self.supervisor.start(name, name, self.installed.type(name), {})
        if self.joined is not None:
            await self.joined.start()

    def reload(self, security: SecuritySettings) -> None:
        """Trusts what these settings say from now on; nothing is stopped by it. Raises `errors.ConfigError`, and then
        nothing is changed."""
        self.guard.require_usable(security)
        if self.joined is not None:
            self.joined.apply(security)
        self.guard.apply(security)
        self.settings = msgspec.structs.replace(self.settings, security=security)
        self.actors.trust = security.actors
        _log.info("what this host trusts was read again")

    def inventory(self) -> Inventory:
        """What runs here."""
        if self.joined is not None:
            return self.joined.presence.document()
        seen = HostSeen(
            key=self.key,
            name=self.identity.name,
            labels=self.identity.labels,
            version=self.identity.version,
            uptime_s=int(time.monotonic() - self.started_at),
            actors={actor.key: actor for actor in self.executor.actors()},
            providers={provider.key: provider for provider in self.executor.providers()},
        )
        return messages.inventory_of(seen, boot="", revision=0, lattice=self.settings.lattice)

    async def deploy(self, application: Application, report: Report = lambda line: None) -> Deployment:
        """Puts an application up on this host alone; see `Deployer.deploy` for what it raises."""
        deployment = await self.deployer.deploy(application, report)
        self.deployments[application.name] = deployment
        return deployment

    async def amend(self, application: Application, report: Report = lambda line: None) -> None:
        """Makes a deployed application another version of itself; see `Deployer.amend`."""
        await self.deployer.amend(self.deployments[application.name], application, report)

    async def undeploy(self, name: str) -> bool:
        """Drains and removes an application; False when calls were still running at the end of the wait."""
        deployment = self.deployments.pop(name)
        return await self.deployer.undeploy(deployment, time.monotonic() + self.settings.drain_s_max)

    async def stop(self, drain_s_max: float | None = None) -> bool:
        """Drains, for at most so long (None: as the settings say), and stops everything; False when calls were cut
        off."""
        if drain_s_max is not None:
            self.settings = msgspec.structs.replace(self.settings, drain_s_max=drain_s_max)
        drained = True
        if self.joined is not None:
            drained &= await self.joined.stop(asyncio.get_running_loop().time() + self.settings.drain_s_max)
        for name in list(self.deployments):
            drained &= await self.undeploy(name)
        await self.actors.close()
        await self.supervisor.close()
        await self.guard.close()
        if self.engine.live_instances:
            # The engine cannot be freed under calls that would not end; the process ends soon, and it with it.
            _log.error("%d instances still run a call and are left behind", self.engine.live_instances)
        else:
            self.engine.close()
        return drained

    async def __aenter__(self) -> Host:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()
