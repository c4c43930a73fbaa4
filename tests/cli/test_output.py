"""What commands print of what strangers wrote."""

from __future__ import annotations

import pytest

from lattice import errors
from lattice.cli.output import print_error


def test_an_error_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A module, a registry or a host may have written it; an escape could hide the line before it."""
    print_error(errors.NotAdmitted("the alias \x1b[1A\x1b[2Kadmin\x9b2K is taken\nby another", remedy="ask \x07 them"))
    said = capsys.readouterr().err
    assert said.isascii()
    assert all(line.isprintable() for line in said.split("\n"))
    assert said.split("\n")[1:] == ["by another", "  ask   them", ""]
