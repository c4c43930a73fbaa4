"""Counts of calls, kept where they happen and read by whoever shows them."""

from __future__ import annotations

from collections import Counter


class Metrics:
    """Calls by target, and failures by target and error code. Targets are what runs here, so the tables are bounded."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.failures: Counter[tuple[str, str]] = Counter()

    def snapshot(self) -> dict[str, object]:
        """As JSON data: `{"calls": {target: n}, "failures": {target: {code: n}}}`."""
        failures: dict[str, dict[str, int]] = {}
        for (target, code), count in self.failures.items():
            failures.setdefault(target, {})[code] = count
        return {"calls": dict(self.calls), "failures": failures}
