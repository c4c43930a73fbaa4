"""Patterns: what they match, what they cover, and that nobody can make them slow."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice.security.globs import any_matches, glob

patterns = st.text("ab*.", max_size=8)
texts = st.text("ab.\n", max_size=12)


@given(patterns, texts)
def test_a_pattern_matches_what_the_regular_expression_does(pattern: str, text: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL)
    assert glob(pattern).matches(text) == (expected is not None)


@given(patterns, patterns, texts)
def test_what_is_covered_matches_nothing_more(one: str, other: str, text: str) -> None:
    if glob(one).covers(glob(other)) and glob(other).matches(text):
        assert glob(one).matches(text)


@pytest.mark.parametrize(
    ("one", "other", "covers"),
    [
        ("KeyValue.*", "KeyValue.Get", True),
        ("KeyValue.*", "KeyValue.*", True),
        ("*", "KeyValue.*", True),
        ("KeyValue.Get", "KeyValue.*", False),
        ("KeyValue.G*", "KeyValue.*", False),
        ("KeyValue.Get", "KeyValue.Set", False),
        ("*.Get", "*", False),
    ],
)
def test_a_pattern_covers_a_narrower_one(one: str, other: str, covers: bool) -> None:
    assert glob(one).covers(glob(other)) is covers


def test_what_is_not_there_fits_only_the_empty_pattern() -> None:
    assert not any_matches([glob("*")], "")
    assert any_matches([glob("a"), glob("")], "")
    assert any_matches([glob("b"), glob("a*")], "abc")
    assert not any_matches([], "a")


def test_a_text_that_would_make_an_expression_backtrack_is_matched_at_once() -> None:
    """A backtracking matcher takes hours for this one; a pause of seconds is for a busy machine."""
    began = time.monotonic()
    assert not glob("*a" * 40 + "b").matches("a" * 100_000)
    assert time.monotonic() - began < 20
