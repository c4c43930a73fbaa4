"""What a drill found, for people and for programs."""

from __future__ import annotations

from typing import Any

import msgspec


class EntryReport(msgspec.Struct, frozen=True, kw_only=True):
    """What clients of one address saw, or of two of which they try the other. `examples`: by kind of failure, what the
    first one was told."""

    entry: str
    sent: int
    answered: int
    failed: int
    failed_by_kind: dict[str, int]
    examples: dict[str, str]
    longest_gap_s: float
    p50_ms: float
    p99_ms: float


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A promise, and whether it was kept."""

    promise: str
    kept: bool
    found: str


class DrillReport(msgspec.Struct, frozen=True, kw_only=True):
    """`noticed_s` and `replaced_s` count from the moment something broke; None where nothing was to be noticed or
    replaced. Totals are those of the entries that lived."""

    name: str
    sent: int
    answered: int
    failed: int
    failed_by_kind: dict[str, int]
    longest_gap_s: float
    noticed_s: float | None
    replaced_s: float | None
    returned_s: float | None
    acknowledged: int
    acknowledged_lost: int
    state_equal: bool
    entries: tuple[EntryReport, ...]
    checks: tuple[Check, ...]

    @property
    def kept(self) -> bool:
        return all(check.kept for check in self.checks)


def as_text(report: DrillReport) -> str:
    """A page for a terminal."""
    lines = [f"drill {report.name}: {'every promise kept' if report.kept else 'PROMISES BROKEN'}", ""]
    lines.append(f"{'entry':<22}{'sent':>7}{'answered':>10}{'failed':>8}{'longest gap':>13}{'p50':>9}{'p99':>10}")
    for entry in report.entries:
        lines.append(
            f"{entry.entry:<22}{entry.sent:>7}{entry.answered:>10}{entry.failed:>8}{entry.longest_gap_s:>11.2f} s"
            f"{entry.p50_ms:>6.1f} ms{entry.p99_ms:>7.1f} ms"
        )
        for kind, count in entry.failed_by_kind.items():
            lines.append(f"{'':<22}  {count} x {kind}")
            if kind in entry.examples:
                lines.append(f"{'':<22}    {entry.examples[kind]}")
    lines += ["", f"writes and messages acknowledged {report.acknowledged}, of them lost {report.acknowledged_lost}"]
    lines += [f"{what} after {value:.2f} s" for what, value in _times(report) if value is not None]
    lines.append(f"state of all hosts {'equal' if report.state_equal else 'DIFFERENT'} afterwards")
    lines.append("")
    lines += [f"  {'kept  ' if check.kept else 'BROKEN'}  {check.promise}: {check.found}" for check in report.checks]
    return "\n".join(lines)


def _times(report: DrillReport) -> list[tuple[str, float | None]]:
    return [
        ("noticed", report.noticed_s),
        ("replaced", report.replaced_s),
        ("returned to its share", report.returned_s),
    ]


def as_document(report: DrillReport) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(report)
    return {**document, "kept": report.kept}
