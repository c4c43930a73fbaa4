"""A page whose commands are run: what to do, as comments of HTML that readers do not see.

    <!-- run -->                each `$ command` of the next block is run, and what follows it is expected
    <!-- run until: TEXT -->    its only command is started, and goes on when it has said TEXT and what is expected
    <!-- seen -->               what the running command says before long
    <!-- end -->                Ctrl-C for the running command, which ends well
    <!-- file: PATH -->         the next block becomes that file

Expected lines have to be there as they are, in their order. `...` in a line stands for anything, and a line of
it for any lines, also none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_STEP = re.compile(r"<!-- (run|run until|seen|end|file)(?:: (.*?))? -->\n(?:```\w*\n(.*?)```\n)?", re.DOTALL)


class Step(NamedTuple):
    kind: str
    argument: str
    block: str


class Command(NamedTuple):
    text: str
    expected: str


def steps(page: Path) -> Iterator[Step]:
    text = page.read_text()
    found = _STEP.findall(text)
    assert len(found) == text.count("<!--"), "a comment that is no step"
    for kind, argument, block in found:
        assert bool(block) == (kind != "end"), f"{kind} {argument}: a block follows, but for end"
        yield Step(kind, argument, block)


def commands(block: str) -> list[Command]:
    first, *rest = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert not first, f"output without a command: {first!r}"
    return [Command(*one.split("\n", 1)) for one in rest]


def fits(expected: str, found: str) -> bool:
    """Trailing blanks do not count."""
    wanted = "\n".join(line.rstrip() for line in expected.strip().splitlines())
    had = "\n".join(line.rstrip() for line in found.strip().splitlines())
    pattern = ""
    for line in wanted.splitlines():
        pattern += r"(?:.*\n)*?" if line == "..." else r"[^\n]*?".join(map(re.escape, line.split("..."))) + r"\n"
    return re.fullmatch(pattern, had + "\n" if had else "") is not None
