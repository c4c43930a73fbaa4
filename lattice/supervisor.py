"""The providers that run in this host: started, linked, watched, restarted with backoff, drained and stopped.

A provider that fails never takes the host with it: its callers get `ProviderUnavailable` that says why and when the
next try is, until it runs again with all its links.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, TypeAlias

from lattice import errors
from lattice.invocation import Handler, Invocation
from lattice.links import Link
from lattice.provider import Context, Provider, validated
from lattice.router import Router
from lattice.security.redaction import Redactor
from lattice.tasks import end_all

_log = logging.getLogger("lattice.providers")

ENTRY_POINTS = "lattice.providers"
START_S_MAX = 30.0
"""A provider's start, and each of its link steps; connecting to a backend takes less or has failed."""
STOP_S_MAX = 10.0
BACKOFF_S_MIN, BACKOFF_S_MAX = 0.5, 30.0
HEALTH_EVERY_S, HEALTH_S_MAX = 5.0, 3.0

ProviderType = type[Provider[Any, Any]]
PermitStart: TypeAlias = Callable[[str, str, str, str], Awaitable[None]]
"""By key, name, application and contract: raises `errors.Denied` for a provider that may not start here."""
Status = Literal["starting", "running", "unhealthy", "failed", "stopped"]


async def permit_any(_key: str, _name: str, _application: str, _contract: str) -> None:
    """The rule of a host without a policy."""


class Installed(Mapping[str, str]):
    """The providers of this Python environment: their names, and by name the id of their contract.

    A provider is imported when it is asked for: the clients behind some take half a second to import.
    """

    def __init__(self) -> None:
        self._entries = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
        self._types: dict[str, ProviderType] = {}

    def type(self, name: str) -> ProviderType:
        """Raises `errors.ConfigError` when the provider's own libraries are missing."""
        found = self._types.get(name)
        if found is None:
            try:
                found = self._types[name] = self._entries[name].load()
            except ImportError as error:
                raise errors.ConfigError(
                    f"the provider {name} needs a library that is not installed: {error}",
                    remedy='pip install "nanolattice[all]"',
                ) from error
        return found

    def __getitem__(self, name: str) -> str:
        if name not in self._entries:
            raise KeyError(name)
        return self.type(name).contract.id

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries


class RunningProvider:
    """One provider and its life here. `handle` is its place in the router."""

    def __init__(
        self,
        key: str,
        name: str,
        type_: ProviderType,
        config: dict[str, str],
        data: Path,
        outbound: Handler,
        changed: Callable[[], None],
        redactor: Redactor,
        takes_pieces: Callable[[str, str], bool],
    ) -> None:
        self.key = key
        self.name = name
        self.type = type_
        self.settings = validated(type_.settings_type, config, f"provider {name}: config")
        self._status: Status = "starting"
        self._changed = changed
        self._redactor = redactor
        self.cause: BaseException | None = None
        self.restarts = 0
        self.started_at = time.time()
        self.links: dict[tuple[str, str, str], Link] = {}
        self._data = data
        log = logging.getLogger(f"lattice.provider.{name}")
        self._context = partial(Context, key, data, log, outbound, self._report, redactor, takes_pieces)
        self._routes: dict[tuple[str, str, str], Any] = {}
        self._provider: Provider[Any, Any] | None = None
        self._next_try = 0.0
        self._failed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()

    @property
    def status(self) -> Status:
        return self._status

    @status.setter
    def status(self, status: Status) -> None:
        if status != self._status:
            self._status = status
            self._changed()

    def handle(self, invocation: Invocation) -> Any:
        """A `Handler`: the provider's own, or the reason why there is none."""
        provider = self._provider
        if provider is None:
            raise errors.ProviderUnavailable(self._why_not())
        return provider.handle(invocation)

    def _why_not(self) -> str:
        if self.status == "stopped":
            return f"{self.name} is stopped"
        wait_s = max(0.0, self._next_try - time.monotonic())
        reason = f": {self.cause}" if self.cause else ""
        return f"{self.name} is not running{reason}; the next try is in {wait_s:.1f} s"

    def urls(self) -> list[str]:
        return [] if self._provider is None else [self._redactor.clean(url) for url in self._provider.urls()]

    async def start(self) -> None:
        """The first start. A mistake in the configuration is raised; anything else is retried in the background."""
        try:
            await self._begin()
        except errors.ConfigError:
            self.status = "stopped"
            raise
        except Exception as error:
            self._note_failure(error)
        self._keeper = asyncio.create_task(self._keep(), name=f"provider:{self.key}")

    async def put_link(self, link: Link) -> None:
        """Links now, or when the provider runs again. Raises `errors.ConfigError` for settings it cannot use."""
        with self._redactor.scrubbing():
            await self._put_link(link)

    async def _put_link(self, link: Link) -> None:
        self._check_settings(link)
        async with self._changing:
            await self._unlink(link)
            self.links[_identity(link)] = link
            if self._provider is not None:
                try:
                    await self._link(self._provider, link)
                except errors.ConfigError:
                    del self.links[_identity(link)]
                    raise
                except Exception as error:
                    self._report(error)

    async def delete_link(self, link: Link) -> None:
        async with self._changing:
            await self._unlink(link)
            self.links.pop(_identity(link), None)

    async def drain(self, deadline: float) -> bool:
        """Lets the provider finish what it began; False when `deadline` came first."""
        if self._provider is None:
            return True
        try:
            async with asyncio.timeout_at(deadline):
                await self._provider.drain()
        except TimeoutError:
            return False
        except Exception:
            _log.exception("%s failed while draining", self.name)
        return True

    async def stop(self) -> None:
        self.status = "stopped"
        if self._keeper is not None:
            await end_all((self._keeper,))
        async with self._changing:
            await self._end()

    # Starting and keeping it running.

    def _check_settings(self, link: Link) -> None:
        if link.target == self.key:
            validated(self.type.attach_settings_type, link.target_config, f"link {link}: target_config")
        else:
            validated(self.type.route_settings_type, link.source_config, f"link {link}: source_config")

    async def _begin(self) -> None:
        """Makes, starts and links a provider. Raises what it raises, after stopping it again."""
        provider = self.type(self.settings)
        await asyncio.to_thread(self._data.mkdir, parents=True, exist_ok=True)
        provider.context = self._context()
        self._failed.clear()
        try:
            async with asyncio.timeout(START_S_MAX):
                await provider.start()
            for link in list(self.links.values()):
                await self._link_again(provider, link)
            if self._failed.is_set() and self.cause is not None:
                raise self.cause
        except BaseException:
            await self._dispose(provider)
            raise
        self._provider = provider
        self.status, self.cause = "running", None

    async def _link_again(self, provider: Provider[Any, Any], link: Link) -> None:
        """After a restart. A link that turns out to be a mistake does not take the others with it."""
        try:
            await self._link(provider, link)
        except errors.ConfigError as error:
            _log.error("%s refuses %s: %s", self.name, link, error)

    async def _link(self, provider: Provider[Any, Any], link: Link) -> None:
        async with asyncio.timeout(START_S_MAX):
            if link.target == self.key:
                await provider.attach_link(link)
            else:
                self._routes[_identity(link)] = await provider.route_link(link)

    async def _unlink(self, link: Link) -> None:
        known = self.links.get(_identity(link))
        if known is None or self._provider is None:
            return
        try:
            async with asyncio.timeout(START_S_MAX):
                if known.target == self.key:
                    await self._provider.detach_link(known)
                elif _identity(known) in self._routes:
                    await self._provider.unroute(known, self._routes.pop(_identity(known)))
        except Exception:
            # Whoever closes what was linked may find it broken. The link is gone all the same.
            _log.exception("%s did not give up %s in order", self.name, known)

    def _report(self, error: BaseException) -> None:
        """A task of the provider's failed: it has crashed."""
        self._note_failure(error)
        self._failed.set()

    def _note_failure(self, error: BaseException) -> None:
        self.cause = self._redactor.cleaned(error)
        if self.status != "stopped":
            self.status = "failed"
        _log.error("%s failed: %s: %s", self.name, type(error).__name__, error)

    async def _keep(self) -> None:
        """Looks after the provider until it is stopped: health, and restarts with backoff."""
        backoff_s = BACKOFF_S_MIN
        while True:
            if self._provider is not None:
                try:
                    async with asyncio.timeout(HEALTH_EVERY_S):
                        await self._failed.wait()
                except TimeoutError:
                    backoff_s = BACKOFF_S_MIN
                    await self._check_health(self._provider)
                    continue
            self._next_try = time.monotonic() + backoff_s
            async with self._changing:
                await self._end()
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)
            self.restarts += 1
            try:
                async with self._changing:
                    await self._begin()
                _log.info("%s runs again", self.name)
            except Exception as error:
                self._note_failure(error)

    async def _check_health(self, provider: Provider[Any, Any]) -> None:
        try:
            async with asyncio.timeout(HEALTH_S_MAX):
                await provider.health()
        except Exception as error:
            if self.status != "unhealthy":
                _log.warning("%s is unhealthy: %s", self.name, error or type(error).__name__)
            self.status, self.cause = "unhealthy", self._redactor.cleaned(error)
        else:
            if self.status == "unhealthy":
                _log.info("%s is healthy again", self.name)
                self.status, self.cause = "running", None

    async def _end(self) -> None:
        if self._provider is not None:
            provider, self._provider = self._provider, None
            await self._dispose(provider)

    async def _dispose(self, provider: Provider[Any, Any]) -> None:
        self._routes.clear()
        for what, step in (("stop", provider.stop), ("end its tasks", provider.context.cancel_tasks)):
            try:
                async with asyncio.timeout(STOP_S_MAX):
                    await step()
            except Exception:
                _log.exception("%s failed to %s", self.name, what)


class Supervisor:
    """Every provider of this host."""

    def __init__(
        self,
        router: Router,
        outbound: Handler,
        data: Path,
        permit: PermitStart = permit_any,
        redactor: Redactor | None = None,
    ) -> None:
        """`redactor` knows the host's secrets, which providers may put into their errors."""
        self._redactor = redactor or Redactor()
        self._router = router
        self._permit = permit
        self._outbound = outbound
        self._data = data
        self._running: dict[str, RunningProvider] = {}
        self._on_change: list[Callable[[], None]] = []

    def __iter__(self) -> Iterator[RunningProvider]:
        return iter(list(self._running.values()))

    def get(self, key: str) -> RunningProvider | None:
        return self._running.get(key)

    def on_change(self, changed: Callable[[], None]) -> None:
        """`changed` is called when the status of a provider has changed."""
        self._on_change.append(changed)

    def _changed(self) -> None:
        for changed in self._on_change:
            changed()

    async def start(
        self, key: str, name: str, type_: ProviderType, config: Mapping[str, str], application: str = ""
    ) -> RunningProvider:
        """Starts a provider and registers it. Raises `errors.ConfigError`, `errors.Denied`; any other failure is
        retried later."""
        if not type_.contract.built_in:  # those are part of the host
            await self._permit(key, name, application, type_.contract.id)
        if key in self._running:
            raise errors.ConfigError(f"a provider {key} runs already")
        data, redactor = self._data / key, self._redactor
        with redactor.scrubbing():
            provider = RunningProvider(
                *(key, name, type_, dict(config), data, self._outbound),
                self._changed,
                redactor,
                self._router.takes_pieces,
            )
        self._router.register(
            key, provider.handle, contract=type_.contract.id, application=application, in_pieces=type_.in_pieces
        )
        try:
            if type_.contract.built_in:
                self._router.register_built_in(type_.contract.id, key, provider.handle)
        except errors.ConfigError:
            self._router.unregister(key)
            raise
        self._running[key] = provider
        try:
            with redactor.scrubbing():
                await provider.start()
        except BaseException:
            await self.stop(key)
            raise
        return provider

    async def stop(self, key: str) -> None:
        provider = self._running.pop(key)
        await provider.stop()
        self._router.unregister(key)

    async def close(self) -> None:
        for key in list(self._running):
            await self.stop(key)


def _identity(link: Link) -> tuple[str, str, str]:
    return (link.source, link.target, link.name)
