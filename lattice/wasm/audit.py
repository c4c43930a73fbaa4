"""What guests tried and were not granted, in the log of the host's owner: who, what and where."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from lattice.wasm.guest import ActorContext

_log = logging.getLogger("lattice.audit")

ENTRIES_MAX = 20
"""Entries of one actor in a minute; one that tries for ever would fill the log."""
AGAIN_S = 60.0
NAME_BYTES_MAX = 256
"""Of a path that is told."""


class Asking(Protocol):
    """A guest instance, which asked for something."""

    actor: ActorContext


def refused(guest: Asking, what: str, path: bytes = b"") -> None:
    """`what` goes on after the actor's key: "opens a file that ..."."""
    actor, now = guest.actor, time.monotonic()
    if now - actor.refusals_since >= AGAIN_S:
        actor.refusals_since, actor.refusals = now, 0
    actor.refusals += 1
    if actor.refusals > ENTRIES_MAX:
        if actor.refusals == ENTRIES_MAX + 1:
            _log.warning("refused: %s: more than %d times in a minute; the rest is not told", actor.key, ENTRIES_MAX)
        return
    where = f": {path[:NAME_BYTES_MAX].decode('utf-8', 'backslashreplace')!r}" if path else ""
    _log.warning("refused: %s %s%s", actor.key, what, where)
