"""The users' own compose.yaml: two clouds in containers, under load, while hosts, a cloud and a network are lost."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from lattice.drills.load import Entry, Load
from lattice.drills.report import EntryReport
from tests.compose.configurations import FOLDER, configurations
from tests.compose.project import Project, why_not

RATE = 60.0
"""Requests a second: two cores have nine containers and the clients."""
STEADY_S = 2.0
BROKEN_S = 8.0


def test_the_servers_are_configured_as_a_lattice_needs_them() -> None:
    assert {file.name: file.read_text() for file in FOLDER.glob("*.conf")} == configurations()


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    if reason := why_not():
        pytest.skip(reason)
    project = Project()
    try:
        project.up()
        request = urllib.request.Request(
            project.url("east") + "/links", b'{"url": "https://example.org/", "code": "drill"}'
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)["code"] == "drill"
        yield project
    finally:
        project.down()


class Seen:
    """What clients saw, once the load has ended; `either` has both addresses and tries east first."""

    east: EntryReport
    west: EntryReport
    either: EntryReport


@asynccontextmanager
async def load(project: Project) -> AsyncIterator[Seen]:
    """Steady reads and writes at both clouds; afterwards all is as before, and everything acknowledged is there."""
    east, west = project.url("east"), project.url("west")
    entries = [Entry("east", east), Entry("west", west), Entry("either", east, (west,))]
    steady = Load(entries, RATE, "/links/drill", "/ledger")
    seen = Seen()
    await project.settled()
    await steady.start()
    try:
        await asyncio.sleep(STEADY_S)
        yield seen
        await project.settled()
        await asyncio.sleep(STEADY_S)
    finally:
        await steady.stop()
    seen.east, seen.west, seen.either = (entry.report(steady.began, steady.ended) for entry in entries)
    assert len(steady.acknowledged) > 10
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        for entry in (east, west):
            for path in steady.acknowledged:
                async with session.get(entry + path) as answer:
                    assert (answer.status, await answer.text()) == (200, path.rpartition("/")[2]), path


async def test_both_entries_answer(project: Project) -> None:
    async with aiohttp.ClientSession() as session:
        for cloud in ("east", "west"):
            for path in ("/links/drill", "/counter/x", "/"):
                async with session.get(project.url(cloud) + path) as answer:
                    assert answer.status == 200, (cloud, path)
    await project.settled()


async def test_a_host_that_is_told_to_stop_drains(project: Project) -> None:
    async with load(project) as seen:
        await project.apart("stop", "host-east-2")
        container = f"{project.name}-host-east-2-1"
        code = await asyncio.to_thread(project.docker, "inspect", "--format", "{{.State.ExitCode}}", container)
        await project.apart("start", "host-east-2")
    assert code.strip() == "0"
    assert [report.failed for report in (seen.east, seen.west, seen.either)] == [0, 0, 0], vars(seen)


async def test_a_killed_host_is_noticed_by_nobody(project: Project) -> None:
    async with load(project) as seen:
        await project.apart("kill", "--signal", "KILL", "host-east-2")
        await asyncio.sleep(BROKEN_S)
        await project.apart("start", "host-east-2")
    assert [report.failed for report in (seen.east, seen.west, seen.either)] == [0, 0, 0], vars(seen)


async def test_a_lost_cloud_takes_only_its_own_entry_along(project: Project) -> None:
    lost = ("nats-east", "host-east-1", "host-east-2")
    async with load(project) as seen:
        await project.apart("kill", "--signal", "KILL", *lost)
        await asyncio.sleep(BROKEN_S)
        await project.apart("start", *lost)
    assert (seen.west.failed, seen.either.failed) == (0, 0), vars(seen)
    assert seen.east.failed > 0, "nothing was lost"
    assert set(seen.east.failed_by_kind) <= {
        f"{write}{why}"
        for write in ("", "write: ")
        for why in ("connection refused", "connection cut", "no connection")
    }


async def test_the_side_with_most_copies_goes_on_while_a_cloud_is_cut_off(project: Project) -> None:
    async with load(project) as seen:
        await project.cut("east")
        await asyncio.sleep(2 * BROKEN_S)
        await project.heal("east")
    assert seen.west.failed == 0, vars(seen)
