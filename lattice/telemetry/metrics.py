"""Counts of calls, kept where they happen and read by whoever shows them."""

from __future__ import annotations

from collections import Counter

REFUSED_MAX = 10_000
"""Pairs of origin and reason that are counted apart: origins of calls from elsewhere may be made up."""
OTHERS = "(others)"
"""In place of origins beyond that."""


class Metrics:
    """Calls by target, and failures by target and error code. Targets are what runs here, so the tables are bounded.
    `refused` are the calls that were not let through, by origin and code; they are among the failures too."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.failures: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[tuple[str, str]] = Counter()

    def refuse(self, origin: str, code: str) -> None:
        """`code` is that of `NotLinked`, `NotGranted`, `Denied` or `NotAuthentic`."""
        key = (origin, code)
        if key not in self.refused and len(self.refused) >= REFUSED_MAX:
            key = (OTHERS, code)
        self.refused[key] += 1

    def snapshot(self) -> dict[str, object]:
        """As JSON data: `{"calls": {target: n}, "failures": {target: {code: n}}, "refused": {origin: {code: n}}}`."""
        return {"calls": dict(self.calls), "failures": _nested(self.failures), "refused": _nested(self.refused)}


def _nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (one, code), count in counts.items():
        found.setdefault(one, {})[code] = count
    return found
