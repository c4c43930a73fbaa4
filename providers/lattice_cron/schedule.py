"""When a timer is due. Pure: times go in and come out as seconds since 1970-01-01 UTC.

Invariant: due times of one schedule only grow. A local time that the clock skips in spring is due at the moment of the
skip, several of them once. A local time that comes twice in autumn is due at its first coming, and at both only when
the hour field is `*`: "every ten minutes" means ten minutes, "at half past two" means once a day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from croniter import croniter

EXPRESSION_CHARS_MAX = 256
"""Longer than any expression a person can read."""
EVERY_S_MIN = 0.01
"""Shorter intervals are a loop, not a timer."""
EVERY_S_MAX = 366 * 86_400.0
MISSED_MAX = 1000
"""Missed ticks that are counted one by one: 25 ms of work after a clock went years ahead."""
BACKWARD_S = 60.0
"""A clock set back by less is waited out, so that no tick comes twice; set back by more, its schedule begins anew."""
_DAY_S = 86_400.0
_FOLD_S_MAX = 3 * 3600.0
"""No clock is set back by more at the end of summer time (most by one hour)."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY_S, "": 1.0}
_EVERY = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|m|h|d|)")
# croniter would draw these at random, or from a name, instead of refusing them.
_RANDOM = re.compile(r"(?<![a-z])[rh](?![a-z])", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1)
_SECOND = timedelta(seconds=1)


class Due(Protocol):
    """A schedule."""

    def next_after(self, moment: float) -> float:
        """The first due time after `moment`."""

    def catch_up(self, due: float, now: float) -> tuple[float, int, float]:
        """With `due` past: the last due time until `now`, how many before that were missed, the next one."""

    def after_jump(self, due: float, now: float, jump: float) -> float:
        """What `due` becomes when the wall clock was found `jump` seconds ahead of where it should be."""


class Every:
    """A fixed interval by the stopwatch: setting the clock neither hurries nor delays it."""

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s

    def next_after(self, moment: float) -> float:
        return moment + self.interval_s

    def catch_up(self, due: float, now: float) -> tuple[float, int, float]:
        missed = int((now - due) // self.interval_s)
        last = due + missed * self.interval_s
        return last, missed, last + self.interval_s

    def after_jump(self, due: float, now: float, jump: float) -> float:
        return due + jump


class CronTimes:
    """A cron expression in a time zone."""

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        self._zone = zone
        self._matches = cron_matches(expression)
        self._both_passes = expression.split()[-4] == "*"

    def next_after(self, moment: float) -> float:
        begin, offset = moment, self._offset(moment)
        local, inclusive = _local(moment, offset), False
        if not self._both_passes and datetime.fromtimestamp(moment, self._zone).fold:
            change = self._change(moment - _FOLD_S_MAX, moment)
            if change is not None:
                local, inclusive = _local(change, self._offset(change - 1)), True
        while True:
            match = _next_match(self._matches, local - _SECOND if inclusive else local)
            due = (match - _EPOCH).total_seconds() - offset
            change = self._change(begin, due)
            if change is None:
                return due
            offset_after = self._offset(change)
            skipped = offset_after > offset
            resumed = _local(change, offset_after)
            if skipped and match < resumed:
                return change
            local = resumed if skipped or self._both_passes else _local(change, offset)
            begin, offset, inclusive = change, offset_after, True

    def catch_up(self, due: float, now: float) -> tuple[float, int, float]:
        missed = 0
        following = self.next_after(due)
        while following <= now and missed < MISSED_MAX:
            due, missed = following, missed + 1
            following = self.next_after(due)
        return due, missed, following if following > now else self.next_after(now)

    def after_jump(self, due: float, now: float, jump: float) -> float:
        return self.next_after(now) if jump < -BACKWARD_S else due

    def _offset(self, moment: float) -> float:
        offset = datetime.fromtimestamp(moment, self._zone).utcoffset()
        assert offset is not None, "a time with a zone has an offset"
        return offset.total_seconds()

    def _change(self, begin: float, end: float) -> float | None:
        """The first second in (begin, end] whose offset is not that of `begin`."""
        offset = self._offset(begin)
        while begin < end:
            step = min(begin + _DAY_S, end)
            if self._offset(step) == offset:
                begin = step
                continue
            before, after = int(begin), int(-(-step // 1))
            while after - before > 1:
                middle = (before + after) // 2
                if self._offset(middle) == offset:
                    before = middle
                else:
                    after = middle
            return float(after)
        return None


def parse_every(text: str) -> float:
    """Seconds of `10`, `500ms`, `10s`, `5m`, `1h` or `1d`. Raises `ValueError`."""
    found = _EVERY.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not an interval; write for example 500ms, 10s, 5m or 1h")
    seconds = float(found[1]) * _UNITS[found[2]]
    if not EVERY_S_MIN <= seconds <= EVERY_S_MAX:
        raise ValueError(f"{text!r} is not between 10ms and 366d")
    return seconds


def cron_matches(expression: str) -> croniter:
    """Reads an expression of five fields, or six with seconds first. Raises `ValueError`, also when it never comes."""
    fields = expression.split()
    if len(expression) > EXPRESSION_CHARS_MAX or len(fields) not in (5, 6):
        raise ValueError(
            f"{expression[:EXPRESSION_CHARS_MAX]!r} has {len(fields)} fields; "
            "give five (minute hour day month weekday), or six with seconds first"
        )
    if _RANDOM.search(expression):
        raise ValueError(f"{expression!r}: random and hashed fields are not known")
    try:
        matches = croniter(expression, _EPOCH, second_at_beginning=True)
        _next_match(matches, datetime(2024, 1, 1))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"{expression!r} is not a schedule: {error}") from None
    return matches


def _next_match(matches: croniter, local: datetime) -> datetime:
    matches.set_current(local, force=True)
    found: datetime = matches.get_next(datetime)
    return found


def _local(moment: float, offset: float) -> datetime:
    """The wall clock's reading, without a zone."""
    return datetime.fromtimestamp(moment + offset, UTC).replace(tzinfo=None)


def upcoming(schedule: Due, moment: float) -> Iterator[float]:
    """Every due time after `moment`, for ever."""
    while True:
        moment = schedule.next_after(moment)
        yield moment
