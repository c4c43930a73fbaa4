"""Refusals in the log: each with its reason, and never more than can be read."""

from __future__ import annotations

import logging

import pytest

from lattice.telemetry.refusals import LINES_MAX, PER_S, Refusals


def test_a_flood_of_refusals_is_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals(logging.getLogger("lattice.audit"))
    for number in range(5 * LINES_MAX):
        refusals.note(number * 0.001, f"host {number}", "call it\nand more", "it is not signed" * 500)
    assert len(caplog.records) == LINES_MAX
    assert "\n" not in caplog.records[0].getMessage()
    assert max(len(record.getMessage()) for record in caplog.records) < 1200
    refusals.note(PER_S + 1, "host", "call it", "no")
    assert f"{4 * LINES_MAX} more refusals" in caplog.records[LINES_MAX].getMessage()
    assert refusals.count == 5 * LINES_MAX + 1
