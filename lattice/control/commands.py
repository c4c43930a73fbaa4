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

from lattice import errors, subjects
from lattice.config import Limits
from lattice.control.executor import Executor
from lattice.control.messages import ScaleComponent, StartProvider, StopProvider, UpdateComponent
from lattice.control.presence import Presence
from lattice.control.state import Failure, Wanted
from lattice.control.store import Store
from lattice.tasks import end_all

_log = logging.getLogger("lattice.commands")

EPOCH = "nanolattice.epoch"
"""Annotation of a reconciler's commands: which reconciler's."""
ORDER = "nanolattice.order"
"""Annotation: the number of the command among its reconciler's. Of two for one key the later one counts, in whichever
order they arrive."""
REVISION = "nanolattice.revision"
"""Annotation: the stored state that the command was made from."""
RUNNING_MAX = 10_000
"""Commands at once; one more is refused."""
COUNT_MAX = 2**32 - 1
"""Copies of an actor: what tools keep the number in."""
EPOCH_DIGITS_MAX = 18
SYNC_S_MAX = 10.0
"""Until the state is known that a command was made from; without it a component would be started as somebody else."""
ORDERS_MAX = 20_000
"""Keys of which the newest command is remembered."""


class Commands:
    """`note` and `clear` keep what failed here, for this host's own view. `restarted_epoch` is the lease's; epochs are
    small again when the store was lost and began anew."""

    def __init__(
        self,
        host: str,
        executor: Executor,
        store: Store,
        presence: Presence,
        note: Callable[[Failure], None],
        clear: Callable[[str, str], None],
        restarted_epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        self._host = host
        self._executor = executor
        self._store = store
        self._presence = presence
        self._note = note
        self._clear = clear
        self._restarted_epoch = restarted_epoch
        self._epoch = 0
        self._orders: dict[str, tuple[int, int]] = {}
        """By key, the epoch and number of the newest command."""
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}
        """By key, with how many commands have one or wait for it."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopping = False

    async def close(self) -> None:
        """Ends what is being done."""
        self.stopping = True
        await end_all(self._tasks)

    def scale(self, request: ScaleComponent) -> None:
        """Raises `errors.MalformedMessage`, `errors.Conflict` for a command of a reconciler that was replaced,
        `errors.Draining`, `errors.Overloaded`."""
        key, count = request.component_id, request.wanted_count
        if not 0 <= count <= COUNT_MAX:
            raise errors.MalformedMessage(f"count is a number from 0 to {COUNT_MAX}, not {count}")
        limits = _limits(request.component_limits)
        if count and not request.component_ref and not self._knows(key):
            raise errors.MalformedMessage(f"component_ref says what to run as {key}, which is not known here")
        annotations = self._accept(key, request.annotations)
        self._begin(key, self._scale(request, limits, annotations))

    async def _scale(self, request: ScaleComponent, limits: Limits | None, annotations: dict[str, str]) -> None:
        key, count = request.component_id, request.wanted_count
        wanted = await self._wanted(key, "actor", request.component_ref, annotations, limits=limits)
        data = {"component_id": key, "host_id": self._host, "image_ref": wanted.image, "max_instances": count}

        async def scale() -> None:
            if request.allow_update and any(one.key == key for one in self._executor.actors()):
                await self._executor.update_actor(wanted, annotations)
            await self._executor.scale_actor(wanted, count, annotations)

        await self._carry_out("component_scaled", "component_scale_failed", wanted, data, annotations, scale())

    def update(self, request: UpdateComponent) -> None:
        """Raises as `scale`, and `errors.TargetUnknown`."""
        key = request.component_id
        annotations = self._accept(key, request.annotations)
        if not self._runs(key):
            raise errors.TargetUnknown(f"{key} does not run on this host")
        self._begin(key, self._update(request, annotations))

    async def _update(self, request: UpdateComponent, annotations: dict[str, str]) -> None:
        key = request.component_id
        provider = next((one for one in self._executor.providers() if one.key == key), None)
        seen = next((one for one in self._executor.actors() if one.key == key), None)
        if provider is None and seen is None:
            _log.info("%s was stopped before it was updated", key)
            return
        kind = "provider" if provider is not None else "actor"
        wanted = await self._wanted(key, kind, request.new_component_ref, annotations)
        if provider is not None:
            data: dict[str, Any] = {"provider_id": key, "host_id": self._host, "image_ref": wanted.image}
            work = self._executor.start_provider(wanted, annotations)
            await self._carry_out("provider_started", "provider_start_failed", wanted, data, annotations, work)
            return
        count = seen.count if seen is not None else 1
        scaled: dict[str, Any] = {"component_id": key, "host_id": self._host, "image_ref": wanted.image}
        data = {**scaled, "max_instances": count}
        work = self._executor.update_actor(wanted, annotations)
        await self._carry_out("component_scaled", "component_scale_failed", wanted, data, annotations, work)

    def start_provider(self, request: StartProvider) -> None:
        """Raises as `scale`."""
        key = request.provider_id
        if not request.provider_ref and not self._knows(key):
            raise errors.MalformedMessage(f"provider_ref says what to run as {key}, which is not known here")
        annotations = self._accept(key, request.annotations)
        self._begin(key, self._start_provider(request, annotations))

    async def _start_provider(self, request: StartProvider, annotations: dict[str, str]) -> None:
        key = request.provider_id
        data = {
            "provider_id": key,
            "host_id": self._host,
            "image_ref": request.provider_ref,
            "provider_ref": request.provider_ref,
        }
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
        """Raises as `scale`, and `errors.TargetUnknown`."""
        key = request.provider_id
        annotations = self._accept(key, request.annotations)
        if not self._runs(key):
            raise errors.TargetUnknown(f"no provider {key} runs on this host")
        self._begin(key, self._stop_provider(request, annotations))

    async def _stop_provider(self, request: StopProvider, annotations: dict[str, str]) -> None:
        annotations.pop(REVISION, None)
        await self._executor.stop_provider(request.provider_id)
        data = {
            "provider_id": request.provider_id,
            "host_id": self._host,
            "reason": "asked to",
            "annotations": annotations,
        }
        await self._presence.event("provider_stopped", data)

    # What all of them share.

    def _runs_here(self, key: str) -> bool:
        actors, providers = self._executor.actors(), self._executor.providers()
        return any(one.key == key for one in actors) or any(one.key == key for one in providers)

    def _runs(self, key: str) -> bool:
        """Here, or it is about to."""
        return key in self._turns or self._runs_here(key)

    def runs_provider(self, key: str) -> bool:
        """Whether a provider of this key runs here."""
        return any(one.key == key for one in self._executor.providers())

    def _knows(self, key: str) -> bool:
        return key in self._store.desired.wanted or self._runs(key)

    def _accept(self, key: str, annotations: dict[str, str] | None) -> dict[str, str]:
        """What may be kept of a command's annotations, if the command may be carried out."""
        if not subjects.is_word(key):
            raise errors.MalformedMessage(f"{key[:80]!r} cannot be an id: it has to stand between dots of a subject")
        given = dict(annotations or {})
        epoch, order = _number(given, EPOCH), _number(given, ORDER)
        if epoch:
            if epoch < self._epoch and epoch != self._restarted_epoch():
                raise errors.Conflict(f"a reconciler of epoch {epoch} gives no orders any more; it is {self._epoch}")
            if self._orders.get(key, (0, 0)) > (epoch, order) and epoch == self._epoch:
                raise errors.Conflict(f"a later command for {key} was here before this one")
        if self.stopping:
            raise errors.Draining("this host is stopping")
        if len(self._tasks) >= RUNNING_MAX:
            raise errors.Overloaded(f"{RUNNING_MAX} commands are being carried out")
        if epoch:
            self._epoch = epoch
            self._orders.pop(key, None)
            if len(self._orders) >= ORDERS_MAX:
                del self._orders[next(iter(self._orders))]
            self._orders[key] = (epoch, order)
        return given

    def _begin(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        turn, waiting = self._turns.get(key) or (asyncio.Lock(), 0)
        self._turns[key] = (turn, waiting + 1)

        async def in_turn() -> None:
            async with turn:
                await work

        task = asyncio.create_task(in_turn(), name=f"command:{key}")
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            turn, waiting = self._turns.pop(key)
            if waiting > 1:
                self._turns[key] = (turn, waiting - 1)
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
        if revision.isascii() and revision.isdigit() and len(revision) <= EPOCH_DIGITS_MAX:
            if not await self._store.synced(int(revision), SYNC_S_MAX):
                raise errors.StoreUnavailable(f"the state that a command for {key} was made from did not arrive")
            if key not in self._store.desired.wanted and not self._runs_here(key):
                raise errors.Conflict(f"a command for {key} came when nobody wanted it any more")
        known = self._store.desired.wanted.get(key)
        if known is not None and reference in ("", known.image):
            return known
        if known is not None:
            return msgspec.structs.replace(known, image=reference, goes_back=False)
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
        data = {**data, "annotations": annotations}
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


def _number(annotations: dict[str, str], name: str) -> int:
    """Takes an annotation that is a whole number out; 0 when it is not there."""
    text = annotations.pop(name, "")
    if text and (not text.isascii() or not text.isdigit() or len(text) > EPOCH_DIGITS_MAX):
        raise errors.MalformedMessage(f"{name} is a whole number, not {text[:20]!r}")
    return int(text or 0)


def _limits(given: Any) -> Limits | None:
    """Limits as this project writes them; those of other hosts have other fields."""
    if not isinstance(given, dict):
        return None
    try:
        return msgspec.convert(given, Limits)
    except msgspec.ValidationError as error:
        raise errors.MalformedMessage(f"component_limits: {error}") from error
