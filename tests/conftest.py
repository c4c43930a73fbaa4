"""Rules for the whole suite: nothing is left behind; where everything can be installed, nothing is skipped."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a machine that is busy with something else breaks nothing
settings.load_profile("untimed")

FORBID_SKIPS = "LATTICE_FORBID_SKIPS"
"""Set by .ci/run: a skipped test then fails the run, because its server or tool should have been there."""
NO_ENGINE = "LATTICE_NO_ENGINE"
CANNOT_BE_HAD = (NO_ENGINE, "LATTICE_NO_COMPONENTS_IN_RUST")
"""Set by .ci/run for what it cannot install: a container engine where none can be started, and Rust's library for
components where Rust is Debian's. Reasons for skipping have these names in them."""


def _skipped(reporter: pytest.TerminalReporter) -> list[Any]:
    """Tests that should not have been skipped."""
    found = reporter.stats.get("skipped", [])
    excused = [name for name in CANNOT_BE_HAD if os.environ.get(name)]
    return [report for report in found if not any(name in str(report.longrepr) for name in excused)]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get(FORBID_SKIPS) and reporter is not None and _skipped(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = _skipped(terminalreporter)
    if os.environ.get(FORBID_SKIPS) and skipped:
        terminalreporter.write_line(f"{len(skipped)} tests were skipped and {FORBID_SKIPS} is set", red=True)


@pytest.fixture(autouse=True)
def no_engine_left() -> Iterator[None]:
    """An engine that is not closed keeps tens of TiB of address space from the next."""
    before = {thread for thread in threading.enumerate() if thread.name == "lattice-ticker"}
    yield
    left = {thread for thread in threading.enumerate() if thread.name == "lattice-ticker"} - before
    assert not left, "the test left a WebAssembly engine open"
