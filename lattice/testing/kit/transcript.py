"""What was called, in the order in which it began: recorded, written and read as text, and compared. Pure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from lattice import errors

TITLE = "# What was called: time in seconds, who > whom, the operation and its message, = answer or ! error."
DIFF_LINES_MAX = 80
"""Of what is told of a difference; the rest follows from the first lines."""
CALLS_MAX = 100_000
"""Of one transcript: more is a load test, and its transcript is of use to nobody."""
FILE_BYTES_MAX = 64 * 1024 * 1024
_PLAIN = re.compile(r"[\w.:/@-]+")
_HEAD = re.compile(r"\+(\d+\.\d{3}) ((?:  )*)(\S+|\"(?:[^\"\\]|\\.)*\") > ")

Outcome = Literal["=", "!", "?"]
"""Answered, failed, and neither."""


class Call(msgspec.Struct):
    """One call. `at_s` is virtual time since the start; `depth` how many calls led to it; messages are values as JSON
    has them. `answer` is the text of the error when it failed."""

    at_s: float
    depth: int
    origin: str
    target: str
    operation: str
    request: Any = None
    outcome: Outcome = "?"
    answer: Any = None

    def __str__(self) -> str:
        what = f"{_word(self.origin)} > {_word(self.target)} {_word(self.operation)} {_json(self.request)}"
        ending = "?" if self.outcome == "?" else f"{self.outcome} {_json(self.answer)}"
        return f"+{self.at_s:.3f} {'  ' * self.depth}{what} {ending}"


class Transcript:
    """Calls in order."""

    def __init__(self, calls: list[Call] | None = None) -> None:
        self.calls = calls or []

    def __iter__(self) -> Iterator[Call]:
        return iter(self.calls)

    def __len__(self) -> int:
        return len(self.calls)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Transcript) and self.text() == other.text()

    def __hash__(self) -> int:
        return hash(self.text())

    def add(self, call: Call) -> None:
        """Raises `errors.Overloaded`."""
        if len(self.calls) >= CALLS_MAX:
            raise errors.Overloaded(
                f"a transcript has {CALLS_MAX} calls at most", remedy="make fewer calls, or use host(..., record=False)"
            )
        self.calls.append(call)

    def of(self, operation: str) -> list[Call]:
        """The calls of one operation, by its whole name or what follows the last dot."""
        return [call for call in self.calls if operation in (call.operation, call.operation.rpartition(".")[2])]

    def text(self) -> str:
        return "".join(f"{line}\n" for line in (TITLE, *map(str, self.calls)))

    def write(self, path: Path | str) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text(), encoding="utf-8")

    @staticmethod
    def parse(text: str, place: str = "the transcript") -> Transcript:
        """The inverse of `text`. Raises `errors.ConfigError`."""
        calls = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith("#") or not line.strip():
                continue
            try:
                calls.append(_parse(line))
            except (ValueError, RecursionError) as error:
                raise errors.ConfigError(
                    f"{place}:{number}: not a line of a transcript: {error}", remedy="record it again"
                ) from error
        return Transcript(calls)

    @staticmethod
    def read(path: Path | str) -> Transcript:
        """Raises `errors.ConfigError`."""
        path = Path(path)
        try:
            if path.stat().st_size > FILE_BYTES_MAX:
                raise errors.ConfigError(f"{path} is larger than any transcript")
            return Transcript.parse(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise errors.ConfigError(f"{path} cannot be read: {error}", remedy="record it again") from error

    def difference(self, recorded: Transcript) -> str:
        """What is different from a recorded one, as a diff; "" when nothing is."""
        lines = list(
            difflib.unified_diff(
                recorded.text().splitlines(), self.text().splitlines(), "recorded", "now", n=2, lineterm=""
            )
        )
        if len(lines) > DIFF_LINES_MAX:
            lines[DIFF_LINES_MAX:] = [f"({len(lines) - DIFF_LINES_MAX} more lines)"]
        return "\n".join(lines)

    def require_same(self, path: Path | str) -> None:
        """Raises `AssertionError` with the difference from what the file has."""
        difference = self.difference(Transcript.read(path))
        if difference:
            raise AssertionError(
                f"the calls are not those recorded in {path}:\n{difference}\nrecord them again if this is meant"
            )


def _parse(line: str) -> Call:
    head = _HEAD.match(line)
    if head is None:
        raise ValueError("it does not begin with a time and who calls whom")
    origin, _ = _read_word(head[3], 0)
    target, at = _read_word(line, head.end())
    operation, at = _read_word(line, at + 1)
    request, at = json.JSONDecoder().raw_decode(line, at + 1)
    call = Call(float(head[1]), len(head[2]) // 2, origin, target, operation, request)
    match line[at : at + 2]:
        case " ?":
            return call
        case " =":
            call.outcome = "="
        case " !":
            call.outcome = "!"
        case _:
            raise ValueError("it has no answer")
    call.answer, end = json.JSONDecoder().raw_decode(line, at + 3)
    if end != len(line):
        raise ValueError("there is more behind the answer")
    return call


def _read_word(line: str, at: int) -> tuple[str, int]:
    if line[at : at + 1] == '"':
        word, end = json.JSONDecoder().raw_decode(line, at)
        return str(word), end
    found = _PLAIN.match(line, at)
    if found is None:
        raise ValueError(f"there is no word at column {at + 1}")
    return found[0], found.end()


def _word(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.isascii() else json.dumps(text)


def _json(value: Any) -> str:
    return json.dumps(value)
