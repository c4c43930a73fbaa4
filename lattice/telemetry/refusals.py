"""What was refused, for whoever looks after a host: one log line each, as many as can be read."""

from __future__ import annotations

import logging

LINES_MAX = 20
"""Lines of one minute. Strangers can make a host refuse as often as they like."""
PER_S = 60.0


class Refusals:
    """Each line says who was refused what, and why."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._since = float("-inf")
        self._lines = 0
        self._left_out = 0
        self.count = 0
        """Since the host started."""

    def note(self, now: float, who: str, what: str, why: str) -> None:
        """`now` is a monotonic time in seconds."""
        self.count += 1
        if now - self._since >= PER_S:
            if self._left_out:
                self._log.warning("%d more refusals like these are not shown", self._left_out)
            self._since, self._lines, self._left_out = now, 0, 0
        if self._lines >= LINES_MAX:
            self._left_out += 1
            return
        self._lines += 1
        self._log.warning("refused: %.200r may not %.300r: %s", who, what, why[:500])
