"""Subjects and patterns, against an independent reading of the same rules."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lattice_messaging.subjects import checked_subject, matches, overlap, subscribable

from lattice import errors

words = st.sampled_from(["a", "b", "cc"])
subjects = st.lists(words, min_size=1, max_size=5)
patterns = st.tuples(st.lists(st.one_of(words, st.just("*")), max_size=4), st.sampled_from([["a"], ["*"], [">"]])).map(
    lambda parts: parts[0] + parts[1]
)


def as_regex(pattern):
    return re.compile(r"\.".join({"*": r"[^.]+", ">": r".+"}.get(word, word) for word in pattern))


@settings(deadline=None)
@given(patterns, subjects)
def test_a_pattern_matches_what_its_regular_expression_matches(pattern, subject):
    assert matches(pattern, subject) == bool(as_regex(pattern).fullmatch(".".join(subject)))


@settings(deadline=None)
@given(patterns, patterns, subjects)
def test_patterns_that_both_match_a_subject_overlap(one, other, subject):
    if matches(one, subject) and matches(other, subject):
        assert overlap(one, other)
    assert overlap(one, other) == overlap(other, one)


@settings(deadline=None)
@given(patterns, patterns)
def test_patterns_that_overlap_have_a_subject_in_common(one, other):
    if not overlap(one, other):
        return
    length = max(len(one), len(other))
    longer = [
        pattern[:-1] + ["*"] * (length - len(pattern) + 1) if pattern[-1] == ">" else pattern
        for pattern in (one, other)
    ]
    common = [b if a == "*" else a for a, b in zip(*longer, strict=True)]
    common = ["x" if word == "*" else word for word in common]
    assert matches(one, common)
    assert matches(other, common)


@settings(deadline=None)
@given(st.text(max_size=20))
def test_a_subject_that_passes_is_one_word_of_the_protocol(text):
    for check, refusal in ((checked_subject, errors.ProviderError), (subscribable, ValueError)):
        try:
            check(text)
        except refusal:
            continue
        assert text.split() == [text]
        assert all(text.split("."))


@pytest.mark.parametrize("subject", ["a", "orders.new", "größe.日本", "a-b_c.1", "_INBOX.xyz", "wasmbus", "a$b"])
def test_ordinary_subjects_pass(subject):
    assert checked_subject(subject) == subject


def test_the_brokers_own_subjects_pass_only_when_asked_for():
    with pytest.raises(errors.ProviderError, match="belongs to the broker"):
        checked_subject("$JS.API.STREAM.DELETE.orders")
    assert checked_subject("$JS.API.INFO", reserved=True) == "$JS.API.INFO"
