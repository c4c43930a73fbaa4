"""What a server does with a request whose actor could not be reached, stops, or was lost in the middle of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice import errors
from lattice.contracts.httpserver import HttpRequest, HttpResponse
from lattice.links import Link
from tests.providers.http_server_client import serving

SHORT = {"actor": {"timeout": "0.2"}}
LOST = errors.AnswerLost("its host is gone")
AWAY = errors.Unreachable("no host has it")


class Failing:
    """Raises each of `failures` in turn, then answers."""

    def __init__(self, *failures: errors.LatticeError) -> None:
        self.failures = list(failures)
        self.asked = 0

    async def __call__(self, _link: Link, _request: HttpRequest) -> HttpResponse:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return HttpResponse(body=b"here")


def request(method: str) -> bytes:
    return f"{method} / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_a_request_that_may_come_twice_is_made_again_when_its_answer_is_lost(tmp_path: Path, method: str) -> None:
    actor = Failing(LOST, AWAY, errors.Draining("stopping"), LOST)
    async with serving(tmp_path, actor) as served:
        response = await served.ask(request(method))
    assert (response.status, response.body, actor.asked) == (200, b"here", 5)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_another_is_not(tmp_path: Path, method: str) -> None:
    actor = Failing(LOST)
    async with serving(tmp_path, actor) as served:
        response = await served.ask(request(method))
    assert (response.status, response.code, actor.asked) == (504, "answer_lost", 1)


async def test_a_route_can_say_that_all_of_its_requests_may_come_twice(tmp_path: Path) -> None:
    actor = Failing(LOST, LOST)
    async with serving(tmp_path, actor, {"actor": {"repeatable": "true"}}) as served:
        response = await served.ask(request("POST"))
    assert (response.status, actor.asked) == (200, 3)


async def test_what_did_not_happen_is_made_again_whatever_it_is(tmp_path: Path) -> None:
    actor = Failing(AWAY, errors.Draining("stopping"))
    async with serving(tmp_path, actor) as served:
        response = await served.ask(request("POST"))
    assert (response.status, actor.asked) == (200, 3)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(AWAY, 503, "unreachable"), (errors.Draining("stopping"), 503, "draining"), (LOST, 504, "answer_lost")],
)
async def test_at_the_deadline_the_last_error_is_told(
    tmp_path: Path, error: errors.CallError, status: int, code: str
) -> None:
    actor = Failing(*[error] * 1000)
    async with serving(tmp_path, actor, SHORT) as served:
        response = await served.ask(request("GET"))
    assert (response.status, response.code) == (status, code)
    assert actor.asked > 2
    assert (response.header("retry-after") is not None) == (status == 503)


@pytest.mark.parametrize("error", [errors.GuestTrapped("unreachable"), errors.Overloaded("queue full")])
async def test_an_answer_that_is_an_error_is_an_answer(tmp_path: Path, error: errors.CallError) -> None:
    actor = Failing(error)
    async with serving(tmp_path, actor) as served:
        assert (await served.ask(request("GET"))).code == error.code
    assert actor.asked == 1
