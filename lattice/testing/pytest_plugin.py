"""For pytest: the fixture `actor`, tests that are coroutines, and transcripts that are written and compared.

`lattice test` loads it. Who runs pytest alone writes `-p lattice.testing.pytest_plugin`, or
`pytest_plugins = ["lattice.testing.pytest_plugin"]` into the conftest.py beside lattice.toml.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Generator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from lattice import errors
from lattice.authoring import project
from lattice.testing.kit import TestHost, Transcript, host

KEPT = "transcripts"
"""The folder beside the tests with the transcripts that later runs are compared with."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
NAME_CHARS_MAX = 120
"""Of a file: a test's name with its parameters may be longer than file systems take."""
Wrapped: TypeAlias = Generator[None, pytest.TestReport, pytest.TestReport]
_open = pytest.StashKey["OpenActor"]()
_results = pytest.StashKey[list[dict[str, Any]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lattice", "actors under test")
    group.addoption("--lattice-project", default="", help="The actor's project, if it is not around the tests.")
    group.addoption("--lattice-record", action="store_true", help="Keep the transcripts for later runs to compare.")
    group.addoption("--lattice-summary", default="", help="Write what came of the tests to this file, as JSON.")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_results] = []


class OpenActor:
    """The project's actor for one test, on a loop of its own."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self._context: AbstractAsyncContextManager[TestHost] = host(folder)
        self.folder = folder
        self.host: TestHost = self.runner.run(self._enter())

    async def _enter(self) -> TestHost:
        return await self._context.__aenter__()

    async def _leave(self, error: BaseException | None) -> None:
        if error is None:
            await self._context.__aexit__(None, None, None)
        else:
            await self._context.__aexit__(type(error), error, error.__traceback__)

    def close(self, error: BaseException | None) -> None:
        """Raises what was expected and did not come; and `error` again, with what happened."""
        try:
            self.runner.run(self._leave(error))
        finally:
            self.runner.close()


def _folder(request: pytest.FixtureRequest) -> Path:
    given = request.config.getoption("--lattice-project")
    return project.find(Path(given) if given else request.path)


@pytest.fixture
def actor(request: pytest.FixtureRequest) -> Iterator[TestHost]:
    """The project's actor on a host for tests; see `lattice.testing.host`. For tests that are coroutines."""
    if not inspect.iscoroutinefunction(inspect.unwrap(request.function)):
        pytest.fail(f"{request.function.__name__} uses the fixture actor: write it as async def", pytrace=False)
    try:
        opened = OpenActor(_folder(request))
    except errors.LatticeError as error:
        raise pytest.fail.Exception(_told(error), pytrace=False) from None
    request.node.stash[_open] = opened
    yield opened.host
    if _open in request.node.stash:  # the test itself was never reached
        del request.node.stash[_open]
        opened.close(None)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs tests that are coroutines: those with the fixture, on its loop, and those that nobody else runs."""
    opened = pyfuncitem.stash.get(_open, None)
    function = inspect.unwrap(pyfuncitem.obj) if opened is not None else pyfuncitem.obj
    if not inspect.iscoroutinefunction(function):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    if opened is None:
        if next(pyfuncitem.iter_markers("anyio"), None) or next(pyfuncitem.iter_markers("asyncio"), None):
            return None
        asyncio.run(function(**arguments))
        return True
    del pyfuncitem.stash[_open]
    failed: BaseException | None = None
    try:
        if pyfuncitem.instance is not None and function is not pyfuncitem.obj:
            function = function.__get__(pyfuncitem.instance)
        opened.runner.run(function(**arguments))
    except BaseException as error:
        failed = error
        raise
    finally:
        opened.close(failed)
    _compare(pyfuncitem, opened)
    return True


def _compare(item: pytest.Function, opened: OpenActor) -> None:
    """Writes what was called, and looks whether it is what was recorded."""
    transcript = opened.host.transcript
    place = Path(_file_name(item.path.stem)) / f"{_file_name(item.name)}.txt"
    transcript.write(opened.folder / project.OWN_FOLDER / KEPT / place)
    kept = item.path.parent / KEPT / place
    if item.config.getoption("--lattice-record"):
        transcript.write(kept)
    elif kept.exists():
        difference = transcript.difference(Transcript.read(kept))
        if difference:
            pytest.fail(
                f"the calls are not those recorded in {kept}:\n{difference}\n"
                "lattice test --record records them again, if this is meant",
                pytrace=False,
            )


def _file_name(text: str) -> str:
    return _NOT_IN_NAMES.sub("_", text)[:NAME_CHARS_MAX]


def _told(error: errors.LatticeError) -> str:
    return f"{error}\n{error.remedy}" if error.remedy else str(error)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Wrapped:
    report = yield
    if report.when == "call" or report.outcome != "passed":
        item.config.stash[_results].append(
            {
                "test": report.nodeid,
                "outcome": report.outcome,
                "seconds": round(report.duration, 3),
                "message": str(call.excinfo.value) if call.excinfo is not None and report.failed else "",
            }
        )
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    file = session.config.getoption("--lattice-summary")
    if file:
        Path(file).write_text(json.dumps(session.config.stash[_results]), encoding="utf-8")
