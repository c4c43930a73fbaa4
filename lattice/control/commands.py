"""What this host does when it is told to start, scale, update or stop something.

A command is acknowledged when it is understood and carried out afterwards; events tell how it ended. Commands for one
key follow each other. What a component is comes from the stored state where it is known there, else from the command.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from lattice import errors
from lattice.config import Limits
from lattice.control.executor import Executor
from lattice.control.messages import ScaleComponent, StartProvider, StopProvider, UpdateComponent
from lattice.control.presence import Presence
from lattice.control.state import Failure, Wanted
from lattice.control.store import Store

_log = logging.getLogger("lattice.commands")

EPOCH = "nanolattice.epoch"
"""Annotation of a reconciler's commands: which reconciler's."""
REVISION = "nanolattice.revision"
"""Annotation: the stored state that the command was made from."""
RUNNING_MAX = 10_000
"""Commands at once; one more is refused."""


class Commands:
    """`note` and `clear` keep what failed here, for this host's own view."""

    def __init__(
        self,
        host: str,
        executor: Executor,
        store: Store,
        presence: Presence,
        note: Callable[[Failure], None],
        clear: Callable[[str, str], None],
    ) -> None:
        self._host = host
        self._executor = executor
        self._store = store
        self._presence = presence
        self._note = note
        self._clear = clear
        self._epoch = 0
        self._turns: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopping = False

    async def close(self) -> None:
        """Ends what is being done."""
        self.stopping = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def scale(self, request: ScaleComponent) -> None:
        """Raises `errors.Conflict` for a command of a reconciler that was replaced, `errors.Draining`,
        `errors.Overloaded`."""
        annotations = self._accept(request.annotations)
        self._begin(request.component_id, self._scale(request, annotations))

    async def _scale(self, request: ScaleComponent, annotations: dict[str, str]) -> None:
        key, count = request.component_id, request.wanted_count
        limits = _limits(request.component_limits)
        wanted = await self._wanted(key, "actor", request.component_ref, annotations, limits=limits)
        data = {"component_id": key, "host_id": self._host, "image_ref": wanted.image, "max_instances": count}

        async def scale() -> None:
            if request.allow_update and any(one.key == key for one in self._executor.actors()):
                await self._executor.update_actor(wanted, annotations)
            await self._executor.scale_actor(wanted, count, annotations)

        await self._carry_out("component_scaled", "component_scale_failed", wanted, data, annotations, scale())

    def update(self, request: UpdateComponent) -> None:
        annotations = self._accept(request.annotations)
        self._begin(request.component_id, self._update(request, annotations))

    async def _update(self, request: UpdateComponent, annotations: dict[str, str]) -> None:
        key = request.component_id
        provider = next((one for one in self._executor.providers() if one.key == key), None)
        kind = "provider" if provider is not None else "actor"
        wanted = await self._wanted(key, kind, request.new_component_ref, annotations)
        if provider is not None:
            data: dict[str, Any] = {"provider_id": key, "host_id": self._host, "image_ref": wanted.image}
            work = self._executor.start_provider(wanted, annotations)
            await self._carry_out("provider_started", "provider_start_failed", wanted, data, annotations, work)
            return
        seen = next((one for one in self._executor.actors() if one.key == key), None)
        count = seen.count if seen is not None else 1
        scaled: dict[str, Any] = {"component_id": key, "host_id": self._host, "image_ref": wanted.image}
        data = {**scaled, "max_instances": count}
        work = self._executor.update_actor(wanted, annotations)
        await self._carry_out("component_scaled", "component_scale_failed", wanted, data, annotations, work)

    def start_provider(self, request: StartProvider) -> None:
        annotations = self._accept(request.annotations)
        self._begin(request.provider_id, self._start_provider(request, annotations))

    async def _start_provider(self, request: StartProvider, annotations: dict[str, str]) -> None:
        key = request.provider_id
        data = {"provider_id": key, "host_id": self._host, "image_ref": request.provider_ref}
        config: dict[str, str] = {}
        try:
            for name in request.config:
                found = await self._store.config(name)
                if found is None:
                    raise errors.ConfigError(f"there is no configuration {name!r}", remedy="lattice config put")
                config.update(found)
        except errors.LatticeError as error:
            await self._presence.event("provider_start_failed", {**data, "error": str(error), "code": error.code})
            return
        wanted = await self._wanted(key, "provider", request.provider_ref, annotations, config=config)
        work = self._executor.start_provider(wanted, annotations)
        await self._carry_out("provider_started", "provider_start_failed", wanted, data, annotations, work)

    def stop_provider(self, request: StopProvider) -> None:
        annotations = self._accept(request.annotations)
        self._begin(request.provider_id, self._stop_provider(request, annotations))

    async def _stop_provider(self, request: StopProvider, annotations: dict[str, str]) -> None:
        await self._executor.stop_provider(request.provider_id)
        data = {
            "provider_id": request.provider_id,
            "host_id": self._host,
            "reason": "asked to",
            "annotations": annotations,
        }
        await self._presence.event("provider_stopped", data)

    # What all of them share.

    def _accept(self, annotations: dict[str, str] | None) -> dict[str, str]:
        """What may be kept of a command's annotations, if the command may be carried out."""
        given = dict(annotations or {})
        epoch = given.pop(EPOCH, "")
        if epoch:
            if not epoch.isdigit() or int(epoch) < self._epoch:
                raise errors.Conflict(f"a reconciler of epoch {epoch} gives no orders any more; it is {self._epoch}")
            self._epoch = int(epoch)
        if self.stopping:
            raise errors.Draining("this host is stopping")
        if len(self._tasks) >= RUNNING_MAX:
            raise errors.Overloaded(f"{RUNNING_MAX} commands are being carried out")
        return given

    def _begin(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        turn = self._turns.setdefault(key, asyncio.Lock())

        async def in_turn() -> None:
            async with turn:
                await work

        task = asyncio.create_task(in_turn(), name=f"command:{key}")
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            work.close()  # if it never began
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.error("a command for %s failed: %s: %s", key, type(error).__name__, error)

        task.add_done_callback(ended)

    async def _wanted(
        self,
        key: str,
        kind: Any,
        reference: str,
        annotations: dict[str, str],
        *,
        config: dict[str, str] | None = None,
        limits: Limits | None = None,
    ) -> Wanted:
        """What to run: the stored state's, if it knows the key and the command does not ask for another image."""
        revision = annotations.pop(REVISION, "")
        if revision.isdigit():
            await self._store.synced(int(revision))
        known = self._store.desired.wanted.get(key)
        if known is not None and reference in ("", known.image):
            return known
        if known is not None:
            return msgspec.structs.replace(known, image=reference)
        return Wanted(key=key, name=key, kind=kind, image=reference, config=config or {}, limits=limits or Limits())

    async def _carry_out(
        self,
        done: str,
        failed: str,
        wanted: Wanted,
        data: dict[str, Any],
        annotations: dict[str, str],
        work: Awaitable[None],
    ) -> None:
        """Does it, and tells how it ended."""
        data = {**data, "annotations": annotations, "claims": None}
        try:
            await work
        except errors.LatticeError as error:
            failure = error
        except Exception as error:
            _log.exception("%s could not be started", wanted.key)
            failure = errors.LatticeError(f"{type(error).__name__}: {error}")
        else:
            self._clear(self._host, wanted.key)
            await self._presence.event(done, data)
            return
        _log.error("%s: %s", wanted.key, failure)
        told = {
            "error": str(failure),
            "code": failure.code,
            "remedy": failure.remedy,
            "fingerprint": wanted.fingerprint,
        }
        self._note(
            Failure(
                host=self._host,
                key=wanted.key,
                code=failure.code,
                message=str(failure),
                remedy=failure.remedy,
                fingerprint=wanted.fingerprint,
            )
        )
        await self._presence.event(failed, {**data, **told})


def _limits(given: Any) -> Limits | None:
    """Limits as this project writes them; those of other hosts have other fields."""
    if not isinstance(given, dict):
        return None
    try:
        return msgspec.convert(given, Limits)
    except msgspec.ValidationError as error:
        raise errors.MalformedMessage(f"component_limits: {error}") from error
