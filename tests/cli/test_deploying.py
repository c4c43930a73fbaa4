"""What is said while something is waited for."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest

from lattice import errors
from lattice.cli import deploying
from lattice.control.lattice_client import LatticeClient


class Flapping:
    """A lattice in which the same two things fail by turns."""

    def __init__(self) -> None:
        self._messages = itertools.cycle(["the port is in use", "no link is taken"])

    async def app(self, *_words: str) -> dict[str, Any]:
        return {"application": {"version": "1", "status": "failed", "message": next(self._messages), "remedy": ""}}


async def test_what_fails_by_turns_is_said_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploying, "LOOK_EVERY_S", 0.001)
    said: list[str] = []
    with pytest.raises(errors.DeadlineExceeded):
        await deploying.wait(cast(LatticeClient, Flapping()), "shop", "1", 0.2, said.append)
    assert said == ["failed: the port is in use", "failed: no link is taken"]
