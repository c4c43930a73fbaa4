"""Refused calls in the log: who, whom, what and why, once a minute for each, however often it is tried."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

from lattice import errors

_log = logging.getLogger("lattice.audit")

AGAIN_S = 60.0
"""A refusal that repeats is told again after this time, with how often it came meanwhile."""
KEPT_MAX = 5_000
"""Different refusals that are told apart; one more drops the oldest, which is then told again when it repeats. Names of
callers and contracts may come from strangers."""
LINES_MAX = 200
"""In AGAIN_S: whoever makes up a new name for each call does not fill the log."""
TEXT_CHARS_MAX = 500


Refused: TypeAlias = Callable[[str, str, errors.CallError], None]
"""Gets what was refused before it was known who asks: what it says of itself, what it wanted, and why not."""


class Audit:
    """`refused` is called for each refusal."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[str, str, str, str], list[float]] = OrderedDict()
        """When it was told, and how often it came since."""
        self._began = float("-inf")
        self._lines = 0

    def refused(self, origin: str, target: str, contract: str, reason: str, message: str, now: float) -> None:
        """`reason` is a code, with the rule of a policy; `now` seconds of any steady clock."""
        key = (origin[:TEXT_CHARS_MAX], target[:TEXT_CHARS_MAX], contract[:TEXT_CHARS_MAX], reason[:TEXT_CHARS_MAX])
        known = self._told.get(key)
        if known is not None and now - known[0] < AGAIN_S:
            known[1] += 1
            return
        if now - self._began >= AGAIN_S:
            self._began, self._lines = now, 0
        self._lines += 1
        if self._lines > LINES_MAX:
            if self._lines == LINES_MAX + 1:
                _log.warning("more refusals than %d different ones in a minute; the rest is not told", LINES_MAX)
            return
        more = f" (and {known[1]:.0f} times since it was last told)" if known is not None and known[1] else ""
        what = f" with {contract[:TEXT_CHARS_MAX]!r}" if contract else ""
        _log.warning(
            "refused: %r to %r%s: %s: %s%s",
            key[0],
            key[1],
            what,
            key[3],
            _in_one_line(message[:TEXT_CHARS_MAX]),
            more,
        )
        if known is None and len(self._told) >= KEPT_MAX:
            self._told.popitem(last=False)
        self._told[key] = [now, 0]
        self._told.move_to_end(key)


def _in_one_line(text: str) -> str:
    """Callers have a say in messages: nothing in them may look like another line of the log."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
