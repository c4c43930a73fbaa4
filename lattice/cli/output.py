"""What commands print: one JSON document, or text for people; errors as what happened and what to do."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, TextIO

import typer

from lattice import errors


class Format(StrEnum):
    """What `-o` takes."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[Format, typer.Option("--output", "-o", help="text for people, json for programs.")]
"""The `-o` of every command that has one."""


def print_json(document: Any) -> None:
    """The only thing on standard output of a command with `-o json`."""
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the titles are bold on a terminal."""
    cells = [[_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(titles), *cells]) for column in range(len(titles))]
    print(styled(_row(titles, widths), "1", sys.stdout))
    for row in cells:
        print(_row(row, widths))


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _line(text: str) -> str:
    """Text from actors and files in one line, without the control characters that steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def styled(text: str, code: str, stream: TextIO) -> str:
    """`text` in an ANSI style when `stream` is a terminal that wants one (https://no-color.org)."""
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def print_error(error: errors.LatticeError) -> None:
    """What happened, each in its line; below it what to do."""
    causes: list[errors.LatticeError] = [error]
    if isinstance(error, errors.ManifestError):
        causes.extend(error.others)
    for cause in causes:
        print(f"{styled('error:', '1;31', sys.stderr)} {_lines(str(cause))}", file=sys.stderr)
        if cause.remedy:
            print(f"  {_lines(cause.remedy)}", file=sys.stderr)


def _lines(text: str) -> str:
    """The same for what may have several lines."""
    return "\n".join(_line(line) for line in text.split("\n"))
