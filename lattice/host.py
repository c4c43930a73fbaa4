"""The composition root: builds the parts of one host, starts them in order and stops them in reverse. No logic here."""

from __future__ import annotations

import logging
import secrets
import time
from pathlib import Path

import msgspec

from lattice.actors import Actors
from lattice.application import Deployer, Deployment, Report
from lattice.artifacts.cache import CompiledCache
from lattice.config import EngineSettings
from lattice.control.manifest import Application
from lattice.links import LinkTable
from lattice.pipeline import Pipeline
from lattice.router import Router
from lattice.supervisor import Installed, Supervisor
from lattice.telemetry.metrics import Metrics
from lattice.wasm.engine import Engine

_log = logging.getLogger("lattice.host")

BUILT_INS = ("builtin-logging", "builtin-numbergen")
"""Providers every host has; their contracts need no link."""


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`data` is where providers keep what must survive; `cache` the folder of compiled code, None for none."""

    data: Path
    cache: Path | None = None
    engine: EngineSettings = EngineSettings()
    drain_s_max: float = 30.0
    """How long `stop` waits for what was begun."""


class Host:
    """One host in this process. `async with Host(settings) as host: await host.deploy(application)`."""

    def __init__(self, settings: HostSettings) -> None:
        self.settings = settings
        self.key = f"N{secrets.token_hex(12).upper()}"
        self.started_at = time.time()
        self.metrics = Metrics()
        self.links = LinkTable()
        self.router = Router(self.links, operator=self.key)
        self.pipeline = Pipeline(self.router.resolve, self.metrics)
        self.installed = Installed()
        self.engine = Engine(settings.engine)
        cache = CompiledCache(settings.cache, self.engine.fingerprint) if settings.cache else None
        self.actors = Actors(self.engine, self.router, self.pipeline, cache)
        self.supervisor = Supervisor(self.router, self.pipeline, settings.data / "providers")
        self.deployer = Deployer(self.actors, self.supervisor, self.router, self.installed)
        self.deployments: dict[str, Deployment] = {}

    async def start(self) -> None:
        for name in BUILT_INS:
            await self.supervisor.start(name, name, self.installed.type(name), {})

    async def deploy(self, application: Application, report: Report = lambda line: None) -> Deployment:
        """Puts an application up; see `Deployer.deploy` for what it raises."""
        deployment = await self.deployer.deploy(application, report)
        self.deployments[application.name] = deployment
        return deployment

    async def undeploy(self, name: str) -> bool:
        """Drains and removes an application; False when calls were still running at the end of the wait."""
        deployment = self.deployments.pop(name)
        return await self.deployer.undeploy(deployment, time.monotonic() + self.settings.drain_s_max)

    async def stop(self) -> bool:
        """Drains and stops everything; False when calls were cut off."""
        drained = True
        for name in list(self.deployments):
            drained &= await self.undeploy(name)
        await self.actors.close()
        await self.supervisor.close()
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
