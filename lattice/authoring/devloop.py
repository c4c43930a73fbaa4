"""From a saved file to a served request: one host that runs a project, built and put in place again after every change.

What fails is told, and what ran before goes on: a build, a start, a mistake in the manifest. State is in the providers,
whose data lies in the project's `.lattice`, so it outlives every change and the loop itself.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from lattice import errors
from lattice.authoring import app_manifest, building, wiring
from lattice.authoring.building import Built
from lattice.authoring.compiling import Compilers, ended_by
from lattice.authoring.observing import Answered, observed
from lattice.authoring.project import Project, load
from lattice.authoring.toolchains import toolchain
from lattice.authoring.watching import Watcher
from lattice.control.manifest import Application
from lattice.host import Host

LARGE_BYTES = 2 * 1024 * 1024
"""Modules from here on are compiled for seconds where the machine is slow, and whoever waits is told for what."""


class Screen(Protocol):
    """What people see of the loop."""

    def line(self, text: str) -> None: ...

    def error(self, error: errors.LatticeError) -> None: ...

    def answered(self, call: Answered) -> None: ...

    def serving(self, urls: list[str], built: Built, seconds: float, first: bool) -> None:
        """It serves what was built; `seconds` are from the change that was seen to now."""


class DevLoop:
    """`folder` is the project's; `port` 0 takes that of the manifest while it is free, else any."""

    def __init__(self, folder: Path, host: Host, screen: Screen, port: int = 0) -> None:
        self._folder = folder
        self._host = host
        self._screen = screen
        self._port = port
        self._address = ""
        self._project: Project | None = None
        self._application: Application | None = None
        self._key = ""
        self._builds = 0
        self._compiled: Built | None = None
        """What the sources came to, as they are saved."""
        self._running: Built | None = None
        self._noted: set[str] = set()
        self._watcher = Watcher()

    async def run(self) -> None:
        """Until it is cancelled. Raises `errors.ConfigError` for what makes no sense to wait with: no project, a port
        that is in use."""
        self._project = load(self._folder)
        if self._port and not _is_free("127.0.0.1", self._port):
            raise errors.ConfigError(
                f"port {self._port} is in use", remedy="end what listens there, or give another --port"
            )
        while True:
            saved = await self._changed()
            began = time.monotonic()
            try:
                project = self._read()
                if self._compiled is None or saved != [str(project.manifest)]:
                    self._compiled = None
                    self._screen.line(f"building {project.name}")
                    self._compiled = await self._built(project)
                await self._put(project, self._compiled, began)
            except errors.LatticeError as error:
                self._screen.error(error)
                if self._application is not None:
                    self._screen.line("what ran before goes on")

    async def _changed(self) -> list[str]:
        assert self._project is not None, "it was read at the start"
        return await self._watcher.changed(self._project, toolchain(self._project.language).suffixes)

    def _read(self) -> Project:
        """The project as it is now. Raises `errors.ConfigError`."""
        project = load(self._folder)
        toolchain(project.language)
        if self._application is not None and self._project is not None and project.name != self._project.name:
            raise errors.ConfigError("the name of the actor has changed", remedy="end lattice dev, and start it again")
        self._project = project
        return project

    async def _built(self, project: Project) -> Built:
        """Builds in a thread, and from the start when something is saved meanwhile. Raises `errors.LatticeError`."""
        while True:
            compilers = Compilers()
            building_ = asyncio.create_task(asyncio.to_thread(self._build, project, compilers), name="build")
            saved = asyncio.create_task(self._changed(), name="watch")
            try:
                await asyncio.wait((building_, saved), return_when=asyncio.FIRST_COMPLETED)
                if not saved.done():
                    return building_.result()
                saved.result()  # where the sources cannot be looked at, building again would find the same
            finally:
                saved.cancel()
                compilers.end()
                await asyncio.gather(building_, saved, return_exceptions=True)
            project = self._read()
            self._screen.line("saved again: building from the start")

    def _build(self, project: Project, compilers: Compilers) -> Built:
        # A live update needs a greater revision than the one that runs.
        self._builds += 1
        revision = project.revision + self._builds - 1
        out = project.own_folder / "dev" / f"{project.name}.wasm"
        with ended_by(compilers):
            return building.build(msgspec.structs.replace(project, debug=True), out, revision=revision)

    async def _put(self, project: Project, built: Built, began: float) -> None:
        """Puts what was built in place. Raises `errors.LatticeError`; then what ran before runs on."""
        wired = self._wire(project, built)
        for note in (*built.notes, *wired.notes):
            if note not in self._noted:
                self._noted.add(note)
                self._screen.line(note)
        if self._application is None:
            if built.size >= LARGE_BYTES:
                self._screen.line("built; now to machine code, which is kept: the first time takes as long again")
            await self._deploy(project, wired.application)
        else:
            # What the new module needs is there before it is; what it does not need any more does no harm.
            await self._host.amend(wired.application, self._screen.line)
            if built is not self._running:
                await self._host.actors.replace(self._key, built.path)
        self._running = built
        first, self._application = self._application is None, wired.application
        urls = [url for provider in self._host.supervisor for url in provider.urls()]
        self._screen.serving(urls, built, time.monotonic() - began, first)

    def _wire(self, project: Project, built: Built) -> wiring.Wired:
        written = app_manifest.read(project, self._host.installed)
        if not self._address:
            self._address = _address(wiring.own_address(project, written), self._port, self._screen.line)
        return wiring.wire(project, built, written, self._address, self._host.installed.type)

    async def _deploy(self, project: Project, application: Application) -> None:
        deployment = await self._host.deploy(application)
        own = wiring.own_component(project, application)
        name = own.name if own is not None else project.name
        self._key = deployment.keys[name]
        actor = self._host.actors.get(self._key)
        assert actor is not None, "it was just started"
        # In front of the actor from here on: one step of the loop, so that no call comes in between.
        self._host.router.unregister(self._key)
        self._host.router.register(
            self._key,
            observed(actor.handle, self._screen.answered, project.folder, self._key),
            application=application.name,
            alias=actor.alias,
            name=name,
        )


def _address(wanted: str, port: int, tell: Callable[[str], None]) -> str:
    """Where to serve HTTP: at the given port, else where the manifest says, while that is free."""
    host, _, known = wanted.rpartition(":")
    if port:
        return f"{host}:{port}"
    if known.isdigit() and _is_free(host, int(known)):
        return wanted
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    tell(f"{wanted} is in use; port {free} is taken instead")
    return f"{host}:{free}"


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError:
            return False
    return True
