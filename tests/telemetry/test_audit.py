"""Refusals in the log: once for each in a minute, bounded, and in one line whatever callers call themselves."""

from __future__ import annotations

import pytest

from lattice.telemetry import audit
from lattice.telemetry.audit import Audit
from lattice.telemetry.metrics import OTHERS, REFUSED_MAX, Metrics


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "lattice.audit"]


def test_a_refusal_is_told_again_after_a_minute_with_how_often_it_came(caplog: pytest.LogCaptureFixture) -> None:
    told = Audit()
    for now in (0.0, 1.0, 59.0, 61.0, 62.0):
        told.refused("a", "b", "c", "denied, shut", "no", now)
    assert lines(caplog) == [
        "refused: 'a' to 'b' with 'c': denied, shut: no",
        "refused: 'a' to 'b' with 'c': denied, shut: no (and 2 times since it was last told)",
    ]


def test_each_reason_is_told(caplog: pytest.LogCaptureFixture) -> None:
    told = Audit()
    for reason in ("denied", "not_granted"):
        told.refused("a", "b", "", reason, "no", 0.0)
    assert lines(caplog) == ["refused: 'a' to 'b': denied: no", "refused: 'a' to 'b': not_granted: no"]


def test_who_makes_up_names_fills_neither_log_nor_memory(caplog: pytest.LogCaptureFixture) -> None:
    told = Audit()
    for number in range(audit.KEPT_MAX + 1000):
        told.refused(f"a{number}", "b", "c", "denied", "no", 0.0)
    assert len(lines(caplog)) == audit.LINES_MAX + 1
    assert len(told._told) <= audit.LINES_MAX
    told.refused("later", "b", "c", "denied", "no", audit.AGAIN_S)
    assert lines(caplog)[-1] == "refused: 'later' to 'b' with 'c': denied: no"
    for minute in range(1, 40):
        for number in range(audit.LINES_MAX):
            told.refused(f"{minute}-{number}", "b", "c", "denied", "no", minute * audit.AGAIN_S)
    assert len(told._told) == audit.KEPT_MAX


def test_nothing_in_a_refusal_looks_like_another_line(caplog: pytest.LogCaptureFixture) -> None:
    Audit().refused("a\nb", "c\x1b[2J", "d\r", "denied", "one\ntwo\x1b", 0.0)
    (line,) = lines(caplog)
    assert line.isprintable()


def test_refusals_by_origins_that_are_made_up_are_counted_together() -> None:
    metrics = Metrics()
    for number in range(REFUSED_MAX + 10):
        metrics.refuse(f"a{number}", "denied")
    metrics.refuse("a0", "denied")
    assert len(metrics.refused) == REFUSED_MAX + 1
    assert metrics.refused[OTHERS, "denied"] == 10
    assert metrics.refused["a0", "denied"] == 2
