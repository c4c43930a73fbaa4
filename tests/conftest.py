"""One rule for the whole suite: where everything can be installed, nothing may be skipped."""

from __future__ import annotations

import os

import pytest

FORBID_SKIPS = "LATTICE_FORBID_SKIPS"
"""Set by .ci/run: a skipped test then fails the run, because its server or tool should have been there."""


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get(FORBID_SKIPS) and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if os.environ.get(FORBID_SKIPS) and skipped:
        terminalreporter.write_line(f"{len(skipped)} tests were skipped and {FORBID_SKIPS} is set", red=True)
