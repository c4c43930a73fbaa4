"""Counts the clicks of the stream, beside the requests, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from pydantic import ValidationError

from .models import Click
from .store import Store, StoreUnavailable
from .telemetry import Telemetry

PAUSE_S, PAUSE_MAX_S = 0.1, 5.0
_log = logging.getLogger("links.clicks")


class Clicks:
    def __init__(self, store: Store, telemetry: Telemetry) -> None:
        self._store = store
        self._telemetry = telemetry
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="clicks")

    def alive(self) -> bool:
        return self._task is not None and not self._task.done()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        pause = PAUSE_S
        while True:
            try:
                async for entry, text in self._store.clicks():
                    await self._count(entry, text)
                    pause = PAUSE_S
            except StoreUnavailable as error:
                _log.warning("clicks wait for the store: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_MAX_S)

    async def _count(self, entry: str, text: str) -> None:
        try:
            click = Click.model_validate_json(text)
        except ValidationError as error:
            _log.error("a click that nobody can read: %s", error)
            self._telemetry.clicks.labels("unreadable").inc()
            await self._store.count(entry, None)
            return
        with self._telemetry.tracer.start_as_current_span("count click"):
            await self._store.count(entry, click)
        self._telemetry.clicks.labels("counted").inc()
