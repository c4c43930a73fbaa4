"""Ids that were here: refused while they count, forgotten afterwards, and never for want of room."""

from __future__ import annotations

import pytest

from lattice import errors
from lattice.security.replays import Seen


def test_an_id_is_taken_once_while_it_counts() -> None:
    seen = Seen("calls", 10)
    seen.add("a", 0.0, 5.0)
    seen.add("b", 0.0, 5.0)
    with pytest.raises(errors.NotAuthentic, match="'a' was here before"):
        seen.add("a", 4.9, 9.0)
    seen.add("a", 5.0, 9.0)
    with pytest.raises(errors.NotAuthentic):
        seen.add("a", 8.9, 20.0)


def test_what_does_not_fit_is_refused_and_nothing_is_forgotten() -> None:
    seen = Seen("calls", 3)
    for number in range(3):
        seen.add(str(number), 0.0, 10.0 + number)
    with pytest.raises(errors.Overloaded):
        seen.add("new", 5.0, 20.0)
    for number in range(3):
        with pytest.raises(errors.NotAuthentic):
            seen.add(str(number), 5.0, 20.0)
    seen.add("new", 10.0, 20.0)  # the first is over
    assert len(seen) == 3
