"""WWW-Authenticate: the forms that servers write, and any other text without a crash or a hang."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice.artifacts.challenge import HEADER_CHARACTERS_MAX, Challenge, challenges


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (
            'Bearer realm="https://a/b?c=d",service="x"',
            [Challenge("bearer", {"realm": "https://a/b?c=d", "service": "x"})],
        ),
        ("BASIC Realm=x", [Challenge("basic", {"realm": "x"})]),
        ("Negotiate", [Challenge("negotiate", {})]),
        (
            'Basic realm="a", Bearer realm="b"',
            [Challenge("basic", {"realm": "a"}), Challenge("bearer", {"realm": "b"})],
        ),
        ('Bearer realm="a\\"b\\\\", service = "c, d"', [Challenge("bearer", {"realm": 'a"b\\', "service": "c, d"})]),
        ('Bearer realm="a",realm="b"', [Challenge("bearer", {"realm": "a"})]),
        ("Negotiate abc==", [Challenge("negotiate", {})]),
        ('Bearer realm="never ends', [Challenge("bearer", {})]),
        ("", []),
        ("=", []),
    ],
)
def test_challenges_are_read(header: str, found: list[Challenge]) -> None:
    assert challenges([header]) == found


def test_several_headers_are_several_challenges() -> None:
    assert [one.scheme for one in challenges(["Basic realm=x", "Bearer realm=y"])] == ["basic", "bearer"]


def test_only_so_much_of_a_header_is_read() -> None:
    header = "Basic realm=x" + " " * HEADER_CHARACTERS_MAX + ", Bearer realm=y"
    assert challenges([header]) == [Challenge("basic", {"realm": "x"})]


@given(st.lists(st.text(alphabet='aB=",\\ \t\0é') | st.text()))
def test_any_text_is_read_without_a_crash(headers: list[str]) -> None:
    for challenge in challenges(headers):
        assert challenge.scheme


@pytest.mark.parametrize(
    "text", ['"\\' * 5000, "a=" * 5000, "a " * 5000, ", " * 5000, 'a a="' + "\\" * 9000, "a" * 10**6]
)
def test_long_headers_take_time_in_proportion_only(text: str) -> None:
    """They are read at once or this test never ends; and only so much of them is read."""
    assert len(challenges([text])) <= HEADER_CHARACTERS_MAX
