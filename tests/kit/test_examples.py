"""What each example of this repository calls is the same on every run, in whatever order they run.

To record it again: LATTICE_RECORD=1 pytest tests/kit/test_examples.py
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lattice.testing import host
from tests.kit.examples import EXAMPLES

KEPT = Path(__file__).parent / "transcripts"
RECORD = "LATTICE_RECORD"


@pytest.mark.parametrize("name", [*EXAMPLES, *reversed(EXAMPLES)])
async def test_an_example_calls_the_same_on_every_run(name: str, tmp_path: Path) -> None:
    example = EXAMPLES[name]
    async with host(example.place(tmp_path), subscriptions=example.subscriptions) as h:
        await example.ask(h)
        if os.environ.get(RECORD):
            h.transcript.write(KEPT / f"{name}.txt")
        h.transcript.require_same(KEPT / f"{name}.txt")


def test_every_transcript_is_of_an_example() -> None:
    assert {path.stem for path in KEPT.iterdir()} == set(EXAMPLES)
