"""Malformed, odd and hostile requests, as they are and cut into single bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.providers.http_corpus.heads import CASES, Case
from tests.providers.http_server_client import Client, Served, get, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("corpus")) as running:
        yield running


async def expect(client: Client, case: Case) -> None:
    for status in case.statuses:
        response = await client.response()
        assert response.status == status, response.body
        if status >= 400:
            assert response.code
            assert response.header("content-type") == "application/json"
    if case.closes:
        assert await client.ended() == b""
    else:
        assert (await client.ask(get("/after"))).status == 200


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_each_case_is_answered_as_it_must_be(served: Served, case: Case) -> None:
    client = await served.connect()
    client.send(case.data)
    await expect(client, case)
    assert not [call.path for call in served.calls if "smuggled" in call.path]


async def test_single_bytes_make_no_difference(served: Served) -> None:
    async def one(case: Case) -> None:
        client = await served.connect()
        for at in range(len(case.data)):
            client.send(case.data[at : at + 1])
            await asyncio.sleep(0)
        await expect(client, case)

    await asyncio.gather(*(one(case) for case in CASES))
    assert not [call.path for call in served.calls if "smuggled" in call.path]


async def test_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
