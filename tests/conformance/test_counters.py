"""One application in every kind of guest, on one host and across two: same requests, same answers, same errors."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conformance.guests import COUNTERS, KINDS, Counter, require
from tests.conformance.places import PLACES, Answer, Place

pytestmark = pytest.mark.asyncio(loop_scope="module")
STORING = [counter for counter in COUNTERS if counter.stores]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PLACES)
async def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with PLACES[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def path(place: Place, counter: Counter) -> str:
    """A path that nobody has counted."""
    require(counter, place.missing)
    return f"/{counter.path}/{uuid.uuid4()}"


every_kind = pytest.mark.parametrize("counter", COUNTERS, ids=lambda counter: counter.path)
with_a_store = pytest.mark.parametrize("counter", STORING, ids=lambda counter: counter.path)
"""Commands have no calls of their own, so they have no store to lose."""


def counted(number: int) -> tuple[int, str, None, bytes]:
    return 200, "application/json", None, b'{"counter":%d}\n' % number


@every_kind
async def test_each_path_is_counted_by_itself_whatever_its_query(place: Place, path: str) -> None:
    for number in (1, 2, 3):
        assert (await place.ask(f"{path}?n={number}")).kept == counted(number)
    for other in (f"{path}/below", f"{path}%20x", f"{path}//", f"{path}.b-c_d~e"):
        assert (await place.ask(other)).kept == counted(1)
        assert (await place.ask(other)).kept == counted(2)
    assert (await place.ask(path)).kept == counted(4)


@every_kind
async def test_other_methods_are_405_and_count_nothing(place: Place, path: str) -> None:
    refused = (405, "application/json", "GET", b'{"error":"only GET counts"}\n')
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await place.ask(path, method, b"body")).kept == refused
    head = await place.ask(path, "HEAD")
    assert (head.status, head.headers.get("Allow"), head.body) == (405, "GET", b"")
    assert (await place.ask(path)).kept == counted(1)


@every_kind
async def test_requests_at_once_get_different_numbers(place: Place, path: str) -> None:
    answers = await asyncio.gather(*(place.ask(path) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert sorted(json.loads(answer.body)["counter"] for answer in answers) == list(range(1, 21))


@every_kind
async def test_a_body_over_the_limit_of_the_actor_is_413(place: Place, path: str) -> None:
    answer = await place.ask(path, "POST", bytes(65 * 1024))
    assert (answer.status, answer.error) == (413, "payload_too_large")
    assert (await place.ask(path, "POST", bytes(60 * 1024))).status == 405
    assert (await place.ask(path)).kept == counted(1)


@with_a_store
async def test_without_the_store_it_is_503_and_then_goes_on(place: Place, path: str) -> None:
    assert (await place.ask(path)).kept == counted(1)
    place.store.kill()
    try:
        answer = await place.ask(path)
        assert answer.status == 503, answer
        assert answer.error
        assert (await place.ask(path, "POST")).status == 405
    finally:
        place.store.start()
    assert (await answered(place, path)).kept == counted(2)


async def answered(place: Place, path: str) -> Answer:
    """The first answer after the store is back, which its provider has to notice."""
    async with asyncio.timeout(20):
        while (answer := await place.ask(path)).status == 503:
            await asyncio.sleep(0.05)
    return answer


async def test_while_the_store_says_nothing_it_is_504_and_then_goes_on(place: Place) -> None:
    """All at once, since each takes the whole time of its route."""
    paths = [f"/{counter.path}/{uuid.uuid4()}" for counter in STORING if counter not in place.missing]
    place.store.pause()
    try:
        answers = await asyncio.gather(*(place.ask(path) for path in paths))
    finally:
        place.store.resume()
    assert [(answer.status, answer.error) for answer in answers] == [(504, "deadline_exceeded")] * len(paths)
    for path in paths:
        answer = await answered(place, path)
        assert answer.status == 200
        assert json.loads(answer.body)["counter"] in (1, 2), "the store may have got the first"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_guest_that_traps_is_502_and_the_next_request_is_answered_too(place: Place, kind: str) -> None:
    for _ in range(3):
        answer = await place.ask(f"/{kind}-trap")
        assert (answer.status, answer.error) == (502, "guest_trapped")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_guest_that_computes_for_ever_is_504_and_nobody_else_notices(place: Place, kind: str) -> None:
    stuck = asyncio.create_task(place.ask(f"/{kind}-spin"))
    path = f"/c/{uuid.uuid4()}"
    for number in (1, 2, 3):
        assert (await place.ask(path)).kept == counted(number)
    assert not stuck.done()
    answer = await stuck
    assert (answer.status, answer.error) == (504, "deadline_exceeded")
