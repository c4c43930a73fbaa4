"""Patterns with `*`, matched in linear time: what is matched comes from guests and strangers. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Glob(msgspec.Struct, frozen=True):
    """`*` stands for any text, all else for itself. `matches` takes time in proportion to the text, whatever it is."""

    text: str
    pieces: tuple[str, ...]
    """Between the stars; one piece when there is none."""

    def matches(self, text: str) -> bool:
        first, *middle = self.pieces
        if not middle:
            return text == first
        last = middle.pop()
        if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
            return False
        place, end = len(first), len(text) - len(last)
        for piece in middle:
            # The leftmost place is as good as any: what follows has the most room behind it.
            found = text.find(piece, place, end)
            if found < 0:
                return False
            place = found + len(piece)
        return True

    def covers(self, other: Glob) -> bool:
        """Whether this matches everything that `other` matches. A pattern is covered when it matches as a text: each of
        its stars then lies within one of ours."""
        return self.matches(other.text)


def glob(text: str) -> Glob:
    return Glob(text, tuple(text.split("*")))


def any_matches(globs: Sequence[Glob], text: str) -> bool:
    """An empty text is something that is not there, and only an empty pattern stands for that."""
    for one in globs:  # noqa: SIM110  # a generator costs more than the patterns, and rules ask this often
        if one.text == text or (text and len(one.pieces) > 1 and one.matches(text)):
            return True
    return False
