"""Several policies as one: all have to permit, in order, at once where they can."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable

import pytest

from lattice.security.policy import PERMITTED, Answer, Decision, Every, Party, Question

ACTOR = Party(key="a", kind="actor")
QUESTION = Question(kind="call", origin=ACTOR, target=ACTOR, host=Party(key="N", kind="host"))
NO = Decision(permitted=False, rule="no")


class Fixed:
    """Answers the same, and counts."""

    def __init__(self, answer: Decision, later: bool = False) -> None:
        self.answer = answer
        self.later = later
        self.asked = 0

    def decide(self, _question: Question) -> Answer:
        self.asked += 1
        return self._wait() if self.later else self.answer

    async def _wait(self) -> Decision:
        await asyncio.sleep(0)
        return self.answer


async def decided(answer: Answer) -> Decision:
    return await answer if isinstance(answer, Awaitable) else answer


def test_without_a_policy_everything_is_permitted() -> None:
    assert Every().decide(QUESTION) == PERMITTED


@pytest.mark.parametrize("later", [False, True])
async def test_the_first_refusal_stands_and_nobody_is_asked_after_it(later: bool) -> None:
    before, refuses, after = Fixed(PERMITTED, later), Fixed(NO, later), Fixed(PERMITTED)
    assert await decided(Every(before, refuses, after).decide(QUESTION)) == NO
    assert (before.asked, refuses.asked, after.asked) == (1, 1, 0)


@pytest.mark.parametrize("later", [(False, False), (False, True), (True, False), (True, True)])
async def test_what_all_permit_holds_as_long_as_the_shortest_of_them(later: tuple[bool, bool]) -> None:
    one = Fixed(Decision(permitted=True, rule="one", message="because", any_operation=True, until=5.0), later[0])
    other = Fixed(Decision(permitted=True, any_operation=False), later[1])
    answer = Every(one, other).decide(QUESTION)
    assert isinstance(answer, Decision) is (later == (False, False))
    found = await decided(answer)
    assert found == Decision(permitted=True, rule="one", message="because", any_operation=False, until=5.0)


def test_a_decision_holds_for_ever_unless_it_says_otherwise() -> None:
    assert PERMITTED.until == math.inf
