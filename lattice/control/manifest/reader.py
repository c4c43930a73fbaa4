"""Typed reading of nodes that goes on after a mistake: each is noted with its place, and all are raised at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from lattice import errors
from lattice.control.manifest.document import Mapping, Node, Scalar

PROBLEMS_MAX = 20
"""Mistakes reported at once: more than a screenful helps nobody, and the first often causes the others."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
"""Names of applications, components, links and ids: they become parts of message subjects, where a dot separates."""


def nearest(word: str, known: Collection[str]) -> str:
    """What to say after an unknown word: the nearest right one, or all of them."""
    close = difflib.get_close_matches(word[:100], known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known here: {', '.join(sorted(known))}" if known else "none is known here"


class Reader:
    """Reads values of one file and notes what is wrong with them. Every method returns something usable."""

    def __init__(self, file: str, problems: list[errors.ManifestError]) -> None:
        self.file = file
        self.problems = problems

    def mistake(self, node: Node, message: str, remedy: str = "") -> None:
        self.problems.append(
            errors.ManifestError(message, file=self.file, line=node.line, column=node.column, remedy=remedy)
        )

    def raise_problems(self) -> None:
        """Raises the first mistake in file order, with the others; returns when there is none."""
        if not self.problems:
            return
        ordered = sorted(self.problems, key=lambda problem: (problem.line, problem.column))
        first, *others = ordered[:PROBLEMS_MAX]
        if len(ordered) > PROBLEMS_MAX:
            others.append(errors.ManifestError(f"and {len(ordered) - PROBLEMS_MAX} more mistakes", file=self.file))
        first.others = tuple(others)
        raise first

    def fields(self, node: Node | None, what: str, known: Collection[str], required: Node | None = None) -> Fields:
        """The entries of a mapping. Unknown keys are mistakes; `required` makes its absence one, there."""
        if node is None or (isinstance(node, Scalar) and node.is_null):
            if required is not None:
                self.mistake(node or required, f"{what} is missing")
            return Fields(self, None, what, {})
        if not isinstance(node, Mapping):
            self.mistake(node, f"{what} has to be a mapping of {', '.join(sorted(known))}")
            return Fields(self, None, what, {})
        entries: dict[str, tuple[Scalar, Node]] = {}
        for key, entry in node.entries.items():
            if key in known:
                entries[key] = entry
            else:
                self.mistake(entry[0], f"{what} has no key {key!r}", nearest(key, known))
        return Fields(self, node, what, entries)

    def items(self, node: Node | None, what: str) -> tuple[Node, ...]:
        """The items of a list; none when there is no list."""
        if node is None or (isinstance(node, Scalar) and node.is_null):
            return ()
        if isinstance(node, Scalar | Mapping):
            self.mistake(node, f"{what} has to be a list (lines that begin with '- ')")
            return ()
        return node.items

    def text(self, node: Node | None, what: str) -> str:
        """A scalar as it is written; "" when it is missing or no scalar."""
        if node is None:
            return ""
        if not isinstance(node, Scalar):
            self.mistake(node, f"{what} has to be a single value")
            return ""
        if node.is_null:
            self.mistake(node, f"{what} has no value", 'write "" for an empty text')
            return ""
        return node.text

    def word(self, node: Node | None, what: str) -> str:
        """`text` that must not be empty; "" when it is missing or is."""
        text = self.text(node, what)
        if isinstance(node, Scalar) and not text and not node.is_null:
            self.mistake(node, f"{what} is empty")
        return text

    def name(self, node: Node | None, what: str) -> str:
        """A name that can be part of a message subject; "" when it is missing or cannot."""
        text = self.word(node, what)
        if node is not None and text and not NAME.fullmatch(text):
            self.mistake(
                node,
                f"{what} {text[:100]!r} cannot be a name",
                "letters, digits, '-' and '_', beginning with a letter or digit, at most 100",
            )
            return ""
        return text

    def integer(self, node: Node | None, what: str, least: int, most: int) -> int | None:
        """A whole number in `least..most`; None when it is missing or is not one."""
        if node is None:
            return None
        text = self.word(node, what)
        if not text:
            return None
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not least <= int(text) <= most:
            self.mistake(node, f"{what} has to be a whole number from {least} to {most}, not {text[:100]!r}")
            return None
        return int(text)

    def strings(self, node: Node | None, what: str) -> dict[str, str]:
        """A mapping of single values, each as it is written."""
        if node is None or (isinstance(node, Scalar) and node.is_null):
            return {}
        if not isinstance(node, Mapping):
            self.mistake(node, f"{what} has to be a mapping of names to single values")
            return {}
        return {key: self.text(value, f"{what}: {key}") for key, (_, value) in node.entries.items()}


class Fields:
    """The known entries of one mapping, and the mapping's place for what is missing."""

    def __init__(self, reader: Reader, node: Node | None, what: str, entries: dict[str, tuple[Scalar, Node]]) -> None:
        self.reader = reader
        self.node = node
        self.what = what
        self.entries = entries

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def get(self, *keys: str) -> Node | None:
        """The value under the first of these spellings that is there; two of them are a mistake."""
        present = [key for key in keys if key in self.entries]
        if len(present) > 1:
            self.reader.mistake(self.entries[present[1]][0], f"{self.what} has both {' and '.join(present)}: keep one")
        return self.entries[present[0]][1] if present else None

    def require(self, key: str) -> Node | None:
        """Like `get`; notes that the key is missing."""
        if key not in self.entries and self.node is not None and isinstance(self.node, Mapping):
            self.reader.mistake(self.node, f"{self.what} has no {key!r}")
        return self.get(key)
