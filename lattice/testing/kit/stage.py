"""One host for a test, made of the parts that real hosts are made of: engine, router, authority, actors, providers."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lattice import errors
from lattice.actors import Actors
from lattice.application import Deployer, Deployment, LocalValues
from lattice.artifacts.cache import CompiledCache
from lattice.artifacts.images import Images
from lattice.config import EngineSettings, default_cache
from lattice.contracts import messaging
from lattice.guard import Guard
from lattice.invocation import Handler, Invocation
from lattice.links import Link, LinkTable
from lattice.provider import Provider
from lattice.router import Route, Router
from lattice.security.policy import Party
from lattice.security.settings import LOCAL
from lattice.supervisor import Supervisor
from lattice.telemetry.metrics import Metrics
from lattice.testing.kit.clock import Clock, TestNature
from lattice.testing.kit.opening import Opened, Providers
from lattice.testing.kit.recorder import Recorder
from lattice.wasm.engine import Engine

OPERATOR = "test"
"""Who makes the calls of the test itself."""
INSTANCES_MAX = 200
"""Live instances of one test host. Each reserves address space, and several such hosts may be open at a time."""
BUILT_INS = ("builtin-logging", "builtin-numbergen")


class LogLine:
    """What an actor wrote or printed."""

    def __init__(self, actor: str, level: str, text: str) -> None:
        self.actor = actor
        self.level = level
        self.text = text

    def __str__(self) -> str:
        return f"{self.level:7} {self.actor}: {self.text}"

    def __repr__(self) -> str:
        return f"<{self}>"


class _Taking(logging.Handler):
    """Keeps the lines of one logger."""

    def __init__(self, name: str, lines: list[LogLine], room: Callable[[], bool]) -> None:
        super().__init__()
        self._name = name
        self._lines = lines
        self._room = room

    def emit(self, record: logging.LogRecord) -> None:
        if self._room():
            self._lines.append(LogLine(self._name, record.levelname.lower(), record.getMessage()))


class Stage:
    """What a test runs on, from `raise_` to `close`."""

    LINES_MAX = 10_000
    """Log lines kept of one test; an actor that writes more is not read."""

    def __init__(self, clock: Clock, recorder: Recorder, providers: Providers, seed: str) -> None:
        self._recorder = recorder
        self._providers = providers
        self._folder = Path(tempfile.mkdtemp(prefix="lattice-test-"))
        self.lines: list[LogLine] = []
        self._taking: list[tuple[logging.Logger, logging.Handler, int]] = []
        self._engine = Engine(EngineSettings(instances_max=INSTANCES_MAX))
        links = LinkTable()
        self.router = Router(links, operator=OPERATOR)
        me = Party(key=OPERATOR, kind="host", name=OPERATOR)
        self._guard = Guard(self.router, links, Metrics(), me, "test", LOCAL, None)
        cache = CompiledCache(default_cache(), self._engine.fingerprint)
        self.actors = Actors(
            self._engine,
            self.router,
            recorder,
            cache,
            LOCAL.actors,
            self._guard.permit_actor,
            lambda key: TestNature(clock, f"{seed} {key}"),
        )
        self.supervisor = Supervisor(self.router, recorder, self._folder / "providers", self._guard.permit_provider)
        self._guard.meet(self.actors, self.supervisor)
        images = Images(self._folder / "images")
        self._deployer = Deployer(
            self.actors, self.supervisor, self.router, providers, images, LocalValues({}, private=self._folder)
        )
        self.deployment: Deployment | None = None
        recorder.join(self._guard.outgoing, self._look)
        recorder.time_s_max = self._time_s_max
        recorder.names[OPERATOR] = OPERATOR
        clock.join(recorder.settle, self.actors.expire)

    async def _look(self, invocation: Invocation) -> Route:
        route = self.router.resolve(invocation)
        waiting = self._guard.authority.leaving(invocation, route)
        if waiting is not None:
            await waiting
        return route

    def _time_s_max(self, key: str) -> float | None:
        actor = self.actors.get(key)
        return None if actor is None else actor.spec.limits.time_s_max

    async def raise_(self, opened: Opened) -> None:
        """Puts the application up. Raises what starting it raises."""
        for name in BUILT_INS:
            await self.supervisor.start(name, name, self._providers.type(name), {})
        self.deployment = await self._deployer.deploy(opened.application, lambda _line: None)
        for name, key in self.deployment.keys.items():
            self._recorder.names[key] = name
            if self.actors.get(key) is not None:
                self._take_log(key, name)

    def _take_log(self, key: str, name: str) -> None:
        logger = logging.getLogger(f"lattice.actor.{key}")
        handler = _Taking(name, self.lines, lambda: len(self.lines) < self.LINES_MAX)
        self._taking.append((logger, handler, logger.level))
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)

    def provider(self, contract: str) -> Provider[Any, Any]:
        """The one of a contract. Raises `errors.ConfigError` when the application has none."""
        found = self._providers.running.get(contract)
        if not found:
            raise errors.ConfigError(
                f"the application has no provider of {contract}", remedy="link the actor to one in its manifest"
            )
        return found[0]

    def key(self, component: str) -> str:
        """Raises `errors.ConfigError` for no actor of the application."""
        assert self.deployment is not None
        key = self.deployment.keys.get(component, "")
        if self.actors.get(key) is None:
            actors = sorted(name for name, key in self.deployment.keys.items() if self.actors.get(key) is not None)
            raise errors.ConfigError(f"there is no actor {component!r}; there are {', '.join(actors)}")
        return key

    def application_name(self) -> str:
        assert self.deployment is not None
        return self.deployment.application.name

    def stand_in(self, name: str, handler: Handler) -> None:
        """Another actor, played by the test. Raises `errors.ConfigError` for a name that is taken."""
        self.router.register(name, handler, application=self.application_name())
        self._recorder.names[name] = name

    async def subscribe(self, name: str, subjects: str) -> None:
        """Sends messages on these subjects to a stand-in. Raises `errors.ConfigError`."""
        provider = self.provider(messaging.CONTRACT.id)
        running = self.supervisor.get(provider.context.key)
        assert running is not None, "it is one of the supervisor's"
        link = Link(provider.context.key, name, messaging.CONTRACT.id, source_config={"subscriptions": subjects})
        self.router.put_link(link)
        await running.put_link(link)

    async def close(self) -> None:
        """Stops everything and leaves nothing behind."""
        try:
            if self.deployment is not None:
                await self._deployer.undeploy(self.deployment, time.monotonic())
            await self.actors.close()
            await self.supervisor.close()
            await self._guard.close()
            if not self._engine.live_instances:
                self._engine.close()
        finally:
            for logger, handler, level in self._taking:
                logger.removeHandler(handler)
                logger.setLevel(level)
            shutil.rmtree(self._folder, ignore_errors=True)
